package server

import (
	"context"
	"sync"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
)

// How often the background jobs run.
const (
	feedEvery    = 250 * time.Millisecond // several times in the second that the issuer believes its cache without news
	feedOverlap  = 2 * time.Minute        // two clocks may differ, and changes may become visible out of order
	feedPatience = 2 * time.Second        // with a database that does not answer
	feedMissed   = 50 * time.Minute       // changes are kept for an hour
	purgeEvery   = time.Minute
	purgeBatch   = 500
	purgePause   = 50 * time.Millisecond // other writers come first
)

// startJobs starts what the server does on its own, until ctx ends. The returned function
// waits for the jobs to have come to their end.
func (s *Server) startJobs(ctx context.Context) (wait func()) {
	var jobs sync.WaitGroup
	jobs.Go(func() { s.keyring.Run(ctx) })
	changes := newFeed(s.db, s.forget)
	changes.all = s.apiKeys.ForgetAll
	changes.heard = func(at time.Time) {
		s.provider.Heard(at)
		s.apiKeys.Heard(at)
	}
	jobs.Go(func() { s.every(ctx, feedEvery, "reading the changes of other copies", changes.read) })
	jobs.Go(func() { s.flushUses(ctx) })
	jobs.Go(func() { s.every(ctx, purgeEvery, "forgetting what has expired", s.purge) })
	return jobs.Wait
}

// every does a job again and again. A failure is logged once, and once more when it is over.
func (s *Server) every(ctx context.Context, pause time.Duration, name string, job func(context.Context) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	failing := false
	for {
		err := job(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.ErrorContext(ctx, "a background job fails", "job", name, "err", err)
		case err == nil && failing:
			s.log.InfoContext(ctx, "a background job works again", "job", name)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// A feed is the changes that other copies of the server have made, each handed on once.
type feed struct {
	changes func(ctx context.Context, since time.Time) ([]storage.Change, error)
	forget  func(context.Context, storage.Change)
	all     func()             // forgets everything: changes may have been missed
	heard   func(at time.Time) // everything that was visible then has been handed on
	since   time.Time
	seen    map[string]time.Time // ids of the changes handed on, and when
}

func newFeed(db *storage.DB, forget func(context.Context, storage.Change)) *feed {
	return &feed{changes: db.Changes, forget: forget, all: func() {}, heard: func(time.Time) {}, since: time.Now(), seen: map[string]time.Time{}}
}

// read hands on the changes since the last time that it succeeded.
func (f *feed) read(ctx context.Context) error {
	now := time.Now()
	if now.Sub(f.since) > feedMissed {
		f.all()
	}
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	changes, err := f.changes(ctx, f.since.Add(-feedOverlap))
	if err != nil {
		return err
	}
	for _, c := range changes {
		if _, old := f.seen[c.ID]; !old {
			f.seen[c.ID] = now
			f.forget(ctx, c)
		}
	}
	for id, at := range f.seen {
		if now.Sub(at) > 3*feedOverlap {
			delete(f.seen, id)
		}
	}
	f.since = now
	f.heard(now)
	return nil
}

// flushUses writes down how API keys were used, now and then and at the end.
func (s *Server) flushUses(ctx context.Context) {
	s.every(ctx, apikeys.FlushEvery, "writing down how API keys were used", s.apiKeys.Flush)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedPatience)
	defer cancel()
	if err := s.apiKeys.Flush(ctx); err != nil {
		s.log.ErrorContext(ctx, "the last uses of API keys are not written down", "err", err)
	}
}

// forget drops what this copy has cached of something that was changed.
func (s *Server) forget(ctx context.Context, c storage.Change) {
	switch c.Kind {
	case storage.ClientChange:
		s.provider.ForgetClient(c.Ref)
	case storage.APIKeyChange:
		s.apiKeys.Forget(c.Ref)
	case storage.OwnerChange:
		s.apiKeys.ForgetOwner(c.Ref)
	case storage.SigningKeyChange:
		// A key that was revoked must not be believed a moment longer than necessary. If this
		// fails, the keyring looks again by itself.
		if err := s.keyring.Load(ctx); err != nil {
			s.log.WarnContext(ctx, "a changed signing key could not be read yet", "kid", c.Ref, "err", err)
		}
	}
}

// purge forgets what has expired, if it is this copy's turn, a little at a time.
func (s *Server) purge(ctx context.Context) error {
	now := time.Now()
	mine, err := s.db.Lease(ctx, "purge", s.holder, now.Add(2*purgeEvery), now)
	if err != nil || !mine {
		return err
	}
	for {
		n, err := s.db.Purge(ctx, now, purgeBatch)
		if err != nil || n < purgeBatch || time.Since(now) > purgeEvery {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(purgePause):
		}
	}
}

// newHolder returns the name under which this copy takes leases.
func newHolder() string { return secret.NewID("copy") }
