// Package secret answers one question: how do we hold something that we must
// not keep?
//
// A credential that we hand out (a code, a refresh token, an API key, a cookie)
// is random, is shown once and is remembered only as its SHA-256: see [Token]
// and [Mint]. A password that a person chose is remembered as a slow hash: see
// [Hasher]. What must be read back, such as a private key, is sealed under a
// master key that is not in the database: see [Sealer].
//
// Nothing in this package prints, logs, compares or stores a secret by accident:
// its types redact themselves, cannot be compared with ==, and show what they
// hold only to a caller that says Reveal.
//
// # Reading order
//
//   - token.go is a credential in our hands, mint.go how one is made and recognised.
//   - hasher.go hashes passwords, a few at a time; phc.go is how a hash is written down.
//   - sealer.go is what must be read back.
//   - id.go makes names that are no secrets, pseudonym.go names for what must not be known.
//     base62.go is the alphabet of ids and credentials.
package secret
