package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
)

// crooked are spellings of an address that is registered, or that looks as if it were: none is it.
// The first %s is the registered one, without its scheme.
var crooked = []string{
	"http://%s", "HTTPS://%s", "https:%s", "https:/%s", "https:///%s", `https:\\%s`, `\\%s`, "//%s", "/\\%s", "///%s",
	"https://%s/", "https://%s?", "https://%s#", "https://%s#x", "https://%s?a", "https://%s%%20", "https://%s ", " https://%s", "\thttps://%s", "https://%s\t",
	"ht\ttps://%s", "https:\t//%s", "https://\t%s", "https://%s\r\n", "https://%s\x00", "https://%s%%00", "https://%s%%0d%%0aSet-Cookie:x",
	"https://evil.example/%s", "https://evil.example@%s", "https://%s@evil.example", "https://evil.example#@%s", "https://evil.example\\@%s", "https://evil.example?%s",
	"https://%s.evil.example", "https://evil%s", "https://%s:443", "https://%s/../x", "https://%s/..;/x", "https://%s/%%2e%%2e/x", "https://%s//evil.example",
	"javascript://%s/%%0aalert(1)", "data:text/html,%s", "view-source:https://%s", "blob:https://%s", "https://%s,https://evil.example",
	"https%%3a%%2f%%2f%s", "%%68ttps://%s", "https://%s\u200b", "https://%s\u2024evil.example", "ｈttps://%s", "https:／／%s",
}

// home is an address that the application of the stories has registered.
const landing = "https://orders.example/start"

// lands registers where people may land who come for no request.
func (h *house) lands() {
	h.t.Helper()
	was := h.client.UpdatedAt
	h.client.InitiateLoginURI, h.client.URI = landing, "https://orders.example/?from=sign-in"
	h.client.UpdatedAt = was.Add(time.Second)
	h.must(h.db.Registry().SetClient(h.t.Context(), h.client, was))
	h.provider.ForgetClient(h.client.ID)
}

// straight opens an address and follows nothing.
func (v *visitor) straight(address string) view {
	v.t.Helper()
	follow := v.http.CheckRedirect
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { v.http.CheckRedirect = follow }()
	return v.open(address)
}

// Issue: "the way back is the pending request, or a relative path or registered URL, never anything
// else". It is what RFC 9700 §4.11.2 wants of a redirect that nobody asked for by a request.
func TestTheWayBackMayBeWhatIsRegistered(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.lands()
		bob, ada := corp.addPerson("Bob"), h.addPerson("Ada")
		link := func(path, id, to string) string {
			return h.issuer + path + "?" + url.Values{"client_id": {id}, "return_to": {to}}.Encode()
		}
		iss := "?" + url.Values{"iss": {h.issuer}}.Encode()
		for to, want := range map[string]string{
			landing:                                landing + iss, // OpenID Connect Core §4
			"https://orders.example/?from=sign-in": "https://orders.example/?from=sign-in",
			bye:                                    bye,
			back:                                   back,
		} {
			v := h.visitor(t)
			there := v.open(link("/login/corp", h.client.ID, to))
			if seen := v.signIn(there, bob); there.at.Host == "" || seen.at.String() != want {
				t.Errorf("by provider, %s leads to %s: %s", to, seen.at, seen.body)
			}
			// Signed in already, and by the sign-in page, with its button and with a password.
			if seen := v.open(link("/login", h.client.ID, to)); seen.at.String() != want {
				t.Errorf("signed in, %s leads to %s", to, seen.at)
			}
			v = h.visitor(t)
			page := v.open(link("/login", h.client.ID, to))
			page.says(t, "to continue to", "Orders", "orders.example")
			if seen := v.signIn(page, ada); seen.at.String() != want {
				t.Errorf("by password, %s leads to %s", to, seen.at)
			}
			v = h.visitor(t)
			there = v.follow(v.open(link("/login", h.client.ID, to)), "login-corp")
			if seen := v.signIn(there, bob); seen.at.String() != want {
				t.Errorf("by button, %s leads to %s", to, seen.at)
			}
		}

		// A page that says no leads back to the same.
		v := h.visitor(t)
		address, _ := v.callback("corp")
		there := v.straight(link("/login/corp", h.client.ID, landing))
		state := there.at.Query().Get("state")
		u, err := url.Parse(address)
		h.must(err)
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
		no := v.open(u.String())
		if href, _ := attr(no.element("try-again"), "href"); !strings.Contains(href, url.QueryEscape(landing)) || !strings.Contains(href, h.client.ID) {
			t.Errorf("trying again leads to %s: %s", href, no.body)
		}

		// Another client's, nobody's, a client that is gone, and everything that is spelled otherwise.
		other := h.addClient("Other")
		for _, id := range []string{"", "nobody", other.ID, strings.ToUpper(h.client.ID), h.client.ID + "\x7f"} {
			if seen := v.straight(link("/login/corp", id, landing)); seen.status != 400 || seen.header.Get("Location") != "" {
				t.Errorf("for %q: %d %s", id, seen.status, seen.at)
			}
		}
		for _, spelling := range crooked {
			to := strings.ReplaceAll(strings.ReplaceAll(spelling, "%s", "orders.example/start"), "%%", "%")
			for _, path := range []string{"/login/corp", "/login"} {
				seen := v.straight(link(path, h.client.ID, to))
				if seen.status != 400 || seen.header.Get("Location") != "" || len(seen.header["Set-Cookie"]) > 0 || !seen.has("error") {
					t.Errorf("%s with %q: %d, to %q", path, to, seen.status, seen.header.Get("Location"))
				}
			}
		}
		// Twice is refused too: which of them is meant?
		if seen := v.straight(link("/login/corp", h.client.ID, landing) + "&return_to=/account"); seen.status != 400 {
			t.Errorf("two ways back: %d", seen.status)
		}

		// What is taken back while somebody is away counts when they come back: they are signed in, and here.
		for _, change := range []struct {
			name string
			do   func() error
		}{
			{"it is not registered any more", func() error {
				was, changed := h.client.UpdatedAt, h.client
				changed.InitiateLoginURI = ""
				changed.UpdatedAt = was.Add(time.Second)
				h.client.UpdatedAt = changed.UpdatedAt
				return h.db.Registry().SetClient(t.Context(), changed, was)
			}},
			{"the application is disabled", func() error { return h.db.Registry().DisableClient(t.Context(), h.client.ID, time.Now()) }},
		} {
			h.lands()
			v := h.visitor(t)
			there := v.open(link("/login/corp", h.client.ID, landing))
			h.must(change.do())
			h.provider.ForgetClient(h.client.ID)
			if seen := v.signIn(there, bob); seen.at.String() != h.issuer+"/" || !strings.Contains(seen.body, "You are signed in") {
				t.Errorf("%s: %s", change.name, seen.at)
			}
		}
	})
}

