package issuer_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/issuer"
)

func TestAPersonSignsInAndAgrees(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		at := b.visit(ask(app, "scope", "openid profile pigeon offline_access", "claims", `{"userinfo":{"nickname":null}}`))
		if at.name != "login" {
			t.Fatalf("a stranger is sent to %s", at.name)
		}
		session := b.signIn(anna)
		at = b.visit("https://op.example" + h.ResumeURL(at.sealed))
		if at.name != "consent" {
			t.Fatalf("after signing in: %s", at.name)
		}
		consent := at.sealed
		began := time.Now()
		at = b.press(h.Approve, consent)
		if at.name != "code" || at.query.Get("state") != "the state" || len(at.query) != 3 {
			t.Fatalf("after agreeing: %s %v", at.name, at.query)
		}
		a := h.authorization(t, at.query.Get("code"))
		if a.ClientID != app.ID || a.AccountID != anna.ID || a.SessionID != session.ID ||
			!slices.Equal(a.Scopes, []string{"openid", "profile", "offline_access"}) || len(a.Audience) != 0 ||
			a.Claims != `{"userinfo":{"nickname":null}}` || a.ACR != issuer.ACRPassword || !slices.Equal(a.AMR, []string{"pwd"}) ||
			a.Nonce != "the nonce" || !a.Offline || a.RedirectURI != returning || a.Challenge == "" {
			t.Errorf("remembered is %s", mustJSON(t, a))
		}
		if d := a.AuthTime.Sub(session.AuthTime); d > time.Microsecond || d < -time.Microsecond {
			t.Errorf("auth_time %v, signed in at %v", a.AuthTime, session.AuthTime)
		}
		if life := a.CodeExpiresAt.Sub(began); life < 59*time.Second || life > 61*time.Second || !a.CodeSpentAt.IsZero() {
			t.Errorf("the code lives for %v", life)
		}
		if a.ForgetAt.Before(began.Add(30 * time.Minute)) {
			t.Errorf("forgotten at %v, while the request can still be shown", a.ForgetAt)
		}

		// A request is answered once, whichever way it comes again.
		for name, again := range map[string]place{
			"approved again": b.press(h.Approve, consent),
			"denied after":   b.press(h.Deny, consent),
			"going back":     b.visit("https://op.example" + h.ResumeURL(consent)),
		} {
			if again.name != "page: invalid_request" {
				t.Errorf("%s: %s", name, again.name)
			}
		}

		// It is remembered. OpenID Connect Core §3.1.2.1
		for _, tt := range []struct {
			name    string
			changes []string
			want    string
		}{
			{"the same again", nil, "code"},
			{"silently", []string{"prompt", "none"}, "code"},
			{"less, in another order", []string{"scope", "profile openid", "prompt", "none"}, "code"},
			{"offline_access was allowed", []string{"scope", "offline_access openid"}, "code"},
			{"more", []string{"scope", "openid email"}, "consent"},
			{"more, silently", []string{"scope", "openid email", "prompt", "none"}, "consent_required"},
			{"consent again", []string{"prompt", "consent"}, "consent"},
			{"sign in again", []string{"prompt", "login"}, "login"},
			{"choose", []string{"prompt", "select_account"}, "login"},
			{"max_age that is over", []string{"max_age", "0"}, "login"},
			{"max_age that is over, silently", []string{"max_age", "0", "prompt", "none"}, "login_required"},
			{"max_age that isn't", []string{"max_age", "10000"}, "code"},
			{"a hint", []string{"prompt", "none", "id_token_hint", h.hint(t, app.ID, anna.ID, "")}, "code"},
			{"a hint of somebody else", []string{"prompt", "none", "id_token_hint", h.hint(t, app.ID, "usr_x", "")}, "login_required"},
			{"a hint of somebody else, aloud", []string{"id_token_hint", h.hint(t, app.ID, "usr_x", "")}, "login"},
			{"a hint of another client", []string{"id_token_hint", h.hint(t, "cli_x", anna.ID, "")}, "invalid_request"},
			{"an access token as a hint", []string{"id_token_hint", "a.b.c"}, "invalid_request"},
			{"an essential acr that nobody has", []string{"claims", `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`}, "unmet_authentication_requirements"},
		} {
			if got := b.visit(ask(app, tt.changes...)); got.name != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got.name, tt.want)
			}
		}
	})
}

