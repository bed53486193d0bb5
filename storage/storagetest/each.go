package storagetest

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"mintmark/storage"
)

// Each runs f on an empty SQLite database and on an empty PostgreSQL database. Every call
// of open opens the same database once more, as another copy of the server would; what was
// opened is closed when the test ends.
func Each(t *testing.T, f func(t *testing.T, open func() *storage.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		f(t, opener(t, SQLite(t)))
	})
	t.Run("postgres", func(t *testing.T) {
		f(t, opener(t, Postgres(t)))
	})
}

// SQLite returns the URL of a database that isn't there yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "mintmark.db")
}

func opener(t testing.TB, url string) func() *storage.DB {
	return func() *storage.DB {
		t.Helper()
		return Open(t, url)
	}
}

// Open opens a database of this package for a test, with few connections.
func Open(t testing.TB, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(context.Background(), url, storage.Options{
		Log:      slog.New(slog.DiscardHandler),
		MaxConns: 4,
		Migrate:  true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}
