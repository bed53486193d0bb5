package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
)

// ErrUnavailable is inside every error that comes from the database being away, too busy,
// closed, out of space or of unknown outcome, and not from what was asked of it. A caller
// answers 503 and never success.
var ErrUnavailable = errors.New("the database is not available")

// Options says how to open a database. The zero value is good.
type Options struct {
	// Log gets a line when the schema is migrated or a pooler is found in the way.
	// The default is [slog.Default].
	Log *slog.Logger
	// MaxConns is how many connections a copy of the server keeps at most to PostgreSQL, or
	// how many readers of an SQLite file. 0 means pool_max_conns of the URL or what suits the
	// machine: four for each processor to PostgreSQL, one for each to SQLite.
	MaxConns int
	// Migrate brings the schema up to date. Without it, [Open] leaves it as it is.
	Migrate bool
	// TokenLife is how long after it was made, or the refresh token before it was used, an access
	// token can be good: so long it is told that something was revoked. The default is 26 hours,
	// the most that a server can be configured to.
	TokenLife time.Duration
}

// mostLife is 24 hours of tokens.access_ttl, an hour of tokens.refresh_reuse_grace, and room for clocks.
const mostLife = 26 * time.Hour

// A DB is an open database. It is safe for concurrent use.
type DB struct {
	engine     engine
	log        *slog.Logger
	tokenLife  time.Duration
	trips      atomic.Int64
	statements atomic.Int64
}

// Open opens a database: "sqlite:PATH" or "postgres://…". An SQLite file is made if it is
// not there, readable by its owner only. A database that a newer program has migrated is
// refused with [ErrNewer], and one that has had migrations with gaps between them with [ErrHoles].
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	db := &DB{log: o.Log, tokenLife: cmp.Or(o.TokenLife, mostLife)}
	var err error
	switch scheme, rest, _ := strings.Cut(url, ":"); scheme {
	case "sqlite":
		db.engine, err = openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		db.engine, err = openPostgres(ctx, url, o)
	default:
		// The URL is not repeated: it may hold a password.
		err = errors.New("storage: a database is sqlite:PATH or postgres://USER@HOST/NAME")
	}
	if err != nil {
		return nil, err
	}
	if o.Migrate {
		err = db.Migrate(ctx)
	} else {
		_, err = db.fit(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Close finishes what is waiting to be written and closes the database. Whatever is asked
// of it afterwards fails with [ErrUnavailable].
func (db *DB) Close() { db.engine.close() }

// Issuer returns what package issuer remembers.
func (db *DB) Issuer() issuer.Store { return issuing{db} }

// Registry returns how clients and consents are looked after.
func (db *DB) Registry() issuer.Registry { return registry{db} }

// Keys returns what package keys remembers.
func (db *DB) Keys() keys.Store { return signing{db} }

// Accounts returns what package accounts remembers.
func (db *DB) Accounts() accounts.Store { return people{db} }

// APIKeys returns what package apikeys remembers.
func (db *DB) APIKeys() apikeys.Store { return apiKeys{db} }

// Revocations returns what package revocations remembers.
func (db *DB) Revocations() revocations.Store { return told{db} }

// Ping says whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	_, err := db.get(ctx, into{new(int64)}, `SELECT 1`)
	return err
}

// Backup writes a consistent copy of an SQLite database to a new file, while others go on
// reading and writing. PostgreSQL has its own tools, and gets a sentence that names them.
func (db *DB) Backup(ctx context.Context, file string) error {
	if err := db.engine.backup(ctx, file); err != nil {
		return fmt.Errorf("storage: backup to %s: %w", file, err)
	}
	return nil
}

// Trips is how often the database has been asked something: round trips on PostgreSQL,
// verbs and reads on SQLite.
func (db *DB) Trips() int64 { return db.trips.Load() }

// Statements is how many SQL statements have been sent.
func (db *DB) Statements() int64 { return db.statements.Load() }
