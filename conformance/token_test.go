package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
)

func TestCode(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		spa := newApp(t, op, "spa")
		exempt := newApp(t, op, "web", "--require-pkce=false")
		other := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		for _, tt := range []struct {
			name    string
			app     app
			request []string
			changes []string
			want    string
		}{
			{"as it should be", web, nil, nil, "ok"},
			{"a public client", spa, nil, nil, "ok"},
			{"RFC 6749 4.1.3, an unknown parameter is ignored", web, nil, []string{"extra", "x"}, "ok"},
			{"RFC 6749 4.1.3, sent elsewhere", web, nil, []string{"redirect_uri", "https://evil.example"}, "invalid_grant"},
			{"RFC 6749 4.1.3, redirect URI left out", web, nil, []string{"redirect_uri", "-"}, "invalid_grant"},
			{"RFC 7636 4.6, wrong verifier", web, nil, []string{"code_verifier", strings.Repeat("a", 50)}, "invalid_grant"},
			{"RFC 9700 2.1.1, verifier left out", web, nil, []string{"code_verifier", "-"}, "invalid_grant"},
			{"RFC 9700 2.1.1, verifier empty", web, nil, []string{"code_verifier", ""}, "invalid_grant"},
			{"RFC 9700 2.1.1, a verifier without a challenge", exempt, []string{"code_challenge", "-", "code_challenge_method", "-"}, nil, "invalid_grant"},
			{"RFC 7636, exempted", exempt, []string{"code_challenge", "-", "code_challenge_method", "-"}, []string{"code_verifier", "-"}, "ok"},
			{"RFC 7636, exempted, but it sent one", exempt, nil, []string{"code_verifier", "-"}, "invalid_grant"},
			{"RFC 6749 5.2, no code", web, nil, []string{"code", "-"}, "invalid_request"},
			{"RFC 6749 5.2, not a code", web, nil, []string{"code", "guess"}, "invalid_grant"},
			{"RFC 6749 5.2, no grant type", web, nil, []string{"grant_type", "-"}, "invalid_request"},
			{"RFC 6749 5.2, an unknown grant type", web, nil, []string{"grant_type", "password"}, "unsupported_grant_type"},
			{"RFC 6749 5.2, a grant type that it may not use", web, nil, []string{"grant_type", "client_credentials"}, "unauthorized_client"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got := tt.app.redeem(tt.app.code(p, tt.request...), tt.changes...)
				if got.what() != tt.want {
					t.Errorf("got %s (%s), want %s", got.what(), got.Body, tt.want)
				}
				// RFC 6749 5.1
				if cc := got.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
					t.Errorf("Cache-Control is %q", cc)
				}
				if ct := got.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
					t.Errorf("Content-Type is %q", ct)
				}
				if want := map[bool]int{true: 200, false: 400}[tt.want == "ok"]; got.Status != want {
					t.Errorf("status %d", got.Status)
				}
			})
		}

		t.Run("RFC 6749 4.1.3, another client's code does not burn it", func(t *testing.T) {
			code := web.code(p)
			if got := other.redeem(code); got.what() != "invalid_grant" {
				t.Errorf("the other client got %s", got.what())
			}
			if got := web.redeem(code, "code_verifier", strings.Repeat("b", 43)); got.what() != "invalid_grant" {
				t.Errorf("a wrong verifier got %s", got.what())
			}
			if got := web.redeem(code); got.what() != "ok" {
				t.Errorf("its own client then got %s", got.Body)
			}
		})

		t.Run("RFC 6749 4.1.2, used twice, everything from it dies", func(t *testing.T) {
			code := web.code(p, "scope", "openid offline_access", "prompt", "consent")
			first := web.redeem(code)
			if first.what() != "ok" {
				t.Fatal(first.Body)
			}
			if got := web.redeem(code); got.what() != "invalid_grant" {
				t.Errorf("again: %s", got.what())
			}
			if got := web.userinfo(first.str("access_token")); got.Status != http.StatusUnauthorized {
				t.Errorf("the access token still works: %d", got.Status)
			}
			if got := web.refresh(first.str("refresh_token")); got.what() != "invalid_grant" {
				t.Errorf("the refresh token: %s", got.what())
			}
			if got := web.introspect(first.str("access_token")); got.JSON["active"] != false {
				t.Errorf("introspection: %s", got.Body)
			}
		})
	})
}

