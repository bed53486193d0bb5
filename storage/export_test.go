package storage

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Spy passes every statement of a database to see, with its arguments, before it is run.
func (db *DB) Spy(see func(sql string, args []any)) { db.engine = spy{db.engine, see} }

type spy struct {
	engine
	see func(sql string, args []any)
}

func (s spy) write(ctx context.Context, verb []statement) ([]int64, error) {
	for _, st := range verb {
		if !st.lock {
			s.see(st.sql, st.args)
		}
	}
	return s.engine.write(ctx, verb)
}

func (s spy) read(ctx context.Context, q statement) error {
	s.see(q.sql, q.args)
	return s.engine.read(ctx, q)
}

// Explain returns the plan of a statement, one line each.
func (db *DB) Explain(ctx context.Context, sql string, args []any) (plan []string, err error) {
	switch e := db.engine.(spy).engine.(type) {
	case *sqliteDB:
		err = e.read(ctx, statement{sql: "EXPLAIN QUERY PLAN " + sql, args: args, each: func(r row) error {
			plan = append(plan, r[3].(string))
			return nil
		}})
	case *postgresDB:
		err = e.everywhere(ctx, func(conn *pgx.Conn) error {
			// Tables this small are read whole unless that is made to look expensive.
			if _, err := conn.Exec(ctx, `SET enable_seqscan = off`); err != nil {
				return err
			}
			rows, err := conn.Query(ctx, "EXPLAIN "+sql, args...)
			if err != nil {
				return err
			}
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
	}
	return plan, err
}

// OnEveryConnection runs a statement on every idle connection to PostgreSQL.
func (db *DB) OnEveryConnection(ctx context.Context, sql string) error {
	return db.engine.(*postgresDB).everywhere(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

func (p *postgresDB) everywhere(ctx context.Context, do func(*pgx.Conn) error) error {
	for _, conn := range p.pool.Load().AcquireAllIdle(ctx) {
		err := do(conn.Conn())
		conn.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Crowded says whether somebody was refused without waiting.
func Crowded(err error) bool { return errors.Is(err, errCrowded) }
