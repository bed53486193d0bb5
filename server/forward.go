package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"mintmark/bearer"
	"mintmark/issuer"
)

// pathVerify is where a proxy asks whether a request may pass, below the issuer.
const pathVerify = "/auth/verify"

// What a proxy is told about who makes a request, in the header of the answer, and may pass on
// to the service behind it. All of them are in every 200, empty or not, so that a proxy which
// copies what it gets leaves nothing standing of what the client sent under these names.
const (
	headerSubject    = "X-Auth-Subject"
	headerMethod     = "X-Auth-Method" // api-key, bearer or session
	headerClient     = "X-Auth-Client"
	headerCredential = "X-Auth-Credential" // its public id
	headerScopes     = "X-Auth-Scopes"     // separated by spaces
	headerToken      = "X-Auth-Token"      // the same as a JWT, for the audience that was asked for
)

// How proxies tell about the request that they have. Who asks below pathVerify, as Envoy does,
// asks with its method, path and query.
//
// A method is believed only from a proxy that is trusted, or on this machine, and only if all
// that is said is the same: a proxy sets its own field, and passes those of the others on as the
// client sent them.
var (
	originalAddress = []string{
		"X-Original-Uri",  // nginx
		"X-Original-Url",  // nginx for Kubernetes
		"X-Forwarded-Uri", // Caddy, Traefik
	}
	originalMethod = []string{
		"X-Original-Method",  // nginx
		"X-Forwarded-Method", // Caddy, Traefik
	}
)

// What a proxy wants that asks below pathVerify: there the query is the client's, and nothing in
// it says what to ask for.
const (
	wantScope    = "X-Auth-Want-Scope"
	wantAudience = "X-Auth-Want-Audience"
)

// forward answers a proxy: nginx's auth_request, Traefik's ForwardAuth, Caddy's forward_auth,
// Envoy's ext_authz. The request has the credential of the original one. The query is the
// operator's, who wrote it into the configuration of the proxy: ?scope=a+b&audience=URL.
//
// Whoever sends the request may ask for more or less than the operator does. It does them no
// good: the answer tells them what they have shown themselves, and the service does not see it.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) error {
	g := s.guards.forward
	rule, err := s.vouchers.rule(r)
	if err != nil {
		if exposed := g.CheckURL(r, r.URL); exposed != nil {
			return s.denied(w, rule, exposed)
		}
		return err
	}
	if err := s.checkOriginal(r); err != nil {
		return s.denied(w, rule, err)
	}
	if r.Header["Cookie"] != nil {
		r = s.asOriginal(r)
	}
	p, err := g.Identify(r, *rule)
	if err != nil {
		return s.denied(w, rule, err)
	}
	v, err := s.vouchers.voucher(&p, rule.Audience, time.Now())
	if err != nil {
		return err
	}
	h := w.Header()
	// They are for browsers and for bodies, of which there is none. A header of more than eight
	// fields is a large map.
	delete(h, "Content-Security-Policy")
	delete(h, "X-Content-Type-Options")
	delete(h, "Strict-Transport-Security")
	h[headerSubject], h[headerMethod], h[headerClient] = v.subject, v.method, v.client
	h[headerCredential], h[headerScopes], h[headerToken] = v.credential, v.scopes, v.token
	p.Limits.Set(h)
	w.WriteHeader(http.StatusOK)
	return nil
}

// denied sets the challenges of a refusal, and returns it.
func (s *Server) denied(w http.ResponseWriter, rule *bearer.Rule, err error) error {
	e := s.guards.forward.Challenge(w.Header(), *rule, err)
	if e.Status == http.StatusInternalServerError {
		return err // a fault of ours, or of the database
	}
	return &guarded{e, err}
}

