package conformance_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	keyType       = "urn:mintmark:token-type:api-key"
	orders        = "https://orders.example"
)

// A heldKey is an API key in a story.
type heldKey struct{ ID, Text string }

// newKey makes a key for a service account of its own.
func newKey(t *testing.T, op *conformance.Server, flags ...string) (k heldKey, owner string) {
	t.Helper()
	owner = op.Do("services", "add", "robot "+time.Now().Format("150405.000000"))["id"].(string)
	made := op.Do(append([]string{"keys", "add", "a key", "--owner", owner}, flags...)...)
	return heldKey{made["id"].(string), made["key"].(string)}, owner
}

// exchanges shows the key at the token endpoint, with changes to the form.
func (k heldKey) exchanges(t *testing.T, at string, changes ...string) answer {
	t.Helper()
	return post(t, at+"/oauth/token", with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {k.Text}, "subject_token_type": {keyType}}, changes...))
}

// adminKey is the key of the management API.
func adminKey(t *testing.T, op *conformance.Server) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(op.Data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// asClient is the key as the authentication of a client.
func (k heldKey) asClient(r *http.Request) { r.SetBasicAuth(k.ID, k.Text) }

func TestAKeyIsExchangedForAToken(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		key, owner := newKey(t, op, "--scope", "orders:read", "--scope", "orders:write", "--audience", orders, "--audience", "https://stock.example")
		got := key.exchanges(t, op.Issuer)
		if got.what() != "ok" || got.JSON["refresh_token"] != nil || got.JSON["id_token"] != nil || got.str("token_type") != "Bearer" ||
			got.str("issued_token_type") != "urn:ietf:params:oauth:token-type:access_token" || got.str("scope") != "orders:read orders:write" {
			t.Errorf("RFC 8693 2.2.1: %s", got.Body)
		}
		if cc := got.Header.Get("Cache-Control"); cc != "no-store" {
			t.Errorf("RFC 8693 2.2.1, Cache-Control: %q", cc)
		}
		header, token := claims(t, got.str("access_token"))
		life := token["exp"].(float64) - token["iat"].(float64)
		if header["typ"] != "at+jwt" || token["iss"] != op.Issuer || token["sub"] != owner || token["client_id"] != key.ID || token["akid"] != key.ID ||
			token["jti"] == nil || life != got.JSON["expires_in"] || life < 60 || life > 900 || token["scope"] != "orders:read orders:write" {
			t.Errorf("RFC 9068 2.2: %v %v, for %v s", header, token, life)
		}
		if all, _ := token["aud"].([]any); len(all) != 2 {
			t.Errorf("the audience of the key is %v", token["aud"])
		}
		narrow := key.exchanges(t, op.Issuer, "scope", "orders:read", "resource", orders+"/", "requested_token_type", "urn:ietf:params:oauth:token-type:jwt", "client_id", key.ID)
		_, token = claims(t, narrow.str("access_token"))
		if token["scope"] != "orders:read" || token["aud"] != orders || narrow.str("issued_token_type") != "urn:ietf:params:oauth:token-type:jwt" {
			t.Errorf("RFC 8693 2.1, less: %s %v", narrow.Body, token)
		}
		short, _ := newKey(t, op, "--expires", "90s")
		got = short.exchanges(t, op.Issuer)
		_, token = claims(t, got.str("access_token"))
		if life, _ := got.JSON["expires_in"].(float64); life < 60 || life > 90 || token["aud"] != op.Issuer {
			t.Errorf("of a key that expires in 90 s: %s %v", got.Body, token)
		}
	})
}

// However long other tokens are good: so long does one outlive its key where nobody asks.
func TestATokenFromAKeyIsShort(t *testing.T) {
	op := conformance.StartWith(t, "MINTMARK_TOKENS_ACCESS_TTL=1h")
	key, _ := newKey(t, op, "--scope", "orders:read", "--scope", "openid", "--scope", "offline_access")
	for _, got := range []answer{key.exchanges(t, op.Issuer), post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"}}, key.asClient)} {
		_, token := claims(t, got.str("access_token"))
		if got.JSON["expires_in"] != 900.0 || token["exp"].(float64)-token["iat"].(float64) != 900 {
			t.Errorf("%s: from %v to %v", got.Body, token["iat"], token["exp"])
		}
		if token["scope"] != "orders:read" || got.JSON["id_token"] != nil || got.JSON["refresh_token"] != nil {
			t.Errorf("a key is no sign-in: %s", got.Body)
		}
		// The admin API takes keys, not what came from one.
		r, _ := http.NewRequest("GET", op.Issuer+"/api/v1/keys", nil)
		r.Header.Set("Authorization", "Bearer "+got.str("access_token"))
		if got := do(t, r); got.Status != 401 {
			t.Errorf("the admin API: %d", got.Status)
		}
	}
}

