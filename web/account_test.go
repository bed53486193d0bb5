package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/upstream"
)

func TestTheAccountPageEndsSessions(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada, eve := h.addPerson("Ada"), h.addPerson("Eve")
		if seen := h.visitor(t).open(h.issuer + "/account"); !seen.has("login-submit") || seen.at.Query().Get("return_to") != "/account" {
			t.Errorf("a stranger is at %s", seen.at)
		}
		in := func(a accounts.Account) *visitor {
			v := h.visitor(t)
			v.signIn(v.open(h.issuer+"/login"), a)
			return v
		}
		v, phone, other, stranger := in(ada), in(ada), in(ada), in(eve)
		page := v.open(h.issuer + "/account")
		page.says(t, "ada@example.com", "this browser")
		if page.has("link-corp") || strings.Contains(page.body, "How you sign in") {
			t.Error("providers are offered, and there are none")
		}
		theirs, _, _ := stranger.session()
		signedIn := func(v *visitor) bool { _, _, ok := v.session(); return ok }

		// Another one of mine ends; somebody else's doesn't.
		v.press(page, "end-1")
		if signedIn(phone) == signedIn(other) || !signedIn(v) {
			t.Error("not exactly one of the others ended")
		}
		_, form := v.form(page, "end-1")
		form.Set("id", theirs.ID)
		v.post(h.issuer+"/account", form)
		if !signedIn(stranger) {
			t.Error("somebody else's session ended")
		}
		// A form that was shown to another session does nothing.
		_, form = v.form(v.open(h.issuer+"/account"), "end-others")
		form.Set("session", theirs.ID)
		v.post(h.issuer+"/account", form)
		if !signedIn(phone) && !signedIn(other) {
			t.Error("a form of another session was taken")
		}
		v.press(v.open(h.issuer+"/account"), "end-others")
		if signedIn(phone) || signedIn(other) || !signedIn(v) || !signedIn(stranger) {
			t.Errorf("after all others ended: %v %v %v %v", signedIn(phone), signedIn(other), signedIn(v), signedIn(stranger))
		}
		if page := v.open(h.issuer + "/account"); page.has("end-others") || page.has("end-0") {
			t.Errorf("there is still another: %s", page.body)
		}
		for _, do := range []string{"", "everything"} {
			here, _, _ := v.session()
			if seen := v.post(h.issuer+"/account", url.Values{"session": {here.ID}, "do": {do}}); seen.status != 400 {
				t.Errorf("do=%s: %d", do, seen.status)
			}
		}
	})
}

func TestTheAccountPageLinksAndUnlinks(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		ada, bob, eve := h.addPerson("Ada"), corp.addPerson("Bob"), corp.addPerson("Eve")
		v := h.visitor(t)
		v.signIn(v.open(h.issuer+"/login"), ada)
		page := v.open(h.issuer + "/account")
		there := v.press(page, "link-corp")
		back := v.signIn(there, bob)
		back.says(t, "bob@example.com", "linked")
		if back.at.Path != "/tenant/account" {
			t.Errorf("back at %s", back.at)
		}
		links, err := h.directory.Identities(t.Context(), ada.ID)
		if err != nil || len(links) != 1 || links[0].Subject != bob.ID {
			t.Fatalf("%v %v", links, err)
		}
		w := h.visitor(t)
		w.signIn(w.follow(w.open(h.issuer+"/login"), "login-corp"), bob)
		if _, a, _ := w.session(); a.ID != ada.ID {
			t.Errorf("Bob of the provider is %s", a.ID)
		}

		// Who is linked to somebody is linked to nobody else.
		zoe := h.addPerson("Zoe")
		z := h.visitor(t)
		z.signIn(z.open(h.issuer+"/login"), zoe)
		seen := z.signIn(z.press(z.open(h.issuer+"/account"), "link-corp"), bob)
		if seen.status != 409 || !strings.Contains(seen.body, "identity_taken") || !seen.has("back") {
			t.Errorf("%d %s", seen.status, seen.body)
		}
		// Whoever signs out meanwhile links nothing.
		x := h.visitor(t)
		x.signIn(x.open(h.issuer+"/login"), zoe)
		there = x.press(x.open(h.issuer+"/account"), "link-corp")
		x.press(x.open(h.issuer+"/logout"), "logout-confirm")
		x.signIn(x.open(h.issuer+"/login"), ada)
		if seen := x.signIn(there, eve); !strings.Contains(seen.body, "session_ended") {
			t.Errorf("%d %s", seen.status, seen.body)
		}
		// So does whoever is somebody else by now, while the session that asked is still there.
		y := h.visitor(t)
		y.signIn(y.open(h.issuer+"/login"), zoe)
		there = y.press(y.open(h.issuer+"/account"), "link-corp")
		home, err := url.Parse(h.issuer + "/")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range v.http.Jar.Cookies(home) {
			c.Path = "/"
			y.http.Jar.SetCookies(home, []*http.Cookie{c})
		}
		if seen := y.signIn(there, eve); !strings.Contains(seen.body, "session_ended") {
			t.Errorf("%d %s", seen.status, seen.body)
		}
		for _, a := range []accounts.Account{zoe, ada} {
			for _, l := range mustLinks(t, h, a) {
				if l.Subject == eve.ID {
					t.Errorf("Eve is linked to %s", a.Email)
				}
			}
		}

		// Unlinked, while there is a password.
		v.press(v.open(h.issuer+"/account"), "unlink-0")
		if left := mustLinks(t, h, ada); len(left) != 0 {
			t.Errorf("still linked: %v", left)
		}
		// Somebody new has nothing but the provider.
		n := h.visitor(t)
		n.signIn(n.follow(n.open(h.issuer+"/login"), "login-corp"), eve)
		_, mine, _ := n.session()
		seen = n.press(n.open(h.issuer+"/account"), "unlink-0")
		if seen.status != 409 || !strings.Contains(seen.body, "the only way you can sign in") || len(mustLinks(t, h, mine)) != 1 {
			t.Errorf("the last way in: %d %s", seen.status, seen.body)
		}
	})
}

