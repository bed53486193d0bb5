package keys_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/keys"
)

// A verifier is somebody else's service. It fetches the JWKS when its copy has reached the
// max-age, never because it met an unknown kid, and takes a token until a minute after its
// exp, by its own clock.
type verifier struct {
	clock   time.Duration // from true time
	set     jose.JSONWebKeySet
	fetched time.Time
}

// An issued token is owed acceptance until exp, by the clock of whoever looks at it.
type issued struct {
	jws *jose.JSONWebSignature
	exp time.Time
}

// A world is two copies of the server, 60 seconds apart, and the services that trust them.
type world struct {
	t          *testing.T
	random     *rand.Rand
	config     keys.Config
	now        time.Time // true time
	slow, fast *node
	verifiers  []*verifier
	living     []issued
	signers    map[string]bool
	checks     int
}

// A node is one copy of the server.
type node struct {
	*keys.Keyring
	clock time.Duration
}

func (w *world) open(store keys.Store, clock time.Duration) *node {
	w.t.Helper()
	config := w.config
	config.Store = store
	n := &node{keys.New(config), clock}
	n.OnlyES256()
	n.SetClock(func() time.Time { return w.now.Add(clock) })
	if err := n.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// load is a refresh that works. When none is called, the copy is cut off.
func (w *world) load(nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		if err := n.Load(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// sign lets copies sign a token each. A copy that is stale is right to refuse.
func (w *world) sign(nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		token, err := n.Append(nil, keys.ES256, "at+jwt", []byte("{}"))
		if errors.Is(err, keys.ErrStale) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(string(token), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			w.t.Fatal(err)
		}
		w.signers[jws.Signatures[0].Header.KeyID] = true
		w.living = append(w.living, issued{jws, w.now.Add(n.clock + w.config.KeepFor)})
	}
}

func (v *verifier) fetch(w *world, from *node) {
	w.t.Helper()
	body, _ := from.JWKS()
	v.set = jose.JSONWebKeySet{}
	if err := json.Unmarshal(body, &v.set); err != nil {
		w.t.Fatal(err)
	}
	v.fetched = w.now
	if from.Stale() { // which is marked as not to be cached
		v.fetched = time.Time{}
	}
}

// check shows every token that is still good to a verifier.
func (w *world) check(v *verifier) {
	w.t.Helper()
	if w.now.Sub(v.fetched) >= w.config.MaxAge {
		v.fetch(w, []*node{w.slow, w.fast}[w.random.IntN(2)])
	}
	var living []issued
	for _, one := range w.living {
		if w.now.Add(-time.Minute).After(one.exp.Add(time.Minute)) {
			continue // by every clock, tolerance and all
		}
		living = append(living, one)
		if w.now.Add(v.clock).After(one.exp.Add(w.config.Skew)) {
			continue // by its clock and its tolerance
		}
		w.checks++
		id := one.jws.Signatures[0].Header.KeyID
		found := v.set.Key(id)
		if len(found) != 1 {
			w.t.Fatalf("after %d keys: %s is not in a JWKS that was fetched %s ago", len(w.signers), id, w.now.Sub(v.fetched))
		}
		if _, err := one.jws.Verify(found[0]); err != nil {
			w.t.Fatalf("after %d keys: %v", len(w.signers), err)
		}
	}
	w.living = living
}

// rotation is one rotation in which everything happens at the worst moment that the
// schedule allows for, with a millisecond to spare.
func (w *world) rotation() {
	w.t.Helper()
	const tick = time.Millisecond
	// Either copy may be the one that makes the key; the other is cut off just then.
	maker, other := w.slow, w.fast
	if w.random.IntN(2) == 0 {
		maker, other = other, maker
	}
	var active keys.Status
	for _, s := range maker.List(w.now.Add(maker.clock)) {
		if s.State == keys.Active {
			active = s
		}
	}
	w.now = active.SignsAt.Add(w.config.RotateEvery - maker.Lead() - maker.clock)
	w.load(other)
	if err := maker.Round(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	var next keys.Status
	for _, s := range maker.List(w.now.Add(maker.clock)) {
		if s.State == keys.Published {
			next = s
		}
	}
	if next.ID == "" {
		w.t.Fatal("no key was announced")
	}

	// A service fetches the JWKS from the copy that does not know it yet, at the last moment.
	w.now = w.now.Add(keys.StaleAfter)
	late := w.verifiers[w.random.IntN(len(w.verifiers))]
	late.fetch(w, other)
	if len(late.set.Key(next.ID)) != 0 {
		w.t.Fatal("the other copy was not cut off")
	}
	w.sign(maker, other)

	// The copy whose clock is ahead is the first to sign with it, and that service the first
	// to get such a token.
	w.now = next.SignsAt.Add(-w.fast.clock)
	w.load(w.fast, w.slow)
	w.sign(w.fast, w.slow)
	w.check(late)

	// The copy whose clock is behind looks a moment too early, is cut off again, and signs
	// with the old key for as long as it may.
	w.now = next.SignsAt.Add(-w.slow.clock - tick)
	w.load(w.slow, w.fast)
	w.now = w.now.Add(keys.StaleAfter)
	w.load(w.fast)
	w.sign(w.slow, w.fast)
	last := w.living[len(w.living)-2]
	if last.jws.Signatures[0].Header.KeyID != active.ID {
		w.t.Fatal("the slow copy did not sign with the old key")
	}

	// A service whose clock is behind gets that token at the last moment, and has just
	// fetched the JWKS from the copy whose clock is ahead.
	behind := w.verifiers[0]
	w.now = last.exp.Add(w.config.Skew - behind.clock)
	w.load(w.fast, w.slow)
	behind.fetch(w, w.fast)
	w.check(behind)

	// And what is over goes.
	w.now = next.SignsAt.Add(w.fast.Keep() - w.fast.clock)
	w.load(w.fast)
	if body, _ := w.fast.JWKS(); len(body) == 0 || w.published(body) != 1 {
		w.t.Fatalf("the old key is still published: %s", body)
	}
	if err := w.fast.Round(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) published(body []byte) int {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		w.t.Fatal(err)
	}
	return len(set.Keys)
}

// A thousand rotations, two copies of the server and verifiers that cache the JWKS for all
// of its max-age, clocks 60 seconds apart, and copies that are cut off for a minute at the
// worst moments: every token is taken by every verifier for as long as it lives.
func TestAThousandRotationsAndNoFailedVerification(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		const ahead, behind = 30 * time.Second, -30 * time.Second
		w := &world{
			t: t, random: rand.New(rand.NewPCG(1, 1)), signers: map[string]bool{},
			now:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			verifiers: []*verifier{{clock: behind}, {clock: ahead}, {}},
			config: keys.Config{
				Sealer: sealer(t, master), Log: slog.New(slog.DiscardHandler),
				MaxAge: 10 * time.Minute, Skew: time.Minute, RotateEvery: 24 * time.Hour, KeepFor: 5 * time.Minute,
			},
		}
		w.slow, w.fast = w.open(open(), behind), w.open(open(), ahead)
		for range 1000 {
			w.rotation()
		}
		if len(w.signers) != 1001 || w.checks < 4000 {
			t.Errorf("%d keys signed, and %d signatures were verified", len(w.signers), w.checks)
		}
	})
}