func TestWhatCanNotBeExchanged(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		key, _ := newKey(t, op, "--scope", "orders:read", "--audience", orders)
		other, _ := newKey(t, op)
		bound, _ := newKey(t, op, "--allow-ip", "192.0.2.0/24")
		rare, _ := newKey(t, op, "--rate-limit", "1/h")
		seen, _ := newKey(t, op)
		revoked, _ := newKey(t, op)
		op.Run("keys", "revoke", revoked.ID)
		expired, _ := newKey(t, op, "--expires", "1s")
		orphan, owner := newKey(t, op)
		op.Run("services", "disable", owner)
		time.Sleep(1100 * time.Millisecond)
		may := newApp(t, op, "service", "--grant", exchangeGrant)
		mayNot := newApp(t, op, "service")

		admin := heldKey{Text: adminKey(t, op)}
		wrong := heldKey{Text: key.Text[:21] + other.Text[21:]}
		alike := []answer{}
		for _, k := range []heldKey{{Text: "x"}, {Text: strings.Repeat("x", 60_000)}, wrong, revoked, expired, orphan} {
			alike = append(alike, k.exchanges(t, op.Issuer))
		}
		for _, got := range alike {
			if got.Status != 400 || got.Body != alike[0].Body || got.what() != "invalid_request" {
				t.Errorf("RFC 8693 2.2.2, one answer for every key that is not good: %d %s", got.Status, got.Body)
			}
		}
		if got := rare.exchanges(t, op.Issuer); got.what() != "ok" {
			t.Errorf("the first of a limit: %s", got.Body)
		}
		for _, tt := range []struct {
			name string
			got  answer
			want string
		}{
			{"more scope than the key has", key.exchanges(t, op.Issuer, "scope", "orders:read orders:write"), "invalid_scope"},
			{"a sign-in, that nobody has", key.exchanges(t, op.Issuer, "scope", "openid"), "invalid_scope"},
			{"another audience", key.exchanges(t, op.Issuer, "audience", "https://other.example"), "invalid_target"},
			{"another resource", key.exchanges(t, op.Issuer, "resource", "https://other.example"), "invalid_target"},
			{"the issuer, which is not in its audience", key.exchanges(t, op.Issuer, "resource", op.Issuer), "invalid_target"},
			{"another type of token", key.exchanges(t, op.Issuer, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request"},
			{"an id_token", key.exchanges(t, op.Issuer, "requested_token_type", "urn:ietf:params:oauth:token-type:id_token"), "invalid_request"},
			{"RFC 8693 2.1, no subject_token_type", key.exchanges(t, op.Issuer, "subject_token_type", "-"), "invalid_request"},
			{"RFC 8693 2.1, another subject_token_type", key.exchanges(t, op.Issuer, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), "invalid_request"},
			{"RFC 8693 2.1, no subject_token", key.exchanges(t, op.Issuer, "subject_token", "-"), "invalid_request"},
			{"a key as actor_token", key.exchanges(t, op.Issuer, "actor_token", other.Text, "actor_token_type", keyType), "invalid_request"},
			{"a type of actor_token, and none", key.exchanges(t, op.Issuer, "actor_token_type", keyType), "invalid_request"},
			{"the key in the address", post(t, op.Issuer+"/oauth/token?subject_token="+seen.Text, url.Values{"grant_type": {exchangeGrant}}), "invalid_request"},
			{"one that was in an address", seen.exchanges(t, op.Issuer), "invalid_request"},
			{"the key of the management API", admin.exchanges(t, op.Issuer), "invalid_request"},
			{"from an address that the key is not for", bound.exchanges(t, op.Issuer), "unauthorized_client"},
			{"over its limit", rare.exchanges(t, op.Issuer), "rate_limited"},
			{"with a client that is allowed to", may.token(form(key)), "ok"},
			{"with a client that is not", mayNot.token(form(key)), "unauthorized_client"},
			{"RFC 6749 2.3, with a client's wrong secret", post(t, op.Issuer+"/oauth/token", form(key, "client_id", may.ID, "client_secret", "wrong")), "invalid_client"},
			{"with a client_id that proves nothing", key.exchanges(t, op.Issuer, "client_id", may.ID), "invalid_client"},
			{"with the id of another key", key.exchanges(t, op.Issuer, "client_id", other.ID), "invalid_client"},
			{"RFC 6749 2.3, with another key", post(t, op.Issuer+"/oauth/token", form(key), other.asClient), "invalid_request"},
			{"RFC 6749 2.3, with the same key twice", post(t, op.Issuer+"/oauth/token", form(key), key.asClient), "invalid_request"},
			{"RFC 6749 2.3, and a client twice", post(t, op.Issuer+"/oauth/token", form(key, "client_id", may.ID, "client_secret", may.Secret), may.asItself), "invalid_request"},
			{"and a Bearer token", post(t, op.Issuer+"/oauth/token", form(key), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key.Text) }), "invalid_client"},
		} {
			if tt.got.what() != tt.want || tt.want != "ok" && tt.got.str("access_token") != "" {
				t.Errorf("%s: %d %s, want %s", tt.name, tt.got.Status, tt.got.Body, tt.want)
			}
		}
		if got := rare.exchanges(t, op.Issuer); got.Status != 429 || got.Header.Get("Retry-After") == "" {
			t.Errorf("RFC 6585 4: %d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
		}
		for _, k := range []heldKey{key, other, bound, rare, revoked, expired, orphan, admin} {
			if strings.Contains(op.Log(), k.Text[len(k.Text)-28:]) {
				t.Error("there is a key in the log")
			}
		}
	})
}

