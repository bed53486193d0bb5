package server

import (
	"cmp"
	"context"
	"time"
)

// Whoever waits until a change is known everywhere has to know who everybody is. Each copy says
// until when it may be serving. That is longer than it would believe what it remembers without
// having reached the database: a copy that was cut off is waited for, and not taken for dead.
const (
	servingEvery = 10 * time.Second
	servingFor   = 90 * time.Second // more than servingEvery and the minute of apikeys' MaxStale
	waitMost     = 3 * time.Second  // for the answers of all copies
	waitEvery    = 10 * time.Millisecond
)

// serving says that this copy is there, until ctx ends, and then that it is not.
func (s *Server) serving(ctx context.Context) {
	s.every(ctx, servingEvery, nil, "saying that this copy is there", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, feedPatience)
		defer cancel()
		return s.db.Serving(ctx, s.holder, time.Now().Add(servingFor))
	})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedPatience)
	defer cancel()
	if err := s.db.Ended(ctx, s.holder); err != nil {
		s.log.WarnContext(ctx, "who waits for every copy waits for this one too, for a while", "err", err)
	}
}

// confirm answers a question of another copy. What was changed before it was asked has been
// forgotten: changes come in order.
func (s *Server) confirm(ctx context.Context, question string) {
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	if err := s.db.Confirm(ctx, question, s.holder, time.Now()); err != nil {
		s.log.WarnContext(ctx, "a change could not be confirmed", "err", err)
	}
}

// tokenLife is how long after it was made an access token is good at the most: one that was
// exchanged for an API key is for a quarter of an hour, whatever AccessTTL says. Within the grace, a
// refresh token that was used makes others.
func (c Config) tokenLife() time.Duration {
	return max(cmp.Or(c.AccessTTL, 5*time.Minute), 15*time.Minute) + cmp.Or(c.RefreshGrace, 2*time.Minute) + 2*time.Minute
}

// propagated waits until every copy has heard of all that was changed before, and says
// whether they have. It is false after 3 seconds.
func (s *Server) propagated(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, waitMost)
	defer cancel()
	question, err := s.db.Ask(ctx, time.Now())
	if err != nil {
		return false, err
	}
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		n, err := s.db.Unconfirmed(ctx, question, time.Now())
		if n == 0 && err == nil {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}
