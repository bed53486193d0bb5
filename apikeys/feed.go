package apikeys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mintmark/internal/secret"
)

// FlushEvery is how often it is written down how keys were used: at most one row for each key
// and copy of the server.
const FlushEvery = 30 * time.Second

// unwrittenMost is how many uses are kept while the database is away, the newest.
const unwrittenMost = 200_000

// flushBatch is how many keys are written down in one transaction.
const flushBatch = 500

func (r *Registry) cached() *cache {
	r.start.Do(func() { r.held = newCache(r.Store, r.CacheSize, r.MaxStale) })
	return r.held
}

// Forget drops what is remembered of a key, so that the next Check reads it. It is called
// after every change, on the copy that made it before it answers, on the others when they hear
// of it.
func (r *Registry) Forget(id string) {
	c := r.cached()
	c.foreign.forget()
	if n, ok := secret.ParseBase62(id); ok {
		c.forget(n)
	}
}

// ForgetOwner drops every key of an account or a service account.
func (r *Registry) ForgetOwner(id string) {
	r.cached().forgetIf(func(e *entry) bool { return e.ownerID == id })
}

// ForgetAll drops every key: for a copy that may have missed changes.
func (r *Registry) ForgetAll() {
	r.cached().foreign.forget()
	r.cached().forgetIf(func(*entry) bool { return true })
}

// Heard says that everything was forgotten that other copies had changed at a time. As long as
// that is not long ago, what is remembered is believed longer.
func (r *Registry) Heard(at time.Time) { r.cached().healthy.Store(at.UnixNano()) }

// Flush writes down how keys were used since the last time. What can't be written is kept for
// the next.
func (r *Registry) Flush(ctx context.Context) error {
	c := r.cached()
	c.flushing.Lock()
	defer c.flushing.Unlock()
	settled := c.settle(ctx, false)
	uses := append(c.unwritten, c.flush()...)
	c.unwritten = nil
	for len(uses) > 0 {
		n := min(flushBatch, len(uses))
		if err := r.Store.UseKeys(ctx, uses[:n]); err != nil {
			c.unwritten = uses[max(len(uses)-unwrittenMost, 0):]
			return fmt.Errorf("apikeys: the uses of %d keys were not written down: %w", len(uses), err)
		}
		uses = uses[n:]
	}
	return settled
}

// Settle is the last Flush: it gives back everything that this copy borrowed of quotas, too.
func (r *Registry) Settle(ctx context.Context) error {
	return errors.Join(r.Flush(ctx), r.cached().settle(ctx, true))
}