func TestTokensSayWhatTheStandardsWant(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, sub := newPerson(t, op)
		got := web.tokens(p, "scope", "openid profile email address phone offline_access", "prompt", "consent")
		if got.JSON["token_type"] != "Bearer" || got.JSON["expires_in"] != float64(300) {
			t.Errorf("RFC 6749 5.1: %v %v", got.JSON["token_type"], got.JSON["expires_in"])
		}
		if got.str("scope") == "" || got.str("refresh_token") == "" {
			t.Errorf("scope %q, refresh token there: %v", got.str("scope"), got.str("refresh_token") != "")
		}
		header, access := claims(t, got.str("access_token"))
		if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == nil {
			t.Errorf("RFC 9068 2.1: %v", header)
		}
		for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time", "scope", "sid"} {
			if access[name] == nil {
				t.Errorf("RFC 9068 2.2: no %s in %v", name, access)
			}
		}
		header, id := claims(t, got.str("id_token"))
		if header["alg"] != "RS256" {
			t.Errorf("Core 2, the default algorithm: %v", header)
		}
		if id["iss"] != op.Issuer || id["aud"] != web.ID || id["sub"] != sub || id["at_hash"] == nil || id["sid"] != access["sid"] {
			t.Errorf("Core 2: %v", id)
		}
		for _, name := range []string{"name", "email", "phone_number", "address"} {
			if id[name] != nil {
				t.Errorf("Core 5.4: with an access token, %s belongs into userinfo", name)
			}
		}
		user := web.userinfo(got.str("access_token"))
		for _, name := range []string{"sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username",
			"profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
			"email", "email_verified", "address", "phone_number", "phone_number_verified"} {
			if user.JSON[name] == nil || user.JSON[name] == "" {
				t.Errorf("Core 5.4: userinfo has no %s", name)
			}
		}
		if at, _ := user.JSON["updated_at"].(float64); at < 1e9 || at > 1e11 {
			t.Errorf("Core 5.1: updated_at is %v", user.JSON["updated_at"])
		}
	})
}

func TestUserInfo(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		service := newApp(t, op, "service", "--scope", "orders:read")
		p, sub := newPerson(t, op)
		token := web.tokens(p).str("access_token")
		at := op.Issuer + "/userinfo"

		if got := post(t, at, nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }); got.str("sub") != sub {
			t.Errorf("Core 5.3.1, by POST: %d %s", got.Status, got.Body)
		}
		if got := post(t, at, url.Values{"access_token": {token}}); got.str("sub") != sub {
			t.Errorf("RFC 6750 2.2, in the body: %d %s", got.Status, got.Body)
		}
		if got := web.userinfo(token); got.JSON["email"] != nil {
			t.Errorf("Core 5.4: email without its scope: %s", got.Body)
		}
		r, _ := http.NewRequest("GET", at+"?access_token="+token, nil)
		if got := do(t, r); got.Status == 200 {
			t.Error("RFC 6750 2.3: a token in the address was accepted")
		}
		r, _ = http.NewRequest("GET", at, nil)
		if got := do(t, r); got.Status != 401 || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") ||
			strings.Contains(got.Header.Get("WWW-Authenticate"), "error=") {
			t.Errorf("RFC 6750 3.1, without a token: %d %q", got.Status, got.Header.Get("WWW-Authenticate"))
		}
		for name, bad := range map[string]string{
			"junk": "junk", "a JWT with another signature": token[:len(token)-6] + "AAAAAA",
			"an ID token": web.tokens(p).str("id_token"),
		} {
			got := web.userinfo(bad)
			if got.Status != 401 || !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("RFC 6750 3.1, %s: %d %q", name, got.Status, got.Header.Get("WWW-Authenticate"))
			}
		}
		own := service.token(url.Values{"grant_type": {"client_credentials"}})
		if got := service.userinfo(own.str("access_token")); got.Status == 200 {
			t.Errorf("a token without a person: %s", got.Body)
		}
		got := web.userinfo(web.tokens(p, "claims", `{"userinfo":{"email":{"essential":true},"nickname":null}}`).str("access_token"))
		if got.str("email") != p.Email || got.str("nickname") == "" || got.str("name") != "" {
			t.Errorf("Core 5.5, the claims parameter: %s", got.Body)
		}
	})
}

