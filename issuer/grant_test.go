package issuer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
)

func TestACodeIsRedeemed(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, spa, other := h.app(t, nil), h.app(t, public), h.app(t, nil)
		exempt := h.app(t, func(c *issuer.Client) { c.RequirePKCE = false })
		bare := h.app(t, func(c *issuer.Client) { c.GrantTypes = []string{"authorization_code"} })
		v := h.visitor(t)
		unbound := func(a *issuer.Authorization) { a.Challenge = "" }
		implied := func(a *issuer.Authorization) { a.RedirectURI = "" }
		easy := func(a *issuer.Authorization) { a.Challenge = s256(theVerifier[:42]) }
		late := func(a *issuer.Authorization) { a.CodeExpiresAt = time.Now().Add(-time.Second) }
		for _, tt := range []struct {
			name    string
			app     app
			code    func(*issuer.Authorization)
			changes []string
			want    string
		}{
			{"as it should be", web, nil, nil, "ok"},
			{"a public client", spa, nil, nil, "ok"},
			{"RFC 6749 3.2, an unknown parameter is ignored", web, nil, []string{"extra", "x"}, "ok"},
			{"RFC 6749 4.1.3, another redirect_uri", web, nil, []string{"redirect_uri", "https://evil.example"}, "invalid_grant"},
			{"RFC 6749 4.1.3, a redirect_uri that means the same", web, nil, []string{"redirect_uri", returning + "/"}, "invalid_grant"},
			{"RFC 6749 4.1.3, without redirect_uri", web, nil, []string{"redirect_uri", "-"}, "invalid_grant"},
			{"RFC 6749 4.1.3, without, as in the authorization request", web, implied, []string{"redirect_uri", "-"}, "ok"},
			{"RFC 6749 4.1.3, the registered one, which was implied", web, implied, nil, "ok"},
			{"RFC 6749 4.1.3, another than the implied one", web, implied, []string{"redirect_uri", "https://evil.example"}, "invalid_grant"},
			{"RFC 7636 4.6, another verifier", web, nil, []string{"code_verifier", strings.Repeat("a", 43)}, "invalid_grant"},
			{"RFC 7636 4.6, the challenge in place of the verifier", web, nil, []string{"code_verifier", theChallenge}, "invalid_grant"},
			{"RFC 7636 4.1, a verifier of 42 characters", web, nil, []string{"code_verifier", theVerifier[:42]}, "invalid_grant"},
			{"RFC 7636 4.1, a verifier of 42 characters that matches", web, easy, []string{"code_verifier", theVerifier[:42]}, "invalid_grant"},
			{"RFC 7636 4.1, a verifier of 129 characters", web, nil, []string{"code_verifier", strings.Repeat("a", 129)}, "invalid_grant"},
			{"RFC 9700 2.1.1, the verifier is left out", web, nil, []string{"code_verifier", "-"}, "invalid_grant"},
			{"RFC 9700 2.1.1, the verifier is empty", web, nil, []string{"code_verifier", ""}, "invalid_grant"},
			{"RFC 9700 2.1.1, a verifier without a challenge", exempt, unbound, nil, "invalid_grant"},
			{"RFC 7636, an exempt client", exempt, unbound, []string{"code_verifier", "-"}, "ok"},
			{"RFC 9700 2.1.1, an exempt client that sent a challenge", exempt, nil, []string{"code_verifier", "-"}, "invalid_grant"},
			{"RFC 6749 4.1.2, expired", web, late, nil, "invalid_grant"},
			{"RFC 6749 5.2, no code", web, nil, []string{"code", "-"}, "invalid_request"},
			{"RFC 6749 5.2, no grant_type", web, nil, []string{"grant_type", "-"}, "invalid_request"},
			{"RFC 6749 5.2, an unknown grant_type", web, nil, []string{"grant_type", "password"}, "unsupported_grant_type"},
			{"RFC 6749 5.2, a grant_type it is not registered for", web, nil, []string{"grant_type", "client_credentials"}, "unauthorized_client"},
			{"RFC 6749 5.2, refreshing without being registered for it", bare, nil, []string{"grant_type", "refresh_token", "refresh_token", "x"}, "unauthorized_client"},
			{"RFC 8707 2.2, a resource that was not granted", web, nil, []string{"resource", "https://api.example"}, "invalid_target"},
		} {
			got := h.redeem(t, tt.app, h.code(t, tt.app, v, tt.code), tt.changes...)
			if got.what != tt.want {
				t.Errorf("%s: got %s (%v), want %s", tt.name, got.what, got.refusal, tt.want)
			}
		}

		// Nothing of that burned the code, and neither does another client that has it.
		code := h.code(t, web, v, nil)
		for _, wrong := range [][]string{{"code_verifier", strings.Repeat("a", 43)}, {"code_verifier", "-"}, {"redirect_uri", "https://evil.example"}, {"resource", "https://x.example"}} {
			h.redeem(t, web, code, wrong...)
		}
		if got := h.redeem(t, other, code); got.what != "invalid_grant" {
			t.Errorf("RFC 6749 4.1.3, another client: %s", got.what)
		}
		if got := h.redeem(t, web, code); got.what != "ok" {
			t.Errorf("after all that, its client: %v", got.refusal)
		}

		// Coming late is no replay.
		code = h.code(t, web, v, late)
		h.redeem(t, web, code)
		if a := h.authorization(t, code); !a.RevokedAt.IsZero() {
			t.Errorf("an expired code was taken for a replay: %s", a.RevokeReason)
		}

		// The name of a code is no secret. Who has only that learns nothing, not even that it is spent.
		code = h.code(t, web, v, nil)
		h.redeem(t, web, code)
		id, _ := h.mint.Parse(secret.KindCode, code)
		guess := h.mint.Issue(secret.KindCode, id).Reveal()
		unknown := h.mint.Issue(secret.KindCode, secret.NewID("")).Reveal()
		a, b := h.redeem(t, web, guess), h.redeem(t, web, unknown)
		if a.what != "invalid_grant" || a.refusal.Description != b.refusal.Description {
			t.Errorf("a guess: %v, an unknown code: %v", a.refusal, b.refusal)
		}
		if st, err := h.db.Issuer().Standing(t.Context(), id, "", time.Now()); err != nil || !st.RevokedAt.IsZero() {
			t.Errorf("a guess revoked what the code bought (%v)", err)
		}

		// Junk costs no look into the database.
		before := h.db.Trips()
		for _, junk := range []string{"guess", code[:len(code)-1], code + "x", strings.ToUpper(code), strings.Repeat("a", 60000)} {
			if got := h.redeem(t, web, junk); got.what != "invalid_grant" {
				t.Errorf("junk: %s", got.what)
			}
		}
		if n := h.db.Trips() - before; n != 0 {
			t.Errorf("junk cost %d round trips", n)
		}
	})
}

