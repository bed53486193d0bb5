package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
)

// withProvider tells a story on each database of a house that another house signs people in for.
func withProvider(t *testing.T, tell func(t *testing.T, h, corp *house)) {
	t.Helper()
	inEach(t, func(t *testing.T, h *house) { tell(t, h, newCorp(t, h)) })
}

// newCorp is another house, which h knows as the provider "corp".
func newCorp(t *testing.T, h *house) *house {
	t.Helper()
	db, err := storage.Open(t.Context(), storagetest.SQLite(t), storage.Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	corp := newHouseAt(t, db, "localhost")
	h.addProvider("corp", corp)
	return corp
}

// addProvider makes another house a provider of h, with changes.
func (h *house) addProvider(name string, corp *house, change ...func(*upstream.Provider)) upstream.Provider {
	h.t.Helper()
	now := time.Now().Truncate(time.Microsecond)
	c, shown, err := corp.provider.Register(issuer.Client{Name: "Upstairs", Type: "web", Consent: "never",
		RedirectURIs: []string{h.issuer + "/login/" + name + "/callback"}}, now)
	if err == nil {
		err = corp.db.Registry().AddClient(h.t.Context(), c)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	p := upstream.Provider{ID: secret.NewID("prv"), Name: name, Title: "Example Corp", Kind: "oidc", Issuer: corp.issuer, ClientID: c.ID, CreatedAt: now, UpdatedAt: now}
	p.SealedSecret = h.upstream.Sealer.Seal([]byte(shown.Reveal()), upstream.SecretAAD(p.ID))
	for _, f := range change {
		f(&p)
	}
	if err := h.db.Upstream().AddProvider(h.t.Context(), p, event(p.ID)); err != nil {
		h.t.Fatal(err)
	}
	h.upstream.Forget()
	return p
}

// event is who changes a provider, for the audit.
func event(id string) apikeys.Event {
	return apikeys.Event{ID: secret.NewID("evt"), At: time.Now(), Actor: "a story", Action: "provider.set", Ref: id}
}

// setProvider changes a provider.
func (h *house) setProvider(name string, change func(*upstream.Provider)) {
	h.t.Helper()
	all, err := h.upstream.Store.Providers(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	was := all[slices.IndexFunc(all, func(p upstream.Provider) bool { return p.Name == name })]
	is := was
	is.UpdatedAt = was.UpdatedAt.Add(time.Microsecond)
	change(&is)
	if err := h.db.Upstream().SetProvider(h.t.Context(), is, was, event(was.ID)); err != nil {
		h.t.Fatal(err)
	}
	h.upstream.Forget()
}

// follow opens what a link of the page leads to.
func (v *visitor) follow(page view, id string) view {
	v.t.Helper()
	e := page.element(id)
	if e == nil {
		v.t.Fatalf("no #%s at %s (%d): %s", id, page.at, page.status, page.body)
	}
	href, _ := attr(e, "href")
	to, err := page.at.Parse(href)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.open(to.String())
}

// session is who is signed in at the visitor's browser.
func (v *visitor) session() (accounts.Session, accounts.Account, bool) {
	v.t.Helper()
	at, err := url.Parse(v.h.issuer + "/")
	if err != nil {
		v.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(v.t.Context(), "GET", at.String(), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.http.Jar.Cookies(at) {
		r.AddCookie(c)
	}
	x, a, ok, err := v.h.sessions.Current(r, time.Now())
	if err != nil {
		v.t.Fatal(err)
	}
	return x, a, ok
}

func code(seen view) bool { return seen.at.Query().Has("code") && seen.at.Host == "orders.example" }

func TestSomebodyArrivesFromAProvider(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		bob := corp.addPerson("Bob")
		v := h.visitor(t)
		page := v.open(h.authorize())
		page.says(t, "Continue with Example Corp")
		there := v.follow(page, "login-corp")
		if !strings.HasPrefix(there.at.String(), corp.issuer) {
			t.Fatalf("at %s", there.at)
		}
		// "No password" of theirs is typed here; then they agree, and are where they wanted to go.
		seen := v.press(v.signIn(there, bob), "consent-approve")
		if !code(seen) {
			t.Fatalf("%s: %s", seen.at, seen.body)
		}
		x, a, ok := v.session()
		if !ok || x.IdP != "corp" || x.ACR != issuer.ACRFederated || !slices.Equal(x.AMR, []string{"fed", "pwd"}) || x.ProviderID == "" {
			t.Errorf("%v %+v", ok, x)
		}
		if a.ID == bob.ID || a.PasswordHash != "" || a.EmailVerified {
			t.Errorf("%+v", a)
		}
		// The same account, the next time and in another browser.
		w := h.visitor(t)
		w.signIn(w.follow(w.open(h.issuer+"/login"), "login-corp"), bob).says(t, "You are signed in")
		if _, again, _ := w.session(); again.ID != a.ID {
			t.Errorf("%s is another account than %s", again.ID, a.ID)
		}
		// A session of the provider is no session with a password.
		essential := `{"id_token":{"acr":{"essential":true,"value":"` + issuer.ACRPassword + `"}}}`
		page = w.open(h.authorize("claims", essential))
		if page.has("login-corp") || !page.has("login-submit") {
			t.Errorf("a provider is offered where only a password will do: %s", page.body)
		}
		page.has("login-cancel")
	})
}

// A provider may have a name that our paths have too.
func TestAProviderIsNamedAsAPathIs(t *testing.T) {
	for _, name := range []string{"login", "callback", "prove"} {
		withProvider(t, func(t *testing.T, h, corp *house) {
			h.addProvider(name, corp)
			v := h.visitor(t)
			if seen := v.signIn(v.follow(v.open(h.issuer+"/login"), "login-"+name), corp.addPerson("Bob")); seen.status != 200 {
				t.Errorf("%s: %d %s", name, seen.status, seen.body)
			}
			if x, _, in := v.session(); !in || x.IdP != name {
				t.Errorf("signed in with %q, not %s", x.IdP, name)
			}
		})
	}
}

// OpenID Connect Core 3.1.2.1: prompt=login and max_age mean a sign-in that has happened, and not
// one that a provider lets pass.
func TestASignInAgainHasHappenedThere(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		bob := corp.addPerson("Bob")
		v := h.visitor(t)
		v.press(v.signIn(v.follow(v.open(h.authorize()), "login-corp"), bob), "consent-approve")
		if seen := v.open(h.authorize()); !code(seen) {
			t.Fatalf("%s", seen.at)
		}
		for _, params := range [][]string{{"prompt", "login"}, {"max_age", "0"}} {
			page := v.open(h.authorize(params...))
			page.says(t, "Sign in again")
			there := v.follow(page, "login-corp")
			if !there.has("login-submit") || !strings.HasPrefix(there.at.String(), corp.issuer) {
				t.Fatalf("%v: they were not asked: %s", params, there.at)
			}
			if seen := v.signIn(there, bob); !code(seen) {
				t.Errorf("%v: %s", params, seen.at)
			}
		}
		// Somebody at a provider that never says when is not sent there in vain.
		h.setProvider("corp", func(p *upstream.Provider) { p.Kind, p.Issuer = "github", "" })
		if page := v.open(h.authorize("max_age", "0")); page.has("login-corp") {
			t.Error("a provider that can't say when is offered")
		}
		if page := v.open(h.authorize("prompt", "select_account")); !page.has("login-corp") {
			t.Error("it is not offered where it would do")
		}
	})
}

func TestTheApplicationSuggestsAProvider(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		v := h.visitor(t)
		if seen := v.open(h.authorize("idp_hint", "corp", "login_hint", "bob@example.com")); !strings.HasPrefix(seen.at.String(), corp.issuer+"/login") || seen.value("username") != "bob@example.com" {
			t.Errorf("idp_hint leads to %s: %q", seen.at, seen.value("username"))
		}
		for _, hint := range []string{"nobody", "../corp", "CORP"} {
			if seen := v.open(h.authorize("idp_hint", hint)); !seen.has("login-submit") || seen.at.Path != "/tenant/login" {
				t.Errorf("idp_hint=%s leads to %s", hint, seen.at)
			}
		}
		h.client.DefaultIdP = "corp"
		was := h.client.UpdatedAt
		h.client.UpdatedAt = was.Add(time.Second)
		if err := h.db.Registry().SetClient(t.Context(), h.client, was); err != nil {
			t.Fatal(err)
		}
		h.provider.ForgetClient(h.client.ID)
		if seen := v.open(h.authorize()); !strings.HasPrefix(seen.at.String(), corp.issuer+"/login") {
			t.Errorf("default_idp leads to %s", seen.at)
		}
		seen := v.open(h.authorize("idp_hint", "nobody"))
		if choose := v.open(seen.at.String() + "&choose=1"); !choose.has("login-submit") {
			t.Errorf("choosing leads to %s", choose.at)
		}
		h.setProvider("corp", func(p *upstream.Provider) { p.DisabledAt = time.Now() })
		if seen := v.open(h.authorize()); !seen.has("login-submit") || seen.has("login-corp") || seen.at.Path != "/tenant/login" {
			t.Errorf("the default is disabled, and leads to %s", seen.at)
		}
	})
}

