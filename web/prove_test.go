package web

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mintmark/accounts"
	"mintmark/upstream"
)

// believing makes corp a provider whose word counts for example.com.
func believing(p *upstream.Provider) {
	p.LinkBy, p.Authoritative = upstream.LinkVerifiedEmail, []string{"example.com"}
}

// both adds a person to both houses, with a verified address.
func both(t *testing.T, h, corp *house, name string) (here, there accounts.Account) {
	t.Helper()
	yes := true
	here, there = h.addPerson(name), corp.addPerson(name)
	for _, x := range []struct {
		h *house
		a *accounts.Account
	}{{h, &here}, {corp, &there}} {
		a, err := x.h.directory.Set(t.Context(), x.a.ID, accounts.Change{Verified: &yes})
		if err != nil {
			t.Fatal(err)
		}
		*x.a = a
	}
	return here, there
}

// security.md 2.2, federation: "e-mail links only when the provider is marked authoritative and the
// local address was verified and the user re-authenticates".
func TestAnAddressIsProvedByItsPassword(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.setProvider("corp", func(p *upstream.Provider) { believing(p); p.KeepTokens = true })
		here, there := both(t, h, corp, "Ada")
		kept := func() (n int) {
			all, err := h.db.Sealed(t.Context(), "", "")
			h.must(err)
			return len(all)
		}
		arrive := func(v *visitor) view {
			return v.signIn(v.follow(v.open(h.authorize()), "login-corp"), there)
		}
		v := h.visitor(t)
		page := arrive(v)
		page.says(t, "There is an account with your address already", "ada@example.com")
		if _, _, in := v.session(); in {
			t.Fatal("they are signed in already")
		}
		if wrong := v.press(page, "prove-submit", "password", "not it"); wrong.status != statusRefused || !strings.Contains(wrong.body, "The password is wrong") {
			t.Errorf("a wrong password: %d %s", wrong.status, wrong.body)
		}

		// The page is of this browser, this provider, this identity and these ten minutes.
		sealed := page.value2("arrival")
		address, form := v.form(page, "prove-submit")
		form.Set("password", password)
		_, evil := both(t, h, corp, "Mallory")
		mallory := h.visitor(t)
		if seen := mallory.signIn(mallory.follow(mallory.open(h.authorize()), "login-corp"), evil); !seen.has("prove-submit") {
			t.Fatalf("Mallory has no page of his own: %s", seen.body)
		}
		if seen := mallory.post(address, form); !strings.Contains(seen.body, "other_browser") {
			t.Errorf("in another browser: %d %s", seen.status, seen.body)
		}
		h.addProvider("other", corp)
		if seen := v.post(strings.Replace(address, "/corp/", "/other/", 1), form); seen.status != 400 || !strings.Contains(seen.body, "proof_too_late") {
			t.Errorf("with another provider: %d %s", seen.status, seen.body)
		}
		for name, change := range map[string]func(*arrival){
			"later":           func(x *arrival) { x.At -= int64(proveTime/time.Second) + 1 },
			"another account": func(x *arrival) { x.AccountID = h.addPerson("Eve").ID },
		} {
			changed := url.Values{"arrival": {h.resealed(t, sealed, change)}, "password": {password}}
			if seen := v.post(address, changed); seen.status != 400 || !seen.has("error") {
				t.Errorf("%s: %d at %s: %s", name, seen.status, seen.at, seen.body)
			}
		}
		for _, junk := range []string{"", "x", sealed[:len(sealed)-4], sealed + "AAAA", strings.Repeat("A", 40000)} {
			if seen := v.post(address, url.Values{"arrival": {junk}, "password": {password}}); seen.status != 400 || !seen.has("error") {
				t.Errorf("%.10q: %d", junk, seen.status)
			}
		}
		if links, err := h.directory.Identities(t.Context(), here.ID); err != nil || len(links) != 0 {
			t.Fatalf("linked without a proof: %v %v", links, err)
		}
		if n := kept(); n != 0 {
			t.Errorf("tokens are kept of somebody who has not proved who they are: %d", n)
		}

		seen := v.press(page, "prove-submit", "password", password)
		seen = v.press(seen, "consent-approve")
		if !code(seen) {
			t.Fatalf("%s: %s", seen.at, seen.body)
		}
		x, a, _ := v.session()
		if a.ID != here.ID || x.IdP != "corp" || strings.Join(x.AMR, " ") != "fed pwd" {
			t.Errorf("%s %+v", a.ID, x)
		}
		if n := kept(); n != 1 {
			t.Errorf("what the provider allowed is kept %d times", n)
		}
		// From now on the provider is enough.
		w := h.visitor(t)
		if seen := arrive(w); !code(seen) {
			t.Errorf("the next time: %s %s", seen.at, seen.body)
		}
		if _, a, _ := w.session(); a.ID != here.ID {
			t.Errorf("the next time as %s", a.ID)
		}
	})
}

