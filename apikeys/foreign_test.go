package apikeys_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// A lost is a store whose database is away: it takes its time to say so.
type lost struct {
	apikeys.Store
	asked atomic.Int64
}

func (s *lost) Imported(ctx context.Context) (map[[32]byte]string, error) {
	s.asked.Add(1)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(2 * time.Second):
		return nil, errors.New("away")
	}
}

// Strangers can send anything for a key of another system. However many do, and whether or not
// they wait for the answer, a database that is away is asked once.
func TestAFloodOfForeignKeysWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lost{}
		r := &apikeys.Registry{Store: store, Mint: secret.NewMint([32]byte{1})}
		began := time.Now()
		flood := func() {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					if _, err := r.Verify(ctx, "a key of nobody that we know", time.Now()); err == nil || errors.Is(err, apikeys.ErrInvalid) {
						t.Errorf("it is said to be good or bad: %v", err)
					}
				})
			}
			all.Wait()
		}
		for _, at := range []struct {
			after, wait time.Duration
			asked       int64
		}{
			{0, 100 * time.Millisecond, 1},                       // nobody waits longer than they want to
			{time.Second, 100 * time.Millisecond, 1},             // for the same answer
			{2500 * time.Millisecond, 0, 1},                      // there is none, and that is remembered
			{3100 * time.Millisecond, 100 * time.Millisecond, 2}, // for a second
		} {
			time.Sleep(at.after - time.Since(began))
			start := time.Now()
			if flood(); store.asked.Load() != at.asked || time.Since(start) != at.wait {
				t.Errorf("after %s: asked %d times, waited %s", at.after, store.asked.Load(), time.Since(start))
			}
		}
		time.Sleep(3 * time.Second) // until nothing is under way any more
	})
}