func TestRefresh(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		other := newApp(t, op, "web")
		p, sub := newPerson(t, op)
		first := web.tokens(p, "scope", "openid email offline_access", "prompt", "consent")
		_, before := claims(t, first.str("id_token"))

		if got := other.refresh(first.str("refresh_token")); got.what() != "invalid_grant" {
			t.Errorf("RFC 6749 6, another client: %s", got.what())
		}
		second := web.refresh(first.str("refresh_token"))
		if second.what() != "ok" {
			t.Fatal(second.Body)
		}
		_, after := claims(t, second.str("id_token"))
		if after["sub"] != sub || after["aud"] != web.ID || after["auth_time"] != before["auth_time"] || after["nonce"] != nil {
			t.Errorf("Core 12.2: %v after %v", after, before)
		}
		again := web.refresh(first.str("refresh_token"))
		if again.str("refresh_token") != second.str("refresh_token") {
			t.Errorf("in the grace the same successor comes again: %s", again.Body)
		}
		if got := web.refresh(second.str("refresh_token"), "scope", "openid"); got.what() != "ok" || got.str("scope") != "openid" {
			t.Errorf("RFC 6749 6, fewer scopes: %s", got.Body)
		} else if wider := web.refresh(got.str("refresh_token"), "scope", "openid email"); wider.what() != "ok" {
			t.Errorf("RFC 6749 6, as many as were granted: %s", wider.Body)
		} else if more := web.refresh(wider.str("refresh_token"), "scope", "openid email phone"); more.what() != "invalid_scope" {
			t.Errorf("RFC 6749 6, more scopes: %s", more.what())
		} else {
			// Two generations back is past every grace: somebody else has it.
			if got := web.refresh(first.str("refresh_token")); got.what() != "invalid_grant" {
				t.Errorf("RFC 9700 4.14.2, reuse: %s", got.what())
			}
			if got := web.refresh(wider.str("refresh_token")); got.what() != "invalid_grant" {
				t.Errorf("RFC 9700 4.14.2, the family after the reuse: %s", got.what())
			}
			if got := web.userinfo(wider.str("access_token")); got.Status != 401 {
				t.Errorf("RFC 9700 4.14.2, the access token after the reuse: %d", got.Status)
			}
		}
	})
}