// resealed is an arrival as only we could have changed it.
func (h *house) resealed(t *testing.T, sealed string, change func(*arrival)) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := h.site.sealer.Open(raw, arrivalAAD)
	if err != nil {
		t.Fatal(err)
	}
	var x arrival
	if err := json.Unmarshal(plain, &x); err != nil {
		t.Fatal(err)
	}
	change(&x)
	if plain, err = json.Marshal(x); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(h.site.sealer.Seal(plain, arrivalAAD))
}

// value2 is what is in a field that has a name and no id.
func (p view) value2(name string) (value string) {
	elements(p.root, func(e *html.Node) {
		if is, _ := attr(e, "name"); is == name {
			value, _ = attr(e, "value")
		}
	})
	return value
}

func TestNobodyGetsAnAccountByItsAddress(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		here, there := both(t, h, corp, "Ada")
		for name, change := range map[string]func(p *upstream.Provider, here *accounts.Change){
			"the provider does not link":                   func(p *upstream.Provider, _ *accounts.Change) { p.LinkBy = upstream.LinkNone },
			"it is not believed about the domain":          func(p *upstream.Provider, _ *accounts.Change) { p.Authoritative = []string{"corp.example"} },
			"a domain that only ends so":                   func(p *upstream.Provider, _ *accounts.Change) { p.Authoritative = []string{"le.com"} },
			"pre-registration: our side never verified it": func(_ *upstream.Provider, here *accounts.Change) { here.Verified = new(bool) },
		} {
			var a accounts.Change
			h.setProvider("corp", func(p *upstream.Provider) { believing(p); change(p, &a) })
			if _, err := h.directory.Set(t.Context(), here.ID, a); err != nil {
				t.Fatal(err)
			}
			v := h.visitor(t)
			seen := v.signIn(v.follow(v.open(h.issuer+"/login"), "login-corp"), there)
			if seen.status < 400 || seen.status >= 500 || !seen.has("error") || !seen.has("another-way") {
				t.Errorf("%s: %d %s", name, seen.status, seen.body)
			}
			if strings.Contains(seen.body, here.Email) {
				t.Errorf("%s: the page tells of the account", name)
			}
			if _, _, in := v.session(); in {
				t.Errorf("%s: they are signed in", name)
			}
			if links := mustLinks(t, h, here); len(links) != 0 {
				t.Errorf("%s: %v", name, links)
			}
			yes := true
			if _, err := h.directory.Set(t.Context(), here.ID, accounts.Change{Verified: &yes}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAttemptsToProveAreCounted(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.setProvider("corp", believing)
		_, there := both(t, h, corp, "Ada")
		v := h.visitor(t)
		page := v.signIn(v.follow(v.open(h.issuer+"/login"), "login-corp"), there)
		for range 100 {
			if seen := v.press(page, "prove-submit", "password", "a guess"); seen.status == 429 {
				if seen.header.Get("Retry-After") == "" || !strings.Contains(seen.body, "too many attempts") {
					t.Errorf("%s", seen.body)
				}
				if seen := v.press(page, "prove-submit", "password", password); seen.status != 429 {
					t.Errorf("the right one goes through: %d", seen.status)
				}
				return
			}
		}
		t.Error("a hundred guesses were taken")
	})
}

// What changes while somebody is away at the provider counts when they come back.
func TestWhatChangedMeanwhile(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		bob := corp.addPerson("Bob")
		first := h.visitor(t)
		first.signIn(first.follow(first.open(h.issuer+"/login"), "login-corp"), bob)
		_, a, _ := first.session()
		for _, tt := range []struct {
			name   string
			change func()
			undo   func()
		}{
			{"the account is disabled", func() { h.must(h.directory.Disable(t.Context(), a.ID, time.Now())) }, func() { h.must(h.directory.Enable(t.Context(), a.ID, time.Now())) }},
			{"the provider is disabled", func() { h.setProvider("corp", func(p *upstream.Provider) { p.DisabledAt = time.Now() }) }, func() { h.setProvider("corp", func(p *upstream.Provider) { p.DisabledAt = time.Time{} }) }},
			{"the provider is removed", func() {
				all, err := h.upstream.Store.Providers(t.Context())
				h.must(err)
				h.must(h.db.Upstream().RemoveProvider(t.Context(), all[0].ID, event(all[0].ID)))
				h.upstream.Forget()
			}, func() {}},
		} {
			v := h.visitor(t)
			there := v.follow(v.open(h.authorize()), "login-corp")
			tt.change()
			seen := v.signIn(there, bob)
			if seen.status < 400 || seen.status >= 500 || !seen.has("error") || !seen.has("another-way") {
				t.Errorf("%s: %d %s", tt.name, seen.status, seen.body)
			}
			if _, _, in := v.session(); in {
				t.Errorf("%s, and they are signed in", tt.name)
			}
			// The way on leads to the page of the same request.
			if page := v.follow(seen, "another-way"); !page.has("login-submit") || !page.has("login-cancel") && tt.name != "the provider is removed" {
				t.Errorf("%s: another way leads to %s", tt.name, page.at)
			}
			tt.undo()
		}
	})
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}
