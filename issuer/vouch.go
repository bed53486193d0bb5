package issuer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mintmark/bearer"
	"mintmark/internal/secret"
	"mintmark/keys"
)

// Verify says who shows an access token of ours, JWT or opaque, and whether it is good at this
// moment: the provider is the [bearer.Verifier] of its own tokens. Unlike a guard elsewhere it asks
// the database about each, and so refuses what was revoked with the next request.
//
// A token must be for the audience that is asked for or, if none is, for the issuer itself:
// RFC 9068 §4, a token for one service must not open another.
func (p *Provider) Verify(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	audience := p.Issuer
	if c.Want != nil && c.Want.Audience != "" {
		audience = c.Want.Audience
	}
	return p.holder(ctx, c.Text, audience, now)
}

// Recognise is Verify for whatever audience the token is.
func (p *Provider) Recognise(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	return p.holder(ctx, c.Text, "", now)
}

// holder says whose an access token is; audience may be empty.
func (p *Provider) holder(ctx context.Context, text, audience string, now time.Time) (bearer.Principal, error) {
	s, ok, err := p.recognise(ctx, text, now)
	switch {
	case err != nil:
		return bearer.Principal{}, fmt.Errorf("%w: %w", bearer.ErrUnavailable, err)
	case !ok:
		return bearer.Principal{}, bearer.ErrInvalid
	case audience != "" && !slices.Contains(s.Audience, audience):
		return bearer.Principal{}, fmt.Errorf("%w: it is for another audience", bearer.ErrInvalid)
	}
	why, err := p.against(ctx, &s, now)
	switch {
	case why != "" && err == nil:
		return bearer.Principal{}, fmt.Errorf("%w: %s", bearer.ErrInvalid, why)
	case err != nil:
		return bearer.Principal{}, fmt.Errorf("%w: %w", bearer.ErrUnavailable, err)
	}
	who := bearer.Principal{
		Subject: s.Subject, ClientID: s.ClientID, Method: bearer.MethodBearer, Credential: s.ID, Scopes: s.scopes(),
		ExpiresAt: time.Unix(s.Expires, 0), Issuer: p.Issuer, Session: s.Session, Authorization: s.Authorization, Key: s.Key, ACR: s.ACR,
	}
	if s.AuthTime != 0 {
		who.AuthTime = time.Unix(s.AuthTime, 0)
	}
	return who, nil
}

// VouchFor is how long a token of [Provider.Vouch] is good.
const VouchFor = time.Minute

// Vouch makes a token that says to one audience who made a request: for the service behind a
// proxy which asked here. It never outlives the credential that was shown, and carries the ids
// that this can be revoked by.
//
// It is of a type of its own, RFC 8725 §3.11, and no access token: nothing was asked of a person
// and nothing limits what it is for, so that only who expects it may take it.
func (p *Provider) Vouch(who bearer.Principal, audience string, now time.Time) (token []byte, until time.Time, err error) {
	until = now.Add(VouchFor).Truncate(time.Second)
	if !who.ExpiresAt.IsZero() && who.ExpiresAt.Before(until) {
		until = who.ExpiresAt.Truncate(time.Second)
	}
	o := newObject()
	defer o.free()
	o.str("iss", p.Issuer)
	o.str("sub", who.Subject)
	o.str("aud", audience)
	o.set("client_id", who.ClientID)
	o.num("exp", until.Unix())
	o.num("iat", now.Unix())
	o.str("jti", secret.NewID(""))
	o.str("auth_method", string(who.Method))
	if len(who.Scopes) > 0 {
		o.words("scope", who.Scopes)
	}
	akid := who.Key
	if who.Method == bearer.MethodAPIKey {
		akid = who.Credential
	}
	o.set("akid", akid)
	o.set("sid", who.Session)
	o.set("aid", who.Authorization)
	o.set("acr", who.ACR)
	if len(who.AMR) > 0 {
		o.list("amr", who.AMR)
	}
	if !who.AuthTime.IsZero() {
		o.num("auth_time", who.AuthTime.Unix())
	}
	token, err = p.Keys.Append(nil, keys.ES256, "auth+jwt", o.end())
	return token, until, err
}