func TestClientCredentials(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		service := newApp(t, op, "service", "--scope", "orders:read", "--scope", "orders:write", "--audience", "https://orders.example")
		opaque := newApp(t, op, "service", "--scope", "orders:read", "--access-token", "opaque")
		spa := newApp(t, op, "spa")
		ask := func(a app, more ...string) answer {
			return a.token(with(url.Values{"grant_type": {"client_credentials"}}, more...))
		}
		got := ask(service, "scope", "orders:read")
		header, token := claims(t, got.str("access_token"))
		if header["typ"] != "at+jwt" || token["sub"] != service.ID || token["client_id"] != service.ID ||
			token["aud"] != "https://orders.example" || token["scope"] != "orders:read" {
			t.Errorf("RFC 9068 2.2: %v %v", header, token)
		}
		if got.JSON["refresh_token"] != nil || got.JSON["id_token"] != nil {
			t.Errorf("RFC 6749 4.4.3: %s", got.Body)
		}
		if got := service.introspect(got.str("access_token")); got.JSON["active"] != true || got.str("sub") != service.ID {
			t.Errorf("RFC 7662 2.2: %s", got.Body)
		}
		if got := ask(service, "scope", "orders:delete"); got.what() != "invalid_scope" {
			t.Errorf("RFC 6749 3.3: %s", got.what())
		}
		if got := ask(service, "resource", "https://other.example"); got.what() != "invalid_target" {
			t.Errorf("RFC 8707 2: %s", got.what())
		}
		if got := ask(spa); got.what() != "unauthorized_client" && got.what() != "invalid_client" {
			t.Errorf("RFC 6749 4.4, a public client: %s", got.what())
		}
		got = ask(opaque)
		if strings.Contains(got.str("access_token"), ".") || got.what() != "ok" {
			t.Errorf("an opaque token: %s", got.Body)
		}
		if seen := opaque.introspect(got.str("access_token")); seen.JSON["active"] != true {
			t.Errorf("RFC 7662 2.2, opaque: %s", seen.Body)
		}
		if seen := service.introspect(got.str("access_token")); seen.Body != `{"active":false}`+"\n" && seen.Body != `{"active":false}` {
			t.Errorf("RFC 7662 4, another client's: %s", seen.Body)
		}
		if back := opaque.revoke(got.str("access_token")); back.Status != 200 {
			t.Errorf("RFC 7009 2.2: %d", back.Status)
		}
		if seen := opaque.introspect(got.str("access_token")); seen.JSON["active"] != false {
			t.Errorf("RFC 7009 2, after it was revoked: %s", seen.Body)
		}
	})
}

func TestClientAuthentication(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		basic := newApp(t, op, "service", "--scope", "a", "--auth-method", "client_secret_basic")
		either := newApp(t, op, "service", "--scope", "a")
		form := newApp(t, op, "service", "--scope", "a", "--auth-method", "client_secret_post")
		at := op.Issuer + "/oauth/token"
		cc := func(more ...string) url.Values {
			return with(url.Values{"grant_type": {"client_credentials"}}, more...)
		}
		use := func(id, secret string) func(*http.Request) {
			return func(r *http.Request) { r.SetBasicAuth(id, secret) }
		}
		for _, tt := range []struct {
			name string
			got  answer
			want string
		}{
			{"RFC 6749 2.3.1, basic", post(t, at, cc(), use(basic.ID, basic.Secret)), "ok"},
			{"RFC 6749 2.3.1, post", post(t, at, cc("client_id", form.ID, "client_secret", form.Secret)), "ok"},
			{"nobody chose, so basic will do", post(t, at, cc(), use(either.ID, either.Secret)), "ok"},
			{"nobody chose, so post will do", post(t, at, cc("client_id", either.ID, "client_secret", either.Secret)), "ok"},
			{"Core 9, post is not this client's method", post(t, at, cc("client_id", basic.ID, "client_secret", basic.Secret)), "invalid_client"},
			{"Core 9, basic is not this client's method", post(t, at, cc(), use(form.ID, form.Secret)), "invalid_client"},
			{"RFC 6749 2.3, two methods at once", post(t, at, cc("client_id", basic.ID, "client_secret", basic.Secret), use(basic.ID, basic.Secret)), "invalid_request"},
			{"RFC 6749 5.2, a wrong secret", post(t, at, cc(), use(basic.ID, basic.Secret+"x")), "invalid_client"},
			{"RFC 6749 5.2, an unknown client", post(t, at, cc(), use("stranger", basic.Secret)), "invalid_client"},
			{"RFC 6749 5.2, no authentication", post(t, at, cc("client_id", basic.ID)), "invalid_client"},
			{"RFC 6749 5.2, nobody", post(t, at, cc()), "invalid_client"},
		} {
			if tt.got.what() != tt.want && !(tt.want == "invalid_request" && tt.got.what() == "invalid_client") {
				t.Errorf("%s: got %s (%s), want %s", tt.name, tt.got.what(), tt.got.Body, tt.want)
			}
			if tt.want == "invalid_client" && tt.got.Status != 401 && tt.got.Status != 400 {
				t.Errorf("%s: status %d", tt.name, tt.got.Status)
			}
		}
		// RFC 6749 5.2: "MUST respond with an HTTP 401 … and include the "WWW-Authenticate" response header field"
		if got := post(t, at, cc(), use(basic.ID, "wrong")); got.Status != 401 || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("RFC 6749 5.2: %d %q", got.Status, got.Header.Get("WWW-Authenticate"))
		}
		r, _ := http.NewRequest("GET", at+"?grant_type=client_credentials&client_id="+form.ID+"&client_secret="+form.Secret, nil)
		if got := do(t, r); got.Status != http.StatusMethodNotAllowed {
			t.Errorf("RFC 6749 3.2, GET: %d", got.Status)
		}
		if got := post(t, at+"?client_id="+form.ID+"&client_secret="+form.Secret, cc()); got.what() == "ok" {
			t.Error("RFC 6749 2.3.1, a secret in the address was accepted")
		}
	})
}

