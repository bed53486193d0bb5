package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// wakeChannel is the channel of NOTIFY that changes are announced on. It is of one database.
const wakeChannel = "mintmark"

// How a listener looks after its connection.
const (
	listenQuiet   = 10 * time.Second // without a word before it asks whether anybody is there
	listenTimeout = 2 * time.Second  // for anything that it asks
	listenFirst   = 100 * time.Millisecond
	listenMost    = 5 * time.Second // between two attempts
)

// Listen calls wake whenever a change was announced, until ctx ends, on a connection of its own.
// It makes changes known sooner, and that is all: through a pooler, on a connection that died
// without a word, and on SQLite, nothing is heard, and who wants to know the changes must
// look for them by itself. wake must not block.
//
// NOTIFY takes a lock of the whole database at the commit. Only what operators do announces itself
// so: never a token, a session or a code.
func (db *DB) Listen(ctx context.Context, wake func()) {
	if p, ok := db.engine.(*postgresDB); ok {
		p.listen(ctx, wake)
	}
}

func (p *postgresDB) listen(ctx context.Context, wake func()) {
	pause := listenFirst
	for {
		began := time.Now()
		err := p.hear(ctx, wake)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > listenQuiet {
			pause = listenFirst
		}
		p.log.DebugContext(ctx, "not listening for changes", "err", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, listenMost)
	}
}

// hear listens on one connection as long as that lives.
func (p *postgresDB) hear(ctx context.Context, wake func()) error {
	config := p.pool.Load().Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "mintmark listener"
	connecting, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return err
	}
	defer func() {
		// pgx would wait for an answer to its farewell, and nobody may be there.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+wakeChannel); err != nil {
		return fmt.Errorf("storage: LISTEN: %w", err)
	}
	wake() // for what was announced while nobody listened
	for {
		quiet, cancel := context.WithTimeout(ctx, listenQuiet)
		_, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			wake()
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet.Err() == nil:
			return err
		}
		asking, cancel := context.WithTimeout(ctx, listenTimeout)
		err = conn.Ping(asking)
		cancel()
		if err != nil {
			return err
		}
	}
}
