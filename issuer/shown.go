package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"mintmark/internal/secret"
	"mintmark/keys"
)

// A shown is an access token of ours that somebody shows, as it was issued: genuine and not
// expired. What happened to it since is asked with [Provider.against].
type shown struct {
	Issuer        string    `json:"iss"`
	Subject       string    `json:"sub"`
	Audience      oneOrMany `json:"aud"`
	ClientID      string    `json:"client_id"`
	Expires       int64     `json:"exp"`
	IssuedAt      int64     `json:"iat"`
	ID            string    `json:"jti"`
	Scope         string    `json:"scope"`
	Session       string    `json:"sid"`
	AuthTime      int64     `json:"auth_time"`
	ACR           string    `json:"acr"`
	Authorization string    `json:"aid"`  // empty: the client has it for itself
	Key           string    `json:"akid"` // the API key that it came from, or empty

	// standing is nil until it was read.
	standing *Standing
}

func (s *shown) scopes() []string { return strings.Fields(s.Scope) }

// recognise returns the access token that a text is. It is false for everything else: a
// token of others, a refresh or ID token of ours, an expired one. An error means that we don't know.
func (p *Provider) recognise(ctx context.Context, text string, now time.Time) (s shown, ok bool, err error) {
	if id, ok := p.Mint.Parse(secret.KindAccess, text); ok {
		return p.recogniseOpaque(ctx, id, text, now)
	}
	claims, err := p.Keys.Verify(text, "at+jwt")
	if errors.Is(err, keys.ErrSignature) {
		return shown{}, false, nil
	}
	if err != nil {
		return shown{}, false, err
	}
	if err := json.Unmarshal(claims, &s); err != nil {
		return shown{}, false, err // we signed it
	}
	return s, s.Issuer == p.Issuer && s.Expires > now.Unix(), nil
}

func (p *Provider) recogniseOpaque(ctx context.Context, id, text string, now time.Time) (shown, bool, error) {
	t, st, err := p.Store.AccessToken(ctx, id, now)
	if errors.Is(err, ErrNotFound) {
		return shown{}, false, nil
	}
	if err != nil {
		return shown{}, false, err
	}
	s := shown{
		Issuer:        p.Issuer,
		Subject:       t.ClientID,
		Audience:      t.Audience,
		ClientID:      t.ClientID,
		Expires:       t.ExpiresAt.Unix(),
		IssuedAt:      t.IssuedAt.Unix(),
		ID:            t.ID,
		Scope:         strings.Join(t.Scopes, " "),
		Authorization: t.AuthorizationID,
		standing:      &st,
	}
	if len(s.Audience) == 0 {
		s.Audience = oneOrMany{p.Issuer}
	}
	if t.AuthorizationID != "" {
		s.Subject, s.Session, s.AuthTime, s.ACR = st.AccountID, st.SessionID, st.AuthTime.Unix(), st.ACR
	}
	return s, secret.Wrap(text).Digest().Matches(t.Digest) && t.ExpiresAt.After(now), nil
}

// against says what stands against a token at this moment, or "" if it is good. It costs one
// read, or none if that was made to recognise it.
func (p *Provider) against(ctx context.Context, s *shown, now time.Time) (string, error) {
	if s.Key != "" {
		stands, err := p.keyStands(ctx, s.Key, strings.Fields(s.Scope), now)
		if err != nil || !stands {
			return "the API key that it came from is gone, disabled or expired, or has fewer scopes now", err
		}
	}
	if s.standing == nil {
		st, err := p.standingOf(ctx, s, now)
		if errors.Is(err, ErrNotFound) {
			return "the authorization is forgotten", nil
		}
		if err != nil {
			return "", err
		}
		s.standing = &st
	}
	return s.standing.against(), nil
}

func (p *Provider) standingOf(ctx context.Context, s *shown, now time.Time) (Standing, error) {
	if s.Authorization == "" {
		st, err := p.Store.ClientTokenStanding(ctx, s.ClientID, s.ID)
		st.ClientGone = st.ClientGone && s.Key == "" // a key is no client that is stored
		return st, err
	}
	return p.Store.Standing(ctx, s.Authorization, s.ID, now)
}

// against says what stands against everything that came from an authorization, or "".
func (st *Standing) against() string {
	switch {
	case st.TokenRevoked:
		return "the token was revoked"
	case !st.RevokedAt.IsZero():
		return "the authorization was revoked: " + st.RevokeReason
	case st.ClientGone:
		return "the client is gone or disabled"
	case st.PersonGone:
		return "the account is gone or disabled"
	case st.SessionEnded && !st.Offline:
		return "the session has ended"
	}
	return ""
}
