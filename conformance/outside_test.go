package conformance_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

const (
	bearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	jwtType     = "urn:ietf:params:oauth:token-type:jwt"
	meant       = "https://mintmark.example/tokens"
)

// heard is everything that who verifies elsewhere has to know.
func heard(t *testing.T, op *conformance.Server) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(op.Data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", op.Address+"/api/v1/revocations/snapshot", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "ApiKey "+strings.TrimSpace(string(key)))
	_, feed := claims(t, strings.TrimSpace(do(t, r).Body))
	text, err := json.Marshal(feed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// takesTokens adds an issuer whose tokens are taken.
func takesTokens(t *testing.T, op *conformance.Server, e *elsewhere, flags ...string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a client secret of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	op.Do(append([]string{"providers", "add", "corp", "--kind", "oidc", "--issuer", e.URL, "--client-id", "mintmark", "--client-secret-file", secret,
		"--token-audience", meant}, flags...)...)
}

// brings is a token of theirs, with changes.
func (e *elsewhere) brings(change func(c map[string]any)) string {
	now := time.Now()
	c := map[string]any{"iss": e.URL, "sub": e.who, "aud": meant, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"jti": serial.Add(1), "email": e.who + "@elsewhere.example", "email_verified": true}
	c["jti"] = "token-" + time.Now().Format("150405.000000000")
	if change != nil {
		change(c)
	}
	return e.sign(c)
}

// RFC 7523 §2.1 and RFC 8693 §2: whoever has a token of an issuer that is trusted gets one of ours.
func TestATokenOfAnotherIssuerIsExchanged(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		e := newElsewhere(t)
		takesTokens(t, op, e)
		stranger := newElsewhere(t)
		flags := []string{"--grant", "authorization_code", "--grant", bearerGrant, "--grant", exchangeGrant}
		ours := newApp(t, op, "web", append(flags, "--consent", "never")...)
		asks := newApp(t, op, "web", flags...)
		assert := func(a app, token string, changes ...string) answer {
			t.Helper()
			return a.token(with(url.Values{"grant_type": {bearerGrant}, "assertion": {token}, "scope": {"openid email"}}, changes...))
		}
		exchange := func(a app, token string, changes ...string) answer {
			t.Helper()
			return a.token(with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {token}, "subject_token_type": {jwtType}}, changes...))
		}
		good := e.brings(nil)
		got := assert(ours, good)
		if got.what() != "ok" || got.JSON["refresh_token"] != nil || got.JSON["id_token"] != nil || got.str("scope") != "openid email" {
			t.Fatalf("RFC 7523 2.1: %s", got.Body)
		}
		_, payload := claims(t, got.str("access_token"))
		if payload["client_id"] != ours.ID || payload["aud"] != op.Issuer || payload["exp"].(float64)-payload["iat"].(float64) > 900 {
			t.Errorf("RFC 9068 2.2: %v", payload)
		}
		if info := ours.userinfo(got.str("access_token")); info.what() != "ok" || info.str("email") != "ada@elsewhere.example" || info.str("sub") != payload["sub"] {
			t.Errorf("userinfo: %s", info.Body)
		}
		// It is the person of the provider, whichever way they come, and the token is no longer than theirs.
		short := exchange(ours, e.brings(func(c map[string]any) { c["exp"] = time.Now().Add(20 * time.Second).Unix() }))
		_, again := claims(t, short.str("access_token"))
		if again["sub"] != payload["sub"] || short.str("issued_token_type") != accessType || short.JSON["expires_in"].(float64) > 20 {
			t.Errorf("RFC 8693 2.2.1: %s", short.Body)
		}
		for _, kind := range []string{accessType, "urn:ietf:params:oauth:token-type:id_token"} {
			if got := exchange(ours, e.brings(nil), "subject_token_type", kind).what(); got != "ok" {
				t.Errorf("RFC 8693 3, %s: %s", kind, got)
			}
		}

		before := e.asked["/jwks"]
		set := func(name string, value any) string {
			return e.brings(func(c map[string]any) {
				c[name] = value
				if value == nil {
					delete(c, name)
				}
			})
		}
		once := set("jti", nil)
		if got := assert(ours, once).what(); got != "ok" {
			t.Errorf("without jti: %s", got)
		}
		hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("a client secret of ours, long enough")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := hmac.Sign([]byte(`{"iss":"` + e.URL + `","sub":"ada","aud":"` + meant + `","exp":9999999999}`))
		if err != nil {
			t.Fatal(err)
		}
		confused, _ := signed.CompactSerialize()
		parts := strings.Split(e.brings(nil), ".")
		late := time.Now()
		for _, tt := range []struct{ name, token string }{
			{"RFC 7523 3, 7: a jti that was used", good},
			{"the same token, without jti", once},
			{"another issuer", stranger.brings(nil)},
			{"another issuer's key", stranger.brings(func(c map[string]any) { c["iss"] = e.URL })},
			{"RFC 7523 3, 1: almost its issuer", set("iss", e.URL+"/")},
			{"RFC 7523 3, 2: no sub", set("sub", nil)},
			{"a sub that is too long", set("sub", strings.Repeat("a", 256))},
			{"RFC 7523 3, 3: another audience", set("aud", "https://other.example")},
			{"one audience more", set("aud", []string{meant, "https://other.example"})},
			{"who we are at its sign-in", set("aud", "mintmark")},
			{"RFC 7523 3, 4: no exp", set("exp", nil)},
			{"over", set("exp", late.Add(-time.Minute).Unix())},
			{"good for a day", set("exp", late.Add(24*time.Hour).Unix())},
			{"RFC 7523 3, 5: not yet", set("nbf", late.Add(5*time.Minute).Unix())},
			{"RFC 7523 3, 6: of the future", set("iat", late.Add(5*time.Minute).Unix())},
			{"RFC 7800 3.1: bound to a key", set("cnf", map[string]any{"jkt": "x"})},
			{"RFC 8725 2.1: HS256", confused},
			{"RFC 8725 2.1: alg none", "eyJhbGciOiJub25lIn0." + parts[1] + "."},
			{"changed", parts[0] + "." + parts[1] + "x." + parts[2]},
			{"nonsense", "nonsense"},
			{"too long", set("more", strings.Repeat("a", 17<<10))},
		} {
			if got := assert(ours, tt.token).what(); got != "invalid_grant" {
				t.Errorf("%s: %s", tt.name, got)
			}
			if got := exchange(ours, tt.token).what(); got != "invalid_request" {
				t.Errorf("%s, exchanged: %s", tt.name, got)
			}
		}
		if stranger.asked["/.well-known/openid-configuration"]+stranger.asked["/jwks"] != 0 || e.asked["/jwks"] > before+2 {
			t.Errorf("strangers make us ask: %v %v", stranger.asked, e.asked)
		}
		for _, tt := range []struct{ name, got, want string }{
			{"a client that must ask the person", assert(asks, e.brings(nil)).what(), "unauthorized_client"},
			{"RFC 6749 3.3, more scopes", assert(ours, e.brings(nil), "scope", "admin").what(), "invalid_scope"},
			{"OpenID Connect Core 11, for ever", assert(ours, e.brings(nil), "scope", "offline_access").what(), "invalid_scope"},
			{"RFC 8707 2, another resource", assert(ours, e.brings(nil), "resource", "https://other.example").what(), "invalid_target"},
			{"RFC 7523 2.1, no assertion", assert(ours, "").what(), "invalid_request"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
			}
		}

		// Many at once, with one token: one gets in.
		token := e.brings(nil)
		won := 0
		for _, got := range race(func(i int) string { return assert(ours, token).what() }) {
			if got == "ok" {
				won++
			}
		}
		if won != 1 {
			t.Errorf("one token let in %d", won)
		}

		op.Run("users", "disable", payload["sub"].(string))
		if info := ours.userinfo(got.str("access_token")); info.Status != 401 {
			t.Errorf("a disabled account: %d %s", info.Status, info.Body)
		}
		if got := assert(ours, e.brings(nil)).what(); got != "invalid_grant" {
			t.Errorf("a disabled account comes back: %s", got)
		}
		e.who = "ben"
		bens := assert(ours, e.brings(nil))
		if bens.what() != "ok" {
			t.Errorf("somebody else: %s", bens.Body)
		}
		op.Run("providers", "set", "corp", "--disabled")
		_, ben := claims(t, bens.str("access_token"))
		if info := ours.userinfo(bens.str("access_token")); info.Status != 401 || !strings.Contains(heard(t, op), ben["aid"].(string)) {
			t.Errorf("what came of a disabled provider: %d %s; those who verify elsewhere hear of %s", info.Status, ben["aid"], heard(t, op))
		}
		if got := assert(ours, e.brings(nil)).what(); got != "invalid_grant" {
			t.Errorf("a disabled provider: %s", got)
		}
	})
}
