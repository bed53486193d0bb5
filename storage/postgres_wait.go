package storage

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How long PostgreSQL is waited for. Whoever asks when it does not answer gets 503 within two
// seconds, and gets what they want within two seconds of its return.
const (
	verbTimeout    = 1800 * time.Millisecond // for a connection and the verb, together
	longTimeout    = 20 * time.Second        // for a verb that may change very many rows
	connectTimeout = 1800 * time.Millisecond // for a new connection, whichever server of the URL it leads to; connect_timeout of the URL wins
	farewell       = 500 * time.Millisecond  // for taking leave of a connection that does not answer
)

// budget is how long a verb may take.
func budget(verb []statement) time.Duration {
	for _, s := range verb {
		if s.long {
			return longTimeout
		}
	}
	return verbTimeout
}

// impatient makes a pool let go of connections that do not answer.
//
// When a verb takes too long, pgx asks PostgreSQL over a second connection to cancel it, and
// then waits for the first to be closed from the other side. Into a network that swallows
// everything that takes 15 seconds each, during which the connection counts as one of the pool:
// the pool would still be full of the dead when the network is long back.
func impatient(config *pgxpool.Config) {
	c := config.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout / time.Duration(servers(c)) // pgx gives each as much
	}
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		end, ok := ctx.Deadline()
		if !ok || time.Until(end) <= c.ConnectTimeout {
			return dial(ctx, network, address)
		}
		// A connection of the pool never has more time than that: this one is to cancel a verb.
		ctx, cancel := context.WithTimeout(ctx, farewell)
		defer cancel()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(time.Now().Add(farewell))
	}
	config.BeforeClose = func(conn *pgx.Conn) {
		raw := conn.PgConn().Conn()
		time.AfterFunc(2*farewell, func() { _ = raw.Close() }) // in most cases it is closed by then
	}
}
