package server

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
)

// How often the background jobs run.
const (
	purgeEvery  = time.Minute
	purgeBatch  = 500                   // at first: see nextBatch
	revokeEvery = 5 * time.Second       // of tokens that were kept, at upstream providers
	purgePause  = 50 * time.Millisecond // other writers come first
	warnEvery   = 10 * time.Minute
)

// startJobs starts what the server does on its own, until ctx ends. The returned function
// waits for the jobs to have come to their end.
func (s *Server) startJobs(ctx context.Context) (wait func()) {
	var jobs sync.WaitGroup
	jobs.Go(func() { s.keyring.Run(ctx) })
	jobs.Go(func() {
		s.every(ctx, feedEvery, s.changes.woken, "reading the changes of other copies", s.changes.read)
	})
	jobs.Go(func() { s.db.Listen(ctx, func() { s.changes.wake(); s.revoked.Wake() }) })
	jobs.Go(func() { s.serving(ctx) })
	said := map[string]bool{}
	jobs.Go(func() {
		s.every(ctx, warnEvery, nil, "looking at the database", func(ctx context.Context) error { s.warn(ctx, said); return nil })
	})
	jobs.Go(func() { s.revoked.Run(ctx) })
	jobs.Go(func() { s.flushUses(ctx) })
	jobs.Go(func() { s.every(ctx, lookAfterEvery, nil, "looking after API keys", s.lookAfterKeys) })
	if s.cfg.NoticeURL != "" {
		jobs.Go(func() { s.every(ctx, noticesEvery, nil, "telling the operator's webhook", s.notices) })
	}
	jobs.Go(func() { s.every(ctx, revokeEvery, nil, "revoking tokens at upstream providers", s.revokeUpstream) })
	jobs.Go(func() { s.every(ctx, purgeEvery, nil, "forgetting what has expired", s.purge) })
	return jobs.Wait
}

// every does a job again and again, and at once if it is woken. A failure is logged once, and once
// more when it is over.
func (s *Server) every(ctx context.Context, pause time.Duration, woken <-chan struct{}, name string, job func(context.Context) error) {
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
		case <-woken:
		}
	}
}

// warn says what is wrong with the database: that it may forget, or that its clock is another's. What it
// has said it does not say again until it was well in between.
func (s *Server) warn(ctx context.Context, said map[string]bool) {
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	c, err := s.db.Condition(ctx)
	if err != nil {
		return // whoever needs the database says so
	}
	before := maps.Clone(said)
	clear(said)
	for _, problem := range c.Problems {
		about := strings.Trim(strings.Map(letters, problem), " ") // by how much it is wrong changes
		said[about] = true
		if !before[about] {
			s.log.WarnContext(ctx, "the database is not as it should be", "problem", problem)
		}
	}
}

// letters drops digits, and with them what is measured.
func letters(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// flushUses writes down how API keys were used, now and then and at the end.
func (s *Server) flushUses(ctx context.Context) {
	s.every(ctx, apikeys.FlushEvery, nil, "writing down how API keys were used", s.apiKeys.Flush)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedPatience)
	defer cancel()
	if err := s.apiKeys.Settle(ctx); err != nil {
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
	case storage.ProviderChange:
		s.upstream.Forget()
	case storage.AskChange:
		s.confirm(ctx, c.Ref)
	case storage.SigningKeyChange:
		// A key that was revoked must not be believed a moment longer than necessary. If this
		// fails, the keyring looks again by itself.
		if err := s.keyring.Load(ctx); err != nil {
			s.log.WarnContext(ctx, "a changed signing key could not be read yet", "kid", c.Ref, "err", err)
		}
	}
}

// revokeUpstream revokes what was kept of links that are gone. Of several copies one takes each.
func (s *Server) revokeUpstream(ctx context.Context) error {
	return s.upstream.RevokeDue(ctx, time.Now())
}

// purge forgets what has expired, if it is this copy's turn, a little at a time.
func (s *Server) purge(ctx context.Context) error {
	now := time.Now()
	mine, err := s.db.Lease(ctx, "purge", s.holder, now.Add(2*purgeEvery), now)
	if err != nil || !mine {
		return err
	}
	for batch := purgeBatch; ; {
		begin := time.Now()
		n, err := s.db.Purge(ctx, now, batch)
		if err != nil || n < int64(batch) || time.Since(now) > purgeEvery {
			return err
		}
		batch = nextBatch(batch, time.Since(begin))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(purgePause):
		}
	}
}

// nextBatch is how many rows of each kind are forgotten the next time, if so many took so long: fewer where
// others had to wait, more where they did not notice.
func nextBatch(batch int, took time.Duration) int {
	switch {
	case took > 40*time.Millisecond:
		return max(batch/2, 50)
	case took < 10*time.Millisecond:
		return min(batch*2, 2000)
	}
	return batch
}

// newHolder returns the name under which this copy takes leases.
func newHolder() string { return secret.NewID("copy") }
