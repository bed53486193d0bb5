package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Introspect is the introspection endpoint, RFC 7662. A confidential client asks whether a
// token is good at this moment. Of a token that is not good, or that is none of its business,
// it learns nothing but that: §2.2, "the authorization server SHOULD NOT include any additional
// information about an inactive token, including why the token is inactive".
func (p *Provider) Introspect(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	f, err := p.programForm(r)
	if err != nil {
		return err
	}
	client, err := p.authenticate(r, f, now)
	if err != nil {
		return err
	}
	if client.Public() {
		// §2.1: "the protected resource MUST also authenticate itself", or anybody could try tokens.
		return errUnproven(true).because(errors.New("a public client can't introspect"))
	}
	text := f.get("token")
	if text == "" {
		return refuse("invalid_request", "The parameter token is missing.")
	}
	o := newObject()
	defer o.free()
	// token_type_hint is not needed: our tokens say themselves what they are.
	if p.looksLikeKey(text) {
		return p.introspectKey(r.Context(), w, o, client, text, f, now)
	}
	if id, generation, ok := p.parseRefresh(text); ok {
		err = p.introspectRefresh(r.Context(), o, client, id, generation, text, now)
	} else {
		err = p.introspectAccess(r.Context(), o, client, text, now)
	}
	if err != nil {
		return err
	}
	return answer(w, o)
}

// mayIntrospect says whether a token is a client's business: it was issued to it, or it was
// issued for it.
func mayIntrospect(c *Client, s *shown) bool {
	if s.ClientID == c.ID || slices.Contains(s.Audience, c.ID) {
		return true
	}
	return slices.ContainsFunc(c.Audience, func(registered string) bool { return slices.Contains(s.Audience, registered) })
}

func (p *Provider) introspectAccess(ctx context.Context, o *object, c *Client, text string, now time.Time) error {
	s, ok, err := p.recognise(ctx, text, now)
	if err != nil {
		return err
	}
	if !ok || !mayIntrospect(c, &s) {
		o.flag("active", false)
		return nil
	}
	why, err := p.against(ctx, &s, now)
	if err != nil {
		return err
	}
	o.flag("active", why == "")
	if why != "" {
		return nil
	}
	o.set("scope", s.Scope)
	o.str("client_id", s.ClientID)
	o.str("token_type", "Bearer")
	o.num("exp", s.Expires)
	o.num("iat", s.IssuedAt)
	o.str("sub", s.Subject)
	o.oneOrMany("aud", s.Audience)
	o.str("iss", p.Issuer)
	o.str("jti", s.ID)
	if s.Authorization != "" {
		o.set("sid", s.Session)
		o.num("auth_time", s.AuthTime) // RFC 9470 §6.2
		o.set("acr", s.ACR)
		o.raw(claimLimits, s.standing.Limits)
	}
	return nil
}

// introspectRefresh is for the client that has the refresh token: it is nobody else's
// business. A reused one is not revoked by a question.
func (p *Provider) introspectRefresh(ctx context.Context, o *object, c *Client, id string, generation int64, text string, now time.Time) error {
	st, err := p.Store.Standing(ctx, id, "", now)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	active := false
	if err == nil && st.ClientID == c.ID && p.isRefresh(&st.Authorization, generation, text) {
		turn := turnOf(&st, generation, now, p.RefreshGrace)
		active = turn == turnNext || turn == turnAgain
	}
	o.flag("active", active)
	if !active {
		return nil
	}
	ends := st.ExpiresAt
	if st.IdleUntil.Before(ends) {
		ends = st.IdleUntil
	}
	if len(st.Scopes) > 0 {
		o.words("scope", st.Scopes)
	}
	o.str("client_id", st.ClientID)
	o.num("exp", ends.Unix())
	o.num("iat", st.RotatedAt.Unix())
	o.str("sub", st.AccountID)
	o.str("iss", p.Issuer)
	o.set("sid", st.SessionID)
	return nil
}