// RFC 6749 §4.1.2: used twice, everything that the first use bought dies.
func TestACodeThatIsUsedTwice(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, other, v := h.app(t, nil), h.app(t, nil), h.visitor(t)
		opaque := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" })
		for _, a := range []app{web, opaque} {
			code := h.code(t, a, v, nil)
			first := h.redeem(t, a, code)
			if got := h.good(t, a, first.str("access_token")); got != "userinfo introspection" {
				t.Fatalf("before: %q", got)
			}
			if got := h.redeem(t, other, code); got.what != "invalid_grant" {
				t.Errorf("another client: %s", got.what)
			}
			if got := h.good(t, a, first.str("access_token")); got != "userinfo introspection" {
				t.Fatalf("another client revoked it: %q", got)
			}
			// Whoever replays it need not know the verifier: the code has been seen.
			if got := h.redeem(t, a, code, "code_verifier", "-"); got.what != "invalid_grant" {
				t.Errorf("again: %s", got.what)
			}
			if got := h.good(t, a, first.str("access_token")); got != "" {
				t.Errorf("the access token still works: %q", got)
			}
			if got := h.renew(t, a, first.str("refresh_token")); got.what != "invalid_grant" {
				t.Errorf("the refresh token: %s", got.what)
			}
			if got := h.examine(t, a, first.str("refresh_token")); got.json["active"] != false {
				t.Errorf("the refresh token: %s", got.w.Body)
			}
		}
	})
}

