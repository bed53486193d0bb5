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
