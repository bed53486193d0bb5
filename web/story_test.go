package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mintmark/accounts"
	"mintmark/internal/secret"
)

func TestSomebodySignsInForAnApplication(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)

		page := v.open(h.authorize("scope", "openid email offline_access orders:read"))
		page.says(t, "Sign in", "Orders", "orders.example")
		if page.status != 200 || !page.has("login-submit") || !page.has("login-cancel") {
			t.Fatalf("%d: %s", page.status, page.body)
		}

		// One answer, whatever is wrong.
		wrong := v.press(page, "login-submit", "username", ada.Email, "password", "not it")
		nobody := v.press(page, "login-submit", "username", "nobody@example.com", "password", "not it")
		nothing := v.press(page, "login-submit", "username", ada.Email, "password", "")
		for _, seen := range []view{wrong, nobody, nothing} {
			if seen.status != statusRefused || seen.element("login-problem") == nil {
				t.Errorf("%d: %s", seen.status, seen.body)
			}
			for _, id := range []string{"username", "password"} {
				e := seen.element(id)
				invalid, _ := attr(e, "aria-invalid")
				described, _ := attr(e, "aria-describedby")
				if invalid != "true" || described != "login-problem" {
					t.Errorf("the field %s does not point to its problem", id)
				}
			}
			if role, _ := attr(seen.element("login-problem"), "role"); role != "alert" {
				t.Error("the problem is not announced")
			}
		}
		if wrong.value("username") != ada.Email {
			t.Errorf("what was typed is gone: %q", wrong.value("username"))
		}
		if strings.Contains(wrong.body, "not it") {
			t.Error("the password is sent back")
		}
		if strings.ReplaceAll(wrong.body, ada.Email, "") != strings.ReplaceAll(nobody.body, "nobody@example.com", "") {
			t.Error("the pages differ for somebody and nobody")
		}

		page = v.signIn(wrong, ada)
		page.says(t, "Orders", "orders.example", ada.Email, "See your e-mail address", "orders:read", "until you take it back")
		if strings.Contains(page.body, "See your profile") {
			t.Error("the page tells of a scope that was not asked for")
		}
		page = v.press(page, "consent-approve")
		if !strings.HasPrefix(page.at.String(), back) || page.at.Query().Get("code") == "" {
			t.Errorf("sent to %s: %s", page.at, page.body)
		}
	})
}

func TestEachPageHasItsHeaders(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		login := v.open(h.authorize())
		consent := v.signIn(login, ada)
		for _, tt := range []struct {
			name    string
			page    view
			onwards bool // its form ends at the application
		}{
			{"sign-in", login, true},
			{"consent", consent, true},
			{"sign-out", v.open(h.issuer + "/logout"), false},
			{"start", v.open(h.issuer + "/"), false},
			{"error", v.open(h.issuer + "/consent"), false},
		} {
			policy := tt.page.header.Get("Content-Security-Policy")
			if strings.Contains(policy, "https://orders.example") != tt.onwards || !strings.Contains(policy, "form-action 'self'") {
				t.Errorf("%s: %s", tt.name, policy)
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"} {
				if got := tt.page.header.Get(name); got != want {
					t.Errorf("%s: %s is %q", tt.name, name, got)
				}
			}
		}
	})
}

func TestSomebodySaysNo(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		seen := v.press(v.open(h.authorize()), "login-cancel")
		if seen.at.Query().Get("error") != "access_denied" {
			t.Errorf("cancelled: %s", seen.at)
		}
		seen = v.press(v.signIn(v.open(h.authorize()), ada), "consent-deny")
		if seen.at.Query().Get("error") != "access_denied" {
			t.Errorf("denied: %s", seen.at)
		}
	})
}