// Whatever ends a sign-in ends what came from it: the code, the tokens, at every endpoint.
func TestWhatEndsEverything(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		store, registry := h.db.Accounts(), h.db.Registry()
		for _, tt := range []struct {
			name    string
			end     func(app, visitor) error
			offline string // what becomes of offline access: "stays", or it ends too
		}{
			{"the account is disabled", func(_ app, v visitor) error { return store.DisableAccount(t.Context(), v.ID, time.Now()) }, "ends"},
			{"the account is removed", func(_ app, v visitor) error { return store.RemoveAccount(t.Context(), v.ID, time.Now()) }, "ends"},
			{"OpenID Connect Core 11, the person signs out", func(_ app, v visitor) error {
				return store.EndSession(t.Context(), v.session.ID, accounts.ReasonLogout, time.Now())
			}, "stays"},
			{"the session is revoked", func(_ app, v visitor) error {
				return store.EndSession(t.Context(), v.session.ID, "revoked", time.Now())
			}, "ends"},
			{"the consent is revoked", func(a app, v visitor) error {
				return registry.RevokeConsent(t.Context(), v.ID, a.ID, time.Now())
			}, "ends"},
			{"the client is disabled", func(a app, _ visitor) error {
				defer h.ForgetClient(a.ID)
				return registry.DisableClient(t.Context(), a.ID, time.Now())
			}, "client"},
			{"the client is removed", func(a app, _ visitor) error {
				defer h.ForgetClient(a.ID)
				return registry.RemoveClient(t.Context(), a.ID, time.Now())
			}, "client"},
		} {
			for _, format := range []string{"jwt", "opaque"} {
				watcher := h.app(t, func(c *issuer.Client) { c.Audience = []string{"https://api.example"} })
				a := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat, c.Audience = format, watcher.Audience })
				v := h.visitor(t)
				offline := func(z *issuer.Authorization) {
					z.Scopes, z.Offline = []string{"openid", "offline_access"}, true
				}
				bound, kept := h.redeem(t, a, h.code(t, a, v, nil)), h.redeem(t, a, h.code(t, a, v, offline))
				code := h.code(t, a, v, nil)
				if err := tt.end(a, v); err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				refused, want := "invalid_grant", ""
				if tt.offline == "client" {
					refused = "invalid_client"
				}
				if got := h.redeem(t, a, code); got.what != refused {
					t.Errorf("%s (%s): the code: %s", tt.name, format, got.what)
				}
				if got := h.renew(t, a, bound.str("refresh_token")); got.what != refused {
					t.Errorf("%s (%s): the refresh token: %s", tt.name, format, got.what)
				}
				if got := h.good(t, watcher, bound.str("access_token")); got != "" {
					t.Errorf("%s (%s): the access token: %q", tt.name, format, got)
				}
				if tt.offline == "stays" {
					refused, want = "ok", "userinfo introspection"
				}
				if got := h.good(t, watcher, kept.str("access_token")); got != want {
					t.Errorf("%s (%s): the access token with offline access: %q", tt.name, format, got)
				}
				if got := h.renew(t, a, kept.str("refresh_token")); got.what != refused {
					t.Errorf("%s (%s): offline access: %s", tt.name, format, got.what)
				}
			}
		}
	})
}

