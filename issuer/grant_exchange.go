package issuer

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// Token types: what a token is that is exchanged, and what comes out. RFC 8693 §3, and ours.
const (
	TokenTypeAPIKey      = "urn:mintmark:token-type:api-key"
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TokenTypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	// TokenTypeExternal is a token that says nothing by itself: the connector that subject_issuer names
	// is asked whose it is.
	TokenTypeExternal = "urn:mintmark:token-type:external"
)

// A subjectType is a type of token that can be exchanged for another.
type subjectType struct {
	// alone says that whoever shows the token needs no client to show it for them: the token
	// proves as much as a client's authentication. With one it is another exchange.
	alone bool
	// named says that subject_issuer must say whose token it is, by the name of a provider. Every other
	// type says so itself.
	named bool
	// gets is what requested_token_type may be. The first is what one gets who doesn't ask.
	gets []string
	// exchange makes the other token. It decides by the subject token first: nothing else about
	// the request may be told before that is a good one.
	exchange func(p *Provider, ctx context.Context, x *exchange) (tokens, error)
}

// subjectTypes is every token that can be exchanged, by its subject_token_type. To add one,
// write its exchange and add it here.
var subjectTypes = map[string]subjectType{
	TokenTypeAPIKey:      {true, false, []string{TokenTypeAccessToken, TokenTypeJWT}, (*Provider).exchangeKey},
	TokenTypeAccessToken: {false, false, []string{TokenTypeAccessToken}, (*Provider).exchangeOther},
	TokenTypeIDToken:     {true, false, []string{TokenTypeAccessToken}, (*Provider).exchangeOutside},
	TokenTypeJWT:         {true, false, []string{TokenTypeAccessToken}, (*Provider).exchangeOutside},
	TokenTypeExternal:    {false, true, []string{TokenTypeAccessToken}, (*Provider).exchangeOutside},
}

// SubjectTypes returns what subject_token_type may be, in order.
func SubjectTypes() []string { return slices.Sorted(maps.Keys(subjectTypes)) }

// An exchange is a request to exchange a token, RFC 8693 §2.1, that has what it must have. What
// it asks for besides, with resource, audience and scope, is in its form.
type exchange struct {
	*tokenRequest
	subject string // the token
	wanted  string // the type of token that is to come out, one of those that its row has
}

// exchange is the grant of RFC 8693: a token for another one. There is never a refresh token,
// §2.2.1: what one has in hand can be exchanged again.
func (p *Provider) exchange(ctx context.Context, q *tokenRequest) (tokens, error) {
	x := &exchange{tokenRequest: q, subject: q.form.get("subject_token"), wanted: q.form.get("requested_token_type")}
	kind, known := subjectTypes[q.form.get("subject_token_type")]
	if known && x.wanted == "" {
		x.wanted = kind.gets[0]
	}
	// §2.2.2: whatever is not valid or not acceptable about the tokens is invalid_request.
	switch {
	case x.subject == "":
		return tokens{}, refuse("invalid_request", "The parameter subject_token is missing.")
	case !known:
		return tokens{}, refuse("invalid_request", "subject_token_type must be one of: %s.", strings.Join(SubjectTypes(), ", "))
	case !slices.Contains(kind.gets, x.wanted):
		return tokens{}, refuse("invalid_request", "requested_token_type must be one of: %s.", strings.Join(kind.gets, ", "))
	case kind.named && !q.form.has("subject_issuer"):
		return tokens{}, refuse("invalid_request", "The parameter subject_issuer is missing: the name of the provider whose token it is.")
	case !kind.named && q.form.has("subject_issuer"):
		// To ignore it would be to take the token of one issuer for that of another.
		return tokens{}, refuse("invalid_request", "subject_issuer is for the subject_token_type %s. Other tokens say themselves whose they are.", TokenTypeExternal)
	case q.form.has("actor_token") || q.form.has("actor_token_type"):
		// To ignore it would be to give a token to somebody who acts for another, and not to say so.
		return tokens{}, refuse("invalid_request", "An actor_token is not taken here.")
	}
	got, err := kind.exchange(p, ctx, x)
	got.issued = x.wanted
	return got, err
}

// comesAlone says whether a request exchanges a token that proves enough by itself, and shows
// nothing else that could prove who sends it. Some libraries can't leave out the client_id: that
// of an API key may be there.
func (p *Provider) comesAlone(r *http.Request, f form) bool {
	kind, known := subjectTypes[f.get("subject_token_type")]
	if f.get("grant_type") != grantExchange || known && !kind.alone { // a type that nobody knows is refused as such
		return false
	}
	shown, refusal := readProof(r, f)
	if refusal != nil {
		return false // authenticate says so again
	}
	return shown.method == "" || shown.method == "none" && p.isKeyOf(shown.id, f.get("subject_token"))
}
