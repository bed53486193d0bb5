package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// A statement is one SQL text with its arguments.
type statement struct {
	sql  string
	args []any
	each func(row) error // gets the rows of a query; may be called again if the verb is tried again
	lock bool            // takes row locks that SQLite, which writes one verb at a time, does not need
	long bool            // may change very many rows: its verb is waited for longer
}

// do is a statement whose answer is how many rows it changed.
func do(sql string, args ...any) statement {
	return statement{sql: sql, args: bind(args)}
}

// ask is a statement whose answer is rows. It is given the one row that it returns, and
// its number of rows is 0 if there was none.
func ask(dest into, sql string, args ...any) statement {
	return statement{sql: sql, args: bind(args), each: func(r row) error { return r.into(dest...) }}
}

// lock locks rows that the following statements depend on but do not change: without it,
// a transaction of PostgreSQL can condition on a row that another is just changing.
func lock(sql string, args ...any) statement {
	return statement{sql: sql, args: bind(args), each: func(row) error { return nil }, lock: true}
}

// unhurried is a statement that may change very many rows: of a client with a million people, or
// what a whole day has left behind.
func unhurried(s statement) statement {
	s.long = true
	return s
}

// An engine is a database that can run verbs. There are two, and they are all that differs.
type engine interface {
	// write runs the statements in one transaction, in order. When it returns nil all of
	// them have happened and are durable, and the numbers say how many rows each one changed
	// or returned. With an error that is not [ErrUnavailable] none has happened.
	write(ctx context.Context, verb []statement) ([]int64, error)
	// read runs one query, which sees one moment.
	read(ctx context.Context, s statement) error

	backup(ctx context.Context, file string) error
	// about says what the engine is to goose and to us.
	about() about
	// migrating opens the database as goose wants it, with a lock that lets one process
	// migrate at a time.
	migrating() (*sql.DB, sessionLocker, error)
	close()
}

// errTaken means that a row with that key is there already.
var errTaken = errors.New("storage: taken")

// write runs a verb.
func (db *DB) write(ctx context.Context, verb ...statement) ([]int64, error) {
	db.trips.Add(1)
	db.statements.Add(int64(len(verb)))
	return db.engine.write(ctx, verb)
}

// try runs a verb whose first statement carries its condition. If that one changes no row,
// the answer is none.
func (db *DB) try(ctx context.Context, none error, verb ...statement) error {
	n, err := db.write(ctx, verb...)
	if err == nil && n[0] == 0 {
		return none
	}
	return err
}

// get reads one row, and says whether there was one.
func (db *DB) get(ctx context.Context, dest into, sql string, args ...any) (found bool, err error) {
	err = db.list(ctx, func(r row) error {
		found = true
		return r.into(dest...)
	}, sql, args...)
	return found, err
}

// list reads rows.
func (db *DB) list(ctx context.Context, each func(row) error, sql string, args ...any) error {
	db.trips.Add(1)
	db.statements.Add(1)
	return db.engine.read(ctx, statement{sql: sql, args: bind(args), each: each})
}

// all reads rows of one kind. columns is where those of one row go.
func all[T any](ctx context.Context, db *DB, columns func(*T) into, sql string, args ...any) ([]T, error) {
	var found []T
	err := db.list(ctx, func(r row) error {
		var one T
		if err := r.into(columns(&one)...); err != nil {
			return err
		}
		found = append(found, one)
		return nil
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// bind turns our values into the four that both databases know: string, int64, []byte, bool.
func bind(args []any) []any {
	for i, arg := range args {
		switch v := arg.(type) {
		case time.Time:
			args[i] = micro(v)
		case int:
			args[i] = int64(v)
		case time.Duration:
			args[i] = v.Microseconds()
		case []string:
			args[i] = strings.Join(v, " ")
		case json.RawMessage:
			args[i] = string(v)
		case []byte:
			if v == nil {
				args[i] = []byte{} // nil would be NULL
			}
		}
	}
	return args
}

// micro is how a time is stored: microseconds since 1970, or 0 for the zero time.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// A row is one row of an answer, in the order of the columns.
type row []driver.Value

// into is where the columns of a row go.
type into []any

// into assigns the columns, turning them back into our values.
func (r row) into(dest ...any) error {
	if len(r) != len(dest) {
		return fmt.Errorf("storage: %d columns for %d values", len(r), len(dest))
	}
	for i, value := range r {
		if err := assign(dest[i], value); err != nil {
			return fmt.Errorf("storage: column %d: %w", i+1, err)
		}
	}
	return nil
}

func assign(dest any, value driver.Value) error {
	switch v := value.(type) {
	case string:
		switch d := dest.(type) {
		case *string:
			*d = v
			return nil
		case *[]string:
			*d = nil
			if v != "" {
				*d = strings.Split(v, " ")
			}
			return nil
		case *json.RawMessage:
			*d = nil
			if v != "" {
				*d = json.RawMessage(v)
			}
			return nil
		}
	case int64:
		switch d := dest.(type) {
		case *int64:
			*d = v
			return nil
		case *time.Time:
			*d = time.Time{}
			if v != 0 {
				*d = time.UnixMicro(v).UTC()
			}
			return nil
		case *time.Duration: // stored in microseconds, like a time
			*d = time.Duration(v) * time.Microsecond
			return nil
		case *bool: // SQLite has no booleans of its own
			*d = v != 0
			return nil
		}
	case int32: // what PostgreSQL makes of SELECT 1
		if d, ok := dest.(*int64); ok {
			*d = int64(v)
			return nil
		}
	case bool:
		if d, ok := dest.(*bool); ok {
			*d = v
			return nil
		}
	case []byte:
		if d, ok := dest.(*[]byte); ok {
			*d = v
			return nil
		}
	}
	return fmt.Errorf("a %T does not go into a %T", value, dest)
}

// about says which engine it is.
type about struct {
	name     string // as we call it
	dialect  goose.Dialect
	hasTable string // counts the tables of a name

	// How a reader finds what is new: see news.go.
	number   string // an expression for the number of the transaction that it stands in, in a table
	snapshot string // a query for epoch, low and seen of a table, and the number that no transaction has yet
	among    string // whether a number is among those that $2 names
	wake     string // at the end of an INSERT: tells every copy that listens, when it is committed
}
