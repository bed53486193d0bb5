package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where goose writes down what it has applied.
const versionTable = "schema_versions"

// ErrNewer means that the database was migrated by a newer program than this one.
var ErrNewer = errors.New("the database is newer than this program")

// ErrHoles means that a migration is missing below others that were applied: a part of the schema
// is not there, and nobody knows what the later ones made of that.
var ErrHoles = errors.New("the database has not had all of its migrations")

// A Status says how a database's schema relates to this program.
type Status struct {
	Engine  string   `json:"engine"`  // "sqlite" or "postgres"
	Version int64    `json:"version"` // 0 for an empty database
	Latest  int64    `json:"latest"`  // what this program wants
	Pending []string `json:"pending"` // the migrations that it has not had, by file name

	foreign []int64 // versions that it has had and this program has not, in order
}

// holes are the migrations that a database has not had, though it has had later ones.
func (s Status) holes() (files []string) {
	for _, file := range s.Pending {
		// The names begin with the number: those of Status are read from them.
		if version, err := goose.NumericComponent(file); err == nil && version < s.Version {
			files = append(files, file)
		}
	}
	return files
}

// A sessionLocker lets one process migrate at a time. It has the shape that goose wants.
type sessionLocker interface {
	SessionLock(ctx context.Context, conn *sql.Conn) error
	SessionUnlock(ctx context.Context, conn *sql.Conn) error
}

// Migrate brings the schema up to date. Of any number of processes that call it at the
// same time one does the work and the others wait for it.
func (db *DB) Migrate(ctx context.Context) error {
	status, err := db.fit(ctx)
	if err != nil {
		return err
	}
	if status.Version < status.Latest {
		if err := db.up(ctx); err != nil {
			return err
		}
	}
	// Asked again: while we waited for our turn, a newer program may have had its own.
	_, err = db.fit(ctx)
	return err
}

// up lets goose do the work.
func (db *DB) up(ctx context.Context) error {
	opened, locker, err := db.engine.migrating()
	if err != nil {
		return err
	}
	defer opened.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(db.engine.about().dialect, opened, files,
		goose.WithTableName(versionTable),
		goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("storage: migrating: %w", err)
	}
	for _, r := range results {
		db.log.InfoContext(ctx, "database migrated", "version", r.Source.Version, "took", r.Duration)
	}
	return nil
}

// Status says how the schema relates to this program, and changes nothing.
func (db *DB) Status(ctx context.Context) (Status, error) {
	s := Status{Engine: db.engine.about().name, Pending: []string{}}
	applied, err := db.applied(ctx)
	if err != nil {
		return Status{}, err
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return Status{}, err
	}
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return Status{}, fmt.Errorf("storage: %w", err)
		}
		s.Latest = max(s.Latest, version)
		at, ok := slices.BinarySearch(applied, version)
		if !ok {
			s.Pending = append(s.Pending, path.Base(file))
			continue
		}
		s.Version = version // files come in order
		applied = slices.Delete(applied, at, at+1)
	}
	s.foreign = applied
	if len(applied) > 0 {
		s.Version = max(s.Version, applied[len(applied)-1])
	}
	return s, nil
}

// applied reads which migrations a database has had, in order, without making anything, unlike goose,
// which begins by making its table.
func (db *DB) applied(ctx context.Context) ([]int64, error) {
	var tables int64
	if _, err := db.get(ctx, into{&tables}, db.engine.about().hasTable, versionTable); err != nil || tables == 0 {
		return nil, err
	}
	return all(ctx, db, func(version *int64) into { return into{version} },
		`SELECT DISTINCT version_id FROM schema_versions WHERE is_applied AND version_id > 0 ORDER BY version_id`)
}

// fit returns the status of a database that this program can use, perhaps after migrations that are
// pending at its end.
func (db *DB) fit(ctx context.Context) (Status, error) {
	s, err := db.Status(ctx)
	if err != nil {
		return s, err
	}
	if len(s.foreign) > 0 {
		return s, fmt.Errorf("storage: %w: it has had migration %04d, and this program knows %d as its last and not that one; start the newer mintmark again, or restore a backup",
			ErrNewer, s.foreign[len(s.foreign)-1], s.Latest)
	}
	if holes := s.holes(); len(holes) > 0 {
		return s, fmt.Errorf("storage: %w: it is at version %d and %s was never applied; restore a backup of before it went wrong, or copy what is in it to a new database by hand",
			ErrHoles, s.Version, strings.Join(holes, ", "))
	}
	return s, nil
}