// checkOriginal refuses a request whose own address, as the proxy tells it, has a credential in it.
func (s *Server) checkOriginal(r *http.Request) error {
	for _, name := range originalAddress {
		for _, line := range r.Header[name] {
			u, err := url.ParseRequestURI(line)
			if err != nil {
				u = &url.URL{Path: line, RawQuery: line} // whatever that is, others have read it
			}
			if err := s.guards.forward.CheckURL(r, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// asOriginal returns the request with the method of the original one, which decides whether
// another site may have had the browser send its cookie. If nobody says which that was, it is
// as if there was no cookie: a GET of the proxy may have been anything.
func (s *Server) asOriginal(r *http.Request) *http.Request {
	original := *r
	original.Method = s.methodOfOriginal(r)
	if original.Method == "" {
		original.Header = r.Header.Clone()
		original.Header.Del("Cookie")
		original.Method = r.Method
	}
	return &original
}

// methodOfOriginal is empty if it is not known.
func (s *Server) methodOfOriginal(r *http.Request) string {
	if from := remote(r); !from.IsLoopback() && !s.proxies.trust(from) {
		return ""
	}
	said := ""
	if r.URL.Path != pathVerify {
		said = r.Method
	}
	for _, name := range originalMethod {
		for _, method := range r.Header[name] {
			switch {
			case said == "":
				said = method
			case said != method:
				return ""
			}
		}
	}
	return said
}

// vouchers is what is remembered of who may pass: for the same credential and audience a new
// token is not signed for every request. It is safe for concurrent use.
type vouchers struct {
	provider *issuer.Provider
	rules    *lru.Cache[string, *bearer.Rule] // by query
	held     *lru.Cache[vouched, *voucher]
}

// vouched is what a voucher is for.
type vouched struct {
	method               bearer.Method
	credential, audience string
}

// A voucher is the header of an answer.
type voucher struct {
	who                                                bearer.Principal
	until                                              time.Time // when it is not used any more
	subject, method, client, credential, scopes, token []string
}

const (
	rulesMost    = 256
	ruleLongest  = 2000
	vouchersMost = 16384
	// voucherFor is how long a token is given again: half of its life, so that the service which
	// gets it has as much left.
	voucherFor = issuer.VouchFor / 2
)

func newVouchers(p *issuer.Provider) *vouchers {
	// Only a size below one is an error.
	rules, _ := lru.New[string, *bearer.Rule](rulesMost)
	held, _ := lru.New[vouched, *voucher](vouchersMost)
	return &vouchers{p, rules, held}
}

var errBadWish = &refusal{status: 400, code: "invalid_request", text: "The proxy asks with ?scope=… (names, separated by spaces) and audience=…, each once, and nothing else."}

// rule returns what the operator wants of a request.
func (v *vouchers) rule(r *http.Request) (*bearer.Rule, error) {
	query := r.URL.RawQuery
	if r.URL.Path != pathVerify {
		query = url.Values{"scope": {strings.Join(r.Header[wantScope], " ")}, "audience": {r.Header.Get(wantAudience)}}.Encode()
	}
	if query == "" {
		return &bearer.Rule{}, nil
	}
	if rule, ok := v.rules.Get(query); ok {
		return rule, nil
	}
	if len(query) > ruleLongest {
		return &bearer.Rule{}, errBadWish
	}
	rule, ok := parseRule(query)
	if !ok {
		return rule, errBadWish
	}
	v.rules.Add(strings.Clone(query), rule)
	return rule, nil
}

func parseRule(query string) (rule *bearer.Rule, ok bool) {
	rule = &bearer.Rule{}
	values, err := url.ParseQuery(query)
	if err != nil {
		return rule, false
	}
	for name, all := range values {
		switch {
		case len(all) != 1:
			return rule, false
		case name == "scope":
			rule.All = strings.Fields(all[0])
		case name == "audience":
			rule.Audience = all[0]
		default:
			return rule, false
		}
	}
	bad := func(s string) bool {
		return strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
	}
	return rule, !slices.ContainsFunc(rule.All, bad) && !bad(rule.Audience)
}

// voucher returns what to say of a principal.
func (v *vouchers) voucher(p *bearer.Principal, audience string, now time.Time) (*voucher, error) {
	of := vouched{p.Method, p.Credential, audience}
	if held, ok := v.held.Get(of); ok && now.Before(held.until) && held.isFor(p) {
		return held, nil
	}
	made := &voucher{
		who: *p, until: now.Add(voucherFor),
		subject: plain(p.Subject), method: plain(string(p.Method)), client: plain(p.ClientID),
		credential: plain(p.Credential), scopes: plain(strings.Join(p.Scopes, " ")), token: []string{""},
	}
	if audience != "" {
		token, until, err := v.provider.Vouch(*p, audience, now)
		if err != nil {
			return nil, err
		}
		made.token = []string{string(token)}
		if until.Before(made.until) {
			made.until = until
		}
	}
	v.held.Add(of, made)
	return made, nil
}

// isFor says whether nothing of what was said has changed.
func (v *voucher) isFor(p *bearer.Principal) bool {
	return v.who.Subject == p.Subject && v.who.ClientID == p.ClientID && v.who.ExpiresAt.Equal(p.ExpiresAt) &&
		v.who.AuthTime.Equal(p.AuthTime) && slices.Equal(v.who.Scopes, p.Scopes)
}

// plain is a value as it may stand in a header. What is not visible ASCII is percent-encoded, and
// so is the percent sign: two values never look the same, and none begins a line of its own.
func plain(s string) []string {
	odd := func(c byte) bool { return c < ' ' || c > '~' || c == '%' }
	n := 0
	for i := range len(s) {
		if odd(s[i]) {
			n++
		}
	}
	if n == 0 {
		return []string{s}
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; odd(c) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return []string{string(b)}
}

// guarded is a refusal of a guard.
type guarded struct {
	say   *bearer.Error
	cause error
}

// Error is for the log: it has the cause, and never the credential.
func (g *guarded) Error() string { return g.cause.Error() }

// Unwrap returns the refusal.
func (g *guarded) Unwrap() error { return g.cause }
