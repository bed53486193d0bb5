package issuer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
)

// everything is every standard claim of OpenID Connect Core §5.1 that somebody can set.
const everything = `{"given_name":"Anna","family_name":"Ott \"the\" Otter","middle_name":"M","nickname":"ann","preferred_username":"anna",
	"profile":"https://anna.example","picture":"https://anna.example/p.png","website":"https://anna.example","gender":"female",
	"birthdate":"1990-05-17","zoneinfo":"Europe/Berlin","locale":"de-DE","phone_number":"+49 30 123456","phone_number_verified":false,
	"address":{"formatted":"Weg 1\n12345 Berlin","locality":"Berlin"}}`

func (h *house) known(t *testing.T) visitor {
	t.Helper()
	a, err := h.directory.Add(t.Context(), accounts.New{
		Email: secret.NewShortID() + "@example.com", Name: "Anna Otter", Verified: true, Claims: json.RawMessage(everything),
	})
	if err != nil {
		t.Fatal(err)
	}
	return visitor{a, h.browser(t).signIn(a)}
}

// names returns the members of an object, in order.
func names(object map[string]any) string {
	var list []string
	for name := range object {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestTokensForAPerson(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		v := h.known(t)
		plain := h.app(t, nil)
		api := h.app(t, func(c *issuer.Client) { c.Audience, c.IDTokenAlg = []string{"https://api.example"}, "ES256" })
		opaque := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" })
		for _, a := range []app{plain, api, opaque} {
			code := h.code(t, a, v, nil)
			aid, _ := h.mint.Parse(secret.KindCode, code)
			got := h.redeem(t, a, code)
			if names(got.json) != "access_token expires_in id_token refresh_token scope token_type" ||
				got.json["scope"] != "openid profile" || got.json["expires_in"] != 300.0 || got.json["token_type"] != "Bearer" {
				t.Errorf("RFC 6749 5.1, Core 3.1.3.3: %s", got.w.Body)
			}
			header, id := h.jwt(t, got.str("id_token"), "JWT")
			if header["alg"] != a.IDTokenAlg {
				t.Errorf("Core 2: the algorithm is %v", header["alg"])
			}
			if names(id) != "acr amr at_hash aud auth_time exp iat iss nonce sid sub" {
				t.Errorf("Core 2 and 5.4: the ID token has %s", names(id))
			}
			for name := range id {
				if name != "sub" && !slices.Contains(issuer.IDTokenClaims(), name) {
					t.Errorf("Discovery 3: claims_supported will not have %s", name)
				}
			}
			if id["iss"] != front || id["sub"] != v.ID || id["aud"] != a.ID || id["nonce"] != "the nonce" || id["sid"] != v.session.ID ||
				id["acr"] != issuer.ACRPassword || mustJSON(t, id["amr"]) != `["pwd"]` || id["exp"].(float64)-id["iat"].(float64) != 300 {
				t.Errorf("Core 2: %v", id)
			}
			if d := id["iat"].(float64) - id["auth_time"].(float64); d < 60 || d > 120 {
				t.Errorf("Core 2: auth_time is %v seconds ago", d)
			}
			if len(got.str("access_token")) < 22 || id["at_hash"] != atHash(got.str("access_token")) {
				t.Errorf("Core 3.1.3.6: at_hash is %v", id["at_hash"])
			}
			if a.AccessTokenFormat == "opaque" {
				continue
			}
			_, access := h.jwt(t, got.str("access_token"), "at+jwt")
			if names(access) != "acr aid amr aud auth_time client_id exp iat iss jti scope sid sub" {
				t.Errorf("RFC 9068 2.2: %s", names(access))
			}
			aud := front
			if len(a.Audience) > 0 {
				aud = a.Audience[0]
			}
			if access["iss"] != front || access["sub"] != v.ID || access["aud"] != aud || access["client_id"] != a.ID || access["aid"] != aid ||
				access["scope"] != "openid profile" || access["auth_time"] != id["auth_time"] {
				t.Errorf("RFC 9068 2.2: %v", access)
			}
		}

		quiet := h.redeem(t, plain, h.code(t, plain, v, func(a *issuer.Authorization) { a.Nonce, a.Scopes = "", []string{"openid"} }))
		if _, id := h.jwt(t, quiet.str("id_token"), "JWT"); id["nonce"] != nil {
			t.Errorf("Core 2: nonce is %v, and none was sent", id["nonce"])
		}
		bare := h.redeem(t, plain, h.code(t, plain, v, func(a *issuer.Authorization) { a.Scopes = []string{"email"} }))
		if bare.json["id_token"] != nil {
			t.Error("Core 3.1.2.1: an ID token without the scope openid")
		}
		if got := h.about(t, bare.str("access_token")); got.what != "insufficient_scope" || got.refusal.Scope != "openid" || !got.refusal.Bearer {
			t.Errorf("RFC 6750 3.1: userinfo without the scope openid: %v", got.refusal)
		}
	})
}