func TestARefreshTokenIsUsed(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, other, v := h.app(t, nil), h.app(t, nil), h.visitor(t)
		first := h.redeem(t, web, h.code(t, web, v, nil))
		token := first.str("refresh_token")
		if got := h.renew(t, other, token); got.what != "invalid_grant" {
			t.Errorf("RFC 6749 5.2, another client: %s", got.what)
		}
		second := h.renew(t, web, token)
		if second.what != "ok" {
			t.Fatal(second.refusal)
		}
		if second.str("refresh_token") == token || second.str("access_token") == first.str("access_token") {
			t.Error("RFC 9700 4.14.2: nothing is new")
		}
		_, before := h.jwt(t, first.str("id_token"), "JWT")
		_, after := h.jwt(t, second.str("id_token"), "JWT")
		for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
			if after[name] != before[name] || after[name] == nil {
				t.Errorf("Core 12.2: %s was %v and is %v", name, before[name], after[name])
			}
		}
		if after["nonce"] != nil || before["nonce"] != "the nonce" {
			t.Errorf("Core 12.2: nonce was %v and is %v", before["nonce"], after["nonce"])
		}

		// The answer was lost: the same again, and a fresh access token.
		again := h.renew(t, web, token)
		if again.str("refresh_token") != second.str("refresh_token") || again.str("access_token") == second.str("access_token") {
			t.Errorf("in the grace: %s", again.w.Body)
		}

		opaque := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" })
		old := h.redeem(t, opaque, h.code(t, opaque, v, nil)).str("refresh_token")
		for range 2 {
			if got := h.good(t, opaque, h.renew(t, opaque, old).str("access_token")); got != "userinfo introspection" {
				t.Errorf("in the grace, an opaque access token: %q", got)
			}
		}

		for _, tt := range []struct{ scope, want, has string }{
			{"openid", "ok", "openid"},
			{"profile", "ok", "profile"},
			{"openid profile", "ok", "openid profile"}, // less before does not mean less now
			{"profile openid profile", "ok", "openid profile"},
			{"openid email", "invalid_scope", ""},
			{"openid  pigeon", "invalid_scope", ""},
		} {
			got := h.renew(t, web, again.str("refresh_token"), "scope", tt.scope)
			if got.what != tt.want || got.what == "ok" && got.json["scope"] != tt.has {
				t.Errorf("RFC 6749 6, %q: %s %v", tt.scope, got.what, got.json["scope"])
			}
			if has := got.json["id_token"] != nil; has != slices.Contains(strings.Fields(tt.has), "openid") {
				t.Errorf("Core 12.2, %q: an ID token: %v", tt.scope, has)
			}
			if got.what == "ok" {
				again = got
			}
		}

		for name, bad := range map[string]string{
			"no token":         "",
			"junk":             "junk",
			"an access token":  again.str("access_token"),
			"another's secret": forged(h, t, again.str("refresh_token")),
		} {
			want := "invalid_grant"
			if bad == "" {
				want = "invalid_request"
			}
			if got := h.renew(t, web, bad); got.what != want {
				t.Errorf("RFC 6749 5.2, %s: %s", name, got.what)
			}
		}
		if got := h.renew(t, web, again.str("refresh_token")); got.what != "ok" {
			t.Errorf("a forgery revoked the family: %v", got.refusal)
		}
	})
}

// forged is a token with the right name and tag, and a secret that somebody made up.
func forged(h *house, t *testing.T, token string) string {
	t.Helper()
	id, ok := h.mint.Parse(secret.KindRefresh, token)
	if !ok {
		t.Fatalf("%q is no refresh token", token)
	}
	return h.mint.Issue(secret.KindRefresh, id).Reveal()
}

