// Package bearer answers: who is calling, and what may they do?
//
// It has one answer, the [Principal], whatever the caller showed: an API key, a Bearer
// token or a session cookie. Any Go service may import this package; it needs neither the
// server nor a database.
//
// A request meets a [Guard]. The guard finds the one credential in it, and refuses a
// request with two, or with one in its address. It hands the credential to a [Verifier]:
// [Tokens] for JWTs of the issuers that it was told to trust, [RemoteKeys] for API keys
// that the issuer is asked about, a function for everything else. Then it compares what
// the principal may do with what the route asks for, and calls the handler, which finds
// the principal with [FromContext]. Every refusal is an [Error]: a challenge of RFC 6750
// and a problem document of RFC 9457.
//
// # Reading order
//
//   - guard.go is a request's way from the door to the handler.
//   - credential.go finds the credential; origin.go decides about cookies and clear text.
//   - challenge.go and refusal.go say no.
//   - tokens.go verifies a JWT, in the order of its checks; jwt.go takes it apart,
//     algorithm.go checks the signature.
//   - source.go keeps an issuer's keys fresh, jwks.go reads them; publickeys.go is that alone,
//     for tokens that are no credentials, such as ID tokens.
//   - feed.go hears what an issuer revokes, and refuses that: listen.go is how it hears, denyset.go
//     what it remembers.
//   - remotekeys.go asks the issuer about an API key, and remembers the answer.
package bearer
