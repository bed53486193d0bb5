package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
)

// what says where an authorization request led: "page" for an error page, "login" or
// "consent" for those, "code", or the error that was sent to the application.
func what(t *testing.T, op *conformance.Server, page conformance.Page, state string) string {
	t.Helper()
	at := page.URL.String()
	switch {
	case page.Has("login-submit"):
		return "login"
	case page.Has("consent-approve"):
		return "consent"
	case strings.HasPrefix(at, "https://app.example"):
		q := page.URL.Query()
		if !strings.HasPrefix(at, back+"?") {
			t.Errorf("sent to %s", at)
		}
		if q.Get("state") != state {
			t.Errorf("RFC 6749 4.1.2: the state is %q", q.Get("state"))
		}
		if q.Get("iss") != op.Issuer {
			t.Errorf("RFC 9207 2: iss is %q", q.Get("iss"))
		}
		if q.Has("code") {
			return "code"
		}
		for _, c := range q.Get("error_description") {
			if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Errorf("RFC 6749 4.1.2.1: the description has %q", c)
			}
		}
		return q.Get("error")
	case page.Has("error"):
		if page.Status < 400 || page.Status > 499 {
			t.Errorf("an error page with status %d", page.Status)
		}
		return "page"
	}
	t.Fatalf("%d %s: %.300s", page.Status, at, page.Body)
	return ""
}

func TestAuthorizationRequest(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		other := newApp(t, op, "web")
		exempt := newApp(t, op, "web", "--require-pkce=false")
		spa := newApp(t, op, "spa")
		service := newApp(t, op, "service", "--scope", "orders:read")
		for _, tt := range []struct {
			name    string
			app     app
			changes []string
			want    string
		}{
			{"as it should be", web, nil, "login"},
			{"Core 3.1.2.1, without nonce", web, []string{"nonce", "-"}, "login"},
			{"without state", web, []string{"state", "-"}, "login"},
			{"RFC 6749 3.1, an unknown parameter is ignored", web, []string{"extra", "foobar"}, "login"},
			{"Core 3.1.2.1, display and locales never fail", web, []string{"display", "popup", "ui_locales", "se tlh", "claims_locales", "se"}, "login"},
			{"Core 3.1.2.1, an unknown display is ignored", web, []string{"display", "hologram"}, "login"},
			{"Core 3.1.2.1, an unknown login_hint", web, []string{"login_hint", "nobody@example.com"}, "login"},
			{"Core 3.1.2.1, any acr_values", web, []string{"acr_values", "1 2"}, "login"},
			{"Core 3.1.2.1, an unknown scope is ignored", web, []string{"scope", "openid unheard-of"}, "login"},
			{"OAuth Form Post 2", web, []string{"response_mode", "form_post"}, "login"},
			{"RFC 6749 4.1.2.1, unknown client", web, []string{"client_id", "stranger"}, "page"},
			{"RFC 6749 4.1.1, no client", web, []string{"client_id", "-"}, "page"},
			{"RFC 6749 3.1.2.4, another redirect URI", web, []string{"redirect_uri", "https://evil.example/"}, "page"},
			{"RFC 9700 2.1, a longer path", web, []string{"redirect_uri", back + "/x"}, "page"},
			{"RFC 9700 2.1, an added query", web, []string{"redirect_uri", back + "?x=1"}, "page"},
			{"RFC 9700 2.1, a trailing slash", web, []string{"redirect_uri", back + "/"}, "page"},
			{"RFC 9700 2.1, an upper-case host", web, []string{"redirect_uri", "https://APP.example/callback"}, "page"},
			{"Core 3.1.2.1, no redirect URI", web, []string{"redirect_uri", "-"}, "page"},
			{"RFC 6749 4.1.1, no response_type", web, []string{"response_type", "-"}, "invalid_request"},
			{"RFC 9700 2.1.2, implicit", web, []string{"response_type", "token"}, "unsupported_response_type"},
			{"RFC 9700 2.1.2, hybrid", web, []string{"response_type", "code id_token"}, "unsupported_response_type"},
			{"OAuth Multiple Response Types 2.1, fragment", web, []string{"response_mode", "fragment"}, "invalid_request"},
			{"RFC 7636 4.4.1, no challenge", web, []string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
			{"RFC 7636 4.4.1, no challenge, exempted", exempt, []string{"code_challenge", "-", "code_challenge_method", "-"}, "login"},
			{"RFC 7636 4.4.1, no challenge, public", spa, []string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
			{"RFC 9700 2.1.1, plain", web, []string{"code_challenge_method", "plain"}, "invalid_request"},
			{"RFC 9700 2.1.1, plain by default", web, []string{"code_challenge_method", "-"}, "invalid_request"},
			{"RFC 7636 4.2, not a challenge", web, []string{"code_challenge", "short"}, "invalid_request"},
			{"Core 3.1.2.1, prompt unknown", web, []string{"prompt", "dance"}, "invalid_request"},
			{"Core 3.1.2.1, prompt none with another", web, []string{"prompt", "none login"}, "invalid_request"},
			{"Core 3.1.2.6, prompt none and nobody there", web, []string{"prompt", "none"}, "login_required"},
			{"Core 3.1.2.1, max_age not a number", web, []string{"max_age", "soon"}, "invalid_request"},
			{"Core 3.1.2.1, max_age negative", web, []string{"max_age", "-1"}, "invalid_request"},
			{"Core 6.1, request", web, []string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
			{"Core 6.2, request_uri", web, []string{"request_uri", "https://app.example/r"}, "request_uri_not_supported"},
			{"Core 7.2.1, registration", web, []string{"registration", "{}"}, "registration_not_supported"},
			{"Core 5.5, claims that aren't JSON", web, []string{"claims", "{"}, "invalid_request"},
			{"Core 3.1.2.1, an id_token_hint that isn't one", web, []string{"id_token_hint", "x.y.z"}, "invalid_request"},
			{"RFC 8707 2, a resource that isn't this client's", web, []string{"resource", "https://other.example"}, "invalid_target"},
			{"RFC 6749 3.3, no scope that it may have", service, nil, "page"},
			{"RFC 6749 4.1.1, the redirect URI of another client is no help", other, []string{"redirect_uri", "https://other.example/callback"}, "page"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				state := "some state"
				for i := 0; i+1 < len(tt.changes); i += 2 {
					if tt.changes[i] == "state" {
						state = ""
					}
				}
				p := conformance.NewPerson(t, "nobody@example.com")
				if got := what(t, op, p.Visit(tt.app.request(tt.changes...)), state); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		}
	})
}

func TestRepeatedParameters(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p := conformance.NewPerson(t, "nobody@example.com")
		// RFC 6749 3.1: "Request and response parameters MUST NOT be included more than once."
		for _, name := range []string{"scope", "state", "nonce", "response_type", "code_challenge", "prompt", "max_age"} {
			page := p.Visit(web.request() + "&" + name + "=again")
			if page.URL.Host == "app.example" {
				if got := page.URL.Query().Get("error"); got != "invalid_request" {
					t.Errorf("%s twice: %s", name, got)
				}
			} else if got := what(t, op, page, ""); got != "page" && name != "prompt" && name != "max_age" {
				t.Errorf("%s twice: %s", name, got)
			}
		}
		for _, name := range []string{"client_id", "redirect_uri"} {
			for _, value := range []string{back, web.ID} {
				if got := what(t, op, p.Visit(web.request()+"&"+name+"="+url.QueryEscape(value)), ""); got != "page" {
					t.Errorf("%s twice: %s", name, got)
				}
			}
		}
	})
}

