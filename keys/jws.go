package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxToken is the length of the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// ErrSignature means that a token is not one that we signed with a key that is still
// good. The text says what was wrong, and is for the log.
var ErrSignature = errors.New("keys: not signed by us")

// typs is every typ header that we write. A token of one type is never taken for another,
// RFC 8725 §3.11.
var typs = []string{
	"JWT",             // ID tokens, RFC 7519 §5.1
	"at+jwt",          // access tokens, RFC 9068 §2.1
	"auth+jwt",        // who made a request that a proxy lets pass: see Provider.Vouch of package issuer
	"revocations+jwt", // what is revoked, for services that hold a connection
}

// b64 refuses what another encoder would have written differently: of two texts with one
// meaning, one is not ours.
var b64 = base64.RawURLEncoding.Strict()

// headers returns the encoded header of each typ for a key. There are no others: this is
// also what [Keyring.Verify] recognises.
func headers(alg Alg, kid string) []string {
	out := make([]string, len(typs))
	for i, typ := range typs {
		out[i] = b64.EncodeToString([]byte(`{"alg":"` + string(alg) + `","kid":"` + kid + `","typ":"` + typ + `"}`))
	}
	return out
}

// Append appends a JWS in compact form, RFC 7515 §7.1, of the claims, with the key of alg
// that signs now. typ is one of typs. It appends nothing and returns an error
// that wraps [ErrStale] if we can't know whether our key still signs.
//
// Beyond growing dst it allocates what the signature of the standard library allocates.
func (k *Keyring) Append(dst []byte, alg Alg, typ string, claims []byte) ([]byte, error) {
	v, err := k.fresh()
	if err != nil {
		return dst, err
	}
	key, i := v.signs[alg], slices.Index(typs, typ)
	if key == nil || i < 0 {
		return dst, fmt.Errorf("keys: no key signs %s tokens of type %q", alg, typ)
	}
	start := len(dst)
	out := slices.Grow(dst, len(key.headers[i])+1+b64.EncodedLen(len(claims))+1+b64.EncodedLen(key.size))
	out = append(out, key.headers[i]...)
	out = append(out, '.')
	out = b64.AppendEncode(out, claims)
	sum := sha256.Sum256(out[start:])
	var buf [512]byte
	signature, err := key.sign(buf[:0], sum[:])
	if err != nil {
		return dst, fmt.Errorf("signing with %s: %w", key.id, err)
	}
	out = append(out, '.')
	return b64.AppendEncode(out, signature), nil
}

// Verify returns the claims of a token that we signed ourselves, with a key that is in the
// JWKS. The token must have been written with exactly this typ, or with any if typ is
// empty. Nothing else is checked: not the expiry, the issuer or the audience.
//
// An error wraps [ErrSignature], or [ErrStale] if we can't know whether the key was revoked.
func (k *Keyring) Verify(jws, typ string) (claims []byte, err error) {
	return k.verify(jws, typ, false)
}

// VerifyRetained is [Keyring.Verify] with any key that we remember and have not revoked,
// also if it left the JWKS. It is for an id_token_hint, which may be long expired.
func (k *Keyring) VerifyRetained(jws, typ string) (claims []byte, err error) {
	return k.verify(jws, typ, true)
}

// verify trusts nothing of the token but its signature. In particular it does not read the
// header: we know byte for byte which ones we write, and the header that equals one of them
// names the key, and with it the algorithm. What is "none", has a crit, a jwk, a jku or
// another order of members, is not ours. RFC 8725 §3.1, §3.10.
func (k *Keyring) verify(jws, typ string, retained bool) ([]byte, error) {
	v, err := k.fresh()
	if err != nil {
		return nil, err
	}
	if len(jws) > maxToken {
		return nil, refuse("it is longer than 16 KiB")
	}
	header, rest, _ := strings.Cut(jws, ".")
	payload, _, found := strings.Cut(rest, ".")
	if !found {
		return nil, refuse("it does not have three parts")
	}
	was, known := v.accepts[header]
	switch {
	case !known:
		return nil, refuse("its header is none of ours")
	case typ != "" && typ != was.typ:
		return nil, refuse("it is of type " + was.typ)
	case !was.published && !retained:
		return nil, refuse("its key has left the JWKS")
	}
	text := []byte(jws)
	if whole := sha256.Sum256(text); !k.verified.has(&whole, was.key) {
		if err := was.key.signed(text, len(header)+1+len(payload)); err != nil {
			return nil, err
		}
		k.verified.add(&whole, was.key)
	}
	claims, err := b64.DecodeString(payload)
	if err != nil {
		return nil, refuse("its claims are not base64url")
	}
	return claims, nil
}

// signed checks the signature of a token over its first n bytes.
func (k *key) signed(token []byte, n int) error {
	var buf [512]byte
	tail := token[n+1:]
	if b64.DecodedLen(len(tail)) != k.size {
		return refuse("its signature has the wrong length")
	}
	signature, err := b64.AppendDecode(buf[:0], tail)
	if err != nil {
		return refuse("its signature is not base64url")
	}
	if sum := sha256.Sum256(token[:n]); !k.verify(sum[:], signature) {
		return refuse("its signature is wrong")
	}
	return nil
}

func refuse(why string) error { return fmt.Errorf("%w: %s", ErrSignature, why) }

// sign appends the signature of a SHA-256 sum in the form of RFC 7518 §3.3 and §3.4.
func (k *key) sign(dst, sum []byte) ([]byte, error) {
	if k.alg == RS256 {
		signature, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, sum)
		return append(dst, signature...), err
	}
	der, err := ecdsa.SignASN1(rand.Reader, k.ecdsa, sum)
	if err != nil {
		return dst, err
	}
	// "The JWS Signature value MUST be a 64-octet sequence": R and S, each of 32 octets.
	var r, s []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&in, asn1.SEQUENCE) || !in.ReadASN1Integer(&r) || !in.ReadASN1Integer(&s) || len(r) > 32 || len(s) > 32 {
		return dst, errors.New("an ECDSA signature of an unknown form")
	}
	at := len(dst)
	dst = append(dst, make([]byte, 64)...)
	copy(dst[at+32-len(r):], r)
	copy(dst[at+64-len(s):], s)
	return dst, nil
}

func (k *key) verify(sum, signature []byte) bool {
	if k.alg == RS256 {
		return rsa.VerifyPKCS1v15(&k.rsa.PublicKey, crypto.SHA256, sum, signature) == nil
	}
	var r, s big.Int
	return len(signature) == 64 && ecdsa.Verify(&k.ecdsa.PublicKey, sum, r.SetBytes(signature[:32]), s.SetBytes(signature[32:]))
}
