package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/internal/secret"
)

// A key is a signing key in memory, ready for use.
type key struct {
	id      string
	alg     Alg
	ecdsa   *ecdsa.PrivateKey // if alg is ES256
	rsa     *rsa.PrivateKey   // if alg is RS256
	size    int               // of a signature, in bytes
	headers []string          // encoded, one for each of typs
	public  jose.JSONWebKey
}

// bits is the size of our RSA keys. RFC 7518 §3.3: "A key of size 2048 bits or larger MUST
// be used". Signing with 3072 takes three times as long.
const bits = 2048

// generate makes a key and the record of it.
func generate(alg Alg, generation int64, sealer *secret.Sealer, now, signsAt time.Time) (Record, error) {
	var private crypto.Signer
	var err error
	if alg == RS256 {
		private, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return Record{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return Record{}, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, err
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return Record{}, err
	}
	return Record{
		ID: id, Alg: alg, Generation: generation,
		Public: public, Sealed: sealer.Seal(plain, signing(id)),
		CreatedAt: now, SignsAt: signsAt,
	}, nil
}

// unseal opens a key. The seal is what vouches for the record: a public key that somebody
// wrote into the database without the master key is never published and never trusted.
func unseal(r *Record, sealer *secret.Sealer) (*key, error) {
	plain, err := sealer.Open(r.Sealed, signing(r.ID))
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, errors.New("its private key is not PKCS #8") // the cause could quote it
	}
	k := &key{id: r.ID, alg: r.Alg, headers: headers(r.Alg, r.ID)}
	var public crypto.PublicKey
	switch private := private.(type) {
	case *ecdsa.PrivateKey:
		k.ecdsa, k.size, public = private, 64, private.Public()
	case *rsa.PrivateKey:
		k.rsa, k.size, public = private, private.Size(), private.Public()
	}
	if (r.Alg == ES256) != (k.ecdsa != nil && k.ecdsa.Curve == elliptic.P256()) || (r.Alg == RS256) != (k.rsa != nil && k.rsa.N.BitLen() == bits) {
		return nil, fmt.Errorf("it is not a key for %s", r.Alg)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	if id, err := thumbprint(public); err != nil || id != r.ID || !bytes.Equal(der, r.Public) {
		return nil, errors.New("its public key belongs to another private key")
	}
	k.public = jose.JSONWebKey{Key: public, KeyID: r.ID, Algorithm: string(r.Alg), Use: "sig"}
	return k, nil
}

// signing is the associated data of a sealed signing key.
func signing(id string) string { return "signing:" + id }

// thumbprint is the kid of a key, RFC 7638: it names this key and no other, wherever it
// is published.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}