func TestAnAddressLeadsToItsProvider(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.setProvider("corp", func(p *upstream.Provider) { p.Domains = []string{"corp.example"} })
		v := h.visitor(t)
		page := v.open(h.authorize())
		if _, required := attr(page.element("password"), "required"); required {
			t.Error("without a script, the browser would want a password first")
		}
		if seen := v.press(page, "login-submit", "username", " Bob@CORP.example"); !strings.HasPrefix(seen.at.String(), corp.issuer+"/login") || seen.value("username") == "" {
			t.Errorf("the address leads to %s: %s", seen.at, seen.body)
		}
		wrong := v.press(page, "login-submit", "username", "bob@corp.example", "password", "an old one")
		wrong.says(t, "this address signs in with", "password is wrong")
		if seen := v.press(page, "login-submit", "username", "bob@elsewhere.example"); seen.status != statusRefused {
			t.Errorf("another address: %d at %s", seen.status, seen.at)
		}
		for _, odd := range []string{"bob@evil.example@corp.example", "corp.example", "@", "bob@corp.example.evil.example"} {
			if seen := v.press(page, "login-submit", "username", odd); seen.status != statusRefused {
				t.Errorf("%s: %d at %s", odd, seen.status, seen.at)
			}
		}
	})
}

func TestAnOrganizationHasItsOwn(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.addProvider("inner", corp, func(p *upstream.Provider) { p.Organization = "org_1" })
		v := h.visitor(t)
		for organization, want := range map[string]bool{"": false, "org_1": true, "org_2": false} {
			page := v.open(h.authorize("organization", organization))
			if page.has("login-inner") != want || !page.has("login-corp") {
				t.Errorf("organization=%s: %v", organization, page.has("login-inner"))
			}
		}
	})
}