// RFC 9700 §4.14.2: reuse ends the family, and everything else that came from the same
// authorization.
func TestARefreshTokenIsUsedAgain(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, v := h.app(t, nil), h.visitor(t)
		impatient := h.with(t, func(c *issuer.Config) { c.RefreshGrace = time.Nanosecond })
		for name, reuse := range map[string]func(first, second reply) reply{
			"after the grace": func(first, _ reply) reply { return impatient.renew(t, web, first.str("refresh_token")) },
			"after its successor was used": func(first, second reply) reply {
				if got := h.renew(t, web, second.str("refresh_token")); got.what != "ok" {
					t.Fatal(got.refusal)
				}
				return h.renew(t, web, first.str("refresh_token"))
			},
		} {
			first := h.redeem(t, web, h.code(t, web, v, nil))
			second := h.renew(t, web, first.str("refresh_token"))
			if got := h.examine(t, web, second.str("refresh_token")); got.json["active"] != true {
				t.Errorf("%s: before, introspection: %s", name, got.w.Body)
			}
			if got := reuse(first, second); got.what != "invalid_grant" {
				t.Errorf("%s: %s", name, got.what)
			}
			if got := h.renew(t, web, second.str("refresh_token")); got.what != "invalid_grant" {
				t.Errorf("%s, its successor: %s", name, got.what)
			}
			for _, token := range []string{first.str("access_token"), second.str("access_token")} {
				if got := h.good(t, web, token); got != "" {
					t.Errorf("%s, an access token: %q", name, got)
				}
			}
		}
	})
}

func TestRefreshTokensEnd(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, v := h.app(t, nil), h.visitor(t)
		for name, change := range map[string]func(*issuer.Config){
			"not used for too long":        func(c *issuer.Config) { c.RefreshIdle = time.Microsecond },
			"used, but too old altogether": func(c *issuer.Config) { c.RefreshMax = time.Microsecond },
		} {
			short := h.with(t, change)
			token := short.redeem(t, web, h.code(t, web, v, nil)).str("refresh_token")
			if got := h.renew(t, web, token); got.what != "invalid_grant" {
				t.Errorf("%s: %s", name, got.what)
			}
			if got := h.examine(t, web, token); got.json["active"] != false {
				t.Errorf("%s, introspection: %s", name, got.w.Body)
			}
		}
		// Each use moves the idle end, and none the absolute one.
		code := h.code(t, web, v, nil)
		id, _ := h.mint.Parse(secret.KindCode, code)
		first := h.redeem(t, web, code)
		before, err := h.db.Issuer().Standing(t.Context(), id, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		h.renew(t, web, first.str("refresh_token"))
		after, err := h.db.Issuer().Standing(t.Context(), id, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !after.IdleUntil.After(before.IdleUntil) || !after.ExpiresAt.Equal(before.ExpiresAt) || after.Generation != 2 {
			t.Errorf("idle %v then %v, end %v then %v", before.IdleUntil, after.IdleUntil, before.ExpiresAt, after.ExpiresAt)
		}
		if d := time.Until(after.ExpiresAt); d < 89*24*time.Hour || after.ForgetAt.Before(after.ExpiresAt) {
			t.Errorf("it ends in %v and is forgotten at %v", d, after.ForgetAt)
		}
	})
}

// Who has no refresh grant gets no refresh token, and the row goes when the access token is over.
func TestWhoGetsARefreshToken(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		bare := h.app(t, func(c *issuer.Client) { c.GrantTypes = []string{"authorization_code"} })
		got := h.redeem(t, bare, h.code(t, bare, h.visitor(t), nil))
		if got.what != "ok" || got.json["refresh_token"] != nil || got.json["id_token"] == nil {
			t.Errorf("got %s %s", got.what, got.w.Body)
		}
	})
}

