// Package accounts answers: who are our people, and what may we say about them?
//
// An [Account] is a person. Its id is the "sub" of every token and never changes or
// passes to somebody else; an e-mail address is only a way to sign in. A [Session] is a
// browser that somebody signed in with, remembered on our side: the cookie is a
// random credential, new at every sign-in, stored as its digest.
//
// Nothing here tells a stranger whether an account exists: an unknown address costs
// one password hash like a known one, is counted by the same limits, and gets the
// same words.
//
// # Reading order
//
//   - account.go: adding and changing a person; claims.go: the standard claims;
//     claimchecks.go: what each may be; email.go: when two addresses are one; password.go:
//     which passwords are taken.
//   - directory.go: adding, finding, changing, disabling, removing people; setup.go: the first.
//   - signin.go: the password, the limits, the rehash of imported hashes.
//   - session.go: the life of a session; cookie.go: what the browser holds.
//   - store.go: what is remembered.
package accounts
