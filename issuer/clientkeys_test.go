package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The story of one jwks_uri, by the clock.
func TestKeysAreFetchedWhenTheyAreNeeded(t *testing.T) {
	fetched := 0
	serves, fails := "a", false
	sets, err := newKeySets(func(context.Context, string) ([]byte, error) {
		fetched++
		if fails {
			return nil, errors.New("unreachable")
		}
		return someKeys(t, serves), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	look := func(after time.Duration, kid, want string, times int) {
		t.Helper()
		keys, err := sets.at(t.Context(), "https://robot.example/keys", kid, began.Add(after))
		got := "nothing"
		if err == nil {
			got = keys[0].KeyID
		}
		if got != want || fetched != times {
			t.Errorf("after %v: got %s with %d requests, want %s with %d", after, got, fetched, want, times)
		}
	}
	look(0, "a", "a", 1)
	look(time.Second, "a", "a", 1)      // remembered
	look(2*time.Second, "b", "a", 1)    // an unknown kid, too soon after the last request
	serves = "b"                        //
	look(31*time.Second, "b", "b", 2)   // an unknown kid
	look(32*time.Second, "", "b", 2)    // any key
	look(40*time.Second, "x", "b", 2)   // a stranger makes up a kid
	look(11*time.Minute, "b", "b", 3)   // ten minutes old
	fails = true                        //
	look(22*time.Minute, "b", "b", 4)   // the old ones are still good
	look(22*time.Minute+1, "b", "b", 4) // and nobody insists
	look(72*time.Minute, "b", "nothing", 5)
	look(72*time.Minute+1, "b", "nothing", 5)
	fails = false
	look(73*time.Minute, "b", "b", 6)
}

func TestAFirstFailureIsNotRepeatedAtOnce(t *testing.T) {
	fetched := 0
	sets, err := newKeySets(func(context.Context, string) ([]byte, error) {
		fetched++
		return []byte("<html>"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 5 {
		if _, err := sets.at(t.Context(), "u", "a", now); err == nil {
			t.Error("HTML was taken for keys")
		}
	}
	if fetched != 1 {
		t.Errorf("%d requests", fetched)
	}
}

// Somebody who hangs up must not keep the others from the keys for half a minute.
func TestFetchingDoesNotDependOnWhoAsked(t *testing.T) {
	sets, err := newKeySets(func(ctx context.Context, _ string) ([]byte, error) {
		return someKeys(t, "a"), ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := sets.at(gone, "u", "a", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestWhichKeysAreUsed(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, k := range []jose.JSONWebKey{
		{KeyID: "small", Key: &small.PublicKey},
		{KeyID: "private", Key: curve},
		{KeyID: "symmetric", Key: []byte("0123456789abcdef0123456789abcdef")},
		{KeyID: "for encryption", Key: &curve.PublicKey, Use: "enc"},
		{KeyID: "good", Key: &curve.PublicKey, Use: "sig"},
	} {
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	texts = append(texts, `{"kty":"MAGIC","kid":"unknown"}`, `7`)
	keys, err := parseKeys([]byte(`{"keys":[` + strings.Join(texts, ",") + `]}`))
	if err != nil || len(keys) != 1 || keys[0].KeyID != "good" {
		t.Errorf("got %v, %v", keys, err)
	}
	many, err := parseKeys([]byte(`{"keys":[` + strings.Repeat(texts[4]+",", 1000) + texts[4] + `]}`))
	if err != nil || len(many) != maxKeys {
		t.Errorf("%d keys, %v", len(many), err)
	}
}

func someKeys(t *testing.T, kid string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: kid}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