func TestSomebodyComesByThemselves(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		if _, err := h.directory.Add(t.Context(), accounts.New{Email: "admin@example.com", Role: accounts.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		v := h.visitor(t)
		v.open(h.issuer+"/").says(t, "Nobody is signed in")
		// Where to go then is not for others to say.
		seen := v.open(h.issuer + "/login?return_to=//evil.example")
		seen.says(t, "This link leads nowhere")
		if seen.status != 400 || strings.Contains(seen.body, "evil") {
			t.Errorf("%d %s", seen.status, seen.body)
		}
		page := v.open(h.issuer + "/login?next=https://evil.example&redirect_uri=https://evil.example")
		if page.has("login-cancel") || strings.Contains(page.body, "evil") {
			t.Errorf("%s", page.body)
		}
		page = v.signIn(page, ada)
		if page.at.String() != h.issuer+"/" {
			t.Fatalf("sent to %s", page.at)
		}
		page.says(t, ada.Email)
		if seen := v.open(h.issuer + "/login"); seen.at.Path != "/tenant/" {
			t.Errorf("asked to sign in again: %s", seen.at)
		}

		page = v.open(h.issuer + "/logout")
		page.says(t, ada.Email)
		v.press(page, "logout-cancel").says(t, "You are signed in", ada.Email)
		page = v.press(page, "logout-confirm")
		page.says(t, "You are signed out")
		v.open(h.issuer+"/").says(t, "Nobody is signed in")
	})
}

func TestAnApplicationAsksToSignOut(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		v.signIn(v.open(h.issuer+"/login"), ada)
		page := v.open(h.issuer + "/end_session?post_logout_redirect_uri=" + url.QueryEscape(bye))
		page.says(t, "Sign out?", ada.Email, "You will not return to the application.")
		page = v.press(page, "logout-confirm")
		page.says(t, "You are signed out")
		if page.at.Host == "orders.example" {
			t.Error("without a proof, the browser was sent to the application")
		}
	})
}

func TestTooManyAttempts(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		page := v.open(h.authorize())
		for range 10 {
			if page = v.press(page, "login-submit", "username", ada.Email, "password", "a guess"); page.status != statusRefused {
				t.Fatalf("%d: %s", page.status, page.body)
			}
		}
		page = v.signIn(page, ada)
		seconds, _ := strconv.Atoi(page.header.Get("Retry-After"))
		if page.status != http.StatusTooManyRequests || seconds < 60 || seconds > 900 {
			t.Errorf("%d, Retry-After %d", page.status, seconds)
		}
		page.says(t, "too many attempts", "minutes")
		if page.value("username") != ada.Email || page.value("request") == "" && !strings.Contains(page.body, `name="request"`) {
			t.Error("the form lost what was in it")
		}
	})
}

func TestEverybodySignsInAtOnce(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		page := v.open(h.authorize())
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		turn, err := h.hasher.Turn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer turn.Over()
		for range 64 { // as many as may wait
			go func() {
				for err := secret.ErrBusy; errors.Is(err, secret.ErrBusy); {
					_, err = h.hasher.Turn(ctx)
				}
			}()
		}
		for {
			brief, end := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := h.hasher.Turn(brief)
			end()
			if errors.Is(err, secret.ErrBusy) {
				break
			}
		}
		page = v.signIn(page, ada)
		if page.status != http.StatusServiceUnavailable || page.header.Get("Retry-After") == "" || !page.has("login-submit") {
			t.Errorf("%d %v: %s", page.status, page.header, page.body)
		}
	})
}

func TestWhoIsGoingToSignInIsKnown(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada, bob := h.addPerson("Ada"), h.addPerson("Bob")
		v := h.visitor(t)
		if page := v.open(h.authorize("login_hint", "ada@example.com")); page.value("username") != "ada@example.com" {
			t.Errorf("Core 3.1.2.1, login_hint: %q", page.value("username"))
		}
		v.press(v.signIn(v.open(h.authorize()), ada), "consent-approve")

		page := v.open(h.authorize("prompt", "login"))
		page.says(t, "Sign in again")
		if page.value("username") != ada.Email || page.has("login-continue") {
			t.Errorf("Core 3.1.2.1, prompt=login: %s", page.body)
		}
		if page = v.signIn(page, ada); page.at.Query().Get("code") == "" {
			t.Errorf("signed in again: %s", page.at)
		}

		// Core 3.1.2.1, prompt=select_account
		page = v.open(h.authorize("prompt", "select_account"))
		page.says(t, "Choose an account", ada.Email)
		if seen := v.press(page, "login-continue"); seen.at.Query().Get("code") == "" {
			t.Errorf("continued: %s: %s", seen.at, seen.body)
		}
		// Core 5.5: only Bob will do, so there is nothing to continue with.
		page = v.open(h.authorize("prompt", "select_account", "claims", `{"id_token":{"sub":{"value":"`+bob.ID+`"}}}`))
		if page.has("login-continue") || !page.has("login-submit") {
			t.Errorf("somebody else is wanted: %s", page.body)
		}
		page = v.open(h.authorize("prompt", "select_account"))
		if seen := v.signIn(page, bob); !seen.has("consent-approve") {
			t.Errorf("another account: %s: %s", seen.at, seen.body)
		}

		// The page said Ada, and now it is Bob: it doesn't continue as either unasked.
		address, form := v.form(page, "login-continue")
		page = v.post(address, form)
		page.says(t, bob.Email)
		if !page.has("login-submit") {
			t.Errorf("continued as somebody that the page did not show: %s", page.at)
		}
	})
}