// Everything that came from a person's permission ends with it, wherever it is shown.
func TestWhatEndsATokenAtOnce(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		for _, tt := range []struct {
			name string
			end  func(a app, p *conformance.Person, sub string, sid any)
		}{
			{"the person is disabled", func(a app, p *conformance.Person, sub string, sid any) { op.Do("users", "disable", sub) }},
			{"the person is removed", func(a app, p *conformance.Person, sub string, sid any) { op.Run("users", "rm", sub) }},
			{"the client is disabled", func(a app, p *conformance.Person, sub string, sid any) { op.Do("clients", "disable", a.ID) }},
			{"the client is removed", func(a app, p *conformance.Person, sub string, sid any) { op.Run("clients", "rm", a.ID) }},
			{"the session is revoked", func(a app, p *conformance.Person, sub string, sid any) { op.Run("sessions", "revoke", sid.(string)) }},
			{"the consent is revoked", func(a app, p *conformance.Person, sub string, sid any) {
				op.Run("grants", "revoke", "--user", sub, "--client", a.ID)
			}},
		} {
			for _, form := range []string{"jwt", "opaque"} {
				t.Run(tt.name+", "+form, func(t *testing.T) {
					web := newApp(t, op, "web", "--access-token", form)
					watcher := newApp(t, op, "web")
					p, sub := newPerson(t, op)
					got := web.tokens(p, "scope", "openid offline_access", "prompt", "consent")
					code := web.code(p, "scope", "openid offline_access")
					_, id := claims(t, got.str("id_token"))
					if seen := web.userinfo(got.str("access_token")); seen.Status != 200 {
						t.Fatalf("before: %d", seen.Status)
					}
					tt.end(web, p, sub, id["sid"])
					if seen := web.userinfo(got.str("access_token")); seen.Status != 401 {
						t.Errorf("userinfo: %d %s", seen.Status, seen.Body)
					}
					if seen := web.refresh(got.str("refresh_token")); seen.what() == "ok" {
						t.Error("the refresh token still works")
					}
					if seen := web.redeem(code); seen.what() == "ok" {
						t.Error("the code still works")
					}
					if seen := web.introspect(got.str("access_token")); seen.JSON["active"] == true {
						t.Errorf("introspection: %s", seen.Body)
					}
					_ = watcher
				})
			}
		}
	})
}

