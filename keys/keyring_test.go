package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/internal/secret"
	"mintmark/keys"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// each tells a story on SQLite and on PostgreSQL. Every open is another copy of the server.
func each(t *testing.T, story func(t *testing.T, open func() keys.Store)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		story(t, func() keys.Store { return open().Keys() })
	})
}

// sqlite is a database of its own.
func sqlite(t testing.TB) keys.Store {
	t.Helper()
	return storagetest.Open(t, storagetest.SQLite(t)).Keys()
}

// master is the master key of every story here.
var master = bytes.Repeat([]byte{7}, 32)

func sealer(t testing.TB, current []byte, older ...[]byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOf is one copy of the server's keyring on a database.
func copyOf(t testing.TB, store keys.Store) *keys.Keyring {
	t.Helper()
	return keys.New(keys.Config{Store: store, Sealer: sealer(t, master), Log: slog.New(slog.DiscardHandler)})
}

func started(t testing.TB, store keys.Store) *keys.Keyring {
	t.Helper()
	k := copyOf(t, store)
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *keys.Keyring, alg keys.Alg, typ, claims string) string {
	t.Helper()
	token, err := k.Append(nil, alg, typ, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// kid returns the key that a token names.
func kid(t testing.TB, token string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header.KeyID
}

// state returns the state of a key now.
func state(k *keys.Keyring, id string) keys.State {
	for _, status := range k.List(time.Now()) {
		if status.ID == id {
			return status.State
		}
	}
	return "unknown"
}

func refresh(t testing.TB, k *keys.Keyring) {
	t.Helper()
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOthersVerifyWhatWeSign(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		k := started(t, open())
		body, etag := k.JWKS()
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(body, &set); err != nil {
			t.Fatal(err)
		}
		if etag == "" || k.Generation() != etag {
			t.Errorf("the JWKS has the tag %s and the generation %s", etag, k.Generation())
		}
		for _, alg := range keys.Algs {
			token := sign(t, k, alg, "at+jwt", `{"sub":"x"}`)
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			head := jws.Signatures[0].Protected
			found := set.Key(head.KeyID)
			if len(found) != 1 || head.ExtraHeaders["typ"] != "at+jwt" {
				t.Fatalf("%s: %d keys in the JWKS, typ %v", alg, len(found), head.ExtraHeaders["typ"])
			}
			claims, err := jws.Verify(found[0])
			if err != nil || string(claims) != `{"sub":"x"}` {
				t.Errorf("%s: %s, %v", alg, claims, err)
			}
			ours, err := k.Verify(token, "at+jwt")
			if err != nil || string(ours) != `{"sub":"x"}` {
				t.Errorf("%s: we say %s, %v", alg, ours, err)
			}
		}
	})
}

func TestTheJWKS(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		k := started(t, open())
		if _, err := k.Rotate(t.Context(), keys.ES256, false); err != nil {
			t.Fatal(err)
		}
		body, _ := k.JWKS()
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(body, &set); err != nil {
			t.Fatal(err)
		}
		public := map[string][]string{
			"RSA": {"alg", "e", "kid", "kty", "n", "use"},
			"EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
		}
		seen := map[any]bool{}
		for _, key := range set.Keys {
			var names []string
			for name := range key {
				names = append(names, name)
			}
			slices.Sort(names)
			if want := public[key["kty"].(string)]; !slices.Equal(names, want) {
				t.Errorf("a key has the members %v and not %v", names, want)
			}
			if seen[key["kid"]] || key["use"] != "sig" {
				t.Errorf("a key is there twice or for something else: %v", key)
			}
			seen[key["kid"]] = true
			// RFC 7638: anyone can compute the kid from the key.
			one, _ := json.Marshal(key)
			var jwk jose.JSONWebKey
			if err := jwk.UnmarshalJSON(one); err != nil {
				t.Fatal(err)
			}
			sum, err := jwk.Thumbprint(crypto.SHA256)
			if err != nil || base64.RawURLEncoding.EncodeToString(sum) != key["kid"] {
				t.Errorf("the kid %v is not the thumbprint", key["kid"])
			}
		}
		if len(set.Keys) != 3 || set.Keys[1]["kid"] != kid(t, sign(t, k, keys.ES256, "JWT", "{}")) {
			t.Errorf("the key that signs is not the first of its algorithm: %s", body)
		}
	})
}

func TestPrivateKeysAreSealedInTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		store := open()
		started(t, store)
		records, err := store.SigningKeys(t.Context())
		if err != nil || len(records) != 2 {
			t.Fatalf("%d keys, %v", len(records), err)
		}
		for _, r := range records {
			if _, err := x509.ParsePKCS8PrivateKey(r.Sealed); err == nil {
				t.Errorf("%s is in clear", r.Alg)
			}
			plain, err := sealer(t, master).Open(r.Sealed, "signing:"+r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
				t.Error(err)
			}
		}
	})
}

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

