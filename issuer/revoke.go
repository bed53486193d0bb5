package issuer

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Revoke is the revocation endpoint, RFC 7009. A refresh token takes everything with it that
// came from the same authorization; an access token goes alone. A token that is unknown,
// expired or revoked already is what the client wants it to be: §2.2, "the authorization server
// responds with HTTP status code 200 if the token has been revoked successfully or if the client
// submitted an invalid token".
//
// An API key is revoked for whoever shows it: see [Provider.givesUpKey].
//
// It answers only after the revocation was stored. If that fails, it fails.
func (p *Provider) Revoke(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	f, err := p.programForm(r)
	if err != nil {
		return err
	}
	text := f.get("token")
	if p.givesUpKey(r, f) {
		if err := p.surrender(r, text, now); err != nil {
			return err
		}
		return revoked(w)
	}
	client, err := p.authenticate(r, f, now) // public clients by their client_id, §5
	if err != nil {
		return err
	}
	if text == "" {
		return refuse("invalid_request", "The parameter token is missing.")
	}
	// token_type_hint only helps to look a token up, §2.1. Ours say themselves what they are.
	if p.looksLikeKey(text) {
		err = p.surrender(r, text, now)
	} else if id, generation, ok := p.parseRefresh(text); ok {
		err = p.revokeRefresh(r.Context(), client, id, generation, text, now)
	} else {
		err = p.revokeAccess(r.Context(), client, text, now)
	}
	if err != nil {
		return err
	}
	return revoked(w)
}

func revoked(w http.ResponseWriter) error {
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusOK)
	return nil
}

// errNotTheirs refuses a client that shows another client's token. RFC 7009 §2.1: the server
// "verifies whether the token was issued to the client making the revocation request. If this
// validation fails, the request is refused and the client is informed of the error".
func errNotTheirs() *Error {
	return refuse("invalid_grant", "The token was issued to another client.")
}

func (p *Provider) revokeRefresh(ctx context.Context, c *Client, id string, generation int64, text string, now time.Time) error {
	st, err := p.Store.Standing(ctx, id, "", now)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case !p.isRefresh(&st.Authorization, generation, text):
		return nil
	case st.ClientID != c.ID:
		return errNotTheirs()
	}
	return p.Store.RevokeAuthorization(ctx, id, "revoked by the client", now)
}

func (p *Provider) revokeAccess(ctx context.Context, c *Client, text string, now time.Time) error {
	s, ok, err := p.recognise(ctx, text, now)
	if err != nil || !ok {
		return err
	}
	if s.ClientID != c.ID {
		return errNotTheirs()
	}
	// Longer than it lives: another copy's clock may be behind.
	return p.Store.RevokeToken(ctx, s.ID, time.Unix(s.Expires, 0).Add(skew))
}
