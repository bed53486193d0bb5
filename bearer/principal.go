package bearer

import (
	"context"
	"net/http"
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

// A Principal is whoever made a request. It is a value, but its lists are shared by all
// requests with the same credential: read them, and clone what you want to change.
type Principal struct {
	Subject      string    // the account, service account or organization that the request is made for
	Actor        string    // who acts for the subject, RFC 8693 §4.1; empty if it is the subject itself
	Organization string    // the organization that the request is made in, if it is made in one
	ClientID     string    // the OAuth client; for an API key, the key's id
	Method       Method    // how it was shown
	Credential   string    // the public id of the credential (a key's id, a token's jti), for logs and the audit trail
	Scopes       []string  // what it may do, and no more
	ExpiresAt    time.Time // zero if it does not expire

	Issuer        string // who vouches for it; a subject is unique below its issuer only. Empty: this very process
	Session       string // the session at the issuer, the claim sid
	Authorization string // the authorization that a token came from, the claim aid
	Key           string // the API key that a token was exchanged for, the claim akid

	ACR      string    // how far the sign-in is to be trusted, OpenID Connect Core §2
	AMR      []string  // how the person signed in, RFC 8176
	AuthTime time.Time // when the person signed in; zero if nobody did

	Limits *Limits // what is left of the credential's rate limits; nil if it has none
}

// Limits are what an answer says of rate limits: the fields of draft-ietf-httpapi-ratelimit-headers-10.
type Limits struct {
	Policy string // RateLimit-Policy
	Left   string // RateLimit
}

// Set puts them into the header of an answer. Nil sets nothing.
func (l *Limits) Set(h http.Header) {
	if l != nil {
		h["Ratelimit-Policy"] = []string{l.Policy}
		h["Ratelimit"] = []string{l.Left}
	}
}

// May says whether the principal has a scope.
func (p Principal) May(scope string) bool { return slices.Contains(p.Scopes, scope) }

// goesBy says whether the principal would be gone if any of these was revoked: a
// credential, a session, an authorization, a key or a client.
func (p *Principal) goesBy(ids []string) bool {
	for _, id := range ids {
		switch id {
		case "":
		case p.Credential, p.Session, p.Authorization, p.Key, p.ClientID, p.Subject:
			return true
		}
	}
	return false
}

type contextKey struct{}

// carried is a context with a principal, and the guard that let it in. It is a context
// itself, rather than the value of one, so that a request costs one allocation less.
type carried struct {
	context.Context
	principal *Principal // of all requests with the same token
	by        *Guard
}

// Value returns c itself for our own key.
func (c *carried) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries p.
func NewContext(ctx context.Context, p Principal) context.Context {
	return &carried{Context: ctx, principal: &p}
}

// FromContext returns the principal of a request, if there is one.
func FromContext(ctx context.Context) (Principal, bool) {
	c, ok := ctx.Value(contextKey{}).(*carried)
	if !ok {
		return Principal{}, false
	}
	return *c.principal, true
}
