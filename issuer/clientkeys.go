package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	keySetsKept = 1000
	// keySetAge is how long a set that was fetched is believed.
	keySetAge = 10 * time.Minute
	// keySetPause is the time between two attempts to fetch one set. Anybody can send an
	// assertion with an unknown kid, so this is also how often a stranger can make us ask.
	keySetPause = 30 * time.Second
	// keySetGrace is how long a set is still used that can't be fetched again.
	keySetGrace = time.Hour
)

// keySets knows the keys with which clients sign: those that are registered, and those that
// are published at a registered jwks_uri, which it fetches and remembers for a while. Keys
// that come inside of an assertion are never looked at. It is safe for concurrent use.
type keySets struct {
	fetch func(ctx context.Context, url string) ([]byte, error)
	mu    sync.Mutex // between looking into held and adding to it
	held  *lru.Cache[string, *keySet]
}

// A keySet is what was found at one address.
type keySet struct {
	mu      sync.Mutex // held while fetching: whoever comes meanwhile needs the same answer
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never
	tried   time.Time
}

func newKeySets(fetch func(context.Context, string) ([]byte, error)) (*keySets, error) {
	held, err := lru.New[string, *keySet](keySetsKept)
	if err != nil {
		return nil, err
	}
	return &keySets{fetch: fetch, held: held}, nil
}

// verify says with an error why a signature is not one of the client's.
func (k *keySets) verify(ctx context.Context, c *Client, signed *jose.JSONWebSignature, now time.Time) error {
	header := signed.Signatures[0].Protected
	var keys []jose.JSONWebKey
	var err error
	if c.JWKSURI != "" {
		keys, err = k.at(ctx, c.JWKSURI, header.KeyID, now)
	} else {
		keys, err = parseKeys(c.JWKS)
	}
	if err != nil {
		return err
	}
	return verifyWith(keys, signed, header)
}

// verifyWith tries the keys that the header can mean: all of them if one of the two has no
// kid. There are at most maxKeys.
func verifyWith(keys []jose.JSONWebKey, signed *jose.JSONWebSignature, header jose.Header) error {
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		// The key decides what its signatures are: an RSA key verifies no ES256. RFC 8725 §3.1
		if _, err := signed.Verify(key.Key); err == nil {
			return nil
		}
	}
	return errors.New("no key of the client verifies the signature")
}

// at returns the keys at an address. It fetches them if they are not known, too old, or if
// none of them has the kid, but not more often than every keySetPause.
func (k *keySets) at(ctx context.Context, url, kid string, now time.Time) ([]jose.JSONWebKey, error) {
	if k.fetch == nil {
		return nil, errors.New("nothing is fetched here")
	}
	k.mu.Lock()
	set, ok := k.held.Get(url)
	if !ok {
		set = new(keySet)
		k.held.Add(url, set)
	}
	k.mu.Unlock()

	set.mu.Lock()
	defer set.mu.Unlock()
	age := now.Sub(set.fetched)
	if (age > keySetAge || !hasKey(set.keys, kid)) && now.Sub(set.tried) >= keySetPause {
		set.tried = now
		// Whoever asked may hang up: the next one would have to wait for the pause to end.
		keys, err := k.get(context.WithoutCancel(ctx), url)
		switch {
		case err == nil:
			set.keys, set.fetched, age = keys, now, 0
		case age > keySetGrace:
			return nil, err
		}
	}
	if age > keySetGrace {
		return nil, errors.New("the keys could not be fetched a moment ago")
	}
	return set.keys, nil
}

func (k *keySets) get(ctx context.Context, url string) ([]jose.JSONWebKey, error) {
	body, err := k.fetch(ctx, url)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

func hasKey(keys []jose.JSONWebKey, kid string) bool {
	for _, key := range keys {
		if kid == "" || key.KeyID == kid {
			return true
		}
	}
	return false
}

// parseKeys returns the keys of a JSON Web Key Set with which signatures can be verified. RFC
// 7517 §5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type)
// values that are not understood by them".
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("a key set that can't be read: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		if bits := rsaBits(key); key.Use != "" && key.Use != "sig" || bits > 0 && (bits < 2048 || bits > 8192) {
			continue
		}
		if keys = append(keys, key); len(keys) == maxKeys {
			break
		}
	}
	return keys, nil
}
