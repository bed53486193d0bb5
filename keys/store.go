package keys

import (
	"context"
	"errors"
	"time"
)

// An Alg is a JWS signature algorithm, RFC 7518 §3.1.
type Alg string

// The algorithms that we sign with.
const (
	ES256 Alg = "ES256"
	RS256 Alg = "RS256"
)

// Algs is every ring there is, in the order in which discovery names them.
var Algs = []Alg{RS256, ES256}

// ErrConflict means that another copy of the server made this generation first.
var ErrConflict = errors.New("keys: this generation exists already")

// ErrNotFound means that there is no such key.
var ErrNotFound = errors.New("keys: no such key")

// A Record is a signing key as the database remembers it.
type Record struct {
	ID         string // kid: the JWK thumbprint, RFC 7638
	Alg        Alg
	Generation int64     // 1, 2, 3 … within its algorithm
	Public     []byte    // PKIX, DER
	Sealed     []byte    // PKCS #8, DER, sealed with the id as associated data
	CreatedAt  time.Time // published from here on
	SignsAt    time.Time // may sign from here on
	RevokedAt  time.Time // zero, or neither signs nor is published from here on
}

// A Store remembers keys. Every method is one transaction.
type Store interface {
	// SigningKeys returns every key that has not been forgotten, of both algorithms,
	// by algorithm and generation.
	SigningKeys(ctx context.Context) ([]Record, error)

	// AddSigningKey remembers a key, or returns [ErrConflict] and changes nothing if
	// its algorithm has that generation already. Of any number of copies that rotate
	// at the same time one wins.
	AddSigningKey(ctx context.Context, r Record) error

	// RevokeSigningKey marks a key as revoked, or returns [ErrNotFound]. Revoking it
	// again changes nothing.
	RevokeSigningKey(ctx context.Context, id string, now time.Time) error

	// ForgetSigningKeys deletes keys by id. Unknown ids are passed over.
	ForgetSigningKeys(ctx context.Context, ids []string) error

	// NamedKey returns the sealed symmetric key of that name, remembering candidate
	// if there was none. All callers get the same, however many ask at once.
	NamedKey(ctx context.Context, name string, candidate []byte, now time.Time) ([]byte, error)

	// Reseal replaces sealed bytes everywhere in one transaction: signing keys by id
	// and named keys by name. It is how a master key is rotated.
	Reseal(ctx context.Context, signing, named map[string][]byte) error

	// NamedKeys returns every named key, sealed.
	NamedKeys(ctx context.Context) (map[string][]byte, error)
}
