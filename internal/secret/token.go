package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
)

// A Token is a bearer credential: whoever holds it may use it.
//
// It prints as "[redacted]" in every form. Its zero value is no credential.
type Token struct {
	_ [0]func() // Not comparable. Compare digests.
	s string
}

// Wrap returns a credential that arrived from outside.
func Wrap(s string) Token { return Token{s: s} }

// Reveal returns the credential, to be sent to its one owner.
func (t Token) Reveal() string { return t.s }

// IsZero says whether there is no credential.
func (t Token) IsZero() bool { return t.s == "" }

// Digest returns the only form of t that may be stored. A plain hash suffices:
// our credentials carry 131 random bits, so there is nothing for a slow hash to slow.
func (t Token) Digest() Digest { return sha256.Sum256([]byte(t.s)) }

// String hides the credential.
func (Token) String() string { return "[redacted]" }

// GoString hides the credential.
func (Token) GoString() string { return "[redacted]" }

// LogValue hides the credential.
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON refuses, so that a credential can't reach a document by reflection.
func (Token) MarshalJSON() ([]byte, error) {
	return nil, errors.New("secret: a token is not written as JSON; reveal it where it is meant to be shown")
}

// A Digest is the SHA-256 of a credential.
type Digest [sha256.Size]byte

// Matches says whether d is the stored digest, in time that does not depend on either.
// A stored digest of another length never matches.
func (d Digest) Matches(stored []byte) bool {
	return subtle.ConstantTimeCompare(d[:], stored) == 1
}

// Bytes returns n bytes from the operating system's generator.
func Bytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}
