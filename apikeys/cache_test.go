package apikeys_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

var mint = secret.NewMint([32]byte{1})

// A node is a copy of the server: a registry of its own on a database that it shares.
type node struct {
	*apikeys.Registry
	db    *storage.DB
	place revocations.Place
}

func nodes(open func() *storage.DB, n int) []*node {
	var all []*node
	for range n {
		db := open()
		all = append(all, &node{Registry: &apikeys.Registry{Store: db.APIKeys(), Mint: mint}, db: db, place: revocations.Place{Seen: "0:0:"}})
	}
	return all
}

// look does what the server does every second: it hears of the changes of others.
func (n *node) look(t *testing.T, at time.Time) {
	t.Helper()
	changes, place, _, err := n.db.Changes(t.Context(), n.place, noon, false)
	n.place = place
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		switch c.Kind {
		case "api_key":
			n.Forget(c.Ref)
		case "owner":
			n.ForgetOwner(c.Ref)
		}
	}
	n.Heard(at)
}

// says wants a copy to let a key pass, or to refuse it, and returns how often it asked the database.
func (n *node) says(t *testing.T, key string, at time.Time, want error) int64 {
	t.Helper()
	before := n.db.Trips()
	if _, err := n.Verify(t.Context(), key, at); !errors.Is(err, want) {
		t.Errorf("%s after noon: %v, want %v", at.Sub(noon), err, want)
	}
	return n.db.Trips() - before
}

// docs/operate/revocation.md: on the copy that revokes with the next request, on the others
// when they look for changes, which they do every second.
func TestStalenessInNormalTimes(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		all := nodes(open, 3)
		k, key := made(t, all[0].Registry, apikeys.New{Name: "ci"})
		for _, n := range all {
			n.look(t, noon)
			n.says(t, key, noon, nil)
			if trips := n.says(t, key, noon, nil); trips != 0 {
				t.Errorf("what is remembered took %d trips", trips)
			}
		}
		if err := all[0].Revoke(t.Context(), k.ID, "", false, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		all[0].says(t, key, noon, apikeys.ErrInvalid)
		for _, n := range all[1:] {
			n.says(t, key, noon.Add(999*time.Millisecond), nil)
			n.look(t, noon.Add(time.Second))
			n.says(t, key, noon.Add(time.Second), apikeys.ErrInvalid)
		}
	})
}

// What was disabled with its owner on another copy, too.
func TestStalenessOfAnOwner(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		all := nodes(open, 2)
		service := serviceOf(t, all[0].Registry)
		_, key := made(t, all[0].Registry, apikeys.New{Name: "ci", OwnerType: "service", OwnerID: service})
		all[1].look(t, noon)
		all[1].says(t, key, noon, nil)
		if err := all[0].DisableService(t.Context(), service, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		all[1].look(t, noon)
		all[1].says(t, key, noon, apikeys.ErrInvalid)
	})
}

// A copy that hears of nothing, and does not know it: five seconds.
func TestStalenessWhenNoChangeArrives(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		all := nodes(open, 3)
		k, key := made(t, all[0].Registry, apikeys.New{Name: "ci"})
		for _, n := range all[1:] {
			n.Heard(noon)
			n.says(t, key, noon, nil)
		}
		if err := all[0].Revoke(t.Context(), k.ID, "", false, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		for _, n := range all[1:] {
			n.says(t, key, noon.Add(5*time.Second-1), nil)
			n.says(t, key, noon.Add(5*time.Second), apikeys.ErrInvalid)
		}
		// While changes are heard of, even one that was lost does no harm for longer than a minute.
		again, key := made(t, all[0].Registry, apikeys.New{Name: "ci"})
		all[1].says(t, key, noon, nil)
		if err := all[0].Revoke(t.Context(), again.ID, "", false, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		all[1].Heard(noon.Add(time.Minute - time.Second))
		all[1].says(t, key, noon.Add(time.Minute-1), nil)
		all[1].says(t, key, noon.Add(time.Minute), apikeys.ErrInvalid)
	})
}

// A flaky store is away, or slow, when the story wants it.
type flaky struct {
	apikeys.Store
	away  atomic.Bool
	asked atomic.Int64
	pause func() // after a read, before its answer
}

var errAway = errors.New("away")

