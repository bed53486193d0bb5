package apikeys_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// A quota is used up by what passes, and fills again by itself.
func TestQuota(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "ci", Scopes: []string{"users:read"}, Quota: "100/30d"})
		ask := func(cost int64, scope string, at time.Time) (apikeys.Answer, error) {
			return r.Check(t.Context(), apikeys.Ask{Key: key, Cost: cost, Scope: scope}, at)
		}
		a, err := ask(0, "users:read", noon)
		if err != nil || a.Policy != `"quota";q=100;w=2592000` || a.Left.Header() != `"quota";r=99;t=2592000` {
			t.Fatalf("%+v, %v", a, err)
		}
		if _, err := ask(1, "users:write", noon); err == nil {
			t.Fatal("without the scope")
		}
		if _, err := ask(40, "", noon); err != nil {
			t.Fatalf("one that costs 40: %v", err)
		}
		passed := 0
		for range 100 {
			if a, err = ask(0, "", noon.Add(time.Hour)); err == nil {
				passed++
			}
		}
		// What was refused for its scope did not count.
		if passed != 59 || a.Left.Left != 0 {
			t.Errorf("%d passed after 41, and there are %d left", passed, a.Left.Left)
		}
		many, ok := errors.AsType[*apikeys.TooMany](err)
		if !ok || many.Limit != apikeys.QuotaLimit || many.RetryAfter != 30*24*time.Hour-time.Hour {
			t.Errorf("exhausted: %+v", err)
		}
		if _, err := ask(0, "", noon.Add(30*24*time.Hour-1)); err == nil {
			t.Error("just before it fills")
		}
		if a, err := ask(0, "", noon.Add(30*24*time.Hour)); err != nil || a.Left.Left != 99 {
			t.Errorf("when it fills: %+v, %v", a.Left, err)
		}
		// What this copy borrowed and does not need comes back.
		if err := r.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if k, err = r.Get(t.Context(), k.ID); err != nil || k.Quota.Spent != 1 || !k.Quota.Since.Equal(noon.Add(30*24*time.Hour)) {
			t.Errorf("the quota is %+v, %v", k.Quota, err)
		}
		more := "1000/1d"
		if k, err = r.Change(t.Context(), k.ID, apikeys.Change{Quota: &more}, apikeys.By{At: noon}); err != nil || k.Quota.String() != more || k.Quota.Spent != 1 {
			t.Errorf("changed to %+v, %v", k.Quota, err)
		}
		none := ""
		if k, err = r.Change(t.Context(), k.ID, apikeys.Change{Quota: &none}, apikeys.By{At: noon}); err != nil || k.Quota.ID != "" {
			t.Errorf("changed to %+v, %v", k.Quota, err)
		}
		for _, bad := range []string{"100", "0/d", "-1/d", "1/s", "1/400d", "x/d", "1/1.5m1ms", "1e3/d", "1/99999999999999999999d"} {
			if _, _, err := apikeys.ParseQuota(bad); err == nil {
				t.Errorf("%s is a quota", bad)
			}
		}
	})
}

// What a copy has borrowed and not spent when a period ends is no part of the next.
func TestALeaseEndsWithItsPeriod(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci", Quota: "1000/h"})
		for range 10 {
			if _, err := r.Verify(t.Context(), key, noon); err != nil {
				t.Fatal(err)
			}
		}
		passed := 0
		for range 1500 {
			if _, err := r.Verify(t.Context(), key, noon.Add(time.Hour)); err == nil {
				passed++
			}
		}
		if passed != 1000 {
			t.Errorf("%d of 1000 passed in the second period", passed)
		}
	})
}

