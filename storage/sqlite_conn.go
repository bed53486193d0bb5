package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

// A sqliteConn is one connection with its prepared statements. It is not safe for concurrent use.
type sqliteConn struct {
	conn     driver.Conn
	prepared map[string]driver.Stmt // as many as there are SQL texts in this package
}

// run runs one statement and returns how many rows it changed or returned.
//
// It does so without the caller's context: what runs here takes microseconds, and watching
// a context costs a goroutine. Waiting happens before, where the context counts.
func (c *sqliteConn) run(s statement) (int64, error) {
	stmt := c.prepared[s.sql]
	if stmt == nil {
		var err error
		if stmt, err = c.conn.Prepare(s.sql); err != nil {
			return 0, err
		}
		c.prepared[s.sql] = stmt
	}
	args := make([]driver.NamedValue, len(s.args))
	for i, arg := range s.args {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	if s.each == nil {
		result, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), args)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	n, err := eachRow(rows, s.each)
	return n, errors.Join(err, rows.Close())
}

func eachRow(rows driver.Rows, each func(row) error) (n int64, err error) {
	values := make(row, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
		n++
		if err := each(values); err != nil {
			return n, err
		}
	}
}

func (c *sqliteConn) close() {
	for _, stmt := range c.prepared {
		_ = stmt.Close() // what it held is gone with the connection in any case
	}
	_ = c.conn.Close() // every commit is durable already
}