func TestAScriptIsToldThatTheWayBackIsNone(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		v := h.visitor(t)
		seen := v.straight(h.issuer + "/login/corp?mode=json&client_id=" + h.client.ID + "&return_to=https://evil.example")
		if seen.status != 400 || !strings.Contains(seen.body, "bad_return") || seen.header.Get("Set-Cookie") != "" {
			t.Errorf("%d %s", seen.status, seen.body)
		}
		h.lands()
		seen = v.straight(h.issuer + "/login/corp?mode=json&client_id=" + h.client.ID + "&return_to=" + url.QueryEscape(landing))
		var got map[string]string
		if err := json.Unmarshal([]byte(seen.body), &got); err != nil || got["authorization_url"] == "" {
			t.Errorf("%d %s %v", seen.status, seen.body, err)
		}
	})
}

// A single-page application on an origin of its own, of our site: its script asks with credentials, the
// window goes to the provider, and comes back to the page that is registered, with a session here.
func TestASinglePageApplicationBeginsWithAScript(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.lands()
		bob := corp.addPerson("Bob")
		ask := func(v *visitor, id, to, origin, site, mode, accept string) view {
			r, err := http.NewRequest("GET", h.issuer+"/login/corp?"+url.Values{"client_id": {id}, "return_to": {to}}.Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "empty", "Accept": accept} {
				r.Header.Set(name, value)
			}
			return v.do(r)
		}
		const origin, script = "https://orders.example", "application/json"
		v := h.visitor(t)
		seen := ask(v, h.client.ID, landing, origin, "same-site", "cors", script)
		var got map[string]string
		if err := json.Unmarshal([]byte(seen.body), &got); err != nil {
			t.Fatalf("%d %s", seen.status, seen.body)
		}
		if seen.header.Get("Access-Control-Allow-Origin") != origin || seen.header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(seen.header.Get("Vary"), "Origin") {
			t.Errorf("%v", seen.header)
		}
		want := landing + "?" + url.Values{"iss": {h.issuer}}.Encode()
		if seen := v.signIn(v.open(got["authorization_url"]), bob); seen.at.String() != want {
			t.Errorf("they are at %s", seen.at)
		}
		if x, _, in := v.session(); !in || x.IdP != "corp" {
			t.Errorf("no session by the provider: %+v", x)
		}

		other := h.addClient("Other")
		v = h.visitor(t)
		for name, no := range map[string][]string{
			"another origin":         {h.client.ID, landing, "https://evil.example", "same-site", "cors", script},
			"no origin to speak of":  {h.client.ID, landing, "null", "same-site", "cors", script},
			"none":                   {h.client.ID, landing, "", "same-site", "cors", script},
			"in clear text":          {h.client.ID, landing, "http://orders.example", "same-site", "cors", script},
			"another port":           {h.client.ID, landing, origin + ":8443", "same-site", "cors", script},
			"a longer name":          {h.client.ID, landing, origin + ".evil.example", "same-site", "cors", script},
			"another case":           {h.client.ID, landing, "https://ORDERS.example", "same-site", "cors", script},
			"another site":           {h.client.ID, landing, origin, "cross-site", "cors", script},
			"a path of ours":         {h.client.ID, "/account", origin, "same-site", "cors", script},
			"another client's":       {other.ID, landing, origin, "same-site", "cors", script},
			"a picture":              {h.client.ID, landing, origin, "same-site", "no-cors", script},
			"a page, and not JSON":   {h.client.ID, landing, origin, "same-site", "cors", "text/html"},
			"what is not registered": {h.client.ID, origin + "/else", origin, "same-site", "cors", script},
		} {
			seen := ask(v, no[0], no[1], no[2], no[3], no[4], no[5])
			if seen.status != 403 && seen.status != 400 || seen.header.Get("Access-Control-Allow-Origin") != "" || seen.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %v", name, seen.status, seen.header)
			}
		}
	})
}