// form is the form that exchanges a key.
func form(k heldKey, changes ...string) url.Values {
	return with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {k.Text}, "subject_token_type": {keyType}}, changes...)
}

func TestAKeyIsAClient(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		key, owner := newKey(t, op, "--scope", "orders:read", "--scope", "orders:write", "--audience", orders)
		other, _ := newKey(t, op)
		own := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}
		byForm := with(url.Values{"grant_type": {"client_credentials"}}, "client_id", key.ID, "client_secret", key.Text)
		for name, got := range map[string]answer{
			"RFC 6749 2.3.1, basic": post(t, op.Issuer+"/oauth/token", own, key.asClient),
			"RFC 6749 2.3.1, post":  post(t, op.Issuer+"/oauth/token", byForm),
		} {
			_, token := claims(t, got.str("access_token"))
			if token["sub"] != owner || token["client_id"] != key.ID || token["akid"] != key.ID || token["aud"] != orders || got.JSON["issued_token_type"] != nil {
				t.Errorf("%s: %s %v", name, got.Body, token)
			}
		}
		token := post(t, op.Issuer+"/oauth/token", own, key.asClient).str("access_token")
		ask := func(k heldKey, text string) answer {
			return post(t, op.Issuer+"/introspect", url.Values{"token": {text}}, k.asClient)
		}
		if got := ask(key, token); got.JSON["active"] != true || got.str("client_id") != key.ID || got.str("sub") != owner || got.str("scope") != "orders:read" {
			t.Errorf("RFC 7662 2.2, its own token: %s", got.Body)
		}
		if got := ask(other, token); got.Body != `{"active":false}` {
			t.Errorf("RFC 7662 4, another key's token: %s", got.Body)
		}
		// A key that is for a service is not that service.
		peer, _ := newKey(t, op, "--audience", orders)
		if got := ask(peer, token); got.Body != `{"active":false}` {
			t.Errorf("RFC 7662 4, a token for the same audience: %s", got.Body)
		}
		// A key that another system made has no form of its own.
		const theirs = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
		sum := sha256.Sum256([]byte(theirs))
		imported := heldKey{op.Do("keys", "add", "old", "--owner", owner, "--sha256", hex.EncodeToString(sum[:]))["id"].(string), theirs}
		for name, got := range map[string]answer{
			"exchanged":   imported.exchanges(t, op.Issuer),
			"as a client": post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"}}, imported.asClient),
		} {
			if _, token := claims(t, got.str("access_token")); token["akid"] != imported.ID || token["sub"] != owner {
				t.Errorf("an imported key, %s: %s", name, got.Body)
			}
		}
		if got := ask(key, theirs); got.JSON["active"] != true || got.str("client_id") != imported.ID {
			t.Errorf("an imported key: %s", got.Body)
		}
		if got := post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"}}, heldKey{key.ID, theirs}.asClient); got.what() != "invalid_client" {
			t.Errorf("an imported key with another's id: %s", got.Body)
		}

		admin := adminKey(t, op)
		for name, tt := range map[string]struct {
			got  answer
			want string
		}{
			"more than the key has":         {post(t, op.Issuer+"/oauth/token", with(own, "scope", "orders:delete"), key.asClient), "invalid_scope"},
			"another's id":                  {post(t, op.Issuer+"/oauth/token", own, heldKey{other.ID, key.Text}.asClient), "invalid_client"},
			"a grant that is for people":    {post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}, key.asClient), "unauthorized_client"},
			"a token of somebody to revoke": {post(t, op.Issuer+"/revoke", url.Values{"token": {token}}, other.asClient), "invalid_grant"},
			"the management API's key":      {post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"}}, heldKey{admin[6:17], admin}.asClient), "unauthorized_client"},
			"the id without the key":        {post(t, op.Issuer+"/oauth/token", with(own, "client_id", key.ID)), "invalid_client"},
		} {
			if tt.got.what() != tt.want {
				t.Errorf("%s: %s, want %s", name, tt.got.Body, tt.want)
			}
		}
		if got := post(t, op.Issuer+"/revoke", url.Values{"token": {token}}, key.asClient); got.Status != 200 {
			t.Errorf("RFC 7009 2: %d %s", got.Status, got.Body)
		}
		if got := ask(key, token); got.Body != `{"active":false}` {
			t.Errorf("RFC 7009 2.1, a token that the key gave back: %s", got.Body)
		}
		if got := ask(key, key.Text); got.JSON["active"] != true {
			t.Errorf("the key itself: %s", got.Body)
		}
	})
}