func TestSomebodyElseThanWhoIsSignedInConsents(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada, bob := h.addPerson("Ada"), h.addPerson("Bob")
		v := h.visitor(t)
		page := v.signIn(v.open(h.authorize()), ada)
		shownToAda := page
		page = v.press(page, "consent-switch")
		if !page.has("login-submit") {
			t.Fatalf("%s: %s", page.at, page.body)
		}
		page = v.signIn(page, bob)
		page.says(t, bob.Email)
		// Ada's page is still open in another tab, and its button says yes.
		seen := v.press(shownToAda, "consent-approve")
		if seen.at.Query().Has("code") {
			t.Fatal("Bob agreed on a page that was shown to Ada")
		}
		seen.says(t, bob.Email)
		if seen = v.press(page, "consent-approve"); !seen.at.Query().Has("code") {
			t.Errorf("%s: %s", seen.at, seen.body)
		}
	})
}

func TestADisabledPersonConsentsToNothing(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		ada := h.addPerson("Ada")
		v := h.visitor(t)
		page := v.signIn(v.open(h.authorize()), ada)
		if err := h.directory.Disable(t.Context(), ada.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		if seen := v.press(page, "consent-approve"); !seen.has("login-submit") {
			t.Errorf("approved: %s", seen.at)
		}
		if seen := v.open(page.at.String()); !seen.has("login-submit") {
			t.Errorf("the page: %s", seen.at)
		}
		if seen := v.signIn(v.open(h.authorize()), ada); seen.status != statusRefused {
			t.Errorf("signed in: %d", seen.status)
		}
	})
}

func TestAPageBelongsToTheBrowserThatBegan(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		mallory, ada := h.addPerson("Mallory"), h.addPerson("Ada")
		m, v := h.visitor(t), h.visitor(t)
		login := m.open(h.authorize())
		consent := m.signIn(login, mallory)
		v.signIn(v.open(h.issuer+"/login"), ada)
		for name, seen := range map[string]view{
			"the sign-in page":       v.open(h.issuer + "/login?request=" + url.QueryEscape(login.requestOf())),
			"the sign-in form":       v.signIn(login, ada),
			"the cancel button":      v.press(login, "login-cancel"),
			"the consent page":       v.open(consent.at.String()),
			"the yes of the consent": v.press(consent, "consent-approve"),
			"the no of the consent":  v.press(consent, "consent-deny"),
		} {
			if seen.status != 400 || !seen.has("error") {
				t.Errorf("%s of somebody else: %d at %s", name, seen.status, seen.at)
			}
		}
	})
}

func (p view) requestOf() (sealed string) {
	elements(p.root, func(e *html.Node) {
		if name, _ := attr(e, "name"); name == "request" {
			sealed, _ = attr(e, "value")
		}
	})
	return sealed
}

