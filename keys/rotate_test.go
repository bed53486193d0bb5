package keys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mintmark/keys"
)

func TestManyCopiesThatStartTogetherAgree(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		const copies = 6
		rings := make([]*keys.Keyring, copies)
		together(copies, func(i int) {
			rings[i] = copyOf(t, open())
			if err := rings[i].Start(context.Background()); err != nil {
				t.Error(err)
			}
		})
		for _, alg := range keys.Algs {
			for _, k := range rings {
				if a, b := kid(t, sign(t, k, alg, "JWT", "{}")), kid(t, sign(t, rings[0], alg, "JWT", "{}")); a != b {
					t.Errorf("%s: one copy signs with %s, another with %s", alg, a, b)
				}
			}
		}
		if all := rings[0].List(time.Now()); len(all) != 2 {
			t.Errorf("they made %d keys", len(all))
		}
	})
}

// slow is a store that answers SigningKeys only when every copy has asked: they all see
// the same generation and race to add the next.
type slow struct {
	keys.Store
	asked *sync.WaitGroup
	once  sync.Once
}

func (s *slow) SigningKeys(ctx context.Context) ([]keys.Record, error) {
	records, err := s.Store.SigningKeys(ctx)
	s.once.Do(func() { s.asked.Done(); s.asked.Wait() })
	return records, err
}

func TestCopiesThatRotateAtOnceMakeOneGeneration(t *testing.T) {
	for _, immediately := range []bool{false, true} {
		t.Run(fmt.Sprintf("immediately %v", immediately), func(t *testing.T) {
			each(t, func(t *testing.T, open func() keys.Store) {
				const copies = 8
				first := started(t, open())
				var asked sync.WaitGroup
				asked.Add(copies)
				made := make([]string, copies)
				together(copies, func(i int) {
					k := copyOf(t, &slow{Store: open(), asked: &asked})
					var err error
					if made[i], err = k.Rotate(context.Background(), keys.ES256, immediately); err != nil {
						t.Error(err)
					}
				})
				slices.Sort(made)
				if made = slices.Compact(made); len(made) != 1 {
					t.Fatalf("they made %v", made)
				}
				refresh(t, first)
				want := keys.Published
				if immediately {
					want = keys.Active
				}
				if got := state(first, made[0]); got != want {
					t.Errorf("the new key is %s", got)
				}
			})
		})
	}
}

// rival is a store on which another copy announces a key just before ours is added.
type rival struct {
	keys.Store
	other *keys.Keyring
	once  sync.Once
}

func (r *rival) AddSigningKey(ctx context.Context, record keys.Record) error {
	r.once.Do(func() { r.other.Rotate(ctx, record.Alg, false) })
	return r.Store.AddSigningKey(ctx, record)
}

func TestAnEmergencyDoesNotTakeAnAnnouncementForAnAnswer(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		k := copyOf(t, &rival{Store: open(), other: started(t, open())})
		made, err := k.Rotate(t.Context(), keys.ES256, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := kid(t, sign(t, k, keys.ES256, "JWT", "{}")); got != made {
			t.Errorf("%s signs and not %s", got, made)
		}
		if n := len(k.List(time.Now())); n != 4 { // two, one announced, and ours
			t.Errorf("there are %d keys", n)
		}
	})
}

func TestRotateNow(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		k, other := started(t, open()), started(t, open())
		old := sign(t, k, keys.ES256, "JWT", "{}")
		next, err := k.Rotate(t.Context(), keys.ES256, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := kid(t, sign(t, k, keys.ES256, "JWT", "{}")); got != next {
			t.Errorf("%s signs and not %s", got, next)
		}
		refresh(t, other)
		for _, k := range []*keys.Keyring{k, other} {
			if _, err := k.Verify(old, "JWT"); err != nil {
				t.Errorf("the tokens of the old key are refused: %v", err)
			}
			if body, _ := k.JWKS(); !bytes.Contains(body, []byte(kid(t, old))) || !bytes.Contains(body, []byte(next)) {
				t.Errorf("the JWKS misses one: %s", body)
			}
		}
		if got := kid(t, sign(t, k, keys.RS256, "JWT", "{}")); state(k, got) != keys.Active {
			t.Error("the other ring was touched")
		}
		if _, err := k.Rotate(t.Context(), "HS256", true); err == nil {
			t.Error("a ring that isn't there was rotated")
		}
	})
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		k, other := started(t, open()), started(t, open())
		for _, alg := range keys.Algs {
			stolen := sign(t, k, alg, "JWT", "{}")
			for _, k := range []*keys.Keyring{k, other} { // which remember it
				if _, err := k.Verify(stolen, ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := k.Revoke(t.Context(), kid(t, stolen)); err != nil {
				t.Fatal(err)
			}
			if err := k.Revoke(t.Context(), kid(t, stolen)); err != nil {
				t.Errorf("revoking it again: %v", err)
			}
			refresh(t, other)
			for _, k := range []*keys.Keyring{k, other} {
				if _, err := k.Verify(stolen, ""); !errors.Is(err, keys.ErrSignature) {
					t.Errorf("its tokens are still taken: %v", err)
				}
				if _, err := k.VerifyRetained(stolen, ""); !errors.Is(err, keys.ErrSignature) {
					t.Errorf("its tokens are still taken as hints: %v", err)
				}
				if body, _ := k.JWKS(); bytes.Contains(body, []byte(kid(t, stolen))) {
					t.Errorf("it is still in the JWKS: %s", body)
				}
				fresh := sign(t, k, alg, "JWT", "{}")
				if _, err := k.Verify(fresh, "JWT"); err != nil || kid(t, fresh) == kid(t, stolen) {
					t.Errorf("another key does not sign at once: %v", err)
				}
			}
			if state(k, kid(t, stolen)) != keys.Revoked {
				t.Errorf("it is %s", state(k, kid(t, stolen)))
			}
		}
		if err := k.Revoke(t.Context(), "nobody"); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("an unknown key was revoked: %v", err)
		}
	})
}

func TestRotationIsAutomatic(t *testing.T) {
	k, clock := copyOf(t, sqlite(t)), time.Now()
	k.SetClock(func() time.Time { return clock })
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	days := func(n int, each func()) {
		for range n {
			clock = clock.Add(24 * time.Hour)
			if err := k.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			each()
		}
	}
	first, seen := sign(t, k, keys.ES256, "JWT", "{}"), map[string]bool{}
	days(370, func() {
		for _, alg := range keys.Algs {
			seen[kid(t, sign(t, k, alg, "JWT", "{}"))] = true
		}
	})
	if len(seen) != 10 { // of two rings: the first, and one every 90 days
		t.Errorf("%d keys signed", len(seen))
	}
	if _, err := k.VerifyRetained(first, "JWT"); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("a key is still remembered after a year: %v", err)
	}
	if got := len(k.List(clock)); got > 8 {
		t.Errorf("%d keys are still there", got)
	}

	hint := sign(t, k, keys.ES256, "JWT", `{"sub":"x"}`)
	days(150, func() {})
	if _, err := k.Verify(hint, "JWT"); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("a key is still published after five months: %v", err)
	}
	if claims, err := k.VerifyRetained(hint, "JWT"); err != nil || string(claims) != `{"sub":"x"}` {
		t.Errorf("a hint is not understood after five months: %v", err)
	}
	days(50, func() {})
	if _, err := k.VerifyRetained(hint, "JWT"); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("a hint is still understood after seven months: %v", err)
	}
}

// together runs f in n goroutines that start at the same moment, and waits for them.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}