func TestAClientGetsATokenForItself(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		orders := h.app(t, func(c *issuer.Client) {
			service("orders:read", "orders:write")(c)
			c.Audience = []string{"https://orders.example", "https://Other.example/x"}
		})
		plain, opaque := h.app(t, service("a")), h.app(t, func(c *issuer.Client) { service("a")(c); c.AccessTokenFormat = "opaque" })
		rs := h.app(t, func(c *issuer.Client) { service("a")(c); c.AccessTokenAlg = "RS256" })
		both := h.app(t, func(c *issuer.Client) {
			c.GrantTypes = []string{"authorization_code", "client_credentials"}
			c.Scopes = []string{"openid", "profile", "offline_access", "a"}
		})
		none := h.app(t, service())
		for _, tt := range []struct {
			name    string
			app     app
			changes []string
			want    string
			scope   string
			aud     any
		}{
			{"RFC 6749 4.4, all that is registered", orders, nil, "ok", "orders:read orders:write", []any{"https://orders.example", "https://Other.example/x"}},
			{"RFC 6749 3.3, less", orders, []string{"scope", "orders:read"}, "ok", "orders:read", []any{"https://orders.example", "https://Other.example/x"}},
			{"RFC 6749 3.3, more", orders, []string{"scope", "orders:read orders:delete"}, "invalid_scope", "", nil},
			{"RFC 8707 2.2, one resource", orders, []string{"resource", "https://orders.example"}, "ok", "orders:read orders:write", "https://orders.example"},
			{"RFC 8707 2, written otherwise", orders, []string{"resource", "https://other.EXAMPLE/x"}, "ok", "orders:read orders:write", "https://Other.example/x"},
			{"RFC 8707 2, another resource", orders, []string{"resource", "https://evil.example"}, "invalid_target", "", nil},
			{"audience, another name for it", orders, []string{"audience", "https://orders.example"}, "ok", "orders:read orders:write", "https://orders.example"},
			{"RFC 9068 3, without a registered audience", plain, nil, "ok", "a", front},
			{"RFC 8707 2, the issuer", plain, []string{"resource", front}, "ok", "a", front},
			{"RFC 8707 2, none is registered", plain, []string{"resource", "https://orders.example"}, "invalid_target", "", nil},
			{"by RS256", rs, nil, "ok", "a", front},
			{"opaque", opaque, nil, "ok", "a", nil},
			{"nobody signed in", both, nil, "ok", "profile a", front},
			{"Core 3.1.2.1, openid", both, []string{"scope", "openid a"}, "invalid_scope", "", nil},
			{"Core 11, offline_access", both, []string{"scope", "offline_access"}, "invalid_scope", "", nil},
			{"no scopes at all", none, nil, "ok", "", front},
		} {
			got := h.own(t, tt.app, tt.changes...)
			if got.what != tt.want {
				t.Errorf("%s: got %s (%v), want %s", tt.name, got.what, got.refusal, tt.want)
			}
			if got.what != "ok" {
				continue
			}
			if got.json["scope"] != tt.scope || got.json["token_type"] != "Bearer" || got.json["expires_in"] != 300.0 || len(got.json) != 4 {
				t.Errorf("%s: RFC 6749 5.1: %s", tt.name, got.w.Body)
			}
			if tt.aud == nil {
				if _, ok := h.mint.Parse(secret.KindAccess, got.str("access_token")); !ok {
					t.Errorf("%s: not opaque: %s", tt.name, got.w.Body)
				}
				continue
			}
			header, claims := h.jwt(t, got.str("access_token"), "at+jwt")
			want := map[string]any{"iss": front, "sub": tt.app.ID, "client_id": tt.app.ID, "aud": tt.aud, "scope": tt.scope}
			if tt.scope == "" {
				delete(want, "scope")
			}
			for name, value := range claims {
				switch name {
				case "exp", "iat", "jti":
				default:
					if mustJSON(t, value) != mustJSON(t, want[name]) {
						t.Errorf("%s: RFC 9068 2.2: %s is %v", tt.name, name, value)
					}
					delete(want, name)
				}
			}
			if len(want) != 0 || claims["exp"].(float64)-claims["iat"].(float64) != 300 || len(claims["jti"].(string)) != 22 {
				t.Errorf("%s: RFC 9068 2.2: %v, without %v", tt.name, claims, want)
			}
			if alg := tt.app.AccessTokenAlg; header["alg"] != alg || header["typ"] != "at+jwt" {
				t.Errorf("%s: RFC 9068 2.1: %v", tt.name, header)
			}
		}
		two := posting("grant_type", "client_credentials")
		two = postingBody(two, "grant_type=client_credentials&resource=https%3A%2F%2Forders.example&resource=https%3A%2F%2Fother.example%2Fx")
		if got := send(t, h.Token, basic(two, orders.ID, orders.secret)); got.what != "ok" {
			t.Errorf("RFC 8707 2, two resources: %v", got.refusal)
		} else if _, claims := h.jwt(t, got.str("access_token"), "at+jwt"); mustJSON(t, claims["aud"]) != `["https://orders.example","https://Other.example/x"]` {
			t.Errorf("RFC 8707 2, two resources: %v", claims["aud"])
		}

		// Even if somebody registered a public client for it in the database.
		spa := h.app(t, public)
		odd := spa.Client
		odd.GrantTypes = append(odd.GrantTypes, "client_credentials")
		if err := h.db.Registry().SetClient(t.Context(), odd, spa.UpdatedAt); err != nil {
			t.Fatal(err)
		}
		if got := h.own(t, spa); got.what != "unauthorized_client" {
			t.Errorf("RFC 6749 4.4, a public client: %s", got.what)
		}
	})
}

