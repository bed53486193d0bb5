package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"mintmark/bearer"
	"mintmark/internal/fetch"
	"mintmark/internal/secret"
)

// maxBody bounds what a provider sends at once.
const maxBody = 1 << 20

// A connection is a provider as long as nothing of its row changes that the protocol depends
// on, with what was learned of it: its addresses, its keys, whether it answers.
type connection struct {
	version string
	timeout time.Duration
	fetch   *fetch.Fetcher
	breaker *breaker
	found   discovered
	keys    keyRing
	given   *bearer.PublicKeys // of the row; nil: there are none
}

// A talk is one conversation with a provider: at most [Config.Timeout] long, and bounded by its
// breaker from beginning to end.
type talk struct {
	*connection
	ctx     context.Context
	p       *Provider
	now     time.Time
	outcome outcome // of what was asked last
}

// bounded runs a conversation, if the provider's breaker lets it in.
func (t *talk) bounded(f func() error) error {
	leave, err := t.breaker.enter(t.ctx)
	switch {
	case errors.Is(err, errAway):
		return t.refuse("provider_away", err)
	case err != nil:
		return t.refuse("provider_busy", err)
	}
	browser := t.ctx
	defer func() {
		if t.outcome == silent && browser.Err() != nil {
			t.outcome = unknown // the person went away, and the request with them
		}
		leave(t.outcome)
	}()
	ctx, cancel := context.WithTimeout(browser, t.timeout)
	defer cancel()
	t.ctx = ctx
	return f()
}

// errSilent is in every error that means that there was no answer.
var errSilent = errors.New("it does not answer")

// gone are the statuses of proxies that got no answer. A 500 is not among them: there are
// providers that have one for a code that they don't know, and everybody can send that.
var gone = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// ask sends a request and returns the answer, if it is one of the provider.
func (t *talk) ask(q fetch.Request) (fetch.Answer, error) {
	if q.Limit == 0 {
		q.Limit = maxBody
	}
	a, err := t.fetch.Do(t.ctx, q)
	t.outcome = answered
	switch {
	case errors.Is(err, fetch.ErrTooLong):
		return a, t.refuse("provider_error", err)
	case err != nil:
		t.outcome = silent
		return a, t.refuse("provider_away", fmt.Errorf("%w: %w", errSilent, err))
	case slices.Contains(gone, a.Status):
		t.outcome = silent
		return a, t.refuse("provider_away", fmt.Errorf("%w: %s says %d", errSilent, host(q.URL), a.Status))
	case a.Status == http.StatusTooManyRequests:
		return a, t.refuse("provider_busy", fmt.Errorf("%s says %d", host(q.URL), a.Status))
	case 300 <= a.Status && a.Status < 400:
		return a, t.refuse("provider_error", fmt.Errorf("%s redirects, and is not followed", host(q.URL)))
	}
	return a, nil
}

// show gets a document that is for the holder of an access token, RFC 6750 §2.1.
func (t *talk) show(address, access, accept string) (any, int, error) {
	a, err := t.ask(fetch.Request{URL: address, Header: http.Header{
		"Authorization": {"Bearer " + access}, "Accept": {accept},
	}})
	switch {
	case err != nil:
		return nil, 0, err
	case a.Status != http.StatusOK:
		return nil, a.Status, t.refuse("bad_userinfo", fmt.Errorf("%s says %d", host(address), a.Status))
	case !isJSON(a.Header):
		return nil, a.Status, t.refuse("bad_userinfo", fmt.Errorf("%s sends %.60q", host(address), a.Header.Get("Content-Type")))
	}
	v, err := parseJSON(a.Body)
	if err != nil {
		return nil, a.Status, t.refuse("bad_userinfo", fmt.Errorf("%s: %w", host(address), err))
	}
	return v, a.Status, nil
}

func (t *talk) refuse(code string, cause error) *Refusal { return refuse(code, t.p, cause) }

// isJSON says whether an answer calls itself JSON, RFC 8259 §11, RFC 6839 §3.1.
func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// host is what the log may know of an address.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the provider"
	}
	return u.Host + u.Path
}

// named returns the hosts of a provider's row that may have an address that is not public: those
// that are one by their own name. A name that leads to such an address has to be in
// [Config.Allow]: whoever owns a name can make it lead anywhere.
func named(p *Provider) []string {
	var list []string
	known := placesOf(p)
	for _, address := range []string{p.issuer(), known.Token, known.UserInfo, known.JWKS, known.Revoke, p.EmailsURL, p.ConnectorURL} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			continue
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
		}
		a, err := netip.ParseAddr(u.Hostname())
		if private := err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsPrivate()); private || onThisMachine(u.Hostname()) {
			list = append(list, netJoin(u.Hostname(), port))
		}
	}
	return list
}

