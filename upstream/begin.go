package upstream

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// A Purpose is what a sign-in is for. It comes back from [Registry.Finish] as it went in.
type Purpose struct {
	// Request is the issuer's sealed request that waits for its person; may be empty.
	Request string `json:"request,omitempty"`
	// Return is a path of ours, such as "/account?tab=keys", or empty. Anything else is refused
	// at Begin.
	Return string `json:"return,omitempty"`
	// Client and Landing are an application and an address that it has registered; both or none. Whoever
	// begins has looked it up, and whoever finishes does so again.
	Client  string `json:"client,omitempty"`
	Landing string `json:"landing,omitempty"`
	// LinkTo and Session are the account that the identity is to be linked to, and the session
	// that asks; both or none. Whoever finishes compares the session with the one that is there.
	LinkTo  string `json:"link_to,omitempty"`
	Session string `json:"session,omitempty"`

	// The rest is for the provider's page and does not come back.
	LoginHint string `json:"-"`
	Prompt    string `json:"-"` // "", "login", "consent" or "select_account"
	// MaxAge asks when the person proved who they are: max_age of OpenID Connect Core §3.1.2.1, with
	// which auth_time becomes REQUIRED in the ID token. What was proved longer before Begin is
	// refused. A provider without ID tokens can't say: [Identity.AuthTime] is zero.
	MaxAge  *int64   `json:"-"` // seconds; nil: it does not matter
	Locales []string `json:"-"`
}

// Begin starts a sign-in with a provider: it gives the browser a cookie and returns the address
// to send it to. An error is a [*Refusal], or ours. Of the sign-ins that a browser began and did
// not finish, the latest few are kept: r says which there are.
func (g *Registry) Begin(w http.ResponseWriter, r *http.Request, name string, to Purpose, now time.Time) (authorizationURL string, err error) {
	if to.Return != "" && !isOurs(to.Return) {
		return "", refuse("bad_return", nil, nil)
	}
	p, err := g.ByName(r.Context(), name, now)
	if err != nil {
		return "", err
	}
	c := g.connection(&p)
	if c.breaker.open() {
		return "", refuse("provider_away", &p, errAway)
	}
	known, err := g.placesFor(r.Context(), c, &p, now)
	if err != nil {
		return "", err
	}
	a := &attempt{
		Provider: p.ID, Version: c.version, Begun: now.UnixMicro(), Purpose: to,
		MaxAge:   to.MaxAge,
		Nonce:    secret.Random62(32),
		Verifier: secret.Random62(64), // RFC 7636 §4.1: 43 to 128 characters; 256 bits and more
	}
	state := newState()
	address, err := g.authorizationURL(&p, known, a, state)
	if err != nil {
		return "", err
	}
	if err := g.keep(w, r, state, a); err != nil {
		return "", err
	}
	return address, nil
}

// placesFor returns the provider's addresses. It speaks to the provider if it has to, and then
// as bounded as a callback.
func (g *Registry) placesFor(ctx context.Context, c *connection, p *Provider, now time.Time) (places, error) {
	t := &talk{connection: c, ctx: ctx, p: p, now: now}
	if _, ok, err := c.found.fresh(now); ok || err != nil || !needsDiscovery(p, placesOf(p)) {
		return t.places()
	}
	var known places
	err := t.bounded(func() (err error) {
		known, err = t.places()
		return err
	})
	return known, err
}

// authorizationURL is the request of RFC 6749 §4.1.1 and OpenID Connect Core §3.1.2.1.
func (g *Registry) authorizationURL(p *Provider, known places, a *attempt, state string) (string, error) {
	u, err := url.Parse(known.Authorize)
	if err != nil {
		return "", refuse("bad_discovery", p, err)
	}
	k := kinds[p.Kind]
	q := u.Query() // RFC 6749 §3.1: a query that is there "MUST be retained"
	q.Set("response_type", "code")
	q.Set("client_id", p.ClientID)
	q.Set("redirect_uri", g.redirectURI(p))
	q.Set("state", state)
	q.Set("code_challenge", digest(a.Verifier)) // RFC 7636 §4.2, S256
	q.Set("code_challenge_method", "S256")
	scopes := scopesOf(p)
	for name, values := range asked(p, k, known) {
		if name == "scope" {
			scopes = append(scopes, values...)
			continue
		}
		q[name] = values
	}
	q.Set("scope", strings.Join(scopes, " "))
	if k.connect {
		q.Set("nonce", a.Nonce)
	}
	if k.connect && a.MaxAge != nil {
		q.Set("max_age", strconv.FormatInt(*a.MaxAge, 10))
	}
	if k.formPost {
		q.Set("response_mode", "form_post")
	}
	if hint := a.LoginHint; k.connect && hint != "" && len(hint) <= maxText && !strings.ContainsFunc(hint, unprintable) {
		q.Set("login_hint", hint)
	}
	switch {
	case a.Prompt == "login" && k.connect, a.Prompt == "consent", a.Prompt == "select_account" && k.chooses:
		q.Set("prompt", a.Prompt)
	}
	if locales := strings.Join(a.Locales, " "); k.connect && locales != "" && len(locales) <= maxText {
		q.Set("ui_locales", locales)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// scopesOf returns what is asked for. Without openid there is no ID token; Apple has one anyway,
// and does not know the scope by that name.
func scopesOf(p *Provider) []string {
	k := kinds[p.Kind]
	scopes := slices.Clone(p.Scopes)
	if len(scopes) == 0 {
		scopes = slices.Clone(k.scopes)
	}
	if k.connect && p.Kind != "apple" && !slices.Contains(scopes, "openid") {
		scopes = append([]string{"openid"}, scopes...)
	}
	if guild := p.option("guild"); guild != "" && !slices.Contains(scopes, "guilds.members.read") {
		scopes = append(scopes, "guilds.members.read")
	}
	return scopes
}

// asked are the kind's further parameters.
func asked(p *Provider, k *kind, known places) url.Values {
	q := maps.Clone(k.ask)
	if q == nil {
		q = url.Values{}
	}
	if !p.KeepTokens {
		return q
	}
	for name, values := range k.keep {
		if name == "scope" && (len(known.Scopes) > 0 && !slices.Contains(known.Scopes, values[0]) || slices.Contains(p.Scopes, values[0])) {
			continue
		}
		q[name] = values
	}
	return q
}

// redirectURI is where the provider sends the browser back: each provider has its own, so that
// an answer of one can't be taken to another. RFC 9700 §4.4.2.2.
func (g *Registry) redirectURI(p *Provider) string {
	return strings.TrimSuffix(g.Issuer, "/") + "/login/" + p.Name + "/callback"
}

// isOurs says whether a text is a path of this site, for every browser: not an address, and not
// something that browsers take for one.
func isOurs(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") &&
		!strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }) &&
		!strings.Contains(u.Path, "//") && !strings.Contains(u.Path, `\`) && u.Host == "" && u.Scheme == ""
}