func TestWhatUserInfoTells(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		anna, nobody := h.known(t), h.visitor(t)
		web, narrow := h.app(t, nil), h.app(t, func(c *issuer.Client) { c.Scopes = []string{"openid", "profile"} })
		const profile = "birthdate family_name gender given_name locale middle_name name nickname picture preferred_username profile"
		for _, tt := range []struct {
			name, scope, claims string
			app                 app
			who                 visitor
			has, id             string // at userinfo, and more than usual in the ID token
		}{
			{"Core 5.4, openid", "openid", "", web, anna, "sub", ""},
			{"Core 5.4, profile", "openid profile", "", web, anna, profile + " sub updated_at website zoneinfo", ""},
			{"Core 5.4, email", "openid email", "", web, anna, "email email_verified sub", ""},
			{"Core 5.4, phone and address", "openid phone address", "", web, anna, "address phone_number phone_number_verified sub", ""},
			{"Core 5.3.2, what is not set is left out", "openid profile phone address", "", web, nobody, "name sub updated_at", ""},
			{"Core 5.5, one by one", "openid", `{"userinfo":{"name":{"essential":true},"email":null},"id_token":{"nickname":null}}`, web, anna, "email name sub", "nickname"},
			{"Core 5.5, and by scope", "openid email", `{"userinfo":{"name":null}}`, web, anna, "email email_verified name sub", ""},
			{"Core 5.5, what is not set", "openid", `{"userinfo":{"name":{"essential":true},"nickname":{"essential":true}}}`, web, nobody, "name sub", ""},
			{"Core 5.5, what nobody knows", "openid", `{"userinfo":{"shoe_size":{"essential":true},"password_hash":null,"iss":null}}`, web, anna, "sub", ""},
			{"Core 5.5.1, with the right value", "openid", `{"userinfo":{"name":{"value":"Anna Otter"},"email_verified":{"value":true}}}`, web, anna, "email_verified name sub", ""},
			{"Core 5.5.1, with another value", "openid", `{"userinfo":{"name":{"value":"Otto"},"email_verified":{"value":"true"}}}`, web, anna, "sub", ""},
			{"Core 5.5.1, with values", "openid", `{"userinfo":{"name":{"values":["Otto","Anna Otter"]},"locale":{"values":["en"]}}}`, web, anna, "name sub", ""},
			{"Core 5.5.1, another value of what the scope tells", "openid profile", `{"userinfo":{"email":null,"birthdate":{"value":"1"}}}`, web, anna, strings.Replace(profile, "family", "email family", 1) + " sub updated_at website zoneinfo", ""},
			{"the registration limits the claims parameter", "openid", `{"userinfo":{"name":null,"email":null},"id_token":{"email":null,"phone_number":null}}`, narrow, anna, "name sub", ""},
			{"Core 5.5, the ID token keeps its own", "openid", `{"id_token":{"sub":null,"aud":{"value":"x"},"exp":{"value":1},"acr":{"values":["a"]},"sid":{"value":"x"},"auth_time":{"essential":true}}}`, web, anna, "sub", ""},
		} {
			got := h.redeem(t, tt.app, h.code(t, tt.app, tt.who, func(a *issuer.Authorization) {
				a.Scopes, a.Claims = strings.Fields(tt.scope), tt.claims
			}))
			user := h.about(t, got.str("access_token"))
			if user.what != "ok" || names(user.json) != tt.has || user.json["sub"] != tt.who.ID {
				t.Errorf("%s: got %s (%v), want %s", tt.name, names(user.json), user.refusal, tt.has)
			}
			_, id := h.jwt(t, got.str("id_token"), "JWT")
			for _, name := range strings.Fields("acr amr at_hash aud auth_time exp iat iss nonce sid sub") {
				if id[name] == nil {
					t.Errorf("%s: the ID token has no %s", tt.name, name)
				}
				delete(id, name)
			}
			if names(id) != tt.id {
				t.Errorf("%s: the ID token has more: %s", tt.name, names(id))
			}
		}

		token := h.redeem(t, web, h.code(t, web, anna, func(a *issuer.Authorization) {
			a.Scopes = []string{"openid", "profile", "email", "address", "phone"}
		})).str("access_token")
		user := h.about(t, token).json
		var set map[string]any
		if err := json.Unmarshal([]byte(everything), &set); err != nil {
			t.Fatal(err)
		}
		set["sub"], set["name"], set["email"], set["email_verified"] = anna.ID, "Anna Otter", anna.Email, true
		at, _ := user["updated_at"].(float64)
		if d := time.Since(time.Unix(int64(at), 0)); d < 0 || d > time.Minute {
			t.Errorf("Core 5.1: updated_at is %v", user["updated_at"])
		}
		delete(user, "updated_at")
		if mustJSON(t, user) != mustJSON(t, set) {
			t.Errorf("Core 5.1: got %v, want %v", user, set)
		}

		// What changed meanwhile is told as it is now.
		name := "Anna O."
		if _, err := h.directory.Set(t.Context(), anna.ID, accounts.Change{Name: &name}); err != nil {
			t.Fatal(err)
		}
		if user := h.about(t, token).json; user["name"] != name {
			t.Errorf("Core 5.3: the name is %v", user["name"])
		}
	})
}

