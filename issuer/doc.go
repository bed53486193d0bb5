// Package issuer speaks OAuth 2.0 and OpenID Connect to applications.
//
// An application sends a browser to the authorization endpoint and gets back a
// code; it takes the code to the token endpoint and gets tokens; it shows a token
// to a resource. The people using the browser never meet this package: they are
// sent to package web to sign in and consent, and come back.
//
// Everything that an application can hold for a person comes from an
// [Authorization], the record that a person allowed an application something. It is
// one row: its code, once spent, becomes its family of refresh tokens. Codes, refresh
// tokens and access tokens carry its id; revoking it revokes them all.
//
// A request that still waits for its person is not a row. It is sealed, bound to the
// browser that started it, and travels in the address of /authorize/{request}. Its
// id becomes the id of the Authorization, so that it can be answered once only.
//
// # Reading order
//
//   - tables.go is what we speak: paths, scopes and their claims, and the short lists that
//     discovery publishes. authorization.go and client.go are the two things that it is about.
//   - authorize.go and token.go are the two doors. Each reads one request, makes
//     one decision, writes one answer.
//   - checks.go is the list of everything an authorization request must satisfy,
//     in the order in which it is checked, each with its section of the standard.
//   - next.go says what a request still needs: sign-in, consent, or an answer. request.go
//     is what travels meanwhile, browser.go what binds it, pages.go what package web calls,
//     respond.go how the answer goes back.
//   - clientauth.go says which client sends a request; assertion.go and clientsecret.go how it
//     proves that.
//   - grant_*.go is one file for each way to get tokens, with grant_exchange.go's table of tokens
//     that can be exchanged for others; mint.go makes them. apikey.go is API keys, which are
//     exchanged and are clients, and keyasked.go what is told of one that is shown. refresh.go is
//     why a refresh token can be given twice and used once.
//   - userinfo.go, introspect.go and revoke.go are for tokens that come back; shown.go says
//     what such a token is and what stands against it.
//   - endsession.go is how a person leaves, register.go how an application is accepted.
//   - store.go is what the issuer asks its database to remember.
package issuer
