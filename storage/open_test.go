package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/accounts"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

var quiet = slog.New(slog.DiscardHandler)

// everyNew runs f with the URL of a database that nobody has migrated.
func everyNew(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, storagetest.SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, storagetest.EmptyPostgres(t)) })
}

func TestSeveralCopiesOpenANewDatabase(t *testing.T) {
	everyNew(t, func(t *testing.T, url string) {
		const copies = 6
		errs := make([]error, copies)
		var wg sync.WaitGroup
		for i := range copies {
			wg.Go(func() {
				db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet, MaxConns: 2, Migrate: true})
				if err == nil {
					_, err = db.Accounts().HasAdmin(t.Context())
					db.Close()
				}
				errs[i] = err
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStatusSaysWhatIsPending(t *testing.T) {
	everyNew(t, func(t *testing.T, url string) {
		db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s, err := db.Status(t.Context())
		if err != nil || s.Version != 0 || s.Latest == 0 || len(s.Pending) == 0 || s.Pending[0] != "0001_start.sql" || !strings.HasPrefix(t.Name(), "TestStatusSaysWhatIsPending/"+s.Engine) {
			t.Errorf("before: %+v, %v", s, err)
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, err = db.Status(t.Context()); err != nil || s.Version != s.Latest || len(s.Pending) != 0 {
			t.Errorf("after: %+v, %v", s, err)
		}
	})
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	everyNew(t, func(t *testing.T, url string) {
		migrated(t, url)
		raw(t, url, `INSERT INTO schema_versions (version_id, is_applied) VALUES (9999, TRUE)`)
		refused(t, url, storage.ErrNewer, "9999")
	})
}

// A number that this program skips is another program's, though both end with the same.
func TestADatabaseWithAMigrationThatIsNotOursIsRefused(t *testing.T) {
	everyNew(t, func(t *testing.T, url string) {
		migrated(t, url)
		raw(t, url, `INSERT INTO schema_versions (version_id, is_applied) VALUES (6, TRUE)`)
		refused(t, url, storage.ErrNewer, "0006")
	})
}

// A database that has had later migrations without an earlier one is nobody's: to go on would be a guess.
func TestADatabaseWithHolesIsRefused(t *testing.T) {
	everyNew(t, func(t *testing.T, url string) {
		migrated(t, url)
		raw(t, url, `DELETE FROM schema_versions WHERE version_id = 4`)
		refused(t, url, storage.ErrHoles, "0004_quota.sql")
	})
}

// migrated brings a database up to date, and closes it.
func migrated(t *testing.T, url string) {
	t.Helper()
	db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet, MaxConns: 2, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}

// raw does something behind the back of storage.
func raw(t *testing.T, url, statement string) {
	t.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		return
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// refused wants a database not to be opened, with a sentence that names what is wrong.
func refused(t *testing.T, url string, want error, names string) {
	t.Helper()
	for _, migrate := range []bool{false, true} {
		db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet, MaxConns: 2, Migrate: migrate})
		if err == nil {
			db.Close()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), names) || strings.Contains(err.Error(), "\n") {
			t.Errorf("migrate %v: %v", migrate, err)
		}
	}
}

func TestAnSQLiteFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "my db?_pragma=x#%.sqlite")
	db := storagetest.Open(t, "sqlite:"+path)
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestWhatCannotBeOpenedIsOneSentence(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sqlite:" + dir:                              dir,
		"sqlite:" + text + "/db":                     "notes.txt",
		"sqlite:" + text:                             "not an SQLite database",
		"sqlite:":                                    "sqlite:mintmark.db",
		"sqlite::memory:":                            "sqlite:mintmark.db",
		"mysql://root:hunter2@localhost/x":           "sqlite:PATH or postgres://",
		"postgres://ada:hunter2@127.0.0.1:1/idp":     "127.0.0.1, port 1",
		"postgres://ada:hunter2@127.0.0.1:no/idp":    "database URL",
		"postgresql://ada:hunter2@127.0.0.1:1/idp?x": "127.0.0.1",
	} {
		db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet, Migrate: true})
		if err == nil {
			db.Close()
			t.Errorf("%s was opened", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// What ANALYZE saw of a small table would be believed when the table is large.
func TestSQLiteForgetsStatistics(t *testing.T) {
	url := storagetest.SQLite(t)
	migrated(t, url)
	raw(t, url, `INSERT INTO changes (id, kind, ref, at, seq) VALUES ('a', 'k', 'r', 1, 1)`)
	raw(t, url, `ANALYZE`)
	storagetest.Open(t, url)
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	err = db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'sqlite_stat%'`).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d tables of statistics are left: %v", n, err)
	}
}

// A crash is a copy of the files as they are on the disk, at a moment after the answer.
func TestWhatWasAnsweredSurvivesACrash(t *testing.T) {
	url := storagetest.SQLite(t)
	db := storagetest.Open(t, url)
	a := accounts.Account{ID: "usr_1", EmailKey: "ada@example.com", CreatedAt: time.UnixMicro(1)}
	if err := db.Accounts().AddAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	from, to := strings.TrimPrefix(url, "sqlite:"), filepath.Join(t.TempDir(), "crashed.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, from+suffix, to+suffix)
	}
	after := storagetest.Open(t, "sqlite:"+to)
	if _, err := after.Accounts().Account(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
}

func TestWhatWasAnsweredIsThereAfterReopening(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		db := open()
		a := accounts.Account{ID: "usr_1", EmailKey: "ada@example.com", CreatedAt: time.UnixMicro(1)}
		if err := db.Accounts().AddAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := open().Accounts().Account(t.Context(), a.ID); err != nil {
			t.Error(err)
		}
	})
}

func TestBackupIsADatabase(t *testing.T) {
	db := storagetest.Open(t, storagetest.SQLite(t))
	a := accounts.Account{ID: "usr_1", EmailKey: "ada@example.com", CreatedAt: time.UnixMicro(1)}
	if err := db.Accounts().AddAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "it's a backup.db")
	if err := db.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has %v, %v", info.Mode(), err)
	}
	if err := db.Backup(t.Context(), file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a backup over another: %v", err)
	}
	if _, err := storagetest.Open(t, "sqlite:"+file).Accounts().Account(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
}

// Of those who make a new file, SQLite lets one change how it is kept, and refuses the others.
func TestManyMakeTheSameNewFile(t *testing.T) {
	for range 20 {
		url := storagetest.SQLite(t)
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				db, err := storage.Open(t.Context(), url, storage.Options{Log: quiet, MaxConns: 1})
				if err == nil {
					db.Close()
				}
				errs[i] = err
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
}