func TestIntrospectionOfAKey(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		service := newApp(t, op, "service", "--audience", orders)
		stranger := newApp(t, op, "service", "--audience", "https://other.example")
		key, owner := newKey(t, op, "--scope", "orders:read", "--audience", orders)
		open, _ := newKey(t, op, "--scope", "a")
		counted, _ := newKey(t, op, "--rate-limit", "1/h")
		bound, _ := newKey(t, op, "--allow-ip", "192.0.2.0/24")
		got := service.introspect(key.Text)
		if got.JSON["active"] != true || got.str("token_type") != "api_key" || got.str("scope") != "orders:read" || got.str("sub") != owner || got.str("client_id") != key.ID ||
			got.str("aud") != orders || got.str("iss") != op.Issuer || got.JSON["exp"].(float64) < got.JSON["iat"].(float64)+80*86400 {
			t.Errorf("RFC 7662 2.2: %s", got.Body)
		}
		if cc := got.Header.Get("Cache-Control"); cc != "private, max-age=5" {
			t.Errorf("RFC 7662 4, Cache-Control: %q", cc)
		}
		if got := stranger.introspect(open.Text); got.JSON["active"] != true {
			t.Errorf("a key for nobody in particular: %s", got.Body)
		}
		if got := stranger.introspect(key.Text); got.Body != `{"active":false}` {
			t.Errorf("a key for others: %s", got.Body)
		}
		if got := stranger.introspect(adminKey(t, op)); got.Body != `{"active":false}` {
			t.Errorf("a key of the management API, which is for nobody else: %s", got.Body)
		}
		from := func(address string) answer {
			return post(t, op.Issuer+"/introspect", url.Values{"token": {bound.Text}, "address": {address}}, service.asItself)
		}
		if got := from("192.0.2.7"); got.JSON["active"] != true {
			t.Errorf("RFC 7662 2.1, from where the key is for: %s", got.Body)
		}
		for _, got := range []answer{from("198.51.100.1"), from("")} {
			if got.Body != `{"active":false}` {
				t.Errorf("from elsewhere, or nobody says from where: %s", got.Body)
			}
		}
		if got := from("here"); got.what() != "invalid_request" {
			t.Errorf("from an address that is none: %s", got.Body)
		}
		if got := service.introspect(counted.Text); got.JSON["active"] != true || got.str("ratelimit") != `"default";r=0;t=3600` || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("a key with a limit: %s", got.Body)
		}
		if got := service.introspect(counted.Text); got.Status != 429 || got.Header.Get("Retry-After") == "" {
			t.Errorf("over its limit: %d %s", got.Status, got.Body)
		}
		op.Run("keys", "disable", open.ID)
		for _, text := range []string{open.Text, key.Text[:21] + open.Text[21:], "mm_sk_", "a key that nobody made"} {
			if got := service.introspect(text); got.Body != `{"active":false}` || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("RFC 7662 2.2, not good: %s", got.Body)
			}
		}
		if got := post(t, op.Issuer+"/introspect", url.Values{"token": {key.Text}}); got.what() != "invalid_client" {
			t.Errorf("RFC 7662 2.1, nobody asks: %s", got.Body)
		}
	})
}

