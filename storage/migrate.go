package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

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
	return db.asGoose(func(m migrating, p *goose.Provider) error {
		version, err := m.version(ctx)
		if err != nil {
			return err
		}
		latest := latestOf(p)
		if version < latest {
			results, err := p.Up(ctx)
			if err != nil {
				return fmt.Errorf("storage: migrating: %w", err)
			}
			for _, r := range results {
				db.log.InfoContext(ctx, "database migrated", "version", r.Source.Version, "took", r.Duration)
			}
			// While we waited for our turn, a newer program may have had its own.
			if version, err = m.version(ctx); err != nil {
				return err
			}
		}
		return newer(version, latest)
	})
}

// Status says how the schema relates to this program, and changes nothing.
func (db *DB) Status(ctx context.Context) (Status, error) {
	var s Status
	err := db.asGoose(func(m migrating, p *goose.Provider) (err error) {
		s = Status{Engine: m.dialect, Latest: latestOf(p), Pending: []string{}}
		if m.dialect == "sqlite3" {
			s.Engine = "sqlite"
		}
		s.Version, err = m.version(ctx)
		for _, source := range p.ListSources() {
			if source.Version > s.Version {
				s.Pending = append(s.Pending, source.Path)
			}
		}
		return err
	})
	return s, err
}

func (db *DB) refuseNewer(ctx context.Context) error {
	return db.asGoose(func(m migrating, p *goose.Provider) error {
		version, err := m.version(ctx)
		if err != nil {
			return err
		}
		return newer(version, latestOf(p))
	})
}

func newer(version, latest int64) error {
	if version <= latest {
		return nil
	}
	return fmt.Errorf("storage: %w: it has version %d, this program knows up to %d; start the newer mintmark again, or restore a backup", ErrNewer, version, latest)
}

func (db *DB) asGoose(f func(migrating, *goose.Provider) error) error {
	m, done, err := db.engine.migrating()
	if err != nil {
		return err
	}
	defer done()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.Dialect(m.dialect), m.db, files,
		goose.WithTableName(versionTable),
		goose.WithSessionLocker(m.locker),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return f(m, p)
}

func latestOf(p *goose.Provider) int64 {
	sources := p.ListSources()
	return sources[len(sources)-1].Version
}

// version reads the schema's version without making anything, unlike goose's own way,
// which begins by making its table.
func (m migrating) version(ctx context.Context) (int64, error) {
	var tables, version int64
	if err := m.db.QueryRowContext(ctx, m.hasTable, versionTable).Scan(&tables); err != nil {
		return 0, fmt.Errorf("storage: reading the version of the schema: %w: %v", ErrUnavailable, err)
	}
	if tables == 0 {
		return 0, nil
	}
	err := m.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM schema_versions`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("storage: reading the version of the schema: %w: %v", ErrUnavailable, err)
	}
	return version, nil
}
