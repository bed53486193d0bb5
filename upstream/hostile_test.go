package upstream_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/upstream"
)

// null is a member that is there and null.
var null = json.RawMessage("null")

// quick is for providers that never answer.
func quick(c *upstream.Config) { c.Timeout = 300 * time.Millisecond }

// hostile is what a provider may do instead of its work, and what comes of it: the code of a
// refusal, at Begin or at Finish.
var hostile = []struct {
	name string
	want string
	do   func(w *world)
}{
	// Every claim of the ID token, one at a time.
	{"iss of another", "id_token_issuer", claim("iss", "https://evil.example")},
	{"iss with a slash more", "id_token_issuer", func(w *world) { w.op.claims = func(c claims) { c["iss"] = w.op.URL + "/" } }},
	{"iss in another case", "id_token_issuer", func(w *world) { w.op.claims = func(c claims) { c["iss"] = strings.ToUpper(w.op.URL) } }},
	{"no iss", "id_token_issuer", claim("iss", nil)},
	{"iss is a list", "id_token_issuer", func(w *world) { w.op.claims = func(c claims) { c["iss"] = []string{w.op.URL} } }},
	{"aud of another", "id_token_audience", claim("aud", "other")},
	{"no aud", "id_token_audience", claim("aud", nil)},
	{"aud is empty", "id_token_audience", claim("aud", []string{})},
	{"aud is a list of others", "id_token_audience", claim("aud", []string{"other", "client2"})},
	{"aud has us in a longer text", "id_token_audience", claim("aud", "client other")},
	{"aud is a list with a number", "id_token_audience", claim("aud", []any{"client", 1})},
	{"aud has others besides us", "id_token_azp", claim("aud", []string{"client", "other"})},
	{"aud has others, and azp is one of them", "id_token_azp", claim("aud", []string{"client", "other"}, "azp", "other")},
	{"azp of another", "id_token_azp", claim("azp", "other")},
	{"azp is null", "id_token_azp", claim("azp", null)},
	{"azp is a list", "id_token_azp", claim("azp", []string{"client"})},
	{"expired", "id_token_expired", claim("exp", time.Now().Unix()-61)},
	{"no exp", "id_token_expired", claim("exp", nil)},
	{"exp is a text", "id_token_expired", claim("exp", "9999999999")},
	{"exp is null", "id_token_expired", claim("exp", null)},
	{"exp is negative", "id_token_expired", claim("exp", -1)},
	{"exp is beyond all time", "id_token_expired", claim("exp", json.RawMessage("1e400"))},
	{"nbf is to come", "id_token_early", claim("nbf", time.Now().Unix()+300)},
	{"nbf is a text", "id_token_early", claim("nbf", "0")},
	{"iat is to come", "id_token_issued", claim("iat", time.Now().Unix()+300)},
	{"iat is before we asked", "id_token_issued", claim("iat", time.Now().Unix()-300)},
	{"no iat", "id_token_issued", claim("iat", nil)},
	{"nonce of another", "id_token_nonce", claim("nonce", "n-0S6_WzA2Mj")},
	{"no nonce", "id_token_nonce", claim("nonce", nil)},
	{"nonce is empty", "id_token_nonce", claim("nonce", "")},
	{"the nonce of the sign-in before", "id_token_nonce", replayedNonce},
	{"the whole ID token of the sign-in before", "id_token_nonce", replayedToken},
	{"at_hash of another", "id_token_at_hash", claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ")},
	{"at_hash is a number", "id_token_at_hash", claim("at_hash", 1)},
	{"at_hash is null", "id_token_at_hash", claim("at_hash", null)},
	{"no sub", "bad_subject", claim("sub", nil)},
	{"sub is empty", "bad_subject", claim("sub", "")},
	{"sub is a number", "bad_subject", claim("sub", 1)},
	{"sub is too long", "bad_subject", claim("sub", strings.Repeat("s", 256))},
	{"sub has a line end", "bad_subject", claim("sub", "ada\nadmin")},
	{"sub has a NUL", "bad_subject", claim("sub", "ada\x00")},
	{"sub is not ASCII", "bad_subject", claim("sub", "аda")},
	{"auth_time is a text", "bad_id_token", claim("auth_time", "yesterday")},
	{"email_verified is a text", "bad_email_verified", claim("email_verified", "true")},
	{"email_verified is a number", "bad_email_verified", claim("email_verified", 1)},
	{"email_verified is a list", "bad_email_verified", claim("email_verified", []bool{true})},
	{"email has two @", "bad_email", claim("email", "ada@evil.example@example.com")},
	{"email has a quoted @", "bad_email", claim("email", `"ada@example.com"@evil.example`)},
	{"email has a full-width @", "bad_email", claim("email", "ada＠evil.example@example.com")},
	{"email has a small @", "bad_email", claim("email", "ada﹫example.com")},
	{"email has the Kelvin sign", "bad_email", claim("email", "\u212Aate@example.com")},
	{"email has a dotless i", "bad_email", claim("email", "adm\u0131n@example.com")},
	{"email has a long s", "bad_email", claim("email", "boſs@example.com")},
	{"email has full-width letters", "bad_email", claim("email", "ａda@example.com")},
	{"email has another full stop", "bad_email", claim("email", "ada@example。com")},
	{"email has what can't be seen", "bad_email", claim("email", "ad\u200ba@example.com")},
	{"email turns the direction", "bad_email", claim("email", "\u202eada@example.com")},
	{"email has a line end", "bad_email", claim("email", "ada@example.com\r\nBcc: eve@example.com")},
	{"email has a NUL", "bad_email", claim("email", "ada@example.com\x00.evil.example")},
	{"email has a comment", "bad_email", claim("email", "ada(x)@example.com")},
	{"email is two", "bad_email", claim("email", "ada@example.com,eve@example.com")},
	{"email has spaces", "bad_email", claim("email", " ada@example.com")},
	{"email is a list", "bad_email", claim("email", []string{"ada@example.com"})},
	{"email is too long", "bad_email", claim("email", "ada@"+strings.Repeat("a.", 200)+"com")},
	{"groups are objects", "bad_groups", grouped([]any{claims{"name": "ops"}})},
	{"groups are too many", "bad_groups", grouped(strings.Split(strings.Repeat("g ", 1001)+"g", " "))},
	{"a group has a line end", "bad_groups", grouped([]string{"ops\nadmin"})},

	// The ID token as a whole.
	{"alg none, without a signature", "bad_id_token", signed(func(_ *op, text string) string { return raw(`{"alg":"none"}`, text) + "." })},
	{"alg none, with a signature", "id_token_algorithm", header("alg", "none")},
	{"alg None", "id_token_algorithm", header("alg", "None")},
	{"no alg", "id_token_algorithm", header("alg", nil)},
	{"HS256 with the public key in PEM", "id_token_algorithm", signed(func(o *op, text string) string { return hs256(publicPEM(o), text) })},
	{"HS256 with the public key as a JWK", "id_token_algorithm", signed(func(o *op, text string) string { return hs256(publicJWK(o), text) })},
	{"HS256 with the client secret", "id_token_algorithm", signed(func(o *op, text string) string { return hs256([]byte(o.secret), text) })},
	{"an algorithm that the metadata does not list", "id_token_algorithm", header("alg", "ES384")},
	{"a listed algorithm that is not the key's", "id_token_signature", func(w *world) {
		w.set(func(p *upstream.Provider) { p.Algorithms = []string{"ES256", "RS256"} })
		header("alg", "RS256")(w)
	}},
	{"an algorithm that the row does not allow", "id_token_algorithm", func(w *world) {
		w.set(func(p *upstream.Provider) { p.Algorithms = []string{"RS256"} })
	}},
	{"a logout token", "id_token_type", header("typ", "logout+jwt")},
	{"a JWT access token", "id_token_type", header("typ", "application/at+jwt")},
	{"an extension that must be understood", "bad_id_token", header("crit", []string{"b64"}, "b64", false)},
	{"a key of its own in the header", "id_token_signature", forged(func(s *signer) claims { return claims{"kid": nil, "jwk": s.jwk()} })},
	{"an address of keys in the header", "id_token_signature", forged(func(*signer) claims { return claims{"kid": "x", "jku": "https://evil.example/jwks"} })},
	{"a certificate in the header", "id_token_signature", forged(func(*signer) claims { return claims{"kid": nil, "x5c": []string{"MIIB"}} })},
	{"another's signature under the kid of the provider", "id_token_signature", forged(func(*signer) claims { return nil })},
	{"an unknown kid", "id_token_signature", forged(func(*signer) claims { return claims{"kid": "nobody"} })},
	{"a kid that is a path", "id_token_signature", forged(func(*signer) claims { return claims{"kid": "../../etc/passwd"} })},
	{"no signature", "bad_id_token", signed(func(o *op, text string) string {
		token := o.key.sign(text, nil)
		return token[:strings.LastIndex(token, ".")+1]
	})},
	{"a signature that was turned around", "id_token_signature", signed(func(o *op, text string) string {
		token := o.key.sign(text, nil)
		cut := strings.LastIndex(token, ".") + 1
		bytes, _ := base.DecodeString(token[cut:])
		bytes[5] ^= 1
		return token[:cut] + base.EncodeToString(bytes)
	})},
	{"a signature of zeros", "id_token_signature", signed(func(o *op, text string) string {
		return raw(`{"alg":"ES256","kid":"one"}`, text) + "." + base.EncodeToString(make([]byte, 64))
	})},
	{"claims that were changed after", "id_token_signature", signed(func(o *op, text string) string {
		parts := strings.Split(o.key.sign(text, nil), ".")
		return parts[0] + "." + base.EncodeToString([]byte(strings.Replace(text, "ada-1", "eve-1", 1))) + "." + parts[2]
	})},
	{"an encrypted token", "bad_id_token", signed(func(o *op, text string) string { return o.key.sign(text, nil) + ".x.y" })},
	{"not a token", "bad_id_token", signed(func(*op, string) string { return "ada" })},
	{"a token of 20 KiB", "bad_token_answer", claim("pad", strings.Repeat("x", 20<<10))},
	{"a claim that is there twice", "bad_id_token", texted(func(s string) string { return `{"sub":"eve",` + s[1:] })},
	{"a header that is there twice", "bad_id_token", signed(func(o *op, text string) string {
		return o.key.signRaw(`{"alg":"none","alg":"ES256","kid":"one"}`, text)
	})},
	{"claims that are deep", "bad_id_token", texted(func(s string) string {
		return `{"deep":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + "," + s[1:]
	})},
	{"claims with something after", "bad_id_token", texted(func(s string) string { return s + "{}" })},
	{"claims in broken UTF-8", "bad_id_token", texted(func(s string) string { return strings.Replace(s, "Ada", "\xff", 1) })},
	{"claims that are a list", "bad_id_token", texted(func(s string) string { return "[" + s + "]" })},
	{"claims in another case", "id_token_issuer", texted(func(s string) string { return strings.Replace(s, `"iss"`, `"ISS"`, 1) })},

	// The token endpoint.
	{"200 with an error", "code_refused", route("/token", answers(200, `{"error":"bad_verification_code","error_description":"The code is incorrect"}`))},
	{"400 invalid_grant", "code_refused", route("/token", answers(400, `{"error":"invalid_grant"}`))},
	{"the wrong client secret", "registration_wrong", func(w *world) { w.op.secret = "another" }},
	{"an error that nobody knows", "provider_error", route("/token", answers(400, `{"error":"\u0000<script>"}`))},
	{"404", "bad_token_answer", route("/token", answers(404, `{}`))},
	{"500", "bad_token_answer", route("/token", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "panic at 0xdead", 500) })},
	{"503", "provider_away", route("/token", answers(503, `{}`))},
	{"429", "provider_busy", route("/token", answers(429, `{}`))},
	{"HTML", "bad_token_answer", route("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`{"access_token":"x","token_type":"bearer"}`))
	})},
	{"no content type", "bad_token_answer", route("/token", func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = nil; w.Write([]byte("{}")) })},
	{"a form, as GitHub does", "bad_token_answer", route("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		w.Write([]byte("access_token=x&token_type=bearer"))
	})},
	{"nothing", "bad_token_answer", route("/token", answers(200, ``))},
	{"no ID token", "no_id_token", answering("id_token", nil)},
	{"an ID token that is an object", "no_id_token", answering("id_token", claims{})},
	{"no access token", "bad_token_answer", answering("access_token", nil)},
	{"another token type", "bad_token_answer", answering("token_type", "mac")},
	{"no token type", "bad_token_answer", answering("token_type", nil)},
	{"an access token with a line end", "bad_token_answer", answering("access_token", "at\r\nHost: evil.example")},
	{"expires_in is a word", "bad_token_answer", answering("expires_in", "soon")},
	{"expires_in is negative", "bad_token_answer", answering("expires_in", -5)},
	{"a scope with control characters", "bad_token_answer", answering("scope", "openid\x00")},
	{"an answer with a member twice", "bad_token_answer", route("/token", answers(200, `{"access_token":"a","access_token":"b","token_type":"bearer"}`))},
	{"an answer that is deep", "bad_token_answer", route("/token", answers(200, `{"a":`+strings.Repeat(`{"a":`, 20)+"1"+strings.Repeat("}", 21)))},
	{"an answer of many values", "bad_token_answer", route("/token", answers(200, `{"a":[`+strings.Repeat(`0,`, 20_000)+"0]}"))},
	{"an answer of 2 MiB", "provider_error", route("/token", answers(200, `{"a":"`+strings.Repeat("x", 2<<20)+`"}`))},
	{"an answer without end", "provider_error", route("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})},
	{"a header of 1 MiB", "provider_away", route("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	})},
	{"a redirect to this machine's inside", "provider_error", route("/token", redirects("http://169.254.169.254/latest/meta-data/"))},
	{"a redirect to itself", "provider_error", route("/token", redirects("/token"))},
	{"closing early", "provider_away", route("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"access`))
	})},
	{"closing at once", "provider_away", route("/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
	{"something that is not HTTP", "provider_away", route("/token", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
			conn.Close()
		}
	})},

	// userinfo.
	{"userinfo of another", "other_subject", informed(answers(200, `{"sub":"eve-1","email":"eve@example.com"}`))},
	{"userinfo of nobody", "other_subject", informed(answers(200, `{"email":"eve@example.com"}`))},
	{"userinfo with two subs", "bad_userinfo", informed(answers(200, `{"sub":"eve-1","sub":"ada-1"}`))},
	{"userinfo is a list", "bad_userinfo", informed(answers(200, `[{"sub":"ada-1"}]`))},
	{"userinfo is HTML", "bad_userinfo", informed(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) })},
	{"userinfo that calls itself HTML", "bad_userinfo", informed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`{"sub":"ada-1"}`))
	})},
	{"userinfo is signed, which we didn't ask for", "bad_userinfo", informed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		w.Write([]byte("e30.e30.x"))
	})},
	{"userinfo refuses its own token", "bad_userinfo", informed(answers(401, `{"error":"invalid_token"}`))},
	{"userinfo redirects", "provider_error", informed(redirects("http://10.0.0.1/"))},
	{"userinfo of 2 MiB", "provider_error", informed(answers(200, `{"sub":"ada-1","a":"`+strings.Repeat("x", 2<<20)+`"}`))},

	// Keys.
	{"keys of 100 KiB", "id_token_keys", route("/jwks", answers(200, `{"keys":[],"pad":"`+strings.Repeat("x", 100<<10)+`"}`))},
	{"no keys", "id_token_keys", route("/jwks", answers(200, `{"keys":[]}`))},
	{"a thousand keys", "id_token_keys", route("/jwks", answers(200, `{"keys":[`+strings.Repeat(`{"kty":"oct","k":"AA"},`, 1000)+`{}]}`))},
	{"private keys", "id_token_keys", keyed(func(o *op) jose.JSONWebKey { return jose.JSONWebKey{Key: o.key.private, KeyID: "one", Use: "sig"} })},
	{"keys for encryption", "id_token_keys", keyed(func(o *op) jose.JSONWebKey { k := o.key.jwk(); k.Use = "enc"; return k })},
	{"keys for another algorithm", "id_token_keys", keyed(func(o *op) jose.JSONWebKey { k := o.key.jwk(); k.Algorithm = "ES512"; return k })},
	{"a secret as a key", "id_token_keys", keyed(func(o *op) jose.JSONWebKey { return jose.JSONWebKey{Key: []byte(o.secret), KeyID: "one"} })},
	{"keys that are not there", "id_token_keys", route("/jwks", answers(404, `{}`))},
	{"keys that are HTML", "id_token_keys", route("/jwks", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) })},
	{"keys that redirect", "id_token_keys", route("/jwks", redirects("https://evil.example/jwks"))},
	{"keys inside of our network", "id_token_keys", described("jwks_uri", "https://10.255.255.1/jwks")},
	{"keys at the cloud's metadata", "id_token_keys", described("jwks_uri", "https://169.254.169.254/jwks")},
	{"keys on another port of this machine", "id_token_keys", described("jwks_uri", "http://127.0.0.1:1/jwks")},

	// Metadata.
	{"metadata of another issuer", "bad_discovery", described("issuer", "https://evil.example")},
	{"metadata of nobody", "bad_discovery", described("issuer", nil)},
	{"metadata with a template", "bad_discovery", described("issuer", "https://evil.example/{tenantid}")},
	{"no token endpoint", "bad_discovery", described("token_endpoint", nil)},
	{"no keys in the metadata", "bad_discovery", described("jwks_uri", "")},
	{"a script as the authorization endpoint", "bad_discovery", described("authorization_endpoint", "javascript:alert(1)")},
	{"an authorization endpoint in clear text elsewhere", "bad_discovery", described("authorization_endpoint", "http://evil.example/authorize")},
	{"a token endpoint with a password", "bad_discovery", described("token_endpoint", "https://a:b@evil.example/token")},
	{"a token endpoint inside of our network", "provider_away", described("token_endpoint", "https://192.168.0.1/token")},
	{"algorithms that are not a list", "bad_discovery", described("id_token_signing_alg_values_supported", claims{"ES256": true})},
	{"only HS256 and none", "id_token_algorithm", described("id_token_signing_alg_values_supported", []string{"HS256", "none"})},
	{"metadata twice in itself", "bad_discovery", route("/.well-known/openid-configuration", answers(200, `{"issuer":"a","issuer":"b"}`))},
	{"metadata of 1 MiB", "provider_error", route("/.well-known/openid-configuration", answers(200, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`))},
	{"metadata that redirects", "provider_error", route("/.well-known/openid-configuration", redirects("http://127.0.0.1:1/"))},
	{"metadata that is not there", "bad_discovery", route("/.well-known/openid-configuration", answers(404, `{}`))},
}

// TestHostileUpstream: whatever a provider does, nobody is signed in, there are words for it, and
// nothing is left behind.
func TestHostileUpstream(t *testing.T) {
	if len(hostile) < 50 {
		t.Errorf("there are only %d", len(hostile))
	}
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.do(w)
			who, err := w.signsIn("op")
			if code(err) != tt.want {
				t.Errorf("it is %v, and not %s", err, tt.want)
			}
			if who.Subject != "" || who.ProviderID != "" {
				t.Errorf("somebody arrived: %+v", who)
			}
		})
	}
}

// TestASlowUpstream is the same for those who don't finish. They are given up when the time for
// one callback is over, whatever they send meanwhile.
func TestASlowUpstream(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request, _ chan struct{}) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request, over chan struct{}) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}
	for _, tt := range []struct {
		name, path, want string
		handler          func(http.ResponseWriter, *http.Request, chan struct{})
	}{
		{"slow headers", "/token", "provider_away", hang},
		{"slow body", "/token", "provider_away", drip},
		{"slow keys", "/jwks", "id_token_keys", hang},
		{"slow userinfo", "/userinfo", "provider_away", drip},
		{"slow metadata", "/.well-known/openid-configuration", "provider_away", drip},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, quick)
			over := make(chan struct{})
			defer close(over) // keys are waited for longer than the one who asked
			w.op.claims = func(c claims) { c["email"] = nil }
			w.op.routes[tt.path] = func(rw http.ResponseWriter, r *http.Request) {
				r.ParseForm() // the server notices that we went away only after it has read all
				tt.handler(rw, r, over)
			}
			if _, err := w.signsIn("op"); code(err) != tt.want {
				t.Errorf("it is %v, and not %s", err, tt.want)
			}
		})
	}
}

// TestClearTextUnderTLS: metadata that came over TLS can't send us away from it.
func TestClearTextUnderTLS(t *testing.T) {
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		o := newOP(t)
		server := httptest.NewTLSServer(o)
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		w := newWorld(t, func(c *upstream.Config) { c.RootCAs = roots })
		w.add(upstream.Provider{Name: "tls", Kind: "oidc", Issuer: server.URL})
		o.metadata = func(m claims) {
			m["issuer"] = server.URL
			for _, n := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
				m[n] = server.URL + "/x"
			}
			m[name] = "http://127.0.0.1:80/x"
		}
		if _, err := w.begins("tls", upstream.Purpose{}); code(err) != "bad_discovery" || !strings.Contains(err.Error(), "clear text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileCallbacks: what comes back to us that we did not begin, or did not begin so. The
// provider is not spoken to, unless it says.
func TestHostileCallbacks(t *testing.T) {
	type change = func(w *world, q url.Values)
	set := func(name string, values ...string) change { return func(_ *world, q url.Values) { q[name] = values } }
	for _, tt := range []struct {
		name, want string
		do         change
	}{
		{"no state", "bad_callback", func(_ *world, q url.Values) { q.Del("state") }},
		{"state is empty", "bad_callback", set("state", "")},
		{"state twice", "bad_callback", func(_ *world, q url.Values) { q["state"] = append(q["state"], q["state"]...) }},
		{"state of nobody", "no_attempt", set("state", strings.Repeat("a", 44))},
		{"state with another end", "no_attempt", func(_ *world, q url.Values) { q.Set("state", q.Get("state")[:22]+strings.Repeat("a", 22)) }},
		{"state with control characters", "bad_callback", set("state", strings.Repeat("\x00", 44))},
		{"state that is long", "bad_callback", set("state", strings.Repeat("a", 4000))},
		{"code twice", "bad_callback", func(_ *world, q url.Values) { q["code"] = append(q["code"], "x") }},
		{"a callback of 20 KiB", "bad_callback", set("x", strings.Repeat("a", 20<<10))},
		{"another browser", "no_attempt", func(w *world, _ url.Values) { clear(w.browser) }},
		{"another browser that began too", "no_attempt", func(w *world, _ url.Values) {
			clear(w.browser)
			w.begins("op", upstream.Purpose{})
		}},
		{"another sign-in's cookie under this one's name", "no_attempt", func(w *world, _ url.Values) {
			mine := maps.Clone(w.browser)
			clear(w.browser)
			w.begins("op", upstream.Purpose{})
			for name := range mine {
				for _, c := range w.browser {
					w.browser = browser{name: c}
				}
			}
		}},
		{"a cookie that was changed", "no_attempt", cookies(func(v string) string { return v[:len(v)-8] + "AAAAAAAA" })},
		{"a cookie that was cut", "no_attempt", cookies(func(v string) string { return v[:20] })},
		{"a cookie of nothing", "no_attempt", cookies(func(string) string { return "" })},
		{"a cookie of many pieces", "no_attempt", cookies(func(v string) string { return "9" + v[1:] })},
		{"ten minutes later", "expired", func(w *world, _ url.Values) { w.now = w.now.Add(10 * time.Minute) }},
		{"before it was begun", "expired", func(w *world, _ url.Values) { w.now = w.now.Add(-2 * time.Minute) }},
		{"the provider is switched off meanwhile", "disabled_provider", func(w *world, _ url.Values) {
			w.store.rows[0].DisabledAt = w.now // on another copy of the server: nobody told this one
		}},
		{"the provider is changed meanwhile", "changed_provider", func(w *world, _ url.Values) { w.store.rows[0].ClientID = "other" }},
		{"the provider is removed meanwhile", "unknown_provider", func(w *world, _ url.Values) { w.store.rows = nil }},
		{"another one has its name meanwhile", "other_provider", func(w *world, _ url.Values) { w.store.rows[0].ID = "prv_other" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			address, err := w.begins("op", upstream.Purpose{})
			if err != nil {
				t.Fatal(err)
			}
			q := w.op.consent(address)
			asked := w.op.total()
			tt.do(w, q)
			if who, _, err := w.returns("op", q); code(err) != tt.want || who.Subject != "" {
				t.Errorf("it is %v, and not %s", err, tt.want)
			}
			if w.op.total() != asked {
				t.Error("the provider was spoken to")
			}
			if len(w.store.spent) != 0 {
				t.Error("a state was spent")
			}
		})
	}

	for _, tt := range []struct {
		name, want string
		do         change
	}{
		{"no code", "bad_callback", func(_ *world, q url.Values) { q.Del("code") }},
		{"a code of 8 KiB", "bad_callback", set("code", strings.Repeat("c", 8<<10))},
		{"a code with a line end", "bad_callback", set("code", "a\nb")},
		{"a code of nobody", "code_refused", set("code", "guess")},
		{"RFC 9207, iss of another", "wrong_issuer", set("iss", "https://evil.example")},
		{"RFC 9207, iss is empty", "wrong_issuer", set("iss", "")},
		{"RFC 9207, iss left out where it always is", "wrong_issuer", func(_ *world, q url.Values) { q.Del("iss") }},
		{"RFC 9207, iss left out of an error", "wrong_issuer", func(_ *world, q url.Values) { q.Del("iss"); q.Set("error", "access_denied") }},
		{"the person says no", "declined", set("error", "access_denied")},
		{"the person is asked for something", "needs_interaction", set("error", "interaction_required")},
		{"the provider has no time", "provider_away", set("error", "temporarily_unavailable")},
		{"an error that is a page", "provider_error", set("error", "<script>alert(1)</script>")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			address, err := w.begins("op", upstream.Purpose{Return: "/back"})
			if err != nil {
				t.Fatal(err)
			}
			q := w.op.consent(address)
			tt.do(w, q)
			_, to, err := w.returns("op", q)
			if code(err) != tt.want || to.Return != "/back" {
				t.Errorf("it is %v, for %+v", err, to)
			}
			if strings.Contains(fmt.Sprint(err.(*upstream.Refusal).Words), "script") {
				t.Error("what the provider sent is shown")
			}
			if _, _, again := w.returns("op", q); code(again) != "no_attempt" {
				t.Errorf("a second time: %v", again)
			}
		})
	}

	t.Run("an answer for one provider taken to another", func(t *testing.T) {
		w := newWorld(t)
		other := newOP(t)
		w.add(upstream.Provider{Name: "other", Kind: "oidc", Issuer: other.URL})
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q := w.op.consent(address)
		if _, _, err := w.returns("other", q); code(err) != "other_provider" {
			t.Error(err)
		}
		if other.total() != 0 {
			t.Error("the other provider got the code")
		}
	})
	t.Run("two browsers that swap their answers", func(t *testing.T) {
		w := newWorld(t)
		begin := func() (browser, url.Values) {
			w.browser = browser{}
			address, err := w.begins("op", upstream.Purpose{})
			if err != nil {
				t.Fatal(err)
			}
			return w.browser, w.op.consent(address)
		}
		ada, adas := begin()
		eve, eves := begin()
		w.browser = ada
		if _, _, err := w.returns("op", eves); code(err) != "no_attempt" {
			t.Error(err)
		}
		// With her own state, but Eve's code: PKCE and the nonce see to it.
		adas.Set("code", eves.Get("code"))
		if _, _, err := w.returns("op", adas); code(err) != "code_refused" {
			t.Error(err)
		}
		_ = eve
	})
	t.Run("the same state again, with the cookie kept", func(t *testing.T) {
		w := newWorld(t)
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q, kept := w.op.consent(address), maps.Clone(w.browser)
		if _, _, err := w.returns("op", q); err != nil {
			t.Fatal(err)
		}
		asked := w.op.total()
		w.browser = kept
		if _, _, err := w.returns("op", q); code(err) != "used" || w.op.total() != asked {
			t.Error(err)
		}
	})
	t.Run("two cookies of one name", func(t *testing.T) {
		w := newWorld(t)
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/login/op/callback?"+w.op.consent(address).Encode(), nil)
		w.browser.show(r)
		if _, _, err := w.finishes("op", r); code(err) != "no_attempt" {
			t.Error(err)
		}
	})
	t.Run("an answer by POST that was asked for by GET", func(t *testing.T) {
		w := newWorld(t)
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q := w.op.consent(address).Encode()
		for _, target := range []string{"/callback", "/callback?" + q} {
			r := httptest.NewRequest("POST", target, strings.NewReader(q))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if _, _, err := w.finishes("op", r); code(err) != "bad_callback" {
				t.Error(err)
			}
		}
	})
	t.Run("a person who was not asked again", func(t *testing.T) {
		for _, tt := range []struct {
			at   any
			age  int64
			want string
		}{
			{nil, 600, "id_token_auth_time"}, {time.Now().Unix() - 700, 600, "id_token_auth_time"}, {time.Now().Unix() - 500, 600, "<nil>"},
			{time.Now().Unix() - 700, 10_000_000_000, "<nil>"}, // more than a time.Duration holds
		} {
			w := newWorld(t)
			claim("auth_time", tt.at)(w)
			address, err := w.begins("op", upstream.Purpose{MaxAge: &tt.age})
			if err != nil || !strings.Contains(address, fmt.Sprint("max_age=", tt.age)) {
				t.Fatal(address, err)
			}
			if _, _, err := w.returns("op", w.op.consent(address)); code(err) != tt.want {
				t.Errorf("%v: %v", tt.at, err)
			}
		}
	})
	t.Run("names that are none", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"", "OP", "op/../op", "nobody", strings.Repeat("a", 100), "op\x00"} {
			if _, err := w.begins(name, upstream.Purpose{}); code(err) != "unknown_provider" {
				t.Errorf("%q: %v", name, err)
			}
			if _, _, err := w.returns2(name); code(err) != "unknown_provider" {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
	t.Run("addresses to return to that are not ours", func(t *testing.T) {
		w := newWorld(t)
		for _, to := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "evil", "/a\nb", "/%2f/evil.example", "/\t/evil.example",
			"javascript:alert(1)", `\\evil.example`, "/x//y", " /", "/" + strings.Repeat("a", 3000)} {
			if _, err := w.begins("op", upstream.Purpose{Return: to}); code(err) != "bad_return" {
				t.Errorf("%q: %v", to, err)
			}
		}
		if _, err := w.begins("op", upstream.Purpose{Request: strings.Repeat("r", 30_000)}); code(err) != "too_long" {
			t.Error(err)
		}
	})
}

// TestNothingGrows: two hundred failed sign-ins leave no goroutine and no cookie behind.
func TestNothingGrows(t *testing.T) {
	w := newWorld(t)
	w.op.claims = func(c claims) { c["nonce"] = "x" }
	try := func() {
		if _, err := w.signsIn("op"); code(err) != "id_token_nonce" {
			t.Fatal(err)
		}
	}
	for range 20 {
		try()
	}
	before := runtime.NumGoroutine()
	for range 200 {
		try()
	}
	if after := runtime.NumGoroutine(); after > before+4 {
		t.Errorf("%d goroutines became %d", before, after)
	}
	if len(w.browser) != 0 {
		t.Errorf("%d cookies are left", len(w.browser))
	}
}

// The rest is the vocabulary of the tables.

func (w *world) returns2(name string) (upstream.Identity, upstream.Purpose, error) {
	return w.finishes(name, httptest.NewRequest("GET", "/callback?state="+strings.Repeat("a", 44)+"&code=x", nil))
}

func claim(pairs ...any) func(*world) {
	return func(w *world) {
		w.op.claims = func(c claims) {
			for i := 0; i < len(pairs); i += 2 {
				c[pairs[i].(string)] = pairs[i+1]
			}
		}
	}
}

func grouped(list any) func(*world) {
	return func(w *world) {
		w.set(func(p *upstream.Provider) { p.Mapping = map[string]string{"groups": "g"} })
		claim("g", list)(w)
	}
}

func signed(sign func(o *op, text string) string) func(*world) {
	return func(w *world) { w.op.sign = func(text string) string { return sign(w.op, text) } }
}

func texted(f func(string) string) func(*world) { return func(w *world) { w.op.text = f } }

func header(pairs ...any) func(*world) {
	return signed(func(o *op, text string) string {
		h := claims{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i].(string)] = pairs[i+1]
		}
		return o.key.sign(text, h)
	})
}

// forged is signed with a key that is not the provider's.
func forged(h func(s *signer) claims) func(*world) {
	return func(w *world) {
		s := newSigner(w.t, "one")
		w.op.sign = func(text string) string { return s.sign(text, h(s)) }
	}
}

func raw(head, text string) string {
	return base.EncodeToString([]byte(head)) + "." + base.EncodeToString([]byte(text))
}

func hs256(key []byte, text string) string {
	signed := raw(`{"alg":"HS256","kid":"one"}`, text)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + base.EncodeToString(mac.Sum(nil))
}

func publicPEM(o *op) []byte {
	der, _ := x509.MarshalPKIXPublicKey(o.key.private.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func publicJWK(o *op) []byte {
	k := o.key.jwk()
	text, _ := k.MarshalJSON()
	return text
}

func replayedNonce(w *world) {
	address, err := w.begins("op", upstream.Purpose{})
	if err != nil {
		w.t.Fatal(err)
	}
	u, _ := url.Parse(address)
	claim("nonce", u.Query().Get("nonce"))(w)
}

func replayedToken(w *world) {
	address, err := w.begins("op", upstream.Purpose{})
	if err != nil {
		w.t.Fatal(err)
	}
	u, _ := url.Parse(address)
	old := w.op.idToken(u.Query(), "at")
	w.op.sign = func(string) string { return old }
}

func route(path string, h http.HandlerFunc) func(*world) {
	return func(w *world) { w.op.routes[path] = h }
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func redirects(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func answering(name string, v any) func(*world) {
	return func(w *world) { w.op.answer = func(a claims) { a[name] = v } }
}

func informed(h http.HandlerFunc) func(*world) {
	return func(w *world) {
		claim("email", nil)(w)
		route("/userinfo", h)(w)
	}
}

func keyed(k func(o *op) jose.JSONWebKey) func(*world) {
	return func(w *world) {
		w.op.routes["/jwks"] = func(rw http.ResponseWriter, r *http.Request) {
			reply(rw, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k(w.op)}})
		}
	}
}

func described(name string, v any) func(*world) {
	return func(w *world) { w.op.metadata = func(m claims) { m[name] = v; without(m) } }
}

func cookies(f func(v string) string) func(*world, url.Values) {
	return func(w *world, _ url.Values) {
		for _, c := range w.browser {
			c.Value = f(c.Value)
		}
	}
}