func TestHowUserInfoIsAsked(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, robot, v := h.app(t, nil), h.app(t, service("openid", "a")), h.visitor(t)
		got := h.redeem(t, web, h.code(t, web, v, nil))
		token := got.str("access_token")
		own := h.own(t, robot).str("access_token")
		get := func(query string) *http.Request { return httptest.NewRequest("GET", front+"/userinfo"+query, nil) }
		bare := httptest.NewRequest("POST", front+"/userinfo", nil)
		odd := raw(httptest.NewRequest("POST", front+"/userinfo", strings.NewReader("{}")), "Bearer "+token)
		odd.Header.Set("Content-Type", "application/json")
		two := raw(get(""), "Bearer "+token)
		two.Header.Add("Authorization", "Bearer "+token)
		twice := postingBody(posting(), "access_token="+token+"&access_token="+token)
		expired := h.with(t, func(c *issuer.Config) { c.AccessTTL = time.Nanosecond })
		late := expired.redeem(t, web, h.code(t, web, v, nil)).str("access_token")
		foreign := h.with(t, func(c *issuer.Config) { c.Issuer = "https://other.example" })
		other := foreign.redeem(t, web, h.code(t, web, v, nil)).str("access_token")
		for _, tt := range []struct {
			name string
			r    *http.Request
			want string
		}{
			{"Core 5.3.1, by GET", raw(get(""), "Bearer "+token), "ok"},
			{"RFC 9110 11.1, schemes have no case", raw(get(""), "bearer "+token), "ok"},
			{"Core 5.3.1, by POST", raw(bare, "Bearer "+token), "ok"},
			{"RFC 6750 2.2, in the body", posting("access_token", token), "ok"},
			{"a body that has nothing to do with it", odd, "ok"},
			{"RFC 6750 2.3, in the address", get("?access_token=" + token), "invalid_request"},
			{"RFC 6750 2, in the address too", raw(get("?access_token="+token), "Bearer "+token), "invalid_request"},
			{"RFC 6750 2, in the body too", raw(posting("access_token", token), "Bearer "+token), "invalid_request"},
			{"RFC 6750 2, two headers", two, "invalid_request"},
			{"RFC 6749 3.2, twice in the body", twice, "invalid_request"},
			{"RFC 6750 3.1, no token", get(""), ""},
			{"RFC 6750 3.1, an empty one", raw(get(""), "Bearer "), ""},
			{"RFC 6750 3.1, another scheme", basic(get(""), web.ID, web.secret), ""},
			{"RFC 6750 3.1, junk", raw(get(""), "Bearer junk"), "invalid_token"},
			{"RFC 6750 3.1, another signature", raw(get(""), "Bearer "+token[:len(token)-8]+"AAAAAAAA"), "invalid_token"},
			{"RFC 9068 4, an ID token", raw(get(""), "Bearer "+got.str("id_token")), "invalid_token"},
			{"RFC 6750 3.1, a refresh token", raw(get(""), "Bearer "+got.str("refresh_token")), "invalid_token"},
			{"RFC 9068 4, expired", raw(get(""), "Bearer "+late), "invalid_token"},
			{"RFC 9068 4, of another issuer with our keys", raw(get(""), "Bearer "+other), "invalid_token"},
			{"RFC 6750 3.1, a client's own token", raw(get(""), "Bearer "+own), "insufficient_scope"},
		} {
			got := send(t, h.UserInfo, tt.r)
			if got.what != tt.want {
				t.Errorf("%s: got %q (%v), want %q", tt.name, got.what, got.refusal, tt.want)
			}
			if got.refusal != nil && !got.refusal.Bearer {
				t.Errorf("%s: RFC 6750 3: no challenge", tt.name)
			}
			if got.refusal != nil && got.what == "" && got.refusal.Description != "" {
				t.Errorf("%s: RFC 6750 3.1: error information", tt.name)
			}
		}

		// Opaque tokens: the name is no secret, and an expired one is one no more.
		opaque := h.app(t, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" })
		token = h.redeem(t, opaque, h.code(t, opaque, v, nil)).str("access_token")
		id, _ := h.mint.Parse(secret.KindAccess, token)
		late = expired.redeem(t, opaque, h.code(t, opaque, v, nil)).str("access_token")
		for name, tt := range map[string]struct{ token, want string }{
			"as it should be":  {token, "ok"},
			"somebody's guess": {h.mint.Issue(secret.KindAccess, id).Reveal(), "invalid_token"},
			"an unknown one":   {h.mint.Issue(secret.KindAccess, secret.NewID("")).Reveal(), "invalid_token"},
			"expired":          {late, "invalid_token"},
		} {
			if got := h.about(t, tt.token); got.what != tt.want {
				t.Errorf("opaque, %s: %s", name, got.what)
			}
		}
	})
}