// A failure of the database is never a success, and never the fault of the client.
func TestAFailureIsOurs(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, v := h.app(t, nil), h.visitor(t)
		opaque := h.app(t, func(c *issuer.Client) { service("a")(c); c.AccessTokenFormat = "opaque" })
		broken := h.with(t, func(c *issuer.Config) { c.Store = noWrites{c.Store} })
		code := h.code(t, web, v, nil)
		got := h.redeem(t, web, h.code(t, web, v, nil))
		spent := h.code(t, web, v, nil)
		h.redeem(t, web, spent)
		stale := h.redeem(t, web, h.code(t, web, v, nil)).str("refresh_token")
		h.renew(t, web, h.renew(t, web, stale).str("refresh_token"))
		redeem := []string{"grant_type", "authorization_code", "redirect_uri", returning, "code_verifier", theVerifier, "code"}
		for name, r := range map[string]func() error{
			"redeeming a code":      func() error { _, err := try(t, broken.Token, web.as(append(redeem, code)...)); return err },
			"revoking a spent code": func() error { _, err := try(t, broken.Token, web.as(append(redeem, spent)...)); return err },
			"refreshing": func() error {
				_, err := try(t, broken.Token, web.as("grant_type", "refresh_token", "refresh_token", got.str("refresh_token")))
				return err
			},
			"revoking a reused token": func() error {
				_, err := try(t, broken.Token, web.as("grant_type", "refresh_token", "refresh_token", stale))
				return err
			},
			"an opaque token": func() error {
				_, err := try(t, broken.Token, opaque.as("grant_type", "client_credentials"))
				return err
			},
			"RFC 7009 2.2.1, access":  func() error { _, err := try(t, broken.Revoke, web.as("token", got.str("access_token"))); return err },
			"RFC 7009 2.2.1, refresh": func() error { _, err := try(t, broken.Revoke, web.as("token", got.str("refresh_token"))); return err },
		} {
			if err := r(); !errors.Is(err, errDisk) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Nothing was lost: the code can be redeemed when the disk is back.
		if got := h.redeem(t, web, code); got.what != "ok" {
			t.Errorf("afterwards: %v", got.refusal)
		}
		if got := h.renew(t, web, got.str("refresh_token")); got.what != "ok" {
			t.Errorf("afterwards: %v", got.refusal)
		}
	})
}

var errDisk = errors.New("the disk is full")

type noWrites struct{ issuer.Store }

func (noWrites) RedeemCode(context.Context, issuer.Redemption) error                  { return errDisk }
func (noWrites) RotateRefresh(context.Context, issuer.Rotation) error                 { return errDisk }
func (noWrites) SaveAccessToken(context.Context, issuer.AccessToken) error            { return errDisk }
func (noWrites) RevokeToken(context.Context, string, time.Time) error                 { return errDisk }
func (noWrites) RevokeAuthorization(context.Context, string, string, time.Time) error { return errDisk }

