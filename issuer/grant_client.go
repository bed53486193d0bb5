package issuer

import (
	"context"
	"slices"
)

// ownToken gives a client a token for itself, RFC 6749 §4.4. There is no refresh token, §4.4.3,
// and no person: nothing that is about one. A JWT costs nothing but its signature.
func (p *Provider) ownToken(ctx context.Context, q *tokenRequest) (tokens, error) {
	client, f, now := q.client, q.form, q.now
	if client.Key != nil {
		return p.keyToken(client, f, now)
	}
	if client.Public() {
		// §4.4: "The client credentials grant type MUST only be used by confidential clients."
		return tokens{}, refuse("unauthorized_client", "A public client can't get a token for itself.")
	}
	may := client.Scopes
	if slices.ContainsFunc(may, personal) {
		may = slices.DeleteFunc(slices.Clone(may), personal)
	}
	scopes, refusal := narrowScopes(may, f.get("scope"))
	if refusal != nil {
		return tokens{}, refusal
	}
	audience, refusal := p.audienceOf(client.Audience, f)
	if refusal != nil {
		return tokens{}, refusal
	}
	access, row, err := p.mintAccess(minting{client: client, scopes: scopes, audience: audience, now: now})
	if err != nil {
		return tokens{}, err
	}
	if row != nil {
		if err := p.Store.SaveAccessToken(ctx, *row); err != nil {
			return tokens{}, err
		}
	}
	return tokens{access: access, life: p.AccessTTL, scopes: scopes}, nil
}

// personal says whether a scope means a sign-in, which a client on its own behalf has not.
func personal(scope string) bool { return scope == "openid" || scope == offlineAccess }