func mustLinks(t *testing.T, h *house, a accounts.Account) []accounts.Link {
	t.Helper()
	links, err := h.directory.Identities(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	return links
}

// Whoever finds an open screen makes no way in of it.
func TestChangingHowToSignInTakesAFreshSignIn(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		ada, bob := h.addPerson("Ada"), corp.addPerson("Bob")
		v := h.visitor(t)
		v.signIn(v.open(h.issuer+"/login"), ada)
		v.signIn(v.press(v.open(h.issuer+"/account"), "link-corp"), bob)
		age := func(auth, proved time.Duration) {
			t.Helper()
			x, _, ok := v.session()
			if !ok {
				t.Fatal("nobody is signed in")
			}
			x.AuthTime = time.Now().Add(-auth)
			if x.ProviderID != "" {
				x.ProvedAt = time.Now().Add(-proved)
			}
			h.must(h.db.Accounts().RenewSession(t.Context(), x))
		}
		age(freshTime+time.Second, 0)
		page := v.open(h.issuer + "/account")
		for _, button := range []string{"link-corp", "unlink-0"} {
			seen := v.press(page, button)
			if seen.status != 403 || !seen.has("sign-in-again") {
				t.Errorf("%s: %d at %s", button, seen.status, seen.at)
			}
		}
		if len(mustLinks(t, h, ada)) != 1 {
			t.Fatal("it was unlinked")
		}
		// Signing in again, by password or at the provider, leads back.
		again := v.follow(v.press(page, "unlink-0"), "sign-in-again")
		again.says(t, "Sign in again", "Continue with Example Corp")
		there := v.follow(again, "login-corp")
		if !there.has("login-submit") || !strings.HasPrefix(there.at.String(), corp.issuer) {
			t.Fatalf("the provider did not ask: %s", there.at)
		}
		page = v.signIn(there, bob)
		if page.at.Path != "/tenant/account" {
			t.Fatalf("back at %s", page.at)
		}
		// A provider that let them pass, and says so, does not count.
		age(0, time.Hour)
		if seen := v.press(v.open(h.issuer+"/account"), "unlink-0"); seen.status != 403 {
			t.Errorf("signed in at the provider an hour ago: %d", seen.status)
		}
		again = v.follow(v.press(v.open(h.issuer+"/account"), "unlink-0"), "sign-in-again")
		page = v.signIn(again, ada)
		if v.press(page, "unlink-0"); len(mustLinks(t, h, ada)) != 0 {
			t.Errorf("still linked after a fresh sign-in: %s", page.at)
		}
	})
}

// A session lives as long as the provider's token says, if the provider's row says so.
func TestASessionFollowsTheProvider(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		h.setProvider("corp", func(p *upstream.Provider) { p.SessionLife = upstream.SessionFollows })
		v := h.visitor(t)
		v.signIn(v.follow(v.open(h.issuer+"/login"), "login-corp"), corp.addPerson("Bob"))
		x, _, ok := v.session()
		if left := time.Until(x.ExpiresAt); !ok || left > 6*time.Minute || left < time.Minute {
			t.Errorf("it lasts %s", left)
		}
	})
}

// A provider whose clock is behind says things that are over already. They are believed for a
// minute, and so long the session lasts: without one, an application that sends people straight
// there would send them round and round.
func TestASessionThatFollowsIsNeverOverAtOnce(t *testing.T) {
	now := time.Now()
	p := upstream.Provider{SessionLife: upstream.SessionFollows}
	if how := proofOf(p, upstream.Identity{ExpiresAt: now.Add(-50 * time.Second)}, now); how.Until.Before(now.Add(5*time.Second)) || how.Until.After(now.Add(time.Minute)) {
		t.Errorf("it ends in %s", how.Until.Sub(now))
	}
	if how := proofOf(p, upstream.Identity{}, now); !how.Until.IsZero() {
		t.Errorf("what does not end ends in %s", how.Until.Sub(now))
	}
}

func TestBrowsersInWords(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                            "Chrome on Android",
		"curl/8.10.1": "curl",
		"":            "A browser that does not say what it is",
	} {
		if got := browserOf(agent); got != want {
			t.Errorf("%q is %q", agent, got)
		}
	}
}
