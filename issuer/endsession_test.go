package issuer_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mintmark/issuer"
)

func TestEndSession(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app := h.client(t, func(c *issuer.Client) { c.Consent = "never" })
		other := h.client(t, nil)
		anna, bert := h.person(t), h.person(t)
		state := strings.Repeat("s", 128)
		modified := func(token string) string { // signed by nobody
			parts := strings.Split(token, ".")
			return "eyJhbGciOiJub25lIn0." + parts[1] + "."
		}
		for _, tt := range []struct {
			name   string
			params func(sid string) url.Values
			want   string
			ended  bool
		}{
			{"Logout 2", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "post_logout_redirect_uri": {bye}, "state": {state}}
			}, "bye", true},
			{"Logout 2, without state", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "post_logout_redirect_uri": {bye}}
			}, "bye", true},
			{"Logout 2, with client_id", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "client_id": {app.ID}, "post_logout_redirect_uri": {bye}}
			}, "bye", true},
			{"Logout 2, an older session of the same person", func(string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, "ses_older")}, "post_logout_redirect_uri": {bye}}
			}, "bye", true},
			{"Logout 2, no address", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}}
			}, "logout done", true},
			{"Logout 2, nothing", func(string) url.Values { return nil }, "logout ask", false},
			{"Logout 2, only state", func(string) url.Values { return url.Values{"state": {state}} }, "logout ask", false},
			{"Logout 3, not registered", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "post_logout_redirect_uri": {"https://evil.example/"}}
			}, "logout ask", false},
			{"Logout 3, a query added", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "post_logout_redirect_uri": {bye + "?x=1"}}
			}, "logout ask", false},
			{"Logout 3, a redirect URI is none", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "post_logout_redirect_uri": {returning}}
			}, "logout ask", false},
			{"Logout 3, without a hint", func(string) url.Values { return url.Values{"post_logout_redirect_uri": {bye}} }, "logout ask", false},
			{"Logout 3, a client_id proves nothing", func(string) url.Values {
				return url.Values{"post_logout_redirect_uri": {bye}, "client_id": {app.ID}}
			}, "logout ask", false},
			{"Logout 2, the client_id of another", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, anna.ID, sid)}, "client_id": {other.ID}, "post_logout_redirect_uri": {bye}}
			}, "logout ask", false},
			{"Logout 2, a hint with alg none", func(sid string) url.Values {
				return url.Values{"id_token_hint": {modified(h.hint(t, app.ID, anna.ID, sid))}, "post_logout_redirect_uri": {bye}}
			}, "logout ask", false},
			{"Logout 2, a hint of somebody else", func(string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, app.ID, bert.ID, "ses_x")}, "post_logout_redirect_uri": {bye}}
			}, "logout ask", false},
			{"Logout 2, a hint of an unknown client", func(sid string) url.Values {
				return url.Values{"id_token_hint": {h.hint(t, "cli_gone", anna.ID, sid)}, "post_logout_redirect_uri": {bye}}
			}, "logout ask", false},
			{"RFC 6749 3.1, repeated", func(sid string) url.Values {
				return url.Values{"state": {"1", "2"}}
			}, "page: invalid_request", false},
		} {
			for method, go_ := range map[string]func(*browser, url.Values) place{
				"GET":  func(b *browser, v url.Values) place { return b.visit(front + "/end_session?" + v.Encode()) },
				"POST": func(b *browser, v url.Values) place { return b.send(front+"/end_session", v) },
			} {
				t.Run(tt.name+" by "+method, func(t *testing.T) {
					b := h.browser(t)
					sid := b.signIn(anna).ID
					params := tt.params(sid)
					at := go_(b, params)
					got := at.name
					if got == "logout" {
						got = "logout ask"
						if at.query.Get("done") != "" {
							got = "logout done"
						}
					}
					if got != tt.want {
						t.Errorf("got %s, want %s", got, tt.want)
					}
					if got == "bye" {
						if at.query.Get("state") != params.Get("state") || at.query.Has("state") != params.Has("state") || at.query.Has("iss") {
							t.Errorf("Logout 3: returned with %v", at.query)
						}
					}
					// Logout 2, and checklist 69: silent sign-in fails right after.
					silent := map[bool]string{true: "login_required", false: "code"}[tt.ended]
					if at := b.visit(ask(app, "prompt", "none")); at.name != silent {
						t.Errorf("prompt=none afterwards: %s, want %s", at.name, silent)
					}
				})
			}
		}

		t.Run("nobody is signed in", func(t *testing.T) {
			b := h.browser(t)
			if at := b.visit(front + "/end_session?" + url.Values{
				"id_token_hint": {h.hint(t, app.ID, anna.ID, "ses_x")}, "post_logout_redirect_uri": {bye},
			}.Encode()); at.name != "bye" {
				t.Errorf("got %s", at.name)
			}
			if at := b.visit(front + "/end_session"); at.name != "logout" || at.query.Get("done") != "1" {
				t.Errorf("got %s %v", at.name, at.query)
			}
		})
	})
}

