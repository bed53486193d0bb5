package issuer

import (
	"context"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	clientCacheSize = 10_000
	// clientCacheAge bounds what a copy of the server may believe that hears of no change. The
	// promise for all others is a second: they are told, see [Provider.ForgetClient].
	clientCacheAge = time.Minute
	// clientCacheDeaf is for how long a copy believes what it has cached without having heard from
	// the others. It may be cut off from the database, or have been stopped for a while: then it
	// reads each client, as long as it can.
	clientCacheDeaf = time.Second
)

// A clientCache remembers clients for a short while, so that a token costs no read of its
// client. It is safe for concurrent use.
type clientCache struct {
	store Store
	held  *lru.Cache[string, heldClient]
	// forgotten counts calls of forget. A client that was read while it moved is not kept: the
	// read may have been from before the change that we were told to forget.
	forgotten atomic.Int64
	// heard is when the changes of other copies were last asked for, in monotonic time since
	// began. 0: nobody ever tells us, as in a test.
	heard atomic.Int64
	began time.Time
}

type heldClient struct {
	client *Client
	read   time.Time
}

func newClientCache(store Store) (*clientCache, error) {
	held, err := lru.New[string, heldClient](clientCacheSize)
	if err != nil {
		return nil, err
	}
	return &clientCache{store: store, held: held, began: time.Now()}, nil
}

// get returns an enabled client, or [ErrNotFound]. The client is shared: it must not be
// changed.
func (c *clientCache) get(ctx context.Context, id string) (*Client, error) {
	if !validClientID(id) {
		return nil, ErrNotFound // never asks the database about junk
	}
	now := time.Now()
	if h, ok := c.held.Get(id); ok && now.Sub(h.read) < clientCacheAge && c.informed(now) {
		return h.client, nil
	}
	before := c.forgotten.Load()
	client, err := c.store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	if !client.DisabledAt.IsZero() {
		return nil, ErrNotFound
	}
	c.held.Add(id, heldClient{&client, now})
	if c.forgotten.Load() != before {
		c.held.Remove(id)
	}
	return &client, nil
}

// informed says whether a client that changed elsewhere would have been dropped by now.
func (c *clientCache) informed(now time.Time) bool {
	heard := c.heard.Load()
	return heard == 0 || now.Sub(c.began)-time.Duration(heard) < clientCacheDeaf
}

// forget drops a client, so that the next get reads it.
func (c *clientCache) forget(id string) {
	// First counted, then removed: whoever read before this and adds after it sees the count.
	c.forgotten.Add(1)
	c.held.Remove(id)
}

// ForgetClient drops a cached client. It is called after every change of a client, on the
// node that made it at once and on every other within a second.
func (p *Provider) ForgetClient(id string) { p.clients.forget(id) }

// ForgetClients drops every cached client: for a copy of the server that may have missed changes.
func (p *Provider) ForgetClients() {
	p.clients.forgotten.Add(1)
	p.clients.held.Purge()
}

// Heard says that every change that was visible at a time has been passed to
// [Provider.ForgetClient]. Once it was called, cached clients are believed for a second after
// the last call and no longer: that is how long another copy may take to hear that a client is
// gone, whatever happens to the network or to this process. The time must have a monotonic part.
func (p *Provider) Heard(at time.Time) {
	p.clients.heard.Store(int64(at.Sub(p.clients.began)))
}

// validClientID says whether s could be the id of a client: RFC 6749 Appendix A.1, bounded.
func validClientID(s string) bool { return s != "" && len(s) <= 255 && visible(s) }