// Nobody is redirected before the client and its address are proven.
func TestNothingRedirectsBeforeTheAddressIsProven(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app := h.client(t, nil)
		two := h.client(t, func(c *issuer.Client) { c.RedirectURIs = append(c.RedirectURIs, returning+"2") })
		disabled := h.client(t, nil)
		if err := h.db.Registry().DisableClient(t.Context(), disabled.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		b := h.browser(t)
		for _, tt := range []struct {
			name    string
			address string
			want    string
		}{
			{"RFC 6749 4.1.2.1, no client", ask(app, "client_id", "-"), "page: invalid_request"},
			{"RFC 6749 4.1.2.1, an unknown client", ask(app, "client_id", "stranger"), "page: unauthorized_client"},
			{"RFC 6749 4.1.2.1, an enormous client", ask(app, "client_id", strings.Repeat("x", 300)), "page: unauthorized_client"},
			{"RFC 6749 4.1.2.1, a disabled client", ask(disabled), "page: unauthorized_client"},
			{"RFC 6749 4.1.2.1, another address", ask(app, "redirect_uri", "https://evil.example/"), "page: invalid_request"},
			{"RFC 9700 2.1, a longer address", ask(app, "redirect_uri", returning+"2"), "page: invalid_request"},
			{"Core 3.1.2.1, no address", ask(app, "redirect_uri", "-"), "page: invalid_request"},
			{"RFC 6749 3.1.2.3, no address, two registered", ask(two, "redirect_uri", "-", "scope", "profile"), "page: invalid_request"},
			{"RFC 6749 3.1.2.3, no address, one registered", ask(app, "redirect_uri", "-", "scope", "profile"), "login"},
			{"RFC 6749 3.1, the client repeated", ask(app) + "&client_id=" + app.ID, "page: invalid_request"},
			{"RFC 6749 3.1, the address repeated", ask(app) + "&redirect_uri=https://evil.example", "page: invalid_request"},
			{"RFC 6749 3.1, another parameter repeated", ask(app) + "&scope=openid", "invalid_request"},
			{"NUL", ask(app) + "&x=%00", "page: invalid_request"},
			{"not UTF-8", ask(app) + "&x=%ff", "page: invalid_request"},
			{"more than 8 KiB", ask(app, "state", strings.Repeat("x", 8<<10)), "page: invalid_request"},
			{"Core 6, the address is inside of the request object", ask(app, "redirect_uri", "https://evil.example/", "request", "x"), "page: invalid_request"},
			{"Core 6, request", ask(app, "request", "x"), "request_not_supported"},
			{"Core 6, request_uri", ask(app, "request_uri", "x"), "request_uri_not_supported"},
			{"Core 3.1.2.6, silently", ask(app, "prompt", "none"), "login_required"},
			{"RFC 6749 3.1.1, no response_type", ask(app, "response_type", "-"), "invalid_request"},
			{"a request that grows too large when it is sealed", ask(app, "state", strings.Repeat("\x01", 4000)), "invalid_request"},
		} {
			at := b.visit(tt.address)
			if at.name != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, at.name, tt.want)
			}
			if at.query.Has("error") && !strings.HasPrefix(tt.name, "a request that grows") && at.query.Get("state") != "the state" {
				t.Errorf("%s: RFC 6749 4.1.2.1: the state is %q", tt.name, at.query.Get("state"))
			}
		}
	})
}

func TestASealedRequestBelongsToItsBrowser(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna, bert := h.client(t, nil), h.person(t), h.person(t)
		mallory, victim := h.browser(t), h.browser(t)
		at := mallory.visit(ask(app))
		victim.signIn(anna)
		victim.visit(ask(app, "prompt", "login")) // has a binding cookie of its own
		for name, got := range map[string]place{
			"resumed":  victim.visit("https://op.example" + h.ResumeURL(at.sealed)),
			"approved": victim.press(h.Approve, at.sealed),
			"denied":   victim.press(h.Deny, at.sealed),
			"chosen":   victim.press(h.Choose, at.sealed),
		} {
			if got.name != "page: invalid_request" {
				t.Errorf("%s in another browser: %s", name, got.name)
			}
		}
		// One that was sealed before it met a browser can be taken over by any, like an address
		// of the authorization endpoint. But no page opens it.
		w, err := mallory.do("POST", front+"/authorize", asked(app), h.Authorize, true)
		if err != nil {
			t.Fatal(err)
		}
		sealed := strings.TrimPrefix(w.Header().Get("Location"), "/base/authorize/")
		if got := victim.press(h.Approve, sealed); got.name != "page: invalid_request" {
			t.Errorf("an unbound request was approved: %s", got.name)
		}

		// Consent counts from whoever was asked. Somebody else has signed in since, in another tab.
		b := h.browser(t)
		b.signIn(anna)
		at = b.visit(ask(app))
		if at.name != "consent" {
			t.Fatal(at.name)
		}
		b.signIn(bert)
		if got := b.press(h.Approve, at.sealed); got.name != "consent" {
			t.Errorf("Bert approved what Anna was asked: %s", got.name)
		}
		// Approval without having been asked at all.
		login := b.visit(ask(app, "prompt", "login"))
		if got := b.press(h.Approve, login.sealed); got.name != "login" {
			t.Errorf("approved on the sign-in page: %s", got.name)
		}
	})
}

