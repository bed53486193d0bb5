package web

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mintmark/issuer"
	"mintmark/upstream"
)

// Begin sends the browser to a provider: what the buttons of the sign-in page link to, and any page of
// an application may. It serves PathLogin/{provider}, with a way back: see [Site.wayBack].
//
// A script or a program that asks for JSON gets the provider's address in it, instead of a
// redirect. The cookie that comes with it binds the sign-in to whoever asked: only a browser
// that has it can finish, so that nobody can be signed in by an address that somebody else got.
func (s *Site) Begin(w http.ResponseWriter, r *http.Request) error {
	name := nameIn(r.URL.Path, "")
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	to, _, err := s.wayBack(r, form)
	if err != nil {
		return err
	}
	script := ofItsApplication(r, to)
	if embedded(r) && !script {
		// It would leave a cookie of ours for every picture that a page shows.
		return &Refusal{Status: http.StatusForbidden, Code: "access_denied", Title: "Not from another site",
			Text: "A page of another site can link to this address, and not load it."}
	}
	now := time.Now()
	if err := s.specify(r, form, &to); err != nil {
		return err
	}
	address, err := s.begin(w, r, name, to, now)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Vary", "Accept, Origin")
	if script {
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Allow-Credentials", "true") // the cookie of the attempt is one
	}
	if !WantsJSON(r) {
		sendTo(w, address)
		return nil
	}
	body, err := json.Marshal(struct {
		AuthorizationURL string `json:"authorization_url"`
	}{address})
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.Write(body) // if nobody reads it, there is nobody to tell
	return nil
}

// begin is where every sign-in with a provider begins.
func (s *Site) begin(w http.ResponseWriter, r *http.Request, name string, to upstream.Purpose, now time.Time) (address string, err error) {
	if s.Upstream == nil {
		return "", s.refused(upstream.ErrUnknown, name, to)
	}
	from := s.network(r)
	if wait := s.begun.take(from, now); wait > 0 {
		return "", s.refused(tooMany(wait, "Too many sign-ins with a provider were begun in your network, and not finished."), name, to)
	}
	if address, err = s.Upstream.Begin(w, r, name, to, now); err != nil {
		s.begun.giveBack(from)
		return "", s.refused(err, name, to)
	}
	return address, nil
}

// specify adds what the request, or the page that sent the person, wants of the provider.
func (s *Site) specify(r *http.Request, form url.Values, to *upstream.Purpose) error {
	if to.Request == "" {
		if form.Has("again") {
			to.Prompt = "login" // whether it had an effect, the account page looks at
		}
		return nil
	}
	pending, err := s.Provider.Pending(r, to.Request)
	if err != nil {
		return err
	}
	wants(pending, to)
	return nil
}

// wants passes on what the application asks for. prompt=login is real only if the provider says
// when the person proved who they are, and it has to say so only to max_age.
func wants(pending issuer.Pending, to *upstream.Purpose) {
	to.LoginHint, to.Locales = pending.LoginHint, pending.UILocales
	if pending.Recent {
		age := pending.MaxAge
		to.MaxAge = &age
		if age == 0 {
			to.Prompt = "login"
		}
	}
	if to.Prompt == "" && pending.SelectAccount {
		to.Prompt = "select_account"
	}
}

// WantsJSON says whether a request for a provider's address is one of a script or a program.
func WantsJSON(r *http.Request) bool {
	if r.URL.Query().Get("mode") == "json" {
		return true
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, err := mime.ParseMediaType(part)
		if err == nil && (kind == "text/html" || kind == "application/json") {
			return kind == "application/json"
		}
	}
	return false
}

// ofItsApplication says whether a script asks for a provider's address, and it runs on the origin of
// the page that the person goes back to, which its application has registered. It has to be of our
// site (Fetch §3.7): a browser keeps no SameSite cookie for a script of another, and nobody
// could finish.
func ofItsApplication(r *http.Request, to upstream.Purpose) bool {
	origin := r.Header.Get("Origin")
	if to.Landing == "" || origin == "" || !WantsJSON(r) || r.Header.Get("Sec-Fetch-Mode") != "cors" || r.Header.Get("Sec-Fetch-Site") != "same-site" {
		return false
	}
	at, ok := issuer.Origin(to.Landing)
	return ok && origin == at // byte for byte: RFC 6454 §6.2 leaves nothing to read into it
}

