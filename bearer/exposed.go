package bearer

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// checkURL refuses an address with a credential in it, and tells of those that are good.
func (g *Guard) checkURL(r *http.Request, u *url.URL, now time.Time) error {
	if !g.anyInURL(u) {
		return nil
	}
	from := g.address(r, remote(r))
	for _, text := range g.inURL(u) {
		g.exposed(r.Context(), carrier{text: text}, from, ErrInURL, now)
	}
	return ErrInURL
}

// exposed tells of a credential that others may have seen, if it is good for anything.
func (g *Guard) exposed(ctx context.Context, shown carrier, from netip.Addr, how *Error, now time.Time) {
	if g.Exposed == nil || !token68(shown.text) {
		return
	}
	if shown.method == "" {
		found, err := g.bearer(shown.text)
		if err != nil {
			// It may be a key that another system made, which has no form of its own. Only who knows
			// those without asking anybody is asked, as anybody may send anything.
			if _, ok := g.Keys.(recogniser); !ok {
				return
			}
			found = carrier{method: MethodAPIKey, text: shown.text}
		}
		shown = found
	}
	v := g.Tokens
	if shown.method == MethodAPIKey {
		v = g.Keys
	}
	if k, ok := v.(recogniser); ok {
		if p, err := k.Recognise(ctx, Credential{Text: shown.text}, now); err == nil {
			g.Exposed(ctx, p, how)
		}
		return
	}
	var own Principal
	switch lent, err := g.verify(ctx, shown, from, &Rule{}, &own, now); {
	case err != nil:
	case lent != nil:
		g.Exposed(ctx, *lent, how)
	default:
		g.Exposed(ctx, own, how)
	}
}
