package storage

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

func (p *postgresDB) about() about {
	return about{
		name:    "postgres",
		dialect: goose.DialectPostgres,
		hasTable: `SELECT COUNT(*) FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_name = $1`,
		number: `CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)`,
		snapshot: `SELECT to_hex(CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)) ||
			to_hex(CAST(COALESCE(EXTRACT(EPOCH FROM pg_stat_get_bgwriter_stat_reset_time()), 0) * 1000000 AS BIGINT)) AS epoch,
			CAST(CAST(pg_snapshot_xmin(now) AS TEXT) AS BIGINT) AS low, CAST(now AS TEXT) AS seen,
			CAST(CAST(pg_snapshot_xmax(now) AS TEXT) AS BIGINT) AS next
			FROM pg_current_snapshot() AS now`,
		among: `= ANY (CAST(string_to_array($2, ',') AS BIGINT[]))`,
		wake:  ` RETURNING CAST(pg_notify('` + wakeChannel + `', '') AS TEXT)`,
	}
}

func (p *postgresDB) migrating() (*sql.DB, sessionLocker, error) {
	config := p.pool.Load().Config().ConnConfig
	// Each statement is run once: nothing is worth preparing.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(2) // goose keeps one for its session
	return db, advisoryTurn{}, nil
}

// An advisoryTurn lets one session migrate a PostgreSQL database at a time. It waits in
// the server, where goose's own asks again every few seconds.
type advisoryTurn struct{}

// advisoryKey is "mintmark" in ASCII. Locks are per database.
const advisoryKey = 0x6d696e746d61726b

// SessionLock waits for the turn.
func (advisoryTurn) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(advisoryKey))
	return err
}

// SessionUnlock gives the turn to the next.
func (advisoryTurn) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(advisoryKey))
	return err
}