func TestSignInAgain(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna, bert := h.client(t, func(c *issuer.Client) { c.Consent = "never" }), h.person(t), h.person(t)
		b := h.browser(t)
		first := b.signIn(anna)
		at := b.visit(ask(app, "prompt", "login", "max_age", "0"))
		if at.name != "login" {
			t.Fatal(at.name)
		}
		if again := b.visit("https://op.example" + h.ResumeURL(at.sealed)); again.name != "login" {
			t.Errorf("Core 3.1.2.1: went on without signing in: %s", again.name)
		}
		second := b.signIn(anna)
		at = b.visit("https://op.example" + h.ResumeURL(at.sealed))
		if at.name != "code" {
			t.Fatal(at.name)
		}
		a := h.authorization(t, at.query.Get("code"))
		if !a.AuthTime.After(first.AuthTime) || a.SessionID != first.ID || second.ID != first.ID {
			t.Errorf("auth_time %v, was %v; session %s, was %s", a.AuthTime, first.AuthTime, a.SessionID, first.ID)
		}

		// prompt=select_account: the person may go on as who they are.
		at = b.visit(ask(app, "prompt", "select_account"))
		if got := b.press(h.Choose, at.sealed); got.name != "code" {
			t.Errorf("chose the account: %s", got.name)
		}

		// The hint wants Bert, Anna signs in once more: it is not asked forever, nor answered about Anna.
		at = b.visit(ask(app, "id_token_hint", h.hint(t, app.ID, bert.ID, "")))
		if at.name != "login" {
			t.Fatal(at.name)
		}
		b.signIn(anna)
		if got := b.visit("https://op.example" + h.ResumeURL(at.sealed)); got.name != "login_required" {
			t.Errorf("Core 3.1.2.2: Anna instead of Bert: %s", got.name)
		}
		b.signIn(bert)
		got := b.visit("https://op.example" + h.ResumeURL(at.sealed))
		if got.name != "code" || h.authorization(t, got.query.Get("code")).AccountID != bert.ID {
			t.Errorf("Bert himself: %s", got.name)
		}
	})
}

func TestAPersonSaysNo(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		if at := b.press(h.Deny, b.visit(ask(app)).sealed); at.name != "access_denied" || at.query.Get("state") != "the state" {
			t.Errorf("RFC 6749 4.1.2.1, cancelled: %s %v", at.name, at.query)
		}
		b.signIn(anna)
		consent := b.visit(ask(app)).sealed
		if at := b.press(h.Deny, consent); at.name != "access_denied" {
			t.Errorf("RFC 6749 4.1.2.1, denied: %s", at.name)
		}
		if at := b.press(h.Approve, consent); at.name != "page: invalid_request" {
			t.Errorf("approved after it was denied: %s", at.name)
		}
		if at := b.visit(ask(app, "prompt", "none")); at.name != "consent_required" {
			t.Errorf("a no was remembered as a yes: %s", at.name)
		}
	})
}

// OpenID Connect Core §3.1.2.1: "Authorization Servers MUST support the use of the HTTP GET and
// POST methods". The POST comes from another site, without our cookies.
func TestAuthorizeByPost(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		at := b.send(front+"/authorize", asked(app))
		if at.name != "login" {
			t.Fatal(at.name)
		}
		b.signIn(anna)
		at = b.visit("https://op.example" + h.ResumeURL(at.sealed))
		if at.name != "consent" {
			t.Fatal(at.name)
		}
		if at = b.press(h.Approve, at.sealed); at.name != "code" {
			t.Fatal(at.name)
		}
		if at = b.send(front+"/authorize", asked(app, "prompt", "none")); at.name != "code" {
			t.Errorf("silently: %s", at.name)
		}
		if at = b.send(front+"/authorize", asked(app, "response_type", "-")); at.name != "invalid_request" {
			t.Errorf("an error: %s", at.name)
		}
		if at = b.send(front+"/authorize", asked(app, "redirect_uri", "-")); at.name != "page: invalid_request" {
			t.Errorf("an error without an address: %s", at.name)
		}
	})
}

