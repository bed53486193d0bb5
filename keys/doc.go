// Package keys answers: with which key do we sign, and which do we still accept?
//
// There are two rings, ES256 and RS256, always both published. A key of a ring is
// first published, then signs, then retires, then is gone:
//
//	published ── at least the JWKS max-age plus clock skew ──▶ active ──▶ retiring ── until the last token it signed has expired ──▶ gone
//
// The times are in the database, so that every copy of the server agrees, and they
// follow from when the key was made: nobody has to do anything at the right moment.
// A copy refreshes its view every few seconds. It refuses to sign and to verify if it has
// not seen the database for a minute: it can't know what was revoked.
//
// A key that is gone from the JWKS is remembered for 90 days more, only to read an
// id_token_hint, which may be expired. A key that was revoked is refused everywhere.
//
// Private keys are sealed (package secret) under a master key that is not in the
// database, with the key's id as associated data. The same store holds the named
// symmetric keys (for refresh tokens, tags, sealed requests), made on first use.
//
// # Reading order
//
//   - store.go is what is remembered.
//   - ring.go is the schedule: a pure function from the stored keys and the time to
//     what signs and what is published.
//   - keyring.go is the running thing: it loads, and holds what is known now.
//   - rotate.go makes keys when they are due, and takes them away.
//   - key.go makes and opens one signing key.
//   - jws.go writes and reads compact signatures.
//   - named.go makes and opens the symmetric keys, and seals everything again.
package keys
