package accounts_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
)

func TestASessionBeginsAndIsRead(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		chrome := &browser{h: h}
		if chrome.who(noon) != "" {
			t.Fatal("somebody is signed in before anybody did")
		}
		began := chrome.begins(alice, noon)
		if !strings.HasPrefix(began.ID, "ses_") || chrome.cookie.Value[6:28] != began.ID[4:] {
			t.Errorf("the session %s has the cookie of another", began.ID)
		}
		got, a, ok, err := open().sessions.Current(chrome.request(), noon.Add(time.Second))
		if err != nil || !ok || a.ID != alice.ID {
			t.Fatalf("another copy of the server reads %q, %v, %v", a.ID, ok, err)
		}
		if got.ID != began.ID || !got.AuthTime.Equal(noon) || !slices.Equal(got.AMR, []string{"pwd"}) || got.ACR != "urn:acr:1" ||
			got.Address != "192.0.2.7" || got.UserAgent != "Mosaic/1.0" || !got.ExpiresAt.Equal(noon.AddDate(0, 0, 30)) {
			t.Errorf("read as %+v", got)
		}
		// What is remembered does not open the session.
		if strings.Contains(string(got.Digest), chrome.cookie.Value[32:]) || len(got.Digest) != 32 {
			t.Error("the cookie itself is remembered")
		}
	})
}

// OWASP ASVS 5.0 7.2.4: a new cookie at every sign-in, and the old one is dead.
func TestSessionFixation(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		eve := h.add(accounts.New{Email: "eve@example.com"})

		// Eve plants her own cookie at Alice's browser, and Alice signs in.
		evil := &browser{h: h}
		evil.begins(eve, noon)
		victim := &browser{h: h, cookie: evil.cookie}
		session := victim.begins(alice, noon.Add(time.Minute))
		if evil.who(noon.Add(time.Minute)) != "" {
			t.Error("the planted cookie is still good")
		}
		if victim.who(noon.Add(time.Minute)) != "alice@example.com" {
			t.Error("alice is not signed in")
		}
		old, _, err := h.sessions.Store.Session(t.Context(), "ses_"+evil.cookie.Value[6:28])
		if err != nil || old.EndReason != accounts.ReasonReplaced || old.ID == session.ID {
			t.Errorf("eve's session: %q, %v", old.EndReason, err)
		}

		// Alice shows who she is once more: the same session, another cookie.
		before := *victim
		renewed := victim.begins(alice, noon.Add(2*time.Minute))
		if renewed.ID != session.ID || !renewed.AuthTime.Equal(noon.Add(2*time.Minute)) {
			t.Errorf("renewed as %s at %s", renewed.ID, renewed.AuthTime)
		}
		if before.who(noon.Add(2*time.Minute)) != "" || victim.who(noon.Add(2*time.Minute)) == "" {
			t.Error("the cookie before is good, or the new one is not")
		}

		// A cookie that nobody gave, with an id that somebody chose.
		forged := &browser{h: h, cookie: &http.Cookie{
			Name:  h.sessions.CookieName(),
			Value: h.sessions.Mint.Issue(secret.KindSession, session.ID[4:]).Reveal(),
		}}
		if forged.who(noon.Add(2*time.Minute)) != "" {
			t.Error("a session opens to its id alone")
		}
		if fresh := forged.begins(alice, noon.Add(2*time.Minute)); fresh.ID == session.ID {
			t.Error("a session was taken over by its id")
		}
		if victim.who(noon.Add(2*time.Minute)) == "" {
			t.Error("a forged cookie ended a session")
		}
	})
}

func TestTwoBrowsers(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		laptop, phone := &browser{h: h}, &browser{h: h}
		a, b := laptop.begins(alice, noon), phone.begins(alice, noon)
		if a.ID == b.ID {
			t.Fatal("two browsers share a session")
		}
		if list, err := h.sessions.List(t.Context(), accounts.Page{Limit: 10}, alice.ID, noon); err != nil || len(list) != 2 {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		w := httptest.NewRecorder()
		if err := h.sessions.End(t.Context(), w, a.ID, accounts.ReasonLogout, noon); err != nil {
			t.Fatal(err)
		}
		old := *laptop
		laptop.takes(w)
		if laptop.cookie != nil || old.who(noon) != "" {
			t.Error("signing out left the cookie, or the session behind it")
		}
		if phone.who(noon) == "" {
			t.Error("signing out at one browser signed out at the other")
		}
		laptop.begins(alice, noon)
		if err := h.sessions.EndAll(t.Context(), alice.ID, accounts.ReasonRevoked, noon); err != nil {
			t.Fatal(err)
		}
		if laptop.who(noon) != "" || phone.who(noon) != "" {
			t.Error("a session outlived the end of all")
		}
		if err := h.sessions.End(t.Context(), nil, "ses_0", accounts.ReasonRevoked, noon); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("ending a session that isn't there: %v", err)
		}
	})
}

