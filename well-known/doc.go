// Package wellknown answers: what can this server do?
//
// Nothing here is written by hand that is true somewhere else. Discovery is computed at
// the start from the tables that run (the grants, the ways to authenticate, the scopes
// and their claims, the signing algorithms), so that it can't promise what isn't there
// or hide what is. It does not change while the server runs: it is bytes, with an ETag.
// The JWKS is bytes too, and changes with the keys.
//
// # Reading order
//
//   - metadata.go is the document: OpenID Connect Discovery §3 and RFC 8414 §2.
//   - handler.go serves it, and the JWKS.
package wellknown