func TestSignInAndConsent(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, sub := newPerson(t, op)

		// First arrival: sign in, consent, code.
		page := p.Visit(web.request("scope", "openid profile"))
		if got := what(t, op, page, "some state"); got != "login" {
			t.Fatal(got)
		}
		if !strings.Contains(page.Body, "Sign in") {
			t.Error("the page does not say Sign in")
		}
		page = p.Submit(page, "login-submit", "username", p.Email, "password", "not the password")
		if got := what(t, op, page, "some state"); got != "login" {
			t.Fatalf("a wrong password led to %s", got)
		}
		page = p.Submit(page, "login-submit", "username", p.Email, "password", conformance.Password)
		if got := what(t, op, page, "some state"); got != "consent" {
			t.Fatal(got)
		}
		if !strings.Contains(page.Body, "app.example") {
			t.Error("the consent page does not say where it will send the person")
		}
		answered := page
		page = p.Submit(page, "consent-approve")
		if got := what(t, op, page, "some state"); got != "code" {
			t.Fatal(got)
		}
		got := web.redeem(page.URL.Query().Get("code"))
		_, id := claims(t, got.str("id_token"))
		if id["sub"] != sub || id["nonce"] != "some-nonce" {
			t.Errorf("the ID token is %v", id)
		}
		first := id["auth_time"]

		// The same request can't be answered twice.
		if page = p.Submit(answered, "consent-approve"); what(t, op, page, "") != "page" {
			t.Errorf("answered again: %s", page.URL)
		}

		// Remembered: no page at all, not even for prompt=none.
		page = p.Visit(web.request("scope", "profile openid", "prompt", "none"))
		if got := what(t, op, page, "some state"); got != "code" {
			t.Fatalf("Core 3.1.2.1, prompt=none when signed in and agreed: %s", got)
		}
		_, id = claims(t, web.redeem(page.URL.Query().Get("code")).str("id_token"))
		if id["sub"] != sub || id["auth_time"] != first {
			t.Errorf("silently: %v, at first auth_time %v", id, first)
		}

		for _, tt := range []struct {
			name    string
			changes []string
			want    string
		}{
			{"Core 3.1.2.1, more scopes are asked for", []string{"scope", "openid profile email"}, "consent"},
			{"Core 3.1.2.6, more scopes silently", []string{"scope", "openid profile email", "prompt", "none"}, "consent_required"},
			{"Core 3.1.2.1, prompt=consent asks again", []string{"scope", "openid", "prompt", "consent"}, "consent"},
			{"Core 3.1.2.1, prompt=login asks again", []string{"prompt", "login"}, "login"},
			{"Core 3.1.2.1, prompt=select_account", []string{"prompt", "select_account"}, "login"},
			{"Core 3.1.2.1, max_age=0 asks again", []string{"max_age", "0"}, "login"},
			{"Core 3.1.2.1, max_age not reached", []string{"max_age", "10000"}, "code"},
			{"Core 5.5, another sub is wanted silently", []string{"prompt", "none", "claims", `{"id_token":{"sub":{"value":"usr_somebody"}}}`}, "login_required"},
			{"Core 3.1.2.1, the hint names this person", []string{"prompt", "none", "id_token_hint", got.str("id_token")}, "code"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if got := what(t, op, p.Visit(web.request(tt.changes...)), "some state"); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		}

		t.Run("Core 3.1.2.1, prompt=login gives a later auth_time", func(t *testing.T) {
			time.Sleep(1100 * time.Millisecond) // auth_time is in seconds
			_, id := claims(t, web.tokens(p, "prompt", "login").str("id_token"))
			if id["auth_time"].(float64) <= first.(float64) {
				t.Errorf("auth_time %v, before %v", id["auth_time"], first)
			}
		})

		t.Run("Core 3.1.2.1, a hint of another person, silently", func(t *testing.T) {
			q, _ := newPerson(t, op)
			hint := web.tokens(q).str("id_token")
			if got := what(t, op, p.Visit(web.request("prompt", "none", "id_token_hint", hint)), "some state"); got != "login_required" {
				t.Errorf("got %s", got)
			}
		})
	})
}

