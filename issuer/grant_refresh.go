package issuer

import (
	"context"
	"errors"
	"time"
)

// refresh exchanges a refresh token, RFC 6749 §6: each use moves its family to the next
// generation. As with a code, the tokens are signed before the family moves and only given
// out if it did.
func (p *Provider) refresh(ctx context.Context, q *tokenRequest) (tokens, error) {
	client, f, now := q.client, q.form, q.now
	text := f.get("refresh_token")
	if text == "" {
		return tokens{}, refuse("invalid_request", "The parameter refresh_token is missing.")
	}
	id, generation, ok := p.parseRefresh(text)
	if !ok {
		return tokens{}, errUnknownRefresh()
	}
	// Of any number that show the same token one moves the family. The others find at the second
	// look that it has moved, and get what that one got.
	for range 2 {
		st, err := p.Store.Standing(ctx, id, "", now)
		if errors.Is(err, ErrNotFound) {
			return tokens{}, errUnknownRefresh()
		}
		if err != nil {
			return tokens{}, err
		}
		switch {
		case !p.isRefresh(&st.Authorization, generation, text):
			return tokens{}, errUnknownRefresh()
		case st.ClientID != client.ID:
			// RFC 6749 §5.2: "was issued to another client". It stays good for its own.
			return tokens{}, refuse("invalid_grant", "The refresh token was issued to another client.")
		}
		got, err := p.takeTurn(ctx, client, &st, generation, f, now)
		if !errors.Is(err, ErrSpent) {
			return got, err
		}
	}
	return tokens{}, refuse("invalid_grant", "The refresh token is no longer good.")
}

func errUnknownRefresh() *Error {
	return refuse("invalid_grant", "The refresh token is not one that was issued here, or it is long expired.")
}

// takeTurn does what a genuine refresh token of the client may do now. It returns [ErrSpent] if
// the family moved since it was looked at.
func (p *Provider) takeTurn(ctx context.Context, client *Client, st *Standing, generation int64, f form, now time.Time) (tokens, error) {
	turn := turnOf(st, generation, now, p.RefreshGrace)
	switch turn {
	case turnDead:
		return tokens{}, refuse("invalid_grant", "The refresh token is expired or revoked, or the sign-in that it came from has ended.")
	case turnReused:
		if err := p.Store.RevokeAuthorization(ctx, st.ID, "refresh token reused", now); err != nil {
			return tokens{}, err
		}
		return tokens{}, refuse("invalid_grant", "The refresh token was used before.").because(errors.New("authorization " + st.ID + " is revoked"))
	}
	// RFC 6749 §6: the scope may be less than what was granted, and only this access token has
	// less. The refresh token stays "identical to that of the refresh token included".
	scopes, refusal := narrowScopes(st.Scopes, f.get("scope"))
	if refusal != nil {
		return tokens{}, refusal
	}
	audience, refusal := p.audienceOf(st.Audience, f)
	if refusal != nil {
		return tokens{}, refusal
	}
	got, access, err := p.mintAll(minting{client, &st.Authorization, scopes, audience, now, 0}, &st.Person, "")
	if err != nil {
		return tokens{}, err
	}
	got.refresh = p.refreshToken(&st.Authorization, generation+1).Reveal()
	switch {
	case turn == turnNext:
		err = p.Store.RotateRefresh(ctx, Rotation{ID: st.ID, Generation: generation, Now: now, IdleUntil: now.Add(p.RefreshIdle), Access: access})
	case access != nil:
		err = p.Store.SaveAccessToken(ctx, *access)
	}
	if err != nil {
		return tokens{}, err
	}
	return got, nil
}