// Whoever holds a key may revoke it, with nothing else in hand.
func TestAKeyIsGivenUp(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		service := newApp(t, op, "service")
		for name, how := range map[string]func(k heldKey) answer{
			"alone": func(k heldKey) answer { return post(t, op.Issuer+"/revoke", url.Values{"token": {k.Text}}) },
			"by its id": func(k heldKey) answer {
				return post(t, op.Issuer+"/revoke", url.Values{"token": {k.Text}, "client_id": {k.ID}})
			},
			"as its own client":   func(k heldKey) answer { return post(t, op.Issuer+"/revoke", url.Values{"token": {k.Text}}, k.asClient) },
			"by another's client": func(k heldKey) answer { return service.revoke(k.Text) },
		} {
			key, _ := newKey(t, op, "--allow-ip", "127.0.0.0/8", "--deny-ip", "127.0.0.9")
			if got := key.exchanges(t, op.Issuer); got.what() != "ok" {
				t.Fatalf("%s: %s", name, got.Body)
			}
			for range 2 { // RFC 7009 2.2: an invalid token is no error
				if got := how(key); got.Status != 200 || got.Body != "" {
					t.Errorf("%s: %d %s", name, got.Status, got.Body)
				}
			}
			if got := key.exchanges(t, op.Issuer); got.what() != "invalid_request" {
				t.Errorf("%s, afterwards: %s", name, got.Body)
			}
		}
		key, _ := newKey(t, op)
		other, _ := newKey(t, op)
		if got := post(t, op.Issuer+"/revoke", url.Values{"token": {key.Text[:21] + other.Text[21:]}}); got.Status != 401 && got.Status != 200 {
			t.Errorf("a wrong key: %d", got.Status)
		}
		if got := post(t, op.Issuer+"/revoke", url.Values{"token": {key.ID}}); got.what() != "invalid_client" {
			t.Errorf("an id is no key: %s", got.Body)
		}
		if got := key.exchanges(t, op.Issuer); got.what() != "ok" {
			t.Errorf("it was revoked without being shown: %s", got.Body)
		}
	})
}

// What came from a key is gone with it: at once on the copy that revokes it, within a second on
// the others.
func TestATokenDiesWithItsKey(t *testing.T) {
	database := storagetest.Postgres(t)
	op := conformance.Start(t, database)
	far := op.Copy(t, database)
	service := newApp(t, op, "service", "--audience", orders)
	active := func(at *conformance.Server, token string) bool {
		return post(t, at.Address+"/introspect", url.Values{"token": {token}}, service.asItself).JSON["active"] == true
	}
	for name, end := range map[string]func(k heldKey, owner string){
		"revoked":           func(k heldKey, _ string) { op.Run("keys", "revoke", k.ID) },
		"disabled":          func(k heldKey, _ string) { op.Run("keys", "disable", k.ID) },
		"replaced":          func(k heldKey, _ string) { op.Run("keys", "rotate", k.ID) },
		"its owner is gone": func(_ heldKey, owner string) { op.Run("services", "disable", owner) },
		"narrowed":          func(k heldKey, _ string) { op.Run("keys", "set", k.ID, "--scope", "b") },
		"given up":          func(k heldKey, _ string) { post(t, op.Address+"/revoke", url.Values{"token": {k.Text}}) },
	} {
		key, owner := newKey(t, op, "--scope", "a", "--audience", orders)
		token := key.exchanges(t, op.Address).str("access_token")
		if !active(op, token) || !active(far, token) {
			t.Fatalf("%s: the token is not good from the start", name)
		}
		if got := service.userinfo(token); got.Status != 403 {
			t.Errorf("%s: RFC 6750 3.1, userinfo without openid: %d", name, got.Status)
		}
		end(key, owner)
		at := time.Now()
		if active(op, token) {
			t.Errorf("%s: the token is good where that was done", name)
		}
		if got := service.userinfo(token); got.Status != 401 {
			t.Errorf("%s: userinfo: %d", name, got.Status)
		}
		for active(far, token) {
			if time.Since(at) > time.Second {
				t.Errorf("%s: after a second the token is good on another copy", name)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