func TestCancelAndDeny(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		page := p.Submit(p.Visit(web.request()), "login-cancel")
		if got := what(t, op, page, "some state"); got != "access_denied" {
			t.Errorf("cancel at sign-in: %s", got)
		}
		page = p.Submit(p.Visit(web.request()), "login-submit", "username", p.Email, "password", conformance.Password)
		denied := page
		page = p.Submit(page, "consent-deny")
		if got := what(t, op, page, "some state"); got != "access_denied" {
			t.Errorf("deny: %s", got)
		}
		if got := what(t, op, p.Submit(denied, "consent-approve"), ""); got != "page" {
			t.Errorf("approved after it was denied: %s", got)
		}
	})
}

// A half-finished sign-in belongs to the browser that began it.
func TestARequestBelongsToItsBrowser(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		victim, _ := newPerson(t, op)
		attacker, _ := newPerson(t, op)
		page := attacker.Visit(web.request())
		page = attacker.Submit(page, "login-submit", "username", attacker.Email, "password", conformance.Password)
		if got := what(t, op, page, ""); got != "consent" {
			t.Fatal(got)
		}
		if got := what(t, op, victim.Visit(page.URL.String()), ""); got != "page" {
			t.Errorf("the attacker's consent page, in another browser: %s", got)
		}
		if got := what(t, op, victim.Submit(page, "consent-approve"), ""); got != "page" {
			t.Errorf("the attacker's consent form, from another browser: %s", got)
		}
	})
}

func TestFormPostResponseMode(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		web.code(p)
		for _, tt := range []struct {
			name, changed, value, want string
		}{
			{"a code", "", "", `name="code"`},
			{"an error", "prompt", "dance", `value="invalid_request"`},
			{"an error without a page", "claims", "{", `value="invalid_request"`},
		} {
			t.Run("OAuth Form Post 2, "+tt.name, func(t *testing.T) {
				page := p.Visit(web.request("response_mode", "form_post", tt.changed, tt.value))
				for _, part := range []string{tt.want, `action="` + back + `"`, `name="state"`, `name="iss"`} {
					if !strings.Contains(page.Body, part) {
						t.Errorf("the page has no %s: %s", part, page.Body)
					}
				}
				if page.Status != http.StatusOK || !strings.Contains(page.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("status %d, Cache-Control %q", page.Status, page.Header.Get("Cache-Control"))
				}
				if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "https://app.example") {
					t.Errorf("the policy does not let the form go: %s", csp)
				}
			})
		}
	})
}

// Core 3.1.2.1: "Authorization Servers MUST support the use of the HTTP GET and POST methods."
func TestAuthorizeByPost(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		address, query, _ := strings.Cut(web.request(), "?")
		form, _ := url.ParseQuery(query)
		page := p.Follow(p.Post(address, form))
		if got := what(t, op, page, "some state"); got != "code" {
			t.Errorf("got %s", got)
		}
	})
}