func TestFormPost(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, func(c *issuer.Client) { c.Consent = "never" }), h.person(t)
		b := h.browser(t)
		for _, tt := range []struct{ name, address, want string }{
			{"an error", ask(app, "response_mode", "form_post", "prompt", "none"), `name="error" value="login_required"`},
			{"an error of the request", ask(app, "response_mode", "form_post", "response_type", "-"), `name="error" value="invalid_request"`},
		} {
			if at := b.visit(tt.address); at.name != "form" || !strings.Contains(at.body, tt.want) {
				t.Errorf("Form Post 2, %s: %s %s", tt.name, at.name, at.body)
			}
		}
		at := b.visit(ask(app, "response_mode", "form_post"))
		if at.name != "login" {
			t.Fatal(at.name)
		}
		if denied := b.press(h.Deny, b.visit(ask(app, "response_mode", "form_post")).sealed); !strings.Contains(denied.body, `value="access_denied"`) {
			t.Errorf("Form Post 2, denied: %s %s", denied.name, denied.body)
		}
		b.signIn(anna)
		if at = b.visit("https://op.example" + h.ResumeURL(at.sealed)); !strings.Contains(at.body, `name="code" value="mm_ac_`) {
			t.Errorf("Form Post 2, a code: %s %s", at.name, at.body)
		}
	})
}

// Whatever happens to the person, the client or the consent counts for a request that is under
// way already.
func TestWhatHappensWhileAPersonReads(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, copies func() *house) {
		anna, bert := h.person(t), h.person(t)
		elsewhere := copies()

		app := h.client(t, nil)
		b := h.browser(t)
		b.signIn(anna)
		sealed := b.visit(ask(app)).sealed
		if err := elsewhere.directory.Disable(t.Context(), anna.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		if at := b.press(h.Approve, sealed); at.name != "login" {
			t.Errorf("the account was disabled: %s", at.name)
		}

		b = h.browser(t)
		b.signIn(bert)
		sealed = b.visit(ask(app)).sealed
		// Disabled on another copy: this one still has it in its cache, the database decides.
		if err := elsewhere.db.Registry().DisableClient(t.Context(), app.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		if at := b.press(h.Approve, sealed); at.name == "code" {
			t.Errorf("the client was disabled: %s", at.name)
		}
		h.ForgetClient(app.ID)
		if at := b.press(h.Approve, sealed); at.name != "page: unauthorized_client" {
			t.Errorf("the client was disabled, and we heard of it: %s", at.name)
		}

		app = h.client(t, nil)
		sealed = b.visit(ask(app)).sealed
		moved := app
		moved.RedirectURIs = []string{returning + "/moved"}
		if err := h.db.Registry().SetClient(t.Context(), moved, app.UpdatedAt); err != nil {
			t.Fatal(err)
		}
		h.ForgetClient(app.ID)
		if at := b.press(h.Approve, sealed); at.name != "page: invalid_request" {
			t.Errorf("the address is no longer registered: %s", at.name)
		}

		app = h.client(t, nil)
		if at := b.press(h.Approve, b.visit(ask(app)).sealed); at.name != "code" {
			t.Fatal(at.name)
		}
		if err := h.db.Registry().RevokeConsent(t.Context(), bert.ID, app.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		if at := b.visit(ask(app, "prompt", "none")); at.name != "consent_required" {
			t.Errorf("the consent was revoked: %s", at.name)
		}
	})
}

// Of any number of answers to one request, on any number of copies, one wins.
func TestARequestIsAnsweredOnce(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, copies func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		b.signIn(anna)
		sealed := b.visit(ask(app)).sealed
		houses := []*house{h, copies(), copies()}
		const racers = 64
		codes := make([]string, racers)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				own := houses[i%len(houses)].browser(t)
				for name, c := range b.cookies {
					own.cookies[name] = c
				}
				<-start
				button := own.h.Approve
				if i%8 == 7 {
					button = own.h.Deny
				}
				codes[i] = own.press(button, sealed).name
			})
		}
		close(start)
		wg.Wait()
		won := 0
		for _, name := range codes {
			switch name {
			case "code", "access_denied":
				won++
			case "page: invalid_request":
			default:
				t.Errorf("somebody got %s", name)
			}
		}
		if won != 1 {
			t.Errorf("%d answers to one request", won)
		}
	})
}