func TestAKeyThatTheMasterKeyDoesNotVouchForStopsTheStart(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		store := open()
		good := started(t, store)
		refusesToStart := func(what string, master []byte) {
			t.Helper()
			k := keys.New(keys.Config{Store: store, Sealer: sealer(t, master), Log: slog.New(slog.DiscardHandler)})
			if err := k.Start(t.Context()); err == nil {
				t.Errorf("%s: it started", what)
			}
			if _, err := k.Append(nil, keys.ES256, "JWT", nil); !errors.Is(err, keys.ErrStale) {
				t.Errorf("%s: it signs: %v", what, err)
			}
		}
		refusesToStart("another master key", bytes.Repeat([]byte{8}, 32))
		if records, _ := store.SigningKeys(t.Context()); len(records) != 2 {
			t.Fatalf("it made keys: there are %d", len(records))
		}

		// Somebody can write to the database, and has no master key.
		evil := sqlite(t)
		theirs := keys.New(keys.Config{Store: evil, Sealer: sealer(t, bytes.Repeat([]byte{6}, 32)), Log: slog.New(slog.DiscardHandler)})
		if err := theirs.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		records, _ := store.SigningKeys(t.Context())
		planted, _ := evil.SigningKeys(t.Context())
		for i, sealed := range [][]byte{planted[0].Sealed, records[0].Sealed} {
			p := planted[0]
			p.Sealed, p.Generation, p.SignsAt = sealed, 2, time.Now()
			if err := store.AddSigningKey(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			refusesToStart(fmt.Sprintf("a planted key (%d)", i), master)
			if err := good.Load(t.Context()); err == nil {
				t.Error("a running copy took it")
			}
			if _, err := good.Verify(sign(t, theirs, p.Alg, "JWT", "{}"), ""); !errors.Is(err, keys.ErrSignature) {
				t.Errorf("and trusts it: %v", err)
			}
			if err := store.ForgetSigningKeys(t.Context(), []string{p.ID}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestACopyThatIsCutOffStopsSigningAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &memory{}
		k := keys.New(keys.Config{Store: store, Sealer: sealer(t, master), Log: slog.New(slog.NewTextHandler(&log, nil))})
		if _, err := k.Append(nil, keys.ES256, "JWT", nil); !errors.Is(err, keys.ErrStale) {
			t.Errorf("it signs before it has started: %v", err)
		}
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		token := sign(t, k, keys.ES256, "JWT", "{}")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { k.Run(ctx); close(done) }()

		time.Sleep(10*time.Minute + time.Second) // and so never at the moment of a refresh
		if sign(t, k, keys.ES256, "JWT", "{}"); k.Stale() {
			t.Error("it is stale although all is well")
		}
		store.gone.Store(true)
		time.Sleep(50 * time.Second)
		sign(t, k, keys.ES256, "JWT", "{}")
		time.Sleep(20 * time.Second)
		out, err := k.Append([]byte("before"), keys.ES256, "JWT", nil)
		if !errors.Is(err, keys.ErrStale) || string(out) != "before" || !k.Stale() {
			t.Errorf("it signs: %s, %v", out, err)
		}
		if _, err := k.Verify(token, "JWT"); !errors.Is(err, keys.ErrStale) {
			t.Errorf("it verifies: %v", err)
		}
		store.gone.Store(false)
		time.Sleep(5 * time.Second)
		sign(t, k, keys.ES256, "JWT", "{}")
		stop()
		<-done
		if n := strings.Count(log.String(), "refresh failed"); n != 1 {
			t.Errorf("it was logged %d times that it failed:\n%s", n, log.String())
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

func TestNamedKeys(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		const copies = 8
		got := make([][32]byte, copies)
		together(copies, func(i int) {
			var err error
			if got[i], err = copyOf(t, open()).Named(context.Background(), "refresh"); err != nil {
				t.Error(err)
			}
		})
		for _, key := range got {
			if key != got[0] || key == [32]byte{} {
				t.Fatalf("copies have different keys: %x", got)
			}
		}
		k := copyOf(t, open())
		other, err := k.Named(t.Context(), "tags")
		if err != nil || other == got[0] {
			t.Errorf("two names have one key, or %v", err)
		}

		// A named key is bound to its name.
		store := open()
		all, err := store.NamedKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Reseal(t.Context(), nil, map[string][]byte{"tags": all["refresh"]}); err != nil {
			t.Fatal(err)
		}
		if _, err := copyOf(t, store).Named(t.Context(), "tags"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("one key was put in the place of another: %v", err)
		}
	})
}

func TestTheMasterKeyIsReplacedWhileCopiesRun(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		newMaster := bytes.Repeat([]byte{9}, 32)
		with := func(s *secret.Sealer) *keys.Keyring {
			return keys.New(keys.Config{Store: open(), Sealer: s, Log: slog.New(slog.DiscardHandler)})
		}
		start := func(k *keys.Keyring) *keys.Keyring {
			t.Helper()
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return k
		}
		running := start(with(sealer(t, master)))
		token := sign(t, running, keys.ES256, "JWT", "{}")
		name, err := running.Named(t.Context(), "refresh")
		if err != nil {
			t.Fatal(err)
		}
		both := start(with(sealer(t, newMaster, master)))
		if err := both.Rewrap(t.Context(), sealer(t, newMaster)); err != nil {
			t.Fatal(err)
		}
		after := start(with(sealer(t, newMaster)))
		if _, err := after.Verify(token, "JWT"); err != nil {
			t.Errorf("with the new master key alone: %v", err)
		}
		if again, err := after.Named(t.Context(), "refresh"); err != nil || again != name {
			t.Errorf("the named key is another: %v", err)
		}
		if err := with(sealer(t, master)).Start(t.Context()); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("the old master key still opens it: %v", err)
		}
		if _, err := both.Rotate(t.Context(), keys.ES256, true); err != nil {
			t.Fatal(err)
		}
		refresh(t, after) // and the new key was sealed with the new master key
		if err := with(sealer(t, master)).Rewrap(t.Context(), sealer(t, master)); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("it was sealed again by somebody who can't open it: %v", err)
		}
	})
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