// Several keys can spend one quota, and the successor of a key spends on.
func TestKeysThatShareAQuota(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		first, one := made(t, r, apikeys.New{Name: "one", Quota: "3/h"})
		_, other := made(t, r, apikeys.New{Name: "other", QuotaID: first.Quota.ID})
		for i, key := range []string{one, other} {
			if _, err := r.Verify(t.Context(), key, noon); err != nil {
				t.Errorf("key %d: %v", i, err)
			}
		}
		_, token, err := r.Rotate(t.Context(), first.ID, time.Hour, apikeys.By{At: noon})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), noon); err != nil {
			t.Errorf("the successor: %v", err)
		}
		for i, key := range []string{one, other, token.Reveal()} {
			if _, err := r.Verify(t.Context(), key, noon); err == nil {
				t.Errorf("key %d: the fourth use of three", i)
			}
		}
		_, _, err = r.Make(t.Context(), apikeys.New{Name: "x", QuotaID: "quo_unknown"}, apikeys.By{At: noon})
		if invalid, ok := errors.AsType[*apikeys.Invalid](err); !ok || invalid.Field != "quota_id" {
			t.Errorf("a quota that isn't there: %v", err)
		}
	})
}

// Three copies and 64 goroutines spend one quota through two periods: not one use more than there
// is passes, and not one less, once what was borrowed is back.
func TestAQuotaIsNeverOversold(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		const amount, copies, goroutines = 5000, 3, 64
		registries := make([]*apikeys.Registry, copies)
		for i := range registries {
			registries[i] = &apikeys.Registry{Store: open().APIKeys(), Mint: secret.NewMint([32]byte{1})}
		}
		_, key := made(t, registries[0], apikeys.New{Name: "ci", Quota: "5000/h"})
		for period := range 2 {
			now := noon.Add(time.Duration(period) * time.Hour)
			var spent atomic.Int64
			var all sync.WaitGroup
			for g := range goroutines {
				all.Go(func() {
					r := registries[g%copies]
					refused := 0
					for i := 0; refused < 3; i++ {
						cost := int64(1 + (g+i)%3)
						_, err := r.Check(t.Context(), apikeys.Ask{Key: key, Cost: cost}, now.Add(time.Duration(i)*time.Millisecond))
						if _, over := errors.AsType[*apikeys.TooMany](err); over {
							refused++
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						spent.Add(cost)
						if i%50 == 49 {
							if err := r.Flush(t.Context()); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			all.Wait()
			if spent.Load() > amount {
				t.Fatalf("period %d: %d of %d were spent", period, spent.Load(), amount)
			}
			for _, r := range registries {
				if err := r.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range amount { // one copy alone gets what is left
				if _, err := registries[0].Check(t.Context(), apikeys.Ask{Key: key}, now.Add(time.Minute)); err != nil {
					break
				}
				spent.Add(1)
			}
			if spent.Load() != amount {
				t.Errorf("period %d: %d of %d could be spent", period, spent.Load(), amount)
			}
		}
	})
}

// cutOff is a store that can't be reached for a lease.
type cutOff struct {
	apikeys.Store
	asked atomic.Int64
}

func (s *cutOff) LeaseQuota(context.Context, string, int64, int64, time.Time) (apikeys.Lease, error) {
	s.asked.Add(1)
	return apikeys.Lease{}, errors.New("no route to host")
}

// Without the database nobody knows what is left: a key with a quota is refused with a fault of
// ours, unless the operator prefers it the other way, and the database is not asked by each.
func TestAQuotaWithoutItsDatabase(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci", Quota: "100/d"})
		store := &cutOff{Store: r.Store}
		closed := &apikeys.Registry{Store: store, Mint: r.Mint}
		for range 100 {
			_, err := closed.Verify(t.Context(), key, noon)
			if _, many := errors.AsType[*apikeys.TooMany](err); err == nil || many || errors.Is(err, apikeys.ErrInvalid) {
				t.Fatalf("closed: %v", err)
			}
		}
		if n := store.asked.Load(); n != 1 {
			t.Errorf("the database was asked %d times in one second", n)
		}
		open := &apikeys.Registry{Store: store, Mint: r.Mint, QuotaOpen: true}
		if _, err := open.Verify(t.Context(), key, noon); err != nil {
			t.Errorf("open: %v", err)
		}
	})
}