func TestASessionEndsByItself(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		chrome := &browser{h: h}

		// Unused.
		chrome.begins(alice, noon)
		for _, use := range []time.Duration{11 * time.Hour, 22 * time.Hour, 33*time.Hour + 59*time.Minute} {
			if chrome.who(noon.Add(use)) == "" {
				t.Fatalf("not signed in after %s, used all along", use)
			}
		}
		if chrome.who(noon.Add(46*time.Hour)) != "" {
			t.Error("signed in after 12 hours without use")
		}
		// It stays over; the next sign-in is another session, and ends this one for good.
		old := *chrome
		x := chrome.begins(alice, noon.Add(46*time.Hour))
		was, _, err := h.sessions.Store.Session(t.Context(), "ses_"+old.cookie.Value[6:28])
		if err != nil || was.ID == x.ID || was.EndedAt.IsZero() {
			t.Errorf("the session before: %+v, %v", was, err)
		}

		// Used every hour, to the end.
		chrome = &browser{h: h}
		chrome.begins(alice, noon)
		for now := noon; now.Before(noon.AddDate(0, 0, 30)); now = now.Add(6 * time.Hour) {
			if chrome.who(now) == "" {
				t.Fatalf("not signed in at %s", now)
			}
		}
		if chrome.who(noon.AddDate(0, 0, 30)) != "" {
			t.Error("signed in after 30 days")
		}

		// Whoever shows who they are begins anew, in the same session.
		chrome = &browser{h: h}
		first := chrome.begins(alice, noon)
		again := chrome.begins(alice, noon.Add(6*time.Hour))
		if again.ID != first.ID || !again.ExpiresAt.Equal(noon.Add(6*time.Hour).AddDate(0, 0, 30)) {
			t.Errorf("renewed until %s", again.ExpiresAt)
		}

		// A shorter life counts for the sessions that there are.
		h.sessions.Max = time.Hour
		if chrome.who(noon.Add(7*time.Hour)) != "" {
			t.Error("signed in for longer than the operator allows now")
		}
	})
}

func TestASessionIsMarkedAsUsedOnceAMinute(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		chrome := &browser{h: h}
		x := chrome.begins(alice, noon)
		for _, tt := range []struct{ use, seen time.Duration }{
			{59 * time.Second, 0}, {61 * time.Second, 61 * time.Second}, {70 * time.Second, 61 * time.Second}, {5 * time.Minute, 5 * time.Minute},
		} {
			chrome.who(noon.Add(tt.use))
			got, _, err := h.sessions.Store.Session(t.Context(), x.ID)
			if err != nil || !got.SeenAt.Equal(noon.Add(tt.seen)) {
				t.Errorf("used at %s, seen at %s, %v", tt.use, got.SeenAt.Sub(noon), err)
			}
		}
	})
}

// "Disabled" counts on every path.
func TestADisabledPersonIsOutEverywhere(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		chrome := &browser{h: h}
		x := chrome.begins(alice, noon)
		if err := open().directory.Disable(t.Context(), alice.ID, noon); err != nil {
			t.Fatal(err)
		}
		if chrome.who(noon) != "" {
			t.Error("still signed in")
		}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != accounts.ErrWrong {
			t.Errorf("the right password: %v", err)
		}
		// Somebody whose password was checked a moment before.
		for _, b := range []*browser{chrome, {h: h}} {
			w := httptest.NewRecorder()
			_, err := h.sessions.Begin(w, b.request(), alice, nil, "", "", noon)
			if !errors.Is(err, accounts.ErrNotFound) || len(w.Result().Cookies()) != 0 {
				t.Errorf("a session begins: %v", err)
			}
		}
		if err := h.directory.Enable(t.Context(), alice.ID, noon); err != nil {
			t.Fatal(err)
		}
		if chrome.who(noon) != "" {
			t.Error("what was ended came back")
		}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != nil {
			t.Errorf("enabled again: %v", err)
		}
		if got, _, err := h.sessions.Store.Session(t.Context(), x.ID); err != nil || got.EndedAt.IsZero() {
			t.Errorf("the session: %+v, %v", got, err)
		}
		if err := h.directory.Remove(t.Context(), alice.ID, noon); err != nil {
			t.Fatal(err)
		}
		if chrome.who(noon) != "" {
			t.Error("somebody who isn't there is signed in")
		}
	})
}