func netJoin(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

// connect makes the connection for a row.
func (g *Registry) connect(p *Provider, version string) *connection {
	var given *bearer.PublicKeys
	if len(p.Keys) > 0 {
		var err error
		if given, err = bearer.FixedKeys(p.Keys); err != nil { // of a newer copy of the server
			given = nil
			g.Log.Warn("the keys of a provider can't be read", "provider", p.Name, "err", err)
		}
	}
	c := &connection{
		given:   given,
		version: version,
		timeout: g.Timeout,
		fetch: fetch.New(fetch.Config{
			Allow:   append(named(p), g.Allow...),
			RootCAs: g.RootCAs,
			// The breaker counts callbacks; each asks for one thing after the other. The rest is for
			// what is refreshed in the background.
			PerHost: 2 * inFlight, AtOnce: 2 * inFlight,
			KeepAlive: true,
			Log:       g.Log,
		}),
	}
	row := *p
	ask := func() outcome { return g.knock(c, &row) }
	switch k := kinds[p.Kind]; {
	case k == nil:
	case k.connector:
		ask = func() outcome { return g.ownQuestion(c, &row) }
	case k.tokens:
		ask = nil // no code is redeemed there, and nothing of a stranger's is in what it is asked
	}
	c.breaker = newBreaker(p.Name, g.Log, ask)
	return c
}

// knock asks a provider what every provider has an answer to, and in which nothing comes from a
// person: it redeems a code of ours, which it doesn't know.
func (g *Registry) knock(c *connection, p *Provider) outcome {
	ctx, cancel := context.WithTimeout(g.running, c.timeout)
	defer cancel()
	t := &talk{connection: c, ctx: ctx, p: p, now: time.Now()}
	if known, err := t.places(); err == nil {
		// What it says does not matter, and who says yes to this signs nobody in.
		_, _ = g.exchange(t, known, &attempt{Verifier: secret.Random62(64)}, secret.Random62(32))
	}
	return g.unlessEnding(t.outcome)
}

// unlessEnding is what came of a question of ours: nothing, if we stop, which ends all of them.
func (g *Registry) unlessEnding(o outcome) outcome {
	if g.running.Err() != nil {
		return ending
	}
	return o
}

// connection returns the one for a row as it is now.
func (g *Registry) connection(p *Provider) *connection {
	version := versionOf(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.connections[p.ID]
	if c == nil || c.version != version {
		if c != nil {
			c.fetch.CloseIdle()
		}
		c = g.connect(p, version)
		g.connections[p.ID] = c
	}
	return c
}

// versionOf is a digest of everything in a row that a sign-in in progress relies on.
func versionOf(p *Provider) string {
	all := []any{p.Name, p.Kind, p.Issuer, p.ClientID, p.AuthorizeURL, p.TokenURL, p.UserInfoURL, p.EmailsURL,
		p.JWKSURL, p.Options, p.Algorithms, p.Scopes, p.Mapping, p.Keys}
	if p.ConnectorURL != "" { // sign-ins in progress don't notice that there are connectors now
		all = append(all, p.ConnectorURL)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "" // texts and lists of texts: it does not happen
	}
	return digest(string(text))[:16]
}

// jwks gets keys for a [bearer.PublicKeys].
func (c *connection) jwks(ctx context.Context, address string) ([]byte, http.Header, error) {
	a, err := c.fetch.Do(ctx, fetch.Request{URL: address, Header: http.Header{"Accept": {"application/jwk-set+json, application/json"}}})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", errSilent, err)
	case slices.Contains(gone, a.Status):
		return nil, nil, fmt.Errorf("%w: %s says %d", errSilent, host(address), a.Status)
	case a.Status != http.StatusOK:
		return nil, nil, fmt.Errorf("%s says %d", host(address), a.Status)
	}
	return a.Body, a.Header, nil
}

// keysAt returns the keys at an address. There is one at a time: a provider that moves its keys
// starts anew.
func (c *connection) keysAt(address string) *bearer.PublicKeys {
	c.keys.mu.Lock()
	defer c.keys.mu.Unlock()
	if c.keys.at != address {
		c.keys.at, c.keys.keys = address, bearer.NewPublicKeys(address, c.jwks)
	}
	return c.keys.keys
}