// The fast path, where a person is signed in and has agreed, asks the database three times:
// for the session, for the consent, and to answer.
func TestRoundTripsOfTheFastPath(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		b.signIn(anna)
		if at := b.press(h.Approve, b.visit(ask(app)).sealed); at.name != "code" {
			t.Fatal(at.name)
		}
		before := h.db.Trips()
		if at := b.visit(ask(app)); at.name != "code" {
			t.Fatal(at.name)
		}
		if trips := h.db.Trips() - before; trips != 3 {
			t.Errorf("%d round trips", trips)
		}
	})
}

func TestTheBindingCookieIsKept(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app := h.client(t, nil)
		b := h.browser(t)
		b.visit(ask(app))
		const name = "__Host-mintmark_browser"
		first := b.cookies[name]
		if first == nil {
			t.Fatalf("the cookies are %v", b.cookies)
		}
		b.visit(ask(app))
		if b.cookies[name].Value != first.Value {
			t.Error("it was replaced although it was good")
		}
		b.cookies[name] = &http.Cookie{Name: name, Value: "chosen by somebody else"}
		if at := b.visit(ask(app)); at.name != "login" || b.cookies[name].Value == "chosen by somebody else" {
			t.Error("one that we did not make was kept")
		}
	})
}

func TestPending(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app, anna := h.client(t, nil), h.person(t)
		b := h.browser(t)
		b.signIn(anna)
		at := b.visit(ask(app, "prompt", "login select_account", "login_hint", "anna@example.com", "display", "popup", "ui_locales", "de en"))
		_, err := b.do("GET", front+"/login", nil, func(w http.ResponseWriter, r *http.Request) error {
			p, err := h.Pending(r, at.sealed)
			if p.Client.ID != app.ID || !slices.Equal(p.Scopes, []string{"openid", "profile"}) || p.RedirectURI != returning ||
				p.RedirectHost != "app.example" || p.FormAction() != "https://app.example" || p.LoginHint != "anna@example.com" ||
				p.Display != "popup" || !slices.Equal(p.UILocales, []string{"de", "en"}) || !p.SelectAccount || !p.Reauthenticate || len(p.ID) != 22 {
				t.Errorf("got %s", mustJSON(t, p))
			}
			return err
		}, false)
		if err != nil {
			t.Error(err)
		}
	})
}

// revoking is a store in which a consent is revoked just before a request is answered by it.
type revoking struct {
	issuer.Store
	before func() error
}

func (s revoking) AnswerAgain(ctx context.Context, a issuer.Authorization, relied issuer.Consent) error {
	if err := s.before(); err != nil {
		return err
	}
	return s.Store.AnswerAgain(ctx, a, relied)
}

// Between reading what a person allowed before and answering by it there is time to take it
// back. Then they are asked, or with prompt=none the application is told.
func TestAConsentThatIsRevokedMeanwhile(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, copies func() *house) {
		app, anna, b, elsewhere := h.client(t, nil), h.person(t), h.browser(t), copies()
		b.signIn(anna)
		for _, tt := range []struct{ prompt, want string }{{"-", "consent"}, {"none", "consent_required"}} {
			if at := b.press(h.Approve, b.visit(ask(app)).sealed); at.name != "code" {
				t.Fatal(at.name)
			}
			if at := b.visit(ask(app)); at.name != "code" {
				t.Fatalf("they said yes before: %s", at.name)
			}
			store := h.Provider.Store
			h.Provider.Store = revoking{store, func() error {
				return elsewhere.db.Registry().RevokeConsent(t.Context(), anna.ID, app.ID, time.Now())
			}}
			at := b.visit(ask(app, "prompt", tt.prompt))
			h.Provider.Store = store
			if at.name != tt.want {
				t.Errorf("prompt %s: %s, want %s", tt.prompt, at.name, tt.want)
			}
			if tt.want == "consent" {
				if at := b.press(h.Deny, at.sealed); at.name != "access_denied" {
					t.Errorf("the request can't be answered any more: %s", at.name)
				}
			}
		}
	})
}