func TestIntrospection(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		v := h.visitor(t)
		toAPI := func(c *issuer.Client) { c.Audience = []string{"https://api.example", "https://more.example"} }
		api := h.app(t, func(c *issuer.Client) { service()(c); c.Audience = []string{"https://api.example"} })
		named := h.app(t, func(c *issuer.Client) { service()(c); c.ID = "https-named-api" })
		stranger, spa := h.app(t, service("a")), h.app(t, public)
		for _, format := range []string{"jwt", "opaque"} {
			web := h.app(t, func(c *issuer.Client) { toAPI(c); c.AccessTokenFormat = format })
			toNamed := h.app(t, func(c *issuer.Client) { c.Audience, c.AccessTokenFormat = []string{named.ID}, format })
			got := h.redeem(t, web, h.code(t, web, v, nil))
			second := h.redeem(t, toNamed, h.code(t, toNamed, v, nil))
			for _, tt := range []struct {
				name  string
				asks  app
				token string
				want  string // the members
			}{
				{"who got it", web, got.str("access_token"), "acr active aud auth_time client_id exp iat iss jti scope sid sub token_type"},
				{"who it is for, by a registered audience", api, got.str("access_token"), "acr active aud auth_time client_id exp iat iss jti scope sid sub token_type"},
				{"who it is for, by client_id", named, second.str("access_token"), "acr active aud auth_time client_id exp iat iss jti scope sid sub token_type"},
				{"RFC 7662 4, somebody else", stranger, got.str("access_token"), "active"},
				{"RFC 7662 4, who another is for", named, got.str("access_token"), "active"},
				{"a refresh token of its own", web, got.str("refresh_token"), "active client_id exp iat iss scope sid sub"},
				{"RFC 7662 4, a refresh token of somebody else", api, got.str("refresh_token"), "active"},
				{"a refresh token with another secret", web, forged(h, t, got.str("refresh_token")), "active"},
				{"an ID token", web, got.str("id_token"), "active"},
				{"junk", web, "junk", "active"},
				{"another signature", web, got.str("access_token")[:40] + "AAAA", "active"},
			} {
				seen := h.examine(t, tt.asks, tt.token)
				if seen.what != "ok" || names(seen.json) != tt.want {
					t.Errorf("%s, %s: %s (%v)", format, tt.name, names(seen.json), seen.refusal)
				}
				if active := tt.want != "active"; seen.json["active"] != active || !active && seen.w.Body.String() != `{"active":false}` {
					t.Errorf("%s, %s: RFC 7662 2.2: %s", format, tt.name, seen.w.Body)
				}
			}
			seen := h.examine(t, api, got.str("access_token")).json
			if seen["sub"] != v.ID || seen["client_id"] != web.ID || seen["iss"] != front || seen["scope"] != "openid profile" ||
				seen["sid"] != v.session.ID || mustJSON(t, seen["aud"]) != mustJSON(t, web.Audience) || seen["exp"].(float64)-seen["iat"].(float64) != 300 {
				t.Errorf("%s: RFC 7662 2.2: %v", format, seen)
			}
			// A question about a reused token is no reuse.
			next := h.renew(t, web, h.renew(t, web, got.str("refresh_token")).str("refresh_token"))
			if seen := h.examine(t, web, got.str("refresh_token")); seen.json["active"] != false {
				t.Errorf("%s: a replaced refresh token: %s", format, seen.w.Body)
			}
			if again := h.renew(t, web, next.str("refresh_token")); again.what != "ok" {
				t.Errorf("%s: asking revoked it: %v", format, again.refusal)
			}
		}
		own := h.own(t, stranger).str("access_token")
		if seen := h.examine(t, stranger, own); names(seen.json) != "active aud client_id exp iat iss jti scope sub token_type" || seen.json["sub"] != stranger.ID {
			t.Errorf("a client's own token: %s", seen.w.Body)
		}
		if got := send(t, h.Introspect, spa.as("token", own)); got.what != "invalid_client" {
			t.Errorf("RFC 7662 2.1, a public client: %s", got.what)
		}
		if got := send(t, h.Introspect, stranger.as("token_type_hint", "access_token")); got.what != "invalid_request" {
			t.Errorf("RFC 7662 2.1, no token: %s", got.what)
		}
		if got := send(t, h.Introspect, stranger.as("token", own, "token_type_hint", "refresh_token")); got.json["active"] != true {
			t.Errorf("RFC 7662 2.1, a hint that is wrong: %s", got.w.Body)
		}
	})
}