func TestTheFirstAdministrator(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		v := h.visitor(t)
		v.open(h.issuer+"/").says(t, "Not set up yet")
		page := v.open(h.issuer + "/setup")
		if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") {
			t.Errorf("the script can't run: %s", policy)
		}
		code, err := h.directory.NewSetupCode(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		good := []string{"code", code.Reveal(), "username", "root@example.com", "name", "Root", "password", password}
		for _, tt := range []struct{ name, field, value, problem string }{
			{"whoever comes first has no code", "code", "", "code-problem"},
			{"a guess", "code", "mm_su_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "code-problem"},
			{"no address", "username", "root", "username-problem"},
			{"a password that is guessed first", "password", "password1", "password-problem"},
			{"no password", "password", "", "password-problem"},
			{"a name with a line break", "name", "R\noot", "name-problem"},
		} {
			seen := v.press(page, "setup-submit", slices.Concat(good, []string{tt.field, tt.value})...)
			if seen.status != statusRefused || !seen.has(tt.problem) {
				t.Errorf("%s: %d: %s", tt.name, seen.status, seen.body)
			}
			if tt.field != "username" && seen.value("username") != "root@example.com" || seen.value("password") != "" {
				t.Errorf("%s: what was typed is gone, or too much of it is there", tt.name)
			}
		}
		page = v.press(page, "setup-submit", good...)
		page.says(t, "You are signed in", "root@example.com", "clients add")
		root, err := h.directory.ByEmail(t.Context(), "root@example.com")
		if err != nil || root.Role != accounts.RoleAdmin {
			t.Errorf("%+v, %v", root, err)
		}

		// It happens once.
		w := h.visitor(t)
		page = w.open(h.issuer + "/setup")
		page.says(t, "Already set up")
		if page.has("setup-submit") {
			t.Error("the form is still there")
		}
		form := url.Values{}
		for i := 0; i < len(good); i += 2 {
			form.Set(good[i], good[i+1])
		}
		if seen := w.post(h.issuer+"/setup", form); seen.status != http.StatusConflict {
			t.Errorf("again: %d", seen.status)
		}
	})
}

func TestPagesRefuseWhatNoPageOfOursSends(t *testing.T) {
	inEach(t, func(t *testing.T, h *house) {
		h.addPerson("Ada")
		v := h.visitor(t)
		sealed := v.open(h.authorize()).requestOf()
		for _, path := range []string{"/login", "/consent", "/logout", "/setup"} {
			for _, tt := range []struct{ name, kind, body string }{
				{"a repeated field", "application/x-www-form-urlencoded", "username=a&username=b"},
				{"NUL", "application/x-www-form-urlencoded", "username=a%00b"},
				{"invalid UTF-8", "application/x-www-form-urlencoded", "username=%ff&password=%fe"},
				{"an escape that isn't one", "application/x-www-form-urlencoded", "username=%zz"},
				{"JSON", "application/json", `{"username":"ada@example.com"}`},
				{"no type", "", "username=a"},
				{"many fields", "application/x-www-form-urlencoded", manyFields()},
				{"a request that isn't one", "application/x-www-form-urlencoded", "request=abc&answer=approve&username=a&password=b"},
				{"half a request", "application/x-www-form-urlencoded", "answer=approve&request=" + sealed[:len(sealed)/2]},
			} {
				if path == "/setup" && strings.Contains(tt.name, "request") {
					continue // it has none
				}
				r, err := http.NewRequest("POST", h.issuer+path, strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", tt.kind)
				if seen := v.do(r); seen.status != 400 || !seen.has("error") {
					t.Errorf("%s, %s: %d at %s", path, tt.name, seen.status, seen.at)
				}
			}
			for _, query := range []string{"?request=%00", "?request=a&request=b", "?request=%zz", "?request=" + strings.Repeat("A", 30000)} {
				if seen := v.open(h.issuer + path + query); seen.status != 400 && path != "/setup" || seen.status >= 500 {
					t.Errorf("%s%.30s: %d", path, query, seen.status)
				}
			}
		}
		for _, path := range []string{"/consent", "/logout"} {
			if seen := v.post(h.issuer+path, url.Values{"request": {sealed}, "answer": {"perhaps"}}); seen.status != 400 {
				t.Errorf("%s, neither yes nor no: %d", path, seen.status)
			}
		}
		large := strings.Repeat("x", maxForm)
		if seen := v.post(h.issuer+"/login", url.Values{"username": {large}}); seen.status == 200 || seen.status == statusRefused {
			t.Errorf("a large form was read: %d", seen.status)
		}
	})
}

func manyFields() string {
	form := url.Values{}
	for i := range 51 {
		form.Set(strconv.Itoa(i), "x")
	}
	return form.Encode()
}

func TestDurationsInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second:                    "a minute",
		time.Minute:                    "a minute",
		61 * time.Second:               "2 minutes",
		14*time.Minute + 1*time.Second: "15 minutes",
		3 * time.Hour:                  "3 hours",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%s is %q", d, got)
		}
	}
}
