package storage

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mintmark/internal/secret"
)

// sqliteDB is an SQLite file with one writer and some readers.
//
// In WAL mode readers never wait for the writer, nor it for them. Several processes may
// have the same file open: SQLite lets their writers take turns.
type sqliteDB struct {
	path    string
	epoch   string // see news.go; hexadecimal
	writer  *writer
	readers chan *sqliteConn // those that nobody is using
	made    int              // how many readers there are
	closed  chan struct{}
	once    sync.Once
}

func openSQLite(ctx context.Context, path string, o Options) (engine, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.HasPrefix(path, ":") {
		return nil, errors.New("storage: sqlite: wants the name of a file, as in sqlite:mintmark.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	s := &sqliteDB{path: path, epoch: hex.EncodeToString(secret.Bytes(8)), closed: make(chan struct{})}
	n := cmp.Or(o.MaxConns, max(4, runtime.GOMAXPROCS(0)))
	s.readers = make(chan *sqliteConn, n)

	conn, err := connectSQLite(ctx, path, false)
	if err != nil {
		return nil, err
	}
	if err := forgetStatistics(conn); err != nil {
		conn.close()
		return nil, unusable(path, err)
	}
	s.writer = startWriter(conn)
	for range n {
		conn, err := connectSQLite(ctx, path, true)
		if err != nil {
			s.close()
			return nil, err
		}
		s.readers <- conn
		s.made++
	}
	return s, nil
}

// forgetStatistics drops what somebody's ANALYZE has written down. Statistics of a table that was small
// then let SQLite read the whole of it for ever; and as long as there are any, it compiles a statement
// anew whenever an argument changes. Without them it finds rows by their keys, which is what we want.
//
// It asks for the write lock in any case, so that a file that can't be written is found now.
func forgetStatistics(conn *sqliteConn) error {
	if _, err := conn.run(do(`BEGIN IMMEDIATE`)); err != nil {
		return err
	}
	var drop []statement
	_, err := conn.run(statement{sql: `SELECT name FROM sqlite_master WHERE name IN ('sqlite_stat1', 'sqlite_stat4')`, each: func(r row) error {
		drop = append(drop, do(`DROP TABLE `+r[0].(string)))
		return nil
	}})
	for _, s := range drop {
		if err == nil {
			_, err = conn.run(s)
		}
	}
	if err != nil {
		return err
	}
	_, err = conn.run(do(`COMMIT`))
	return err
}

// makeFile makes the file and its folder, for its owner only. The files that SQLite puts
// beside it get the same permissions.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(path, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unusable(path, err)
	}
	if err := file.Close(); err != nil {
		return unusable(path, err)
	}
	// The name of a new file is durable when its folder is. Not every system can sync a
	// folder, and those that can't do without.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

func unusable(path string, err error) error {
	why := err.Error()
	if p, ok := errors.AsType[*os.PathError](err); ok {
		why = p.Err.Error()
	}
	if code := sqliteCode(err); code == sqlite3.SQLITE_NOTADB {
		why = "it is not an SQLite database"
	}
	return fmt.Errorf("storage: %w: the file %s can't be used: %s; check that it and its folder belong to the user that runs mintmark", ErrUnavailable, path, why)
}

// connectSQLite opens one connection. The path goes into a URL of parts, never of text:
// what stands behind _pragma is run as SQL.
func connectSQLite(ctx context.Context, path string, readOnly bool) (*sqliteConn, error) {
	pragmas := []string{
		"busy_timeout(5000)", // first: the next one may have to wait
		"journal_mode(WAL)",
		"synchronous(FULL)", // in WAL mode NORMAL forgets the last commits when the power fails
		"foreign_keys(1)",
		"cache_size(-16384)",
	}
	if readOnly {
		pragmas = append(pragmas[:len(pragmas)-1], "cache_size(-4096)", "query_only(1)")
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, unusable(path, err)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		conn, err := connector.Connect(ctx)
		switch {
		case err == nil:
			return &sqliteConn{conn: conn, prepared: map[string]driver.Stmt{}}, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case sqliteCode(err) != sqlite3.SQLITE_BUSY || time.Now().After(end):
			return nil, unusable(path, err)
		}
		// Of several who make a new file WAL, SQLite refuses the others at once: it can't wait with
		// the lock that each of them holds.
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *sqliteDB) write(ctx context.Context, verb []statement) ([]int64, error) {
	return s.writer.write(ctx, verb)
}

func (s *sqliteDB) read(ctx context.Context, q statement) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case conn := <-s.readers:
		defer func() { s.readers <- conn }()
		_, err := conn.run(q)
		return sqliteError(err)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errClosed
	}
}

func (s *sqliteDB) close() {
	s.once.Do(func() {
		close(s.closed)
		s.writer.close()
		for range s.made {
			(<-s.readers).close() // one at work comes back first
		}
	})
}

func (s *sqliteDB) backup(ctx context.Context, file string) error {
	// SQLite fills a file that is empty, and would make one that everybody can read.
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	conn, err := connectSQLite(ctx, s.path, false)
	if err == nil {
		defer conn.close()
		_, err = conn.run(do(`VACUUM INTO $1`, file))
	}
	if err != nil {
		_ = os.Remove(file) // the reason is in err
	}
	return err
}

// sqliteCode is the result code of an SQLite error, without its extension, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// sqliteError is what leaves this package for an error of the driver.
func sqliteError(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch {
	case e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE, e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return errTaken
	case ownFault(err):
		return fmt.Errorf("storage: %v", err)
	}
	return fmt.Errorf("storage: %w: %v", ErrUnavailable, err)
}

// ownFault says whether an error comes from the statement alone, so that the transaction
// around it is as it was before. After any other (a full disk, a broken file, no memory)
// SQLite may have rolled everything back.
func ownFault(err error) bool {
	switch sqliteCode(err) {
	case 0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}