// Security, browser surface: the only targets are relative paths.
func TestNobodyIsSentElsewhere(t *testing.T) {
	good := []string{"/account", "/", "/account/keys?tab=1&x=%41", "/a-b_c.d~e"}
	bad := []string{"", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " /account",
		"/%2f/evil.example", "/%2Fevil.example", "/%5cevil.example", "/./account", "/../account", "/a/..", "/account/..//x", "https://evil.example",
		"https:evil.example", "https:/evil.example", "javascript:alert(1)", "/@evil.example", "/account#x", "account", "/a\x00", "/é", "/a?b#c", "/a?b\\c",
		"/a?\r\nSet-Cookie:x", "/" + strings.Repeat("a", maxReturn)}
	for _, to := range good {
		if !ownPath(to) {
			t.Errorf("%q is not one of ours", to)
		}
	}
	for _, to := range bad {
		if ownPath(to) {
			t.Errorf("%q is one of ours", to)
		}
	}
	withProvider(t, func(t *testing.T, h, corp *house) {
		bob, ada := corp.addPerson("Bob"), h.addPerson("Ada")
		v := h.visitor(t)
		v.signIn(v.open(h.issuer+"/login"), ada)
		for _, to := range bad {
			for _, path := range []string{"/login", "/login/corp"} {
				if to == "" {
					continue
				}
				seen := v.open(h.issuer + path + "?return_to=" + url.QueryEscape(to))
				if seen.at.Path != "/tenant"+path || seen.status != 400 || seen.header.Get("Location") != "" || seen.header.Get("Set-Cookie") != "" {
					t.Errorf("signed in already, %s with %q leads to %s", path, to, seen.at)
				}
				if !strings.Contains(to, "\x00") {
					seen.says(t, "bad_return", "This link leads nowhere")
				}
			}
		}
		if seen := v.open(h.issuer + "/login?return_to="); seen.at.String() != h.issuer+"/" {
			t.Errorf("nowhere is %s", seen.at)
		}
		for to, want := range map[string]string{"/account": "/account", "/account?a=b": "/account?a=b"} {
			q := "?return_to=" + url.QueryEscape(to)
			v, w := h.visitor(t), h.visitor(t)
			if seen := v.signIn(v.open(h.issuer+"/login"+q), ada); seen.at.String() != h.issuer+want {
				t.Errorf("by password, %q leads to %s", to, seen.at)
			}
			if seen := w.signIn(w.open(h.issuer+"/login/corp"+q), bob); seen.at.String() != h.issuer+want {
				t.Errorf("by provider, %q leads to %s", to, seen.at)
			}
		}
	})
}