func TestAPersonConfirmsTheSignOut(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		app := h.client(t, func(c *issuer.Client) { c.Consent = "never" })
		anna, bert := h.person(t), h.person(t)
		pending := func(b *browser, sealed string) (p issuer.PendingLogout) {
			t.Helper()
			if _, err := b.do("GET", front+"/logout", nil, func(w http.ResponseWriter, r *http.Request) (err error) {
				p, err = h.PendingLogout(r, sealed)
				return err
			}, false); err != nil {
				t.Fatal(err)
			}
			return p
		}

		// The hint proves the application, not the person: asked, and then returned.
		b := h.browser(t)
		b.signIn(anna)
		at := b.visit(front + "/end_session?" + url.Values{
			"id_token_hint": {h.hint(t, app.ID, bert.ID, "")}, "post_logout_redirect_uri": {bye}, "state": {"x y"},
		}.Encode())
		if p := pending(b, at.sealed); p.Client == nil || p.Client.ID != app.ID || p.RedirectURI != bye || p.State != "x y" ||
			p.Problem != "" || p.FormAction() != "https://app.example" {
			t.Errorf("the page knows %s", mustJSON(t, p))
		}
		if at = b.press(h.Logout, at.sealed); at.name != "bye" || at.query.Get("state") != "x y" {
			t.Errorf("confirmed: %s %v", at.name, at.query)
		}
		if at = b.visit(ask(app, "prompt", "none")); at.name != "login_required" {
			t.Errorf("still signed in: %s", at.name)
		}

		// Nothing proves the application: asked, and not returned.
		b.signIn(anna)
		at = b.visit(front + "/end_session?" + url.Values{"post_logout_redirect_uri": {bye}, "client_id": {app.ID}}.Encode())
		if p := pending(b, at.sealed); p.Client != nil || p.RedirectURI != "" || p.Problem == "" || p.FormAction() != "" {
			t.Errorf("the page knows %s", mustJSON(t, p))
		}
		if at = b.press(h.Logout, at.sealed); at.name != "logout" || at.query.Get("done") != "1" {
			t.Errorf("confirmed: %s %v", at.name, at.query)
		}

		// By themselves.
		b.signIn(anna)
		if p := pending(b, ""); p.Client != nil {
			t.Errorf("the page knows %s", mustJSON(t, p))
		}
		if at = b.press(h.Logout, ""); at.name != "logout" || at.query.Get("done") != "1" {
			t.Errorf("confirmed: %s %v", at.name, at.query)
		}
		if at = b.visit(ask(app, "prompt", "none")); at.name != "login_required" {
			t.Errorf("still signed in: %s", at.name)
		}

		// An authorization request is no sign-out request.
		if at = b.press(h.Logout, b.visit(ask(app)).sealed); at.name != "page: invalid_request" {
			t.Errorf("got %s", at.name)
		}
	})
}
