package issuer

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"mintmark/bearer"
	"mintmark/internal/secret"
)

// maxKeyToken is how long a token that came from an API key is good at most: so long does it
// outlive its key where nobody asks or listens.
const maxKeyToken = 15 * time.Minute

// APIKeys is what the issuer asks about API keys. Its implementation must be safe for concurrent
// use. What it remembers costs no I/O; what can't be a key, neither.
//
// It returns [bearer.ErrInvalid] for every key that is not good, whatever is wrong with it,
// [bearer.ErrUnavailable] if it can't tell, and another [*bearer.Error] for a good key that may
// not be used like this: from there, or so often.
type APIKeys interface {
	// Use says whose key was shown, and counts that as a use of it.
	Use(ctx context.Context, key string, from netip.Addr, now time.Time) (APIKey, error)
	// Stands says whether the key of an id is good at this moment and has these scopes. It is no use of it.
	Stands(ctx context.Context, id string, scopes []string, now time.Time) (bool, error)
	// Surrender revokes a key for whoever holds it, from wherever that is.
	Surrender(ctx context.Context, key string, from netip.Addr, now time.Time) error
}

// An APIKey is a good key that was shown. Its lists are shared and must not be changed.
type APIKey struct {
	ID      string
	Subject string // its owner
	// Management says that the key opens the management API and nothing else: it gets no tokens.
	Management bool
	Scopes     []string
	Audience   []string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RateLimit  string    // what is left, as in the RateLimit header; empty: there is no limit
}

// tokenLife is how long a token from the key may be good, that would be good for ttl.
func (k *APIKey) tokenLife(ttl time.Duration, now time.Time) time.Duration {
	ttl = min(ttl, maxKeyToken)
	if !k.ExpiresAt.IsZero() {
		ttl = min(ttl, k.ExpiresAt.Sub(now))
	}
	return ttl
}

// client is the key as a client: one that may get tokens for itself and give them back, and
// nothing else. Its audience is not among what it is registered for: whom a key is for does not
// say who it is.
func (k *APIKey) client() *Client {
	c := &Client{ID: k.ID, Type: "key", AuthMethod: "client_secret_basic", AnySecretMethod: true, Key: k}
	if !k.Management {
		c.GrantTypes = []string{"client_credentials"}
	}
	return c
}

// exchangeKey gives whoever shows an API key a token with the rights of the key, or less.
func (p *Provider) exchangeKey(ctx context.Context, x *exchange) (tokens, error) {
	if p.APIKeys == nil {
		return tokens{}, errBadKey()
	}
	key, err := p.APIKeys.Use(ctx, x.subject, x.address, x.now)
	if err != nil {
		return tokens{}, keyRefusal(err, errBadKey())
	}
	if key.Management {
		return tokens{}, refuse("invalid_request", "A key of the management API can't be exchanged.")
	}
	return p.keyToken(key.client(), x.form, x.now)
}

// errBadKey is for every API key that is not good: RFC 8693 §2.2.2, "the value of the error
// parameter MUST be the invalid_request error code".
func errBadKey() *Error {
	return refuse("invalid_request", "The subject_token is not a valid API key.")
}

// keyToken makes a token for a client that is an API key. It costs nothing but its signature.
func (p *Provider) keyToken(client *Client, f form, now time.Time) (tokens, error) {
	scopes, audience, refusal := p.keyRights(client.Key, f)
	if refusal != nil {
		return tokens{}, refusal
	}
	m := minting{client: client, scopes: scopes, audience: audience, now: now}
	life := p.life(m)
	if now.Add(life).Unix() <= now.Unix() {
		return tokens{}, refuse("invalid_request", "The API key expires in this second.")
	}
	access, _, err := p.mintAccess(m)
	if err != nil {
		return tokens{}, err
	}
	return tokens{access: access, life: life, scopes: scopes}, nil
}

// keyRights are the scopes and the audience that a request asks for of a key's.
func (p *Provider) keyRights(key *APIKey, f form) (scopes, audience []string, refusal *Error) {
	may := key.Scopes
	if slices.ContainsFunc(may, personal) {
		may = slices.DeleteFunc(slices.Clone(may), personal)
	}
	if scopes, refusal = narrowScopes(may, f.get("scope")); refusal != nil {
		return nil, nil, refusal
	}
	audience, refusal = p.audienceOf(key.Audience, f)
	return scopes, audience, refusal
}

// authenticateKey returns the client that an API key is.
func (p *Provider) authenticateKey(r *http.Request, shown proof, now time.Time) (*Client, error) {
	if p.APIKeys == nil {
		return nil, errUnproven(shown.header)
	}
	key, err := p.APIKeys.Use(r.Context(), shown.secret, p.address(r), now)
	if err != nil {
		return nil, keyRefusal(err, errUnproven(shown.header))
	}
	if key.ID != shown.id {
		return nil, errUnproven(shown.header).because(errors.New("the client_id is not the id of the API key"))
	}
	return key.client(), nil
}

// keyRefusal says in the words of OAuth why a key is refused: with bad if it is not good.
func keyRefusal(err error, bad *Error) error {
	e, ok := errors.AsType[*bearer.Error](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, bearer.ErrInvalid):
		return bad.because(err)
	case errors.Is(err, bearer.ErrUnavailable):
		return &Error{Code: "temporarily_unavailable", Description: "The API key can't be verified now.", RetryAfter: e.RetryAfter, cause: err}
	case e.RetryAfter > 0:
		return &Error{Code: e.Code, Description: e.Detail, RetryAfter: e.RetryAfter, cause: err}
	}
	// RFC 6749 §5.2: it is who it says, and may not do this.
	return refuse("unauthorized_client", "%s", e.Detail).because(err)
}

// keyStands says whether the API key that a token came from is still good, and has the token's scopes.
func (p *Provider) keyStands(ctx context.Context, id string, scopes []string, now time.Time) (bool, error) {
	if p.APIKeys == nil {
		return false, nil
	}
	return p.APIKeys.Stands(ctx, id, scopes, now)
}

// keyKinds are the API keys that we made.
var keyKinds = []string{secret.KindServiceKey, secret.KindUserKey, secret.KindTestKey, secret.KindOrganizationKey}

// isKeyOf says whether a text has the form of the API key of an id. It says nothing about
// whether there is such a key, and asks nobody.
func (p *Provider) isKeyOf(id, text string) bool {
	found, ok := p.keyID(text)
	return ok && found == id
}

// keyID returns the id of the API key that a text has the form of.
func (p *Provider) keyID(text string) (string, bool) {
	if p.APIKeys == nil {
		return "", false
	}
	for _, kind := range keyKinds {
		if id, ok := p.Mint.Parse(kind, text); ok {
			return id, true
		}
	}
	return "", false
}

// maybeKey says whether a proof could be the id of an API key and a key that another system made.
func maybeKey(shown proof) bool {
	return len(shown.id) == shortID && secret.IsBase62(shown.id) && shown.secret != ""
}

// shortID is the length of the id of an API key.
const shortID = 11

// address says where a request comes from.
func (p *Provider) address(r *http.Request) netip.Addr {
	if p.Address == nil {
		return netip.Addr{}
	}
	return p.Address(r)
}
