package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

func (s *sqliteDB) about() about {
	return about{
		name:     "sqlite",
		dialect:  goose.DialectSQLite3,
		hasTable: `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1`,
		// The newest row of both tables stays, whatever its age: numbers are not given twice.
		number: `(SELECT COALESCE(MAX(seq), 0) + 1 FROM %s)`,
		// Written as PostgreSQL writes it, with nothing open.
		snapshot: `SELECT '` + s.epoch + `' AS epoch, COALESCE(MAX(seq), 0) + 1 AS low, ':' || (COALESCE(MAX(seq), 0) + 1) || ':' AS seen, COALESCE(MAX(seq), 0) + 1 AS next FROM %s`,
		among:    `= NULLIF($2, '')`,
	}
}

func (s *sqliteDB) migrating() (*sql.DB, sessionLocker, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(s.path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, nil, unusable(s.path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(2) // goose keeps one for its session
	return db, &fileTurn{path: s.path + "-migrating"}, nil
}

// A fileTurn lets one process migrate an SQLite file at a time. It holds the lock of an
// empty database beside it: a lock that SQLite knows how to take on every system, that
// ends with its process, and that is not the one that the migration itself needs.
type fileTurn struct {
	path string
	conn *sqliteConn
}

// SessionLock waits for the turn.
func (t *fileTurn) SessionLock(ctx context.Context, _ *sql.Conn) error {
	if err := makeFile(t.path); err != nil {
		return err
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(t.path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(300000)"},
	}.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return unusable(t.path, err)
	}
	// The wait ends with the context: this one is worth a goroutine.
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, `BEGIN EXCLUSIVE`, nil); err != nil {
		_ = conn.Close()
		return fmt.Errorf("storage: another program is migrating this database: %w", err)
	}
	t.conn = &sqliteConn{conn: conn}
	return nil
}

// SessionUnlock gives the turn to the next. The file stays: to remove it while others wait
// for its lock would let two of them in.
func (t *fileTurn) SessionUnlock(context.Context, *sql.Conn) error {
	t.conn.close()
	return nil
}
