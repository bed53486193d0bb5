package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tries is how often a verb is sent that PostgreSQL undoes for the sake of another.
const tries = 3

// SQLSTATE codes that mean something to us.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	duplicatePrepared    = "42P05"
	unknownPrepared      = "26000"
)

// postgresDB is a PostgreSQL server, or something that speaks its protocol.
type postgresDB struct {
	log  *slog.Logger
	pool atomic.Pointer[pgxpool.Pool]
	line line
	room int64 // how many connections there may be

	mu     sync.Mutex // held while the pool is replaced or closed
	closed bool
}

func openPostgres(ctx context.Context, url string, o Options) (engine, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("storage: the database URL: %w", err) // pgx blacks out the password
	}
	switch {
	case o.MaxConns > 0:
		config.MaxConns = int32(o.MaxConns)
	case !strings.Contains(url, "pool_max_conns"):
		config.MaxConns = int32(max(8, 4*runtime.GOMAXPROCS(0)))
	}
	impatient(config)
	if _, given := config.ConnConfig.RuntimeParams["application_name"]; !given {
		config.ConnConfig.RuntimeParams["application_name"] = "mintmark"
	}
	p := &postgresDB{log: o.Log, room: int64(config.MaxConns)}
	believed(config, func() {
		if pool := p.pool.Load(); pool != nil {
			pool.Reset()
		}
	})
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("storage: %w: %v", ErrUnavailable, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		c := config.ConnConfig
		return nil, fmt.Errorf("storage: %w: PostgreSQL at %s, port %d, database %q, user %q does not let us in: %v; check that it runs and that the URL is right",
			ErrUnavailable, c.Host, c.Port, c.Database, c.User, lastLine(err))
	}
	p.pool.Store(pool)
	return p, nil
}

func (p *postgresDB) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.pool.Load().Close()
}

func (p *postgresDB) read(ctx context.Context, q statement) error {
	_, err := p.write(ctx, []statement{q})
	return err
}

// write tries a verb again if PostgreSQL undid it for the sake of another transaction, and
// for no other reason: after a broken connection nobody knows whether it has happened.
func (p *postgresDB) write(ctx context.Context, verb []statement) ([]int64, error) {
	for try := 1; ; try++ {
		pool := p.pool.Load()
		rows, err := p.send(ctx, pool, verb)
		switch state := sqlState(err); {
		case err == nil:
			return rows, nil
		case try == tries:
			return nil, postgresError(err)
		case state == serializationFailure, state == deadlockDetected:
			if err := pause(ctx, try); err != nil {
				return nil, err
			}
		case state == duplicatePrepared, state == unknownPrepared:
			// Refused before anything ran.
			if err := p.withoutPreparedStatements(ctx, pool); err != nil {
				return nil, err
			}
		default:
			return nil, postgresError(err)
		}
	}
}

// pause waits 5 to 15 milliseconds, and twice that the second time, so that those who
// collided do not meet again.
func pause(ctx context.Context, try int) error {
	d := time.Duration(try) * (5*time.Millisecond + rand.N(10*time.Millisecond))
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send sends a verb as one batch. Its statements are one transaction, because there is one
// Sync at their end: PostgreSQL commits there, and answers afterwards.
func (p *postgresDB) send(ctx context.Context, pool *pgxpool.Pool, verb []statement) ([]int64, error) {
	patience := budget(verb)
	end := time.Now().Add(patience)
	leave, ok := p.line.enter(patience, p.room)
	if !ok {
		return nil, errCrowded
	}
	conn, err := acquire(ctx, pool, end)
	leave()
	switch {
	case err != nil && errors.Is(err, ErrUnavailable):
		p.line.took(min(patience, verbTimeout))
		return nil, err
	case err != nil:
		return nil, err
	}
	defer conn.Release()
	if patience == verbTimeout { // what may change very many rows is not typical
		begin := time.Now()
		defer func() { p.line.took(time.Since(begin)) }()
	}
	// A browser that hangs up must not cost a connection, which is what pgx does to one whose
	// context ends in the middle.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	batch := &pgx.Batch{}
	for _, s := range verb {
		batch.Queue(s.sql, s.args...)
	}
	results := conn.SendBatch(ctx, batch)
	affected := make([]int64, len(verb))
	for i, s := range verb {
		if affected[i], err = result(results, s); err != nil {
			break
		}
	}
	// Close waits for the commit and brings its error.
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = doubt(conn.Conn().PgConn())
	}
	if errors.Is(err, errOnlyReads) || sqlState(err) == readOnly {
		// So do all the others: a server does not become a standby without ending its connections,
		// but it can be told to only read.
		part(ctx, conn)
		pool.Reset()
	}
	if err != nil {
		return nil, err
	}
	return affected, nil
}

// part closes a connection that is not to be used again.
func part(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	_ = conn.Conn().Close(ctx)
}

// acquire waits for a free connection: if there is none we are overloaded, or the database is away.
func acquire(ctx context.Context, pool *pgxpool.Pool, end time.Time) (*pgxpool.Conn, error) {
	short, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	conn, err := pool.Acquire(short)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case short.Err() != nil:
		return nil, fmt.Errorf("storage: %w: no connection to PostgreSQL in time", ErrUnavailable)
	}
	return nil, err
}

func result(results pgx.BatchResults, s statement) (int64, error) {
	rows, err := results.Query()
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return 0, err
		}
		r := make(row, len(values))
		for i, v := range values {
			r[i] = v
		}
		if err := s.each(r); err != nil {
			return 0, err
		}
	}
	rows.Close()
	return rows.CommandTag().RowsAffected(), rows.Err()
}

// withoutPreparedStatements replaces the pool by one that prepares nothing on the server:
// a pooler in transaction mode gives each transaction another session.
func (p *postgresDB) withoutPreparedStatements(ctx context.Context, old *pgxpool.Pool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.pool.Load() != old {
		return nil // somebody was faster
	}
	config := old.Config()
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return fmt.Errorf("storage: %w: %v", ErrUnavailable, err)
	}
	p.log.WarnContext(ctx, "a pooler between us and PostgreSQL loses prepared statements; going on without them, more slowly. PgBouncer 1.21 keeps them with max_prepared_statements")
	p.pool.Store(pool)
	go old.Close() // waits for those who still use it
	return nil
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresError is what leaves this package for an error of the driver.
func postgresError(err error) error {
	state := sqlState(err)
	switch {
	case err == context.Canceled, err == context.DeadlineExceeded, errors.Is(err, ErrUnavailable):
		return err // the caller's own context, while waiting for a connection, or ours
	case state == uniqueViolation:
		return errTaken
	case state == "":
		return fmt.Errorf("storage: %w: %s", ErrUnavailable, lastLine(err)) // the connection broke: perhaps it has happened
	}
	switch state[:2] {
	// Connection, read-only after a failover, undone, resources, operator's intervention, system.
	case "08", "25", "40", "53", "57", "58":
		return fmt.Errorf("storage: %w: %v", ErrUnavailable, err)
	}
	return fmt.Errorf("storage: %v", err)
}

// lastLine is the last of what pgx tried when it could not connect: it tries the same host
// several ways, and says so in as many lines.
func lastLine(err error) string {
	lines := strings.Split(err.Error(), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func (p *postgresDB) backup(context.Context, string) error {
	return errors.New("PostgreSQL is backed up with pg_dump, or by archiving its log; mintmark copies SQLite files only")
}
