package issuer

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// A grant gets tokens for a client that is authenticated and registered for it. A token exchange
// may come without a client, see [subjectTypes].
type grant func(p *Provider, ctx context.Context, q *tokenRequest) (tokens, error)

// A tokenRequest is a request to the token endpoint.
type tokenRequest struct {
	client  *Client // nil: no client is named, or it is the API key that is exchanged
	form    form
	address netip.Addr // where it comes from; the zero Addr if that is not known
	now     time.Time
}

// grants is every grant type we speak. Discovery publishes their names, and there is no other
// list: to add a grant type, write it and add it here.
var grants = map[string]grant{
	"authorization_code": (*Provider).redeemCode,
	"client_credentials": (*Provider).ownToken,
	"refresh_token":      (*Provider).refresh,
	grantExchange:        (*Provider).exchange,
	grantBearer:          (*Provider).bearerGrant,
}

// Grants returns the grant types of the token endpoint, in order of their names.
func Grants() []string { return slices.Sorted(maps.Keys(grants)) }

// tokens is what a client gets, RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3.
type tokens struct {
	access  []byte
	foreign secret.Token  // in the place of access: the token of somebody else
	life    time.Duration // of the access token
	ends    time.Time     // of a foreign token; zero: nobody knows
	scopes  []string
	id      []byte // empty: none
	refresh string // empty: none
	issued  string // issued_token_type of a token exchange, RFC 8693 §2.2.1; empty: it is none
}

// Token is the token endpoint, RFC 6749 §3.2.
//
// The client is authenticated before the code or the token that it sends is looked at: a
// client that only got its authentication wrong must be able to try again.
func (p *Provider) Token(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	f, err := p.programForm(r)
	if err != nil {
		return err
	}
	q := &tokenRequest{form: f, address: p.address(r), now: now}
	kind := f.get("grant_type")
	alone := p.comesAlone(r, f)
	if !alone {
		if q.client, err = p.authenticate(r, f, now); err != nil {
			return err
		}
	}
	run, known := grants[kind]
	switch {
	case kind == "":
		return refuse("invalid_request", "The parameter grant_type is missing.")
	case !known:
		return refuse("unsupported_grant_type", "grant_type must be one of: %s.", strings.Join(Grants(), ", "))
	case kind == grantExchange && !alone && q.client.Key != nil:
		// RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
		return refuse("invalid_request", "There are two credentials: send an API key as subject_token only.")
	case !alone && !q.client.allows(kind):
		return refuse("unauthorized_client", "This client is not registered for the grant type %s.", kind)
	}
	got, err := run(p, r.Context(), q)
	if err != nil {
		return err
	}
	return got.write(w)
}

// write answers with the tokens. The scope is always there, although RFC 6749 §5.1 wants it
// only if it is not the one that was asked for: clients that don't find it have to guess.
func (t tokens) write(w http.ResponseWriter) error {
	o := newObject()
	defer o.free()
	if t.foreign.IsZero() {
		o.token("access_token", t.access)
	} else {
		o.str("access_token", t.foreign.Reveal())
	}
	o.set("issued_token_type", t.issued)
	o.str("token_type", "Bearer")
	if t.foreign.IsZero() || !t.ends.IsZero() {
		o.num("expires_in", int64(t.life/time.Second)) // RFC 6749 §5.1: "RECOMMENDED"
	}
	o.words("scope", t.scopes)
	o.set("refresh_token", t.refresh)
	if len(t.id) > 0 {
		o.token("id_token", t.id)
	}
	return answer(w, o)
}

// The headers of every answer. They are shared: whoever sets another value replaces them.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noCache  = []string{"no-cache"}
)

// answer sends an object that nobody may keep. RFC 6749 §5.1: "The authorization server MUST
// include the HTTP "Cache-Control" response header field with a value of "no-store" in any
// response containing tokens, credentials, or other sensitive information, as well as the
// "Pragma" response header field with a value of "no-cache"."
func answer(w http.ResponseWriter, o *object) error {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Pragma"] = jsonType, noStore, noCache
	_, err := w.Write(o.end())
	return err
}

// narrowScopes returns the scopes that are asked for, of those that may be had: all of them
// if none is asked for. RFC 6749 §3.3, §6
func narrowScopes(may []string, asked string) ([]string, *Error) {
	if asked == "" {
		return may, nil
	}
	wanted := strings.Fields(asked)
	for _, s := range wanted {
		if !slices.Contains(may, s) {
			return nil, refuse("invalid_scope", "The scope holds more than this client may have here.")
		}
	}
	var granted []string
	for _, s := range may {
		if slices.Contains(wanted, s) {
			granted = append(granted, s)
		}
	}
	return granted, nil
}
