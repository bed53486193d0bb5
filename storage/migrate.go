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

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where goose writes down what it has applied.
const versionTable = "schema_versions"

// ErrNewer means that the database was migrated by a newer program than this one.
var ErrNewer = errors.New("the database is newer than this program")

// A Status says how a database's schema relates to this program.
type Status struct {
	Engine  string   `json:"engine"`  // "sqlite" or "postgres"
	Version int64    `json:"version"` // 0 for an empty database
	Latest  int64    `json:"latest"`  // what this program wants
	Pending []string `json:"pending"` // the migrations in between, by file name
}

// A sessionLocker lets one process migrate at a time. It has the shape that goose wants.
type sessionLocker interface {
	SessionLock(ctx context.Context, conn *sql.Conn) error
	SessionUnlock(ctx context.Context, conn *sql.Conn) error
}

// Migrate brings the schema up to date. Of any number of processes that call it at the
// same time one does the work and the others wait for it.
func (db *DB) Migrate(ctx context.Context) error {
	status, err := db.Status(ctx)
	if err != nil {
		return err
	}
	if status.Version < status.Latest {
		if err := db.up(ctx); err != nil {
			return err
		}
	}
	// Asked again: while we waited for our turn, a newer program may have had its own.
	return db.refuseNewer(ctx)
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
	var err error
	if s.Version, err = db.version(ctx); err != nil {
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
		if version > s.Version {
			s.Pending = append(s.Pending, path.Base(file))
		}
	}
	return s, nil
}

// version reads the schema's version without making anything, unlike goose, which begins
// by making its table.
func (db *DB) version(ctx context.Context) (int64, error) {
	var tables, version int64
	if _, err := db.get(ctx, into{&tables}, db.engine.about().hasTable, versionTable); err != nil || tables == 0 {
		return 0, err
	}
	_, err := db.get(ctx, into{&version}, `SELECT COALESCE(MAX(version_id), 0) FROM schema_versions`)
	return version, err
}

func (db *DB) refuseNewer(ctx context.Context) error {
	s, err := db.Status(ctx)
	if err != nil {
		return err
	}
	if s.Version > s.Latest {
		return fmt.Errorf("storage: %w: it has version %d, this program knows up to %d; start the newer mintmark again, or restore a backup",
			ErrNewer, s.Version, s.Latest)
	}
	return nil
}