// embedded says whether a page of another site loads an address without going there, also into a
// frame. Browsers that don't say are too old to be many.
func embedded(r *http.Request) bool {
	site, mode, into := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	elsewhere := site == "cross-site" || site == "same-site"
	return elsewhere && (mode != "" && mode != "navigate" || into != "" && into != "document")
}

// nameIn returns the name of the provider in the path of a request: what is between the last slash
// and what follows the name. Whatever it is, a provider may be called login, too.
func nameIn(path, after string) string {
	path = strings.TrimSuffix(path, after)
	return path[strings.LastIndexByte(path, '/')+1:]
}

// providerPath is the address of a provider's button.
func (s *Site) providerPath(name string, to upstream.Purpose) string {
	return withQuery(s.path(PathLogin)+"/"+name, wayQuery(to))
}

// loginPath is the address of the sign-in page. choose keeps it from going straight on to the
// provider that the application suggests.
func (s *Site) loginPath(to upstream.Purpose, choose bool) string {
	q := wayQuery(to)
	if to.Request != "" && choose {
		q.Set("choose", "1")
	}
	return withQuery(s.path(PathLogin), q)
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// A provider is how one is shown.
type provider struct {
	Name, Title string
	Address     string // of its button
}

// Initial is the first letter of the title.
func (p provider) Initial() string { return person{Name: p.Title}.Initial() }

// providers returns with whom a person can sign in for a request: everybody's and those of its
// organization, unless they can't do what it asks for.
func (s *Site) providers(ctx context.Context, pending issuer.Pending, now time.Time) []upstream.Provider {
	if s.Upstream == nil {
		return nil
	}
	all, err := s.Upstream.Enabled(ctx, now)
	if err != nil {
		// Local sign-in does not depend on anybody else, not even on our table of them.
		s.Log.WarnContext(ctx, "the providers can't be read", "err", err)
		return nil
	}
	if len(pending.ACR) > 0 && !slices.Contains(pending.ACR, issuer.ACRFederated) {
		return nil
	}
	var able []upstream.Provider
	for _, p := range all {
		switch {
		case p.Organization != "" && p.Organization != pending.Organization:
		case pending.Recent && !p.SaysWhen(): // it would come back in vain
		default:
			able = append(able, p)
		}
	}
	return able
}

// buttons returns the buttons of providers. again says that it has to be a new sign-in.
func (s *Site) buttons(all []upstream.Provider, to upstream.Purpose, again bool) []provider {
	var shown []provider
	for _, p := range all {
		address := s.providerPath(p.Name, to)
		if again {
			q := wayQuery(to)
			q.Set("again", "1")
			address = withQuery(s.path(PathLogin)+"/"+p.Name, q)
		}
		shown = append(shown, provider{Name: p.Name, Title: p.Label(), Address: address})
	}
	return shown
}

// ofDomain returns the provider to which the domain of an e-mail address belongs.
func ofDomain(all []upstream.Provider, email string) (upstream.Provider, bool) {
	_, domain, found := strings.Cut(strings.ToLower(strings.TrimSpace(email)), "@")
	if !found || domain == "" {
		return upstream.Provider{}, false
	}
	at := slices.IndexFunc(all, func(p upstream.Provider) bool {
		return slices.ContainsFunc(p.Domains, func(d string) bool { return strings.EqualFold(d, domain) })
	})
	if at < 0 {
		return upstream.Provider{}, false
	}
	return all[at], true
}

// named returns the provider with a name.
func named(all []upstream.Provider, name string) (upstream.Provider, bool) {
	at := slices.IndexFunc(all, func(p upstream.Provider) bool { return p.Name == name })
	if at < 0 || name == "" {
		return upstream.Provider{}, false
	}
	return all[at], true
}