func TestSignOut(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		bound := web.tokens(p)
		offline := web.tokens(p, "scope", "openid offline_access", "prompt", "consent")
		hint := offline.str("id_token")
		end := func(values ...string) conformance.Page {
			return p.Visit(op.Issuer + "/end_session?" + with(url.Values{}, values...).Encode())
		}
		const bye = "https://app.example/bye"
		for _, tt := range []struct {
			name   string
			values []string
		}{
			{"RP-Initiated Logout 3, another return address", []string{"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"}},
			{"RP-Initiated Logout 3, an added query", []string{"id_token_hint", hint, "post_logout_redirect_uri", bye + "?x=1"}},
			{"RP-Initiated Logout 2, a hint that isn't ours", []string{"id_token_hint", hint[:len(hint)-8] + "AAAAAAAA", "post_logout_redirect_uri", bye}},
			{"RP-Initiated Logout 2, no hint", []string{"post_logout_redirect_uri", bye}},
			{"RP-Initiated Logout 2, nothing", nil},
		} {
			if page := end(tt.values...); page.URL.Host == "app.example" || page.URL.Host == "evil.example" {
				t.Errorf("%s: sent to %s", tt.name, page.URL)
			}
		}
		if got := what(t, op, p.Visit(web.request("prompt", "none")), "some state"); got != "code" {
			t.Fatalf("still signed in: %s", got)
		}
		page := end("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "a b&c")
		if page.URL.String() != bye+"?state=a+b%26c" && page.URL.String() != bye+"?state=a%20b%26c" {
			t.Errorf("RP-Initiated Logout 3: sent to %s", page.URL)
		}
		if got := what(t, op, p.Visit(web.request("prompt", "none")), "some state"); got != "login_required" {
			t.Errorf("after the sign-out: %s", got)
		}
		if got := web.userinfo(bound.str("access_token")); got.Status != 401 {
			t.Errorf("a token without offline access outlived the session: %d", got.Status)
		}
		if got := web.refresh(offline.str("refresh_token")); got.what() != "ok" {
			t.Errorf("Core 11: offline access did not outlive the session: %s", got.Body)
		}

		// Without a hint: a page that asks, and one that says that it is done.
		p.SignIn(web.request())
		page = end()
		if !page.Has("logout-confirm") {
			t.Fatalf("no question: %.300s", page.Body)
		}
		page = p.Submit(page, "logout-confirm")
		if !strings.Contains(page.Body, "signed out") {
			t.Errorf("after the confirmation: %.300s", page.Body)
		}
		if got := what(t, op, p.Visit(web.request("prompt", "none")), "some state"); got != "login_required" {
			t.Errorf("after the confirmation: %s", got)
		}
	})
}

func TestTooManyWrongPasswords(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		stranger := conformance.NewPerson(t, "nobody-at-all@example.com")
		for _, who := range []*conformance.Person{p, stranger} {
			page := who.Visit(web.request())
			limited := false
			for range 40 {
				page = who.Submit(page, "login-submit", "username", who.Email, "password", "wrong wrong wrong")
				if page.Status == http.StatusTooManyRequests {
					limited = true
					if page.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					break
				}
			}
			if !limited {
				t.Errorf("40 wrong passwords for %s and no limit", who.Email)
			}
		}
		// The right password does not help while the limit stands.
		page := p.Submit(p.Visit(web.request()), "login-submit", "username", p.Email, "password", conformance.Password)
		if page.Status != http.StatusTooManyRequests {
			t.Errorf("the right password passed the limit: %d", page.Status)
		}
	})
}

func TestDiscoverySaysWhatIsThere(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			r, _ := http.NewRequest("GET", op.Issuer+path, nil)
			got := do(t, r)
			if got.str("issuer") != op.Issuer {
				t.Errorf("Discovery 4.3: %s", got.Body)
			}
			for name, value := range got.JSON {
				address, ok := value.(string)
				if !ok || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
					continue
				}
				r, _ := http.NewRequest("OPTIONS", address, nil)
				if seen := do(t, r); seen.Status == 404 {
					t.Errorf("%s is at %s, where nothing is", name, address)
				}
			}
			r.Header.Set("If-None-Match", got.Header.Get("ETag"))
			if seen := do(t, r); seen.Status != http.StatusNotModified {
				t.Errorf("RFC 9110 13.1.2: %d", seen.Status)
			}
		}
	})
}

// RFC 6749 4.1.2: a code is good for a short time: a minute, here two seconds.
func TestCodeExpires(t *testing.T) {
	op := conformance.StartWith(t, "MINTMARK_TOKENS_CODE_TTL=2s")
	web := newApp(t, op, "web")
	p, _ := newPerson(t, op)
	code := web.code(p)
	time.Sleep(2100 * time.Millisecond)
	if got := web.redeem(code); got.what() != "invalid_grant" {
		t.Errorf("after its time: %s", got.what())
	}
}