func TestAScriptGetsTheAddress(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		bob := corp.addPerson("Bob")
		ask := func(v *visitor, path string, headers ...string) view {
			r, err := http.NewRequest("GET", h.issuer+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			return v.do(r)
		}
		for _, how := range [][]string{{"?mode=json"}, {"", "Accept", "application/json"}, {"", "Accept", "application/json;q=0.9, text/html;q=0.1"}} {
			v := h.visitor(t)
			seen := ask(v, "/login/corp"+how[0], how[1:]...)
			var got struct {
				AuthorizationURL string `json:"authorization_url"`
			}
			if err := json.Unmarshal([]byte(seen.body), &got); err != nil || seen.header.Get("Content-Type") != "application/json" || seen.header.Get("Access-Control-Allow-Origin") != "" {
				t.Fatalf("%v: %s %v", err, seen.body, seen.header)
			}
			// It is for this browser only.
			stranger := h.visitor(t)
			if seen := stranger.signIn(stranger.open(got.AuthorizationURL), bob); seen.status < 400 || !seen.has("error") {
				t.Errorf("another browser finished it: %d %s", seen.status, seen.at)
			}
			if _, _, in := stranger.session(); in {
				t.Error("another browser is signed in")
			}
			if seen := v.open(got.AuthorizationURL); seen.has("login-submit") {
				v.signIn(seen, bob)
			}
			if _, _, in := v.session(); !in {
				t.Error("this browser is not signed in")
			}
		}
		v := h.visitor(t)
		if seen := ask(v, "/login/corp", "Accept", "text/html,application/json"); seen.has("error") || !strings.HasPrefix(seen.at.String(), corp.issuer) {
			t.Errorf("a browser is at %s", seen.at)
		}
		for _, site := range []string{"cross-site", "same-site"} {
			for _, mode := range []string{"no-cors", "cors"} {
				if seen := ask(v, "/login/corp", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode); seen.status != 403 || seen.header.Get("Set-Cookie") != "" {
					t.Errorf("%s, %s: %d %s", site, mode, seen.status, seen.header.Get("Set-Cookie"))
				}
			}
		}
	})
}