func (s *flaky) Standing(ctx context.Context, id string) (apikeys.Key, bool, error) {
	s.asked.Add(1)
	if s.away.Load() {
		return apikeys.Key{}, false, errAway
	}
	k, owner, err := s.Store.Standing(ctx, id)
	if s.pause != nil {
		s.pause()
	}
	return k, owner, err
}

// While the database is away, keys go on for a minute, or not at all if the operator says so.
func TestStalenessWhenTheDatabaseIsAway(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci"})
		store := &flaky{Store: r.Store}
		for _, tt := range []struct {
			stale time.Duration
			want  []error
		}{{0, []error{nil, nil, errAway}}, {-1, []error{nil, errAway, errAway}}} {
			r := &apikeys.Registry{Store: store, Mint: mint, MaxStale: tt.stale}
			store.away.Store(false)
			if _, err := r.Verify(t.Context(), key, noon); err != nil {
				t.Fatal(err)
			}
			store.away.Store(true)
			for i, at := range []time.Time{noon.Add(5*time.Second - 1), noon.Add(time.Minute - 1), noon.Add(time.Minute)} {
				if _, err := r.Verify(t.Context(), key, at); !errors.Is(err, tt.want[i]) {
					t.Errorf("%s later, with %s: %v", at.Sub(noon), tt.stale, err)
				}
			}
		}
		// A database that is away is not asked by everybody.
		r = &apikeys.Registry{Store: store, Mint: mint}
		store.away.Store(false)
		if _, err := r.Verify(t.Context(), key, noon); err != nil {
			t.Fatal(err)
		}
		store.away.Store(true)
		before := store.asked.Load()
		for range 1000 {
			if _, err := r.Verify(t.Context(), key, noon.Add(10*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if n := store.asked.Load() - before; n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func (s *flaky) UseKeys(ctx context.Context, uses []apikeys.Use) error {
	if s.away.Load() {
		return errAway
	}
	return s.Store.UseKeys(ctx, uses)
}

// Uses that can't be written down now are written down later.
func TestNoUseIsLostWhileTheDatabaseIsAway(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "ci"})
		store := &flaky{Store: r.Store}
		r = &apikeys.Registry{Store: store, Mint: mint}
		for _, away := range []bool{true, true, false, false} {
			store.away.Store(false)
			if _, err := r.Verify(t.Context(), key, noon); err != nil {
				t.Fatal(err)
			}
			store.away.Store(away)
			if err := r.Flush(t.Context()); (err != nil) != away {
				t.Errorf("away %v: %v", away, err)
			}
		}
		if used, err := r.Get(t.Context(), k.ID); err != nil || used.Uses != 4 {
			t.Errorf("%d uses, %v", used.Uses, err)
		}
	})
}

// What was read before a revocation and arrives after it is not kept, and who comes after the
// revocation does not get it.
func TestRevokeDuringAFill(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "ci"})
		read, goOn := make(chan struct{}), make(chan struct{})
		var first atomic.Bool // not a sync.Once, for which the second would wait
		store := &flaky{Store: r.Store, pause: func() {
			if first.CompareAndSwap(false, true) {
				close(read)
				<-goOn
			}
		}}
		slow := &apikeys.Registry{Store: store, Mint: mint}
		var early sync.WaitGroup
		early.Go(func() {
			if _, err := slow.Verify(t.Context(), key, noon); err != nil {
				t.Errorf("who came before: %v", err)
			}
		})
		<-read
		if err := slow.Revoke(t.Context(), k.ID, "", false, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if _, err := slow.Verify(t.Context(), key, noon); err != apikeys.ErrInvalid {
			t.Errorf("who comes while the old answer is under way: %v", err)
		}
		close(goOn)
		early.Wait()
		if _, err := slow.Verify(t.Context(), key, noon); err != apikeys.ErrInvalid {
			t.Errorf("who comes after it: %v", err)
		}
	})
}

// An arriving context is that of a caller who says when it waits: then it asks for Done.
type arriving struct {
	context.Context
	once sync.Once
	here func()
}

func (c *arriving) Done() <-chan struct{} {
	c.once.Do(c.here)
	return c.Context.Done()
}