// FuzzWayBack: whatever is asked for, nobody is sent anywhere but to a path of ours, as browsers read
// it, or to a text that is registered.
func FuzzWayBack(f *testing.F) {
	for _, spelling := range crooked {
		f.Add(strings.ReplaceAll(strings.ReplaceAll(spelling, "%s", "orders.example/start"), "%%", "%"))
	}
	for _, to := range []string{landing, back, "/", "/account?x=%2f%2f", "/account?next=//evil.example", "//evil.example", "/\t/evil.example", "/%09/evil.example", "/%5cevil.example", "/.//evil.example", "/;@evil.example"} {
		f.Add(to)
	}
	registered := []string{landing, bye, back}
	s := newSite(f)
	s.Provider = withClient(f, issuer.Client{Name: "Orders", Type: "web", InitiateLoginURI: landing, RedirectURIs: []string{back}, PostLogoutRedirectURIs: []string{bye}})
	base, err := url.Parse(s.Issuer)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.NewRequest("GET", s.Issuer+"/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		to, _, err := s.wayBack(r, url.Values{"client_id": {"orders"}, "return_to": {text}})
		if err != nil {
			return
		}
		if to.Landing != "" {
			if to.Landing != text || !slices.Contains(registered, text) || to.Return != "" {
				t.Errorf("%q leads to %q", text, to.Landing)
			}
			return
		}
		// WHATWG URL: tabs and line ends are dropped, \ is /, and so are they once decoded by whoever is next.
		for _, form := range []string{to.Return, unescaped(to.Return), strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(unescaped(to.Return))} {
			path, _, _ := strings.Cut(form, "?")
			u, err := base.Parse(path)
			if to.Return != "" && (err != nil || u.Host != base.Host || u.Scheme != base.Scheme || strings.HasPrefix(path, "//")) {
				t.Errorf("%q leads to %v, %v", text, u, err)
			}
		}
	})
}

// withClient is an issuer that knows one application, by the id "orders".
func withClient(t testing.TB, c issuer.Client) *issuer.Provider {
	t.Helper()
	c.ID = "orders"
	ring := keys.New(keys.Config{Log: slog.New(slog.DiscardHandler)})
	p, err := issuer.New(issuer.Config{Issuer: "https://id.example.com", Store: oneClient{c: c}, Keys: ring, Mint: secret.NewMint([32]byte{1}), Hasher: secret.NewHasher(1),
		RefreshKey: [32]byte{2}, RequestKey: [32]byte{3},
		Login:      func(*http.Request) (issuer.Login, bool, error) { return issuer.Login{}, false, nil },
		EndSession: func(context.Context, http.ResponseWriter, string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type oneClient struct {
	issuer.Store
	c issuer.Client
}

func (o oneClient) Client(_ context.Context, id string) (issuer.Client, error) {
	if id != o.c.ID {
		return issuer.Client{}, issuer.ErrNotFound
	}
	return o.c, nil
}

func unescaped(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