// CVE-2026-25748: what can't be read must not count as signed in.
func TestUnreadableCookiesSignNobodyIn(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		bob := h.add(accounts.New{Email: "bob@example.com"})
		chrome, firefox := &browser{h: h}, &browser{h: h}
		chrome.begins(alice, noon)
		firefox.begins(bob, noon)
		name, mine, his := h.sessions.CookieName(), chrome.cookie.Value, firefox.cookie.Value
		for what, header := range map[string]string{
			"cut":                   name + "=" + mine[:len(mine)-1],
			"quoted":                name + `="` + mine + `"`,
			"longer":                name + "=" + mine + "0",
			"another's secret":      name + "=" + mine[:32] + his[32:],
			"two, of two people":    name + "=" + mine + "; " + name + "=" + his,
			"two, of one person":    name + "=" + mine + "; " + name + "=" + mine,
			"one and an empty one":  name + "=" + mine + "; " + name + "=",
			"without the prefix":    strings.TrimPrefix(name, "__Host-") + "=" + mine,
			"another kind of token": name + "=" + h.sessions.Mint.Issue(secret.KindAccess, strings.Repeat("0", 22)).Reveal(),
		} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Header.Set("Cookie", header)
			if _, a, ok, err := h.sessions.Current(r, noon); ok || err != nil || a.ID != "" {
				t.Errorf("%s: %v, %q, %v", what, ok, a.ID, err)
			}
		}
		if chrome.who(noon) != "alice@example.com" {
			t.Error("and now the good one is not taken either")
		}
	})
}

// Without an answer from the database nobody is signed in, and nobody is told otherwise.
func TestAFaultSignsNobodyIn(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		chrome := &browser{h: h}
		chrome.begins(alice, noon)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, a, ok, err := h.sessions.Current(chrome.request().WithContext(ctx), noon)
		if ok || err == nil || a.ID != "" {
			t.Errorf("the browser: %v, %v", ok, err)
		}
		h.directory.Store = broken{h.db.Accounts()}
		a, err = h.directory.SignIn(t.Context(), "alice@example.com", otter, "192.0.2.1", noon)
		if err == nil || errors.Is(err, accounts.ErrWrong) || a.ID != "" {
			t.Errorf("the password: %q, %v", a.ID, err)
		}
	})
}

// broken is a store that can't count.
type broken struct{ accounts.Store }

func (broken) Count(context.Context, string, time.Duration, time.Time) (int64, time.Time, error) {
	return 0, time.Time{}, errors.New("the database is away")
}

// Two sign-ins of one browser at once leave it signed in at one of them, and never as two.
func TestTwoSignInsAtOnce(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com"})
		houses := []*house{h, open()}
		chrome := &browser{h: h}
		x := chrome.begins(alice, noon)
		const many = 16
		after := make([]browser, many)
		for i, err := range together(many, func(i int) error {
			b := &browser{h: houses[i%2], cookie: chrome.cookie}
			w := httptest.NewRecorder()
			_, err := b.h.sessions.Begin(w, b.request(), alice, []string{"pwd"}, "", "", noon)
			b.takes(w)
			after[i] = *b
			return err
		}) {
			if err != nil {
				t.Errorf("sign-in %d: %v", i, err)
			}
		}
		same := 0
		for _, b := range after {
			if b.cookie.Value[6:28] == x.ID[4:] && b.who(noon) != "" {
				same++
			}
		}
		if same != 1 || chrome.who(noon) != "" {
			t.Errorf("%d cookies open the session, the first one: %q", same, chrome.who(noon))
		}
	})
}

// undone is a store that forgot to end the sessions of somebody it disabled.
type undone struct{ accounts.Store }

func (s undone) Session(ctx context.Context, id string) (accounts.Session, accounts.Account, error) {
	x, a, err := s.Store.Session(ctx, id)
	a.DisabledAt = noon
	return x, a, err
}

// A session does not depend on having been ended: the account is asked, too.
func TestADisabledAccountHasNoSession(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		chrome := &browser{h: h}
		chrome.begins(h.add(accounts.New{Email: "alice@example.com"}), noon)
		h.sessions.Store = undone{h.db.Accounts()}
		if chrome.who(noon) != "" {
			t.Error("a disabled account is signed in")
		}
	})
}
