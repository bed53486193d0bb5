// Package admin answers: what may an operator, or a program in an operator's name, look
// at and change over HTTP?
//
// It is a JSON API below /api/v1. A caller shows an API key; the key is verified and its
// scope is checked before anything of the request is decoded, in one place, for every
// operation alike. An operation that has no row in the table of routes does not exist, and
// a row without a scope is open to any good key and to nobody else.
//
// What goes wrong is a problem document (RFC 9457) with a code that programs can rely on,
// and the id of the request, which the log carries too. It names fields and never repeats
// the values that were sent: they may be secrets.
//
// # Reading order
//
//   - routes.go is every operation, on one page.
//   - admin.go puts the handler together; guard.go is who may pass; input.go is what may enter.
//   - page.go is how a list is read, part by part.
//   - problem.go is every refusal there is, and how an error of the parts becomes one.
//   - users.go, clients.go, secrets.go, signingkeys.go, sessions.go, grants.go, info.go are
//     the resources. Each has its JSON form, and its operations.
package admin