func TestRevocation(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		v, other := h.visitor(t), h.app(t, nil)
		for _, change := range []func(*issuer.Client){nil, func(c *issuer.Client) { c.AccessTokenFormat = "opaque" }} {
			web := h.app(t, change)
			revoke := func(a app, token, want string) {
				t.Helper()
				got := send(t, h.Revoke, a.as("token", token, "token_type_hint", "pigeon")) // §2.1: a hint that is unknown is ignored
				if got.what != want || got.w.Body.Len() != 0 {
					t.Errorf("got %s (%v) %s, want %s", got.what, got.refusal, got.w.Body, want)
				}
			}
			code := h.code(t, web, v, nil)
			got := h.redeem(t, web, code)
			access, refresh := got.str("access_token"), got.str("refresh_token")

			// RFC 7009 §2.1: not by another client.
			revoke(other, access, "invalid_grant")
			revoke(other, refresh, "invalid_grant")
			// §2.2: what is no token is revoked already. Its name alone revokes nothing.
			for _, junk := range []string{"junk", code, got.str("id_token"), forged(h, t, refresh), access[:len(access)-1]} {
				revoke(web, junk, "ok")
			}
			if at := h.good(t, web, access); at != "userinfo introspection" {
				t.Fatalf("the wrong ones revoked it: %q", at)
			}
			// An access token goes alone.
			second := h.renew(t, web, refresh)
			revoke(web, access, "ok")
			revoke(web, access, "ok")
			if at := h.good(t, web, access); at != "" {
				t.Errorf("RFC 7009 2, a revoked access token: %q", at)
			}
			if at := h.good(t, web, second.str("access_token")); at != "userinfo introspection" {
				t.Errorf("another access token went with it: %q", at)
			}
			// A refresh token takes all with it, also one that was replaced.
			revoke(web, refresh, "ok")
			if at := h.good(t, web, second.str("access_token")); at != "" {
				t.Errorf("RFC 7009 2.1, the access token of a revoked refresh token: %q", at)
			}
			if got := h.renew(t, web, second.str("refresh_token")); got.what != "invalid_grant" {
				t.Errorf("RFC 7009 2, a revoked refresh token: %s", got.what)
			}
		}
		spa := h.app(t, public)
		got := h.redeem(t, spa, h.code(t, spa, v, nil))
		if back := send(t, h.Revoke, spa.as("token", got.str("refresh_token"))); back.what != "ok" {
			t.Errorf("RFC 7009 5, a public client: %v", back.refusal)
		}
		if got := h.renew(t, spa, got.str("refresh_token")); got.what != "invalid_grant" {
			t.Errorf("RFC 7009 5, a public client: %s", got.what)
		}
		if got := send(t, h.Revoke, spa.as()); got.what != "invalid_request" {
			t.Errorf("RFC 7009 2.1, no token: %s", got.what)
		}
		robot := h.app(t, service("a"))
		own := h.own(t, robot).str("access_token")
		send(t, h.Revoke, robot.as("token", own))
		if seen := h.examine(t, robot, own); seen.json["active"] != false {
			t.Errorf("RFC 7009 2, a client's own token: %s", seen.w.Body)
		}
	})
}

// While the keyring has not seen the database for too long nobody knows whether a key was
// revoked. Neither "inactive" nor "revoked" would be true.
func TestAStaleKeyringIsNotAnAnswer(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		robot := h.app(t, service("a"))
		own := h.own(t, robot).str("access_token")
		blind := h.with(t, func(c *issuer.Config) { c.Keys = keys.New(keys.Config{Store: h.db.Keys()}) })
		bearer := raw(httptest.NewRequest("GET", front+"/userinfo", nil), "Bearer "+own)
		for name, f := range map[string]func() error{
			"introspection": func() error { _, err := try(t, blind.Introspect, robot.as("token", own)); return err },
			"revocation":    func() error { _, err := try(t, blind.Revoke, robot.as("token", own)); return err },
			"userinfo":      func() error { _, err := try(t, blind.UserInfo, bearer); return err },
			"a token":       func() error { _, err := try(t, blind.Token, robot.as("grant_type", "client_credentials")); return err },
		} {
			if err := f(); err == nil {
				t.Errorf("%s: answered", name)
			}
		}
	})
}
