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
)

// A clientCache remembers clients for a short while, so that a token costs no read of its
// client. It is safe for concurrent use.
type clientCache struct {
	store Store
	held  *lru.Cache[string, heldClient]
	// forgotten counts calls of forget. A client that was read while it moved is not kept: the
	// read may have been from before the change that we were told to forget.
	forgotten atomic.Int64
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
	return &clientCache{store: store, held: held}, nil
}

// get returns an enabled client, or [ErrNotFound]. The client is shared: it must not be
// changed.
func (c *clientCache) get(ctx context.Context, id string) (*Client, error) {
	if !validClientID(id) {
		return nil, ErrNotFound // never asks the database about junk
	}
	now := time.Now()
	if h, ok := c.held.Get(id); ok && now.Sub(h.read) < clientCacheAge {
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

// forget drops a client, so that the next get reads it.
func (c *clientCache) forget(id string) {
	// First counted, then removed: whoever read before this and adds after it sees the count.
	c.forgotten.Add(1)
	c.held.Remove(id)
}

// ForgetClient drops a cached client. It is called after every change of a client, on the
// node that made it at once and on every other within a second.
func (p *Provider) ForgetClient(id string) { p.clients.forget(id) }

// validClientID says whether s could be the id of a client: RFC 6749 Appendix A.1, bounded.
func validClientID(s string) bool { return s != "" && len(s) <= 255 && visible(s) }
