package bearer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// maxJWT is the longest JWT that is taken apart by [ParseJWT]. ID tokens may list groups.
const maxJWT = 16 << 10

// PublicKeys are the keys at one address, kept as [Tokens] keeps those of its issuers: fetched
// when they are needed, before their max-age is over, and at most twice a minute because of
// a token that names a key that is not among them. They verify signatures and nothing else.
type PublicKeys struct{ source *keySource }

// NewPublicKeys returns the keys at an address. get gets a document of at most 64 KiB and decides
// whom it speaks to; it is asked by one goroutine at a time. Nothing is fetched yet.
func NewPublicKeys(address string, get func(ctx context.Context, address string) ([]byte, http.Header, error)) *PublicKeys {
	return &PublicKeys{&keySource{issuer: address, location: address, stale: time.Hour, get: get}}
}

// FixedKeys returns the keys of a JWK Set, RFC 7517 §5, which never change: nothing is ever fetched.
func FixedKeys(set []byte) (*PublicKeys, error) {
	keys, err := parseJWKS(set, false)
	if err != nil {
		return nil, err
	}
	s := &keySource{static: true}
	s.set.Store(&keySet{keys: keys})
	return &PublicKeys{s}, nil
}

// A JWT is a token that was taken apart. Nothing of it was verified, and its claims come out
// only of [PublicKeys.Verify].
type JWT struct {
	Algorithm string
	Type      string // typ, as it was sent; may be empty
	KeyID     string // may be empty
	jws       *jws
}

// ParseJWT takes a JWS in compact form apart, or returns an error that wraps [ErrInvalid].
func ParseJWT(token string) (*JWT, error) {
	j, err := parse(token, maxJWT, func(string) (header, bool) { return header{}, false })
	if err != nil {
		return nil, ErrInvalid.because(err)
	}
	return &JWT{j.header.Alg, j.header.Typ, j.header.Kid, j}, nil
}

// Verify returns the claims of a token that was signed with one of the keys and one of the
// algorithms. The error is [ErrInvalid], or [ErrUnavailable] if the keys can't be had.
func (k *PublicKeys) Verify(ctx context.Context, t *JWT, algorithms []string, now time.Time) (claims []byte, err error) {
	if !slices.Contains(algorithms, t.Algorithm) {
		return nil, ErrInvalid.because(errors.New("its algorithm is not one that was agreed on"))
	}
	if _, err := k.source.verify(ctx, t.jws, now); err != nil {
		return nil, err
	}
	return t.jws.payload, nil
}
