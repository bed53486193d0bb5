// Package apikeys answers: what may this program do for its owner?
//
// A key is a credential of package secret with a public id of 11 characters. It is
// shown once and remembered as its SHA-256. A key that is unknown, wrong, disabled,
// revoked or expired is refused with one and the same error. What is not one of our
// keys (grammar, checksum, tag) is refused without touching the database.
//
// # Reading order
//
//   - registry.go: which keys can be made, and what they may. verify.go: who presents one.
//   - store.go: what is remembered.
package apikeys
