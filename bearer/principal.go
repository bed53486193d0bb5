// Package bearer answers: who is calling?
//
// Whoever verifies what a caller showed, an API key, a Bearer token or a session cookie, says
// so with a [Principal], and whatever handles the request finds it in the context. Other Go
// services may import this package; it needs neither the server nor a database.
package bearer

import (
	"context"
	"slices"
	"time"
)

// A Method is how a caller showed who it is.
type Method string

// The methods.
const (
	MethodAPIKey  Method = "api-key"
	MethodBearer  Method = "bearer"
	MethodSession Method = "session"
)

// A Principal is whoever made a request. It is a value; changing a copy changes nothing.
type Principal struct {
	Subject    string    // the account, service account or organization that the request is made for
	ClientID   string    // the OAuth client; for an API key, the key's id
	Method     Method    // how it was shown
	Credential string    // the public id of the credential, for logs and the audit trail
	Scopes     []string  // what it may do, and no more
	ExpiresAt  time.Time // zero if it does not expire
}

// May says whether the principal has a scope.
func (p Principal) May(scope string) bool { return slices.Contains(p.Scopes, scope) }

type contextKey struct{}

// NewContext returns a context that carries p.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the principal of a request, if there is one.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
