package bearer

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The limits of a set of keys.
const (
	maxKeys = 64
	maxTry  = 4 // keys that one token is tried with, if it does not say with which
)

// A key verifies signatures.
type key struct {
	id  string // empty: it is the key of every token
	alg string // the only algorithm that it is for; empty: any that fits
	key any
}

// A keySet is an issuer's keys at some time. It does not change.
type keySet struct {
	keys       []key
	generation uint64    // grows when the keys change, so that what they verified is verified anew
	refreshAt  time.Time // when to ask again, without haste
	expiresAt  time.Time // when to ask again before using them
}

// parseJWKS reads a JWK Set, RFC 7517 §5. Keys that are not for us (of other types, for
// encryption, private) are left out, as §5 wants; only a set without any is an error.
func parseJWKS(text []byte, symmetric bool) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("reading the JWKS: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the JWKS has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []key
	for _, raw := range set.Keys {
		var jwk jose.JSONWebKey
		if err := jwk.UnmarshalJSON(raw); err != nil || jwk.Use != "" && jwk.Use != "sig" {
			continue
		}
		if _, secret := jwk.Key.([]byte); secret != symmetric || !secret && !jwk.IsPublic() {
			continue
		}
		k := key{jwk.KeyID, jwk.Algorithm, jwk.Key}
		if k.good() {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWKS has no key that verifies signatures")
	}
	return keys, nil
}

// parsePEM reads public keys and certificates. What a certificate says besides its key is
// not looked at: it was trusted by being put there.
func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var k key
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			k.key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			k.key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				k.key = c.PublicKey
			}
		default:
			err = fmt.Errorf("it has a block of type %s", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the PEM: %w", err)
		}
		if k.good() {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the PEM has no key that verifies signatures")
	}
	return keys, nil
}

// good says whether there is an algorithm that the key is for and fits.
func (k *key) good() bool {
	for name := range algorithms {
		if k.fits(name) {
			return true
		}
	}
	return false
}

// fits says whether the key may verify signatures of an algorithm. The key decides: an RSA
// key is never the secret of an HMAC, RFC 8725 §2.1.
func (k *key) fits(alg string) bool {
	a := algorithms[alg]
	return a != nil && (k.alg == "" || k.alg == alg) && a.fits(a, k.key)
}

// verify checks a signature with the keys that a token names, and says whether there are any.
func (s *keySet) verify(kid, alg string, signed, signature []byte) (known, ok bool) {
	tries := 0
	for i := range s.keys {
		k := &s.keys[i]
		if kid != "" && k.id != "" && k.id != kid || !k.fits(alg) {
			continue
		}
		if tries++; tries > maxTry {
			break
		}
		a := algorithms[alg]
		if a.check(a, k.key, signed, signature) {
			return true, true
		}
	}
	return tries > 0, false
}
