package issuer

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"mintmark/internal/secret"
)

// grantBearer is RFC 7523 §2.1.
const grantBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// maxOutsideLife is how long a token is good at most that somebody got for one of an outside issuer.
const maxOutsideLife = 15 * time.Minute

// Outside knows whom the tokens of other issuers are about. It must be safe for concurrent use.
type Outside interface {
	// Arrive says whose token it is. For a person it begins a session that nobody has a cookie of
	// and that ends with the token or after life. [ErrNotFound] means that the token is not good, or that
	// whom it is about may not come in; an [*Error] is for whoever asks.
	Arrive(ctx context.Context, brought Brought, life time.Duration, now time.Time) (Arrived, error)
	// Stand says as which API key a token is as good, by a rule of its issuer's row, for whoever asks
	// from there: a use of the key. The key ends with the token, if that is earlier. The errors are those
	// of Arrive, those of [APIKeys] for a key that may not be used like this, and that of may, which is asked
	// about the key: then the token stays unspent.
	Stand(ctx context.Context, token string, from netip.Addr, may func(*APIKey) error, now time.Time) (APIKey, error)
}

// Brought is a token of an outside issuer.
type Brought struct {
	Token  string
	Type   string // its subject_token_type
	Issuer string // the provider whose token it is, by name; empty: the token says so itself
	Client string // the id of the client that brings it
}

// Arrived is the person that an outside token is about.
type Arrived struct {
	Login Login
	IdP   string    // the name of the issuer's row
	Until time.Time // nothing that comes of the token is good for longer
}

// exchangeOther exchanges an access token: one of ours for one of a provider, any other as a token
// of an outside issuer.
func (p *Provider) exchangeOther(ctx context.Context, x *exchange) (tokens, error) {
	_, ours, err := p.recognise(ctx, x.subject, x.now)
	if err != nil {
		return tokens{}, err
	}
	if ours || x.client.Consent != "never" { // what is over, or was changed, is not told apart
		return p.exchangeHeld(ctx, x)
	}
	return p.exchangeOutside(ctx, x)
}

// exchangeOutside gives a client a token for the person of a token of an outside issuer, RFC 8693 §2; or,
// without a client, the program that the token is about a token for itself.
func (p *Provider) exchangeOutside(ctx context.Context, x *exchange) (tokens, error) {
	if x.client == nil {
		return p.exchangeWorkload(ctx, x)
	}
	return p.comeIn(ctx, x.tokenRequest, Brought{Token: x.subject, Type: x.form.get("subject_token_type"), Issuer: x.form.get("subject_issuer")}, refuse("invalid_request", "The subject_token is not a token that is taken here."))
}

// exchangeWorkload gives a program that shows a token about itself what its API key would get, that it does
// not have: who has made the token knows who it is.
func (p *Provider) exchangeWorkload(ctx context.Context, x *exchange) (tokens, error) {
	bad := refuse("invalid_request", "The subject_token is not a token that is taken here without a client.")
	if p.Outside == nil {
		return tokens{}, bad
	}
	key, err := p.Outside.Stand(ctx, x.subject, x.address, func(k *APIKey) error {
		if _, _, refusal := p.keyRights(k, x.form); refusal != nil {
			return refusal
		}
		return nil
	}, x.now)
	if errors.Is(err, ErrNotFound) {
		return tokens{}, bad.because(err)
	}
	if err != nil {
		return tokens{}, keyRefusal(err, bad)
	}
	return p.keyToken(key.client(), x.form, x.now)
}

// bearerGrant is exchangeOutside in the words of RFC 7523 §2.1.
func (p *Provider) bearerGrant(ctx context.Context, q *tokenRequest) (tokens, error) {
	if !q.form.has("assertion") {
		return tokens{}, refuse("invalid_request", "The parameter assertion is missing.")
	}
	// §3.1: "the value of the "error" parameter MUST be the "invalid_grant" error code".
	return p.comeIn(ctx, q, Brought{Token: q.form.get("assertion"), Type: TokenTypeJWT}, refuse("invalid_grant", "The assertion is not a token that is taken here."))
}

// comeIn makes an authorization for the person of an outside token, so that everything that ends one
// ends this. Nobody can be asked for consent, and so it is for clients that need none.
func (p *Provider) comeIn(ctx context.Context, q *tokenRequest, brought Brought, bad *Error) (tokens, error) {
	switch {
	case q.client == nil || q.client.Public() || q.client.Consent != "never":
		return tokens{}, refuse("unauthorized_client", "Tokens of other issuers are for clients that authenticate and need no consent (consent: never).")
	case p.Outside == nil:
		return tokens{}, bad
	}
	may := keep(q.client.Scopes, func(s string) bool { return s != offlineAccess })
	scopes, refusal := narrowScopes(may, q.form.get("scope"))
	if refusal != nil {
		return tokens{}, refusal
	}
	audience, refusal := p.audienceOf(q.client.Audience, q.form)
	if refusal != nil {
		return tokens{}, refusal
	}
	brought.Client = q.client.ID
	who, err := p.Outside.Arrive(ctx, brought, maxOutsideLife, q.now)
	if errors.Is(err, ErrNotFound) {
		return tokens{}, bad.because(err)
	}
	if err != nil {
		return tokens{}, err
	}
	life := min(p.AccessTTL, who.Until.Sub(q.now))
	if q.now.Add(life).Unix() <= q.now.Unix() {
		return tokens{}, bad.because(errors.New("it is over in this second"))
	}
	digest, login, until := secret.NewID(""), who.Login, who.Until
	a := Authorization{
		ID: secret.NewID(""), ClientID: q.client.ID, AccountID: login.AccountID, SessionID: login.SessionID, Scopes: scopes, Audience: audience,
		AuthTime: login.AuthTime, ACR: login.ACR, AMR: login.AMR, IdP: login.IdP, Limits: login.Limits, CreatedAt: q.now,
		CodeDigest: []byte(digest), CodeSpentAt: q.now, // there was never a code
		RotatedAt: q.now, // a token came from it: those who verify elsewhere are told when it ends
		ExpiresAt: until, ForgetAt: until.Add(time.Minute),
	}
	m := minting{client: q.client, a: &a, scopes: scopes, audience: audience, now: q.now, most: life}
	access, row, err := p.mintAccess(m)
	if err != nil {
		return tokens{}, err
	}
	if err := p.Store.Answer(ctx, a, nil); errors.Is(err, ErrSpent) {
		return tokens{}, bad.because(err) // disabled a moment ago
	} else if err != nil {
		return tokens{}, err
	}
	if row != nil {
		if err := p.Store.SaveAccessToken(ctx, *row); err != nil {
			return tokens{}, err
		}
	}
	return tokens{access: access, life: life, scopes: scopes}, nil
}
