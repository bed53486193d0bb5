package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the table
	_ "crypto/sha512"
	"math/big"
)

// An algorithm is one way to sign, RFC 7518 §3.1.
type algorithm struct {
	hash  crypto.Hash
	curve elliptic.Curve // of ECDSA
	fits  func(a *algorithm, key any) bool
	check func(a *algorithm, key any, signed, signature []byte) bool
}

// algorithms is every algorithm that an issuer can be pinned to. "none" is not one.
var algorithms = map[string]*algorithm{
	"HS256": {hash: crypto.SHA256, fits: fitsHMAC, check: checkHMAC},
	"HS384": {hash: crypto.SHA384, fits: fitsHMAC, check: checkHMAC},
	"HS512": {hash: crypto.SHA512, fits: fitsHMAC, check: checkHMAC},
	"RS256": {hash: crypto.SHA256, fits: fitsRSA, check: checkPKCS1},
	"RS384": {hash: crypto.SHA384, fits: fitsRSA, check: checkPKCS1},
	"RS512": {hash: crypto.SHA512, fits: fitsRSA, check: checkPKCS1},
	"PS256": {hash: crypto.SHA256, fits: fitsRSA, check: checkPSS},
	"PS384": {hash: crypto.SHA384, fits: fitsRSA, check: checkPSS},
	"PS512": {hash: crypto.SHA512, fits: fitsRSA, check: checkPSS},
	"ES256": {hash: crypto.SHA256, curve: elliptic.P256(), fits: fitsECDSA, check: checkECDSA},
	"ES384": {hash: crypto.SHA384, curve: elliptic.P384(), fits: fitsECDSA, check: checkECDSA},
	"ES512": {hash: crypto.SHA512, curve: elliptic.P521(), fits: fitsECDSA, check: checkECDSA},
	"EdDSA": {fits: fitsEd25519, check: checkEd25519},
}

// RFC 7518 §3.2: "A key of the same size as the hash output […] or larger MUST be used".
func fitsHMAC(a *algorithm, key any) bool {
	k, ok := key.([]byte)
	return ok && len(k) >= a.hash.Size()
}

func checkHMAC(a *algorithm, key any, signed, signature []byte) bool {
	mac := hmac.New(a.hash.New, key.([]byte))
	mac.Write(signed)
	return hmac.Equal(mac.Sum(nil), signature)
}

// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". The upper bound is ours:
// what a signature costs to check grows with the square.
func fitsRSA(_ *algorithm, key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 && k.E >= 3
}

func checkPKCS1(a *algorithm, key any, signed, signature []byte) bool {
	return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), a.hash, a.sum(signed), signature) == nil
}

// RFC 7518 §3.5: "The size of the salt value is the same size as the hash function output".
func checkPSS(a *algorithm, key any, signed, signature []byte) bool {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(key.(*rsa.PublicKey), a.hash, a.sum(signed), signature, options) == nil
}

func fitsECDSA(a *algorithm, key any) bool {
	k, ok := key.(*ecdsa.PublicKey)
	return ok && k.Curve == a.curve
}

// RFC 7518 §3.4: the signature is R and S, each as long as the curve's order: no other
// encoding of the same numbers is one.
func checkECDSA(a *algorithm, key any, signed, signature []byte) bool {
	size := (a.curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(key.(*ecdsa.PublicKey), a.sum(signed), r, s)
}

func fitsEd25519(_ *algorithm, key any) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize
}

func checkEd25519(_ *algorithm, key any, signed, signature []byte) bool {
	return ed25519.Verify(key.(ed25519.PublicKey), signed, signature)
}

func (a *algorithm) sum(signed []byte) []byte {
	h := a.hash.New()
	h.Write(signed)
	return h.Sum(nil)
}
