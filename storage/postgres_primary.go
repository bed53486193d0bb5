package storage

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// After a failover there may be two servers of PostgreSQL that answer, and one of them does not
// know what has been revoked since. It is not enough that it refuses to write: nothing that it says
// may be believed. So a copy of ours talks to a server only if
//
//   - it writes. PostgreSQL tells its clients without being asked whether it is a standby, or was
//     set to only read, and tells them when that changes (in_hot_standby and
//     default_transaction_read_only, since PostgreSQL 14).
//   - it is not one that was left behind. Every promotion begins a new timeline, and a server whose
//     timeline is older than one that this process has seen is a primary of the past that came back.
//   - its synchronous standby, if it is told to have one, has what we were told is there. A cancelled
//     wait for the standby is success to PostgreSQL, with a warning. To us it is not.
//
// A URL may name several servers: the one that let us in last is asked first.
type primary struct {
	reset func() // closes every connection of the pool

	mu       sync.Mutex
	system   string // the cluster: its standbys have the same
	timeline uint64 // the newest that was seen
	last     address
}

// An address is a server of the URL: a name or a folder, and a port.
type address struct{ host, port string }

// Errors of a connection to a server that is not to be believed.
var (
	errOnlyReads   = fmt.Errorf("storage: %w: this server of PostgreSQL only reads", ErrUnavailable)
	errLeftBehind  = fmt.Errorf("storage: %w: this server of PostgreSQL was left behind by a failover", ErrUnavailable)
	errUnconfirmed = fmt.Errorf("storage: %w: the synchronous standby has not confirmed it", ErrUnavailable)
)

// readOnly is the code of a server that refuses to write.
const readOnly = "25006"

// unconfirmed is the name, in what pgx keeps for us with a connection, of a commit that the standby has not
// confirmed.
const unconfirmed = "mintmark.unconfirmed"

// believed makes a pool connect to the primary only. reset closes the connections of the pool that
// is made from config.
func believed(config *pgxpool.Config, reset func()) {
	p := &primary{reset: reset}
	c := config.ConnConfig
	wanted := c.ValidateConnect // target_session_attrs of the URL
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if onlyReads(conn) {
			return errOnlyReads
		}
		if wanted != nil {
			if err := wanted(ctx, conn); err != nil {
				return err
			}
		}
		return p.newest(ctx, conn)
	}
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.Routine == "SyncRepWaitForLSN" { // the text is in the server's language
			conn.CustomData()[unconfirmed] = true
		}
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		p.lastFirst(c)
		return nil
	}
}

// onlyReads says whether a server has said that it only reads.
func onlyReads(conn *pgconn.PgConn) bool {
	return conn.ParameterStatus("in_hot_standby") == "on" || conn.ParameterStatus("default_transaction_read_only") == "on"
}

// doubt says why what a server has just answered is not to be believed.
func doubt(conn *pgconn.PgConn) error {
	switch {
	case onlyReads(conn):
		return errOnlyReads
	case conn.CustomData()[unconfirmed] != nil:
		delete(conn.CustomData(), unconfirmed)
		return errUnconfirmed
	}
	return nil
}

// newest refuses a server that is on an older timeline than another of its cluster.
func (p *primary) newest(ctx context.Context, conn *pgconn.PgConn) error {
	// A timeline is the first eight digits of the name of the log that is being written.
	found, err := conn.Exec(ctx, `SELECT system_identifier, pg_walfile_name(pg_current_wal_insert_lsn()) FROM pg_control_system()`).ReadAll()
	if sqlState(err) != "" {
		return nil // it speaks the protocol and is no PostgreSQL, or we may not ask
	}
	if err != nil {
		return err
	}
	system, name := string(found[0].Rows[0][0]), string(found[0].Rows[0][1])
	timeline, err := strconv.ParseUint(name[:min(8, len(name))], 16, 32)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case system != p.system: // the first, or somebody has moved the data into another cluster
	case timeline < p.timeline:
		return errLeftBehind
	case timeline > p.timeline:
		p.reset() // the others lead to a server of the past
	}
	p.system, p.timeline = system, timeline
	return nil
}

// lastFirst lets a connection try the server first that let us in last. A dead one that comes first in
// the URL would cost every new connection the time that it takes to notice.
func (p *primary) lastFirst(c *pgx.ConnConfig) {
	if len(c.Fallbacks) == 0 {
		return
	}
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int {
		return later(*a, last) - later(*b, last)
	})
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]

	// What is dialled are the addresses of the names, so it has to be written down whose they are.
	names, dialled := map[string]string{}, address{}
	lookup, dial, validate := c.LookupFunc, c.DialFunc, c.ValidateConnect
	c.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		found, err := lookup(ctx, host)
		for _, one := range found {
			names[one] = host
		}
		return found, err
	}
	c.DialFunc = func(ctx context.Context, network, at string) (net.Conn, error) {
		dialled = address{}
		if host, port, err := net.SplitHostPort(at); err == nil && network != "unix" {
			dialled = address{names[host], port}
		} else if network == "unix" {
			dialled = address{filepath.Dir(at), strings.TrimPrefix(filepath.Ext(at), ".")}
		}
		return dial(ctx, network, at)
	}
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		err := validate(ctx, conn)
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.last = dialled
		}
		return err
	}
}

// later is 0 for the server at an address, and 1 for every other.
func later(c pgconn.FallbackConfig, than address) int {
	if c.Host == than.host && strconv.Itoa(int(c.Port)) == than.port {
		return 0
	}
	return 1
}

// servers counts the servers of a URL. One can be in it twice, with and without TLS.
func servers(c *pgx.ConnConfig) int {
	all := map[address]bool{{c.Host, strconv.Itoa(int(c.Port))}: true}
	for _, f := range c.Fallbacks {
		all[address{f.Host, strconv.Itoa(int(f.Port))}] = true
	}
	return len(all)
}