func TestRacesForTokens(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, copies func() *house) {
		houses := []*house{h, copies(), copies()}
		web, v := h.app(t, nil), h.visitor(t)
		race := func(f func(*house) reply) (won []reply) {
			var mu sync.Mutex
			var all sync.WaitGroup
			begin := make(chan struct{})
			for i := range 64 {
				all.Go(func() {
					<-begin
					got := f(houses[i%3])
					mu.Lock()
					defer mu.Unlock()
					switch got.what {
					case "ok":
						won = append(won, got)
					case "invalid_grant":
					default:
						t.Errorf("a loser got %s", got.what)
					}
				})
			}
			close(begin)
			all.Wait()
			return won
		}

		code := h.code(t, web, v, nil)
		won := race(func(h *house) reply { return h.redeem(t, web, code) })
		if len(won) != 1 {
			t.Fatalf("%d of 64 redeemed one code", len(won))
		}
		if got := h.renew(t, web, won[0].str("refresh_token")); got.what != "invalid_grant" {
			t.Errorf("RFC 6749 4.1.2: what it bought outlived the replays: %s", got.what)
		}
		if got := h.good(t, web, won[0].str("access_token")); got != "" {
			t.Errorf("RFC 6749 4.1.2: the access token outlived the replays: %q", got)
		}

		first := h.redeem(t, web, h.code(t, web, v, nil)).str("refresh_token")
		won = race(func(h *house) reply { return h.renew(t, web, first) })
		if len(won) != 64 {
			t.Errorf("%d of 64 were signed out by refreshing at the same time", 64-len(won))
		}
		successors := map[string]int{}
		for _, got := range won {
			successors[got.str("refresh_token")]++
		}
		if len(successors) != 1 {
			t.Fatalf("one refresh token has %d successors", len(successors))
		}
		second := won[0].str("refresh_token")
		if got := h.renew(t, web, second); got.what != "ok" {
			t.Fatalf("the successor: %v", got.refusal)
		}
		if won := race(func(h *house) reply { return h.renew(t, web, first) }); len(won) != 0 {
			t.Errorf("RFC 9700 4.14.2: %d reused a token after its successor", len(won))
		}
		if got := h.renew(t, web, second); got.what != "invalid_grant" {
			t.Errorf("RFC 9700 4.14.2: the family outlived the reuse: %s", got.what)
		}
	})
}

// What each endpoint costs, once the client is known.
func TestRoundTrips(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, robot, v := h.app(t, nil), h.app(t, service("a")), h.visitor(t)
		opaque := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" })
		for _, a := range []app{web, robot, opaque} {
			h.examine(t, a, "x") // now the client is known
		}
		var got reply
		cost := func(name string, most int64, f func() reply) {
			t.Helper()
			before := h.db.Trips()
			if got = f(); got.what != "ok" {
				t.Fatalf("%s: %v", name, got.refusal)
			}
			if n := h.db.Trips() - before; n > most {
				t.Errorf("%s: %d round trips, want at most %d", name, n, most)
			}
		}
		statements := h.db.Statements()
		cost("client_credentials", 0, func() reply { return h.own(t, robot) })
		if n := h.db.Statements() - statements; n != 0 {
			t.Errorf("client_credentials: %d statements", n)
		}
		cost("introspecting it", 1, func() reply { return h.examine(t, robot, got.str("access_token")) })
		for _, a := range []app{web, opaque} {
			code := h.code(t, a, v, nil)
			cost("a code", 2, func() reply { return h.redeem(t, a, code) })
			first := got
			cost("userinfo", 1, func() reply { return h.about(t, first.str("access_token")) })
			cost("introspection", 1, func() reply { return h.examine(t, a, first.str("access_token")) })
			cost("introspecting a refresh token", 1, func() reply { return h.examine(t, a, first.str("refresh_token")) })
			cost("a refresh", 2, func() reply { return h.renew(t, a, first.str("refresh_token")) })
			second := got
			cost("the same refresh again", 2, func() reply { return h.renew(t, a, first.str("refresh_token")) })
			cost("revocation", 2, func() reply { return send(t, h.Revoke, a.as("token", second.str("access_token"))) })
		}
	})
}
