package issuer

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mintmark/bearer"
	"mintmark/internal/secret"
)

// keyAnswer is how long whoever asked about an API key may go by the answer: what that adds to the
// time until a revocation is true everywhere.
const keyAnswer = "private, max-age=5"

// looksLikeKey says whether a token could be an API key: it is neither a JWT nor another of our
// own tokens. A key that another system made has no form that we know.
func (p *Provider) looksLikeKey(text string) bool {
	if p.APIKeys == nil || strings.HasPrefix(text, "eyJ") { // how every JWS begins
		return false
	}
	if _, access := p.Mint.Parse(secret.KindAccess, text); access {
		return false
	}
	_, _, refresh := p.parseRefresh(text)
	return !refresh
}

// introspectKey answers whether an API key is good, RFC 7662 §2.2. It is a use of the key, with
// its limits. Where the key came from can be said in the parameter address, §2.1: "the
// authorization server may desire to know the IP address of the client accessing the protected
// resource"; without it, a key that is bound to networks is not active.
//
// Whoever shows a key could use it, and so learns nothing here. But a service must not take a
// key that is meant for others: to a client that has none of the key's audience it is not active.
func (p *Provider) introspectKey(ctx context.Context, w http.ResponseWriter, o *object, c *Client, text string, f form, now time.Time) error {
	var from netip.Addr
	if said := f.get("address"); said != "" {
		var err error
		if from, err = netip.ParseAddr(said); err != nil {
			return refuse("invalid_request", "The parameter address is not an IP address.")
		}
		from = from.Unmap().WithZone("")
	}
	key, err := p.APIKeys.Use(ctx, text, from, now)
	if why, refused := errors.AsType[*bearer.Error](err); refused && why.RetryAfter == 0 {
		o.flag("active", false)
		return answer(w, o)
	}
	if err != nil {
		return keyRefusal(err, nil)
	}
	if !key.isFor(c) || key.Management && key.ID != c.ID { // that opens the management API, and nothing else
		o.flag("active", false)
		return answer(w, o)
	}
	o.flag("active", true)
	if len(key.Scopes) > 0 {
		o.words("scope", key.Scopes)
	}
	o.str("client_id", key.ID)
	o.str("token_type", "api_key")
	if !key.ExpiresAt.IsZero() {
		o.num("exp", key.ExpiresAt.Unix())
	}
	o.num("iat", key.CreatedAt.Unix())
	o.str("sub", key.Subject)
	if len(key.Audience) > 0 {
		o.oneOrMany("aud", key.Audience)
	}
	o.str("iss", p.Issuer)
	o.set("ratelimit", key.RateLimit)
	if key.RateLimit != "" {
		return answer(w, o) // whoever remembers the answer would not count
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", keyAnswer)
	_, err = w.Write(o.end())
	return err
}

// isFor says whether a client may take the key: it is for nobody in particular, or for the client.
func (k *APIKey) isFor(c *Client) bool {
	if len(k.Audience) == 0 || k.ID == c.ID || slices.Contains(k.Audience, c.ID) {
		return true
	}
	return slices.ContainsFunc(c.Audience, func(mine string) bool { return slices.Contains(k.Audience, mine) })
}

// givesUpKey says whether a request to revoke shows an API key and nothing else. Whoever holds a
// key may revoke it, and needs no client for that: a key that was found somewhere is best
// revoked by whoever finds it, and whoever stole it could do worse.
func (p *Provider) givesUpKey(r *http.Request, f form) bool {
	id, ok := p.keyID(f.get("token"))
	if !ok {
		return false
	}
	shown, refusal := readProof(r, f)
	return refusal == nil && (shown.method == "" || shown.id == id && (shown.secret == "" || shown.secret == f.get("token")))
}

// surrender revokes an API key. One that is not good is what its holder wants it to be.
func (p *Provider) surrender(r *http.Request, text string, now time.Time) error {
	err := p.APIKeys.Surrender(r.Context(), text, p.address(r), now)
	if errors.Is(err, bearer.ErrInvalid) {
		return nil
	}
	if err != nil {
		return keyRefusal(err, nil)
	}
	return nil
}
