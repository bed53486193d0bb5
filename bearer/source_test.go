package bearer_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/bearer"
)

func TestAFloodOfUnknownKidsIsOneFetchInHalfAMinute(t *testing.T) {
	op := newIssuer(t)
	key, forger := newSigner(t, "ES256", "one"), newSigner(t, "ES256", "")
	op.publish(key)
	tokens := op.believing()
	now := time.Now()
	if _, err := tokens.Verify(t.Context(), shown(key.sign(op.good())), now); err != nil {
		t.Fatal(err)
	}
	flood := func(at time.Time) {
		var all sync.WaitGroup
		for n := range 100 {
			forger.kid = fmt.Sprint("forged-", n)
			token := forger.sign(op.good())
			all.Go(func() {
				if _, err := tokens.Verify(t.Context(), shown(token), at); !errors.Is(err, bearer.ErrInvalid) {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	flood(now)
	flood(now.Add(29 * time.Second))
	if n := op.asked.Load(); n != 2 {
		t.Errorf("the keys were fetched %d times, not once at the start and once more", n)
	}
	flood(now.Add(30 * time.Second))
	if n := op.asked.Load(); n != 3 {
		t.Errorf("half a minute later: %d times", n)
	}
}

func TestANewKeyIsFoundAtOnce(t *testing.T) {
	op := newIssuer(t)
	old, fresh := newSigner(t, "ES256", "old"), newSigner(t, "ES256", "new")
	op.publish(old)
	tokens := op.believing()
	now := time.Now()
	before := old.sign(op.good())
	if _, err := tokens.Verify(t.Context(), shown(before), now); err != nil {
		t.Fatal(err)
	}
	op.publish(fresh) // the old one is revoked
	if _, err := tokens.Verify(t.Context(), shown(fresh.sign(op.good())), now); err != nil {
		t.Errorf("by the new key: %v", err)
	}
	if _, err := tokens.Verify(t.Context(), shown(before), now); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("by the revoked key, though it was remembered: %v", err)
	}
}

func TestKeysAreRefreshedAheadAndOnlyWhenUsed(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	tokens := op.believing()
	now, token := time.Now(), key.sign(op.good(claims{"exp": time.Now().Add(9 * time.Hour).Unix()}))
	verify := func(after time.Duration, want int64) {
		t.Helper()
		if _, err := tokens.Verify(t.Context(), shown(token), now.Add(after)); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); op.asked.Load() < want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if n := op.asked.Load(); n != want {
			t.Fatalf("after %s: fetched %d times, not %d", after, n, want)
		}
	}
	verify(0, 1)
	verify(44*time.Minute, 1)
	hold := make(chan struct{})
	op.slow.Store(&hold)
	verifyWhileTheIssuerIsSlow := time.Now()
	if _, err := tokens.Verify(t.Context(), shown(token), now.Add(46*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if time.Since(verifyWhileTheIssuerIsSlow) > 3*time.Second {
		t.Error("a request waited for keys that were not due")
	}
	op.slow.Store(nil)
	close(hold)
	verify(46*time.Minute, 2)
	// Nobody asked for two hours: the next one waits for fresh keys.
	verify(3*time.Hour, 3)
}

func TestTheIssuerIsAway(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	tokens := op.believing(func(i *bearer.Issuer) { i.StaleFor = 30 * time.Minute })
	now := time.Now()
	token := key.sign(op.good(claims{"exp": now.Add(9 * time.Hour).Unix()}))
	verify := func(after time.Duration) error {
		_, err := tokens.Verify(t.Context(), shown(token), now.Add(after))
		return err
	}
	op.away.Store(true)
	if err := verify(0); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("from the start: %v", err)
	}
	op.away.Store(false)
	if err := verify(time.Second); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("a second after a failure it is not asked again: %v", err)
	}
	if err := verify(6 * time.Second); err != nil {
		t.Errorf("it is back: %v", err)
	}
	op.away.Store(true)
	asked := op.asked.Load()
	for range 50 {
		if err := verify(61 * time.Minute); err != nil {
			t.Errorf("within the stated time: %v", err)
		}
	}
	if n := op.asked.Load() - asked; n != 1 {
		t.Errorf("an issuer that is away was asked %d times by 50 requests", n)
	}
	if err := verify(91 * time.Minute); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("after the stated time, though the token is remembered: %v", err)
	}
	op.away.Store(false)
	if err := verify(92 * time.Minute); err != nil {
		t.Errorf("it is back again: %v", err)
	}
}

func TestAllWaitForOneFetch(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	tokens := op.believing()
	now, token := time.Now(), key.sign(op.good())
	hold := make(chan struct{})
	op.slow.Store(&hold)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := tokens.Verify(t.Context(), shown(token), now); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // so that most of them wait; the claim holds in any case
	op.slow.Store(nil)
	close(hold)
	all.Wait()
	if n := op.asked.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestWhatAnIssuerMaySend(t *testing.T) {
	key := newSigner(t, "ES256", "one")
	for _, tt := range []struct {
		name string
		make func(op *issuer)
	}{
		{"Discovery 4.3, metadata of another issuer", func(op *issuer) { op.Prefix = "https://evil.example" }},
		{"64 KiB and more", func(op *issuer) {
			op.body = append([]byte(jsonText(t, map[string]any{"keys": op.public})), bytes.Repeat([]byte(" "), 64<<10)...)
		}},
		{"a page", func(op *issuer) { op.body = []byte("<html>") }},
		{"no keys", func(op *issuer) { op.publish() }},
		{"a thousand keys", func(op *issuer) { op.body = []byte(`{"keys":[` + strings.Repeat(`{},`, 999) + `{}]}`) }},
		{"a secret in public", func(op *issuer) { op.publish(&signer{kid: "one", alg: "HS256", public: make([]byte, 64)}) }},
		{"a private key in public", func(op *issuer) { op.publish(&signer{kid: "one", alg: "ES256", public: key.private}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			op := newIssuer(t)
			op.publish(key)
			tt.make(op)
			if _, err := op.believing().Verify(t.Context(), shown(key.sign(op.good())), time.Now()); !errors.Is(err, bearer.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("RFC 7517 5, keys of other kinds are passed over", func(t *testing.T) {
		op := newIssuer(t)
		op.publish(&signer{kid: "s", alg: "HS256", public: make([]byte, 64)}, key)
		op.body = []byte(strings.Replace(jsonText(t, map[string]any{"keys": op.public}), `"keys":[`, `"keys":[{"kty":"new","kid":"x"},`, 1))
		if _, err := op.believing().Verify(t.Context(), shown(key.sign(op.good())), time.Now()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a redirect", func(t *testing.T) {
		op := newIssuer(t)
		op.publish(key)
		elsewhere := httptest.NewServer(http.RedirectHandler(op.URL+"/jwks", http.StatusFound))
		t.Cleanup(elsewhere.Close)
		tokens := op.believing(func(i *bearer.Issuer) { i.JWKSURL = elsewhere.URL })
		if _, err := tokens.Verify(t.Context(), shown(key.sign(op.good())), time.Now()); !errors.Is(err, bearer.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}