// Sixteen who come at once cost one trip: no answer comes before all of them wait for one.
func TestOneFillForAll(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci"})
		const callers = 16
		var waiting, all sync.WaitGroup
		waiting.Add(callers)
		store := &flaky{Store: r.Store, pause: waiting.Wait}
		r = &apikeys.Registry{Store: store, Mint: mint}
		for range callers {
			all.Go(func() {
				if _, err := r.Verify(&arriving{Context: t.Context(), here: waiting.Done}, key, noon); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := store.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		if _, err := r.Verify(t.Context(), key, noon); err != nil || store.asked.Load() != 1 {
			t.Errorf("asked once more, %v", err)
		}
	})
}

// Whatever strangers send, the database does not hear of it.
func TestAFloodOfForgedKeysReachesNoDatabase(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		n := nodes(open, 1)[0]
		_, key := made(t, n.Registry, apikeys.New{Name: "good"})
		n.says(t, key, noon, nil)
		n.says(t, "sk_live_of_another_system", noon, apikeys.ErrInvalid) // whether there are such keys is read once
		before := n.db.Trips()
		forger := secret.NewMint([32]byte{2})
		for i := range 20_000 {
			var forged string
			switch i % 4 {
			case 0: // of the right form
				forged = forger.Issue(secret.KindServiceKey, secret.NewShortID()).Reveal()
			case 1: // with the id of a key that is there
				forged = forger.Issue(secret.KindOrganizationKey, key[6:17]).Reveal()
			case 2: // with its tag too
				forged = mint.Issue(secret.KindOrganizationKey, key[6:17]).Reveal()
			case 3: // of no form at all
				forged = fmt.Sprintf("sk_live_%020d", i)
			}
			if _, err := n.Verify(t.Context(), forged, noon); err != apikeys.ErrInvalid {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if trips := n.db.Trips() - before; trips != 0 {
			t.Errorf("%d trips", trips)
		}
	})
}

// Ids that no key has are remembered apart: they drive out no key, and not for long.
func TestUnknownKeysDriveOutNoKey(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		n := nodes(open, 1)[0]
		n.CacheSize = 64
		_, key := made(t, n.Registry, apikeys.New{Name: "good"})
		n.says(t, key, noon, nil)
		unknown := mint.Issue(secret.KindServiceKey, secret.NewShortID()).Reveal()
		for range 200 {
			n.says(t, mint.Issue(secret.KindServiceKey, secret.NewShortID()).Reveal(), noon, apikeys.ErrInvalid)
		}
		if trips := n.says(t, key, noon, nil); trips != 0 {
			t.Errorf("the good key took %d trips", trips)
		}
		for _, tt := range []struct {
			at    time.Duration
			trips int64
		}{{0, 1}, {0, 0}, {10*time.Second - 1, 0}, {10 * time.Second, 1}} {
			if trips := n.says(t, unknown, noon.Add(tt.at), apikeys.ErrInvalid); trips != tt.trips {
				t.Errorf("an unknown key after %s took %d trips", tt.at, trips)
			}
		}
	})
}

func TestAHitAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	n := nodes(func() *storage.DB { return storagetest.Open(t, storagetest.SQLite(t)) }, 1)[0]
	_, key := made(t, n.Registry, apikeys.New{Name: "ci", Scopes: []string{"users:read"}, Limits: []string{"1000000/s"}})
	_, paid := made(t, n.Registry, apikeys.New{Name: "paid", Quota: "1000000000/d"})
	for range 10 { // until it has borrowed enough
		if _, err := n.Check(t.Context(), apikeys.Ask{Key: paid, Cost: 1000}, noon); err != nil {
			t.Fatal(err)
		}
	}
	ask := apikeys.Ask{Key: key, Scope: "users:read"}
	forged := secret.NewMint([32]byte{2}).Issue(secret.KindServiceKey, secret.NewShortID()).Reveal()
	for name, do := range map[string]func() error{
		"a hit":            func() error { _, err := n.Check(t.Context(), ask, noon); return err },
		"one with a quota": func() error { _, err := n.Check(t.Context(), apikeys.Ask{Key: paid}, noon); return err },
		"a forged key": func() error {
			if _, err := n.Verify(t.Context(), forged, noon); err != apikeys.ErrInvalid {
				return err
			}
			return nil
		},
	} {
		if allocs := testing.AllocsPerRun(1000, func() {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}); allocs != 0 {
			t.Errorf("%s allocates %v times", name, allocs)
		}
	}
}
