package web

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mintmark/apikeys"
)

// A person makes, replaces and revokes a key of their own, with forms alone.
func TestSomebodyLooksAfterTheirKeys(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada, grace := h.addPerson("Ada"), h.addPerson("Grace")
		v := h.visitor(t)
		page := v.signIn(v.open(h.issuer+PathKeys), ada)
		if page.at.Path != "/tenant"+PathKeys || page.has("yours") || page.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s %s", page.at, page.body)
		}
		wrong := v.press(page, "make-key", "name", "backup", "allow", "nonsense")
		if wrong.status != 422 || wrong.value("name") != "backup" || wrong.element("keys-problem") == nil {
			t.Errorf("%d %s", wrong.status, wrong.body)
		}
		page = v.press(wrong, "make-key", "name", "backup", "allow", "192.0.2.0/24, 2001:db8::/32", "scope-0", "orders:read", "life", "30")
		key := textOf(page.element("key"))
		page.says(t, "Copy the key", "backup", "may", "orders:read", "192.0.2.0/24")
		mine, err := h.apiKeys.List(t.Context(), apikeys.Page{Limit: 10}, ada.ID)
		if err != nil || len(mine) != 1 {
			t.Fatal(mine, err)
		}
		k := mine[0]
		if life := k.ExpiresAt.Sub(k.CreatedAt); k.Kind != "uk" || strings.Join(k.Scopes, " ") != "orders:read" || strings.Join(k.Audience, " ") != "https://orders.example" || life != 30*24*time.Hour {
			t.Errorf("%+v", k)
		}
		events, err := h.apiKeys.Events(t.Context(), apikeys.Page{Limit: 10}, k.ID, false)
		if err != nil || len(events) != 1 || events[0].Actor != ada.ID || events[0].Via != "account page" || events[0].Address == "" {
			t.Errorf("the audit log has %v", events)
		}
		if again := v.open(h.issuer + PathKeys); strings.Contains(again.body, key) || !again.has("revoke-0") {
			t.Error("the key is shown again, or not listed")
		}
		if id, err := h.apiKeys.Recognise(t.Context(), key, time.Now()); err != nil || id != k.ID {
			t.Errorf("the key that was shown is not good: %v", err)
		}

		// What the form does not offer, nobody gets by writing another.
		address, form := v.form(page, "make-key")
		form.Set("scope-9", "users:write")
		form.Set("scope-1", "users:write")
		form.Set("life", "9999")
		form.Set("name", "more")
		v.post(address, form)
		mine, _ = h.apiKeys.List(t.Context(), apikeys.Page{Limit: 10}, ada.ID)
		for _, k := range mine {
			if strings.Contains(strings.Join(k.Scopes, " "), "users") || k.ExpiresAt.Sub(k.CreatedAt) > 91*24*time.Hour {
				t.Errorf("made %+v", k)
			}
		}

		// Somebody else's keys look as if they weren't there, and a page that was shown to
		// somebody else does nothing.
		w := h.visitor(t)
		other := w.signIn(w.open(h.issuer+PathKeys), grace)
		if strings.Contains(other.body, "backup") {
			t.Error("Grace sees a key of Ada's")
		}
		_, theirs := w.form(other, "make-key")
		for _, do := range []string{"rotate", "revoke"} {
			w.post(h.issuer+PathKeys, url.Values{"session": theirs["session"], "id": {k.ID}, "do": {do}})
			w.post(h.issuer+PathKeys, url.Values{"session": form["session"], "id": {k.ID}, "do": {do}})
		}
		if now, err := h.apiKeys.Get(t.Context(), k.ID); err != nil || now.Status(time.Now()) != "active" || now.ReplacedBy != "" {
			t.Errorf("Grace did something to Ada's key: %+v %v", now, err)
		}

		index := map[bool]string{true: "0", false: "1"}[mine[0].ID == k.ID]
		page = v.press(v.open(h.issuer+PathKeys), "rotate-"+index)
		next := textOf(page.element("key"))
		page.says(t, "replaced")
		for _, good := range []string{key, next} {
			if _, err := h.apiKeys.Recognise(t.Context(), good, time.Now()); err != nil {
				t.Errorf("after it was replaced: %v", err)
			}
		}
		for page = v.open(h.issuer + PathKeys); page.has("revoke-0"); {
			page = v.press(page, "revoke-0")
		}
		for _, gone := range []string{key, next} {
			if _, err := h.apiKeys.Recognise(t.Context(), gone, time.Now()); err != apikeys.ErrInvalid {
				t.Errorf("after it was revoked: %v", err)
			}
		}
	})
}

// A new key is a way in: somebody at an unlocked screen does not carry one away.
func TestAKeyTakesAFreshSignIn(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		page := v.signIn(v.open(h.issuer+PathKeys), ada)
		page = v.press(page, "make-key", "name", "one")
		x, _, ok := v.session()
		if !ok {
			t.Fatal("nobody is signed in")
		}
		x.AuthTime = x.AuthTime.Add(-time.Hour)
		if err := h.db.Accounts().RenewSession(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		for _, button := range []string{"make-key", "rotate-0"} {
			if late := v.press(page, button, "name", "two"); late.status != 403 || !late.has("sign-in-again") || late.has("key") {
				t.Errorf("%s: %d %s", button, late.status, late.body)
			}
		}
		// To stop one is always possible.
		if seen := v.press(page, "revoke-0"); seen.has("revoke-0") {
			t.Errorf("%s", seen.body)
		}
	})
}

// textOf is the text inside of an element.
func textOf(e *html.Node) string {
	if e == nil || e.FirstChild == nil {
		return ""
	}
	return e.FirstChild.Data
}
