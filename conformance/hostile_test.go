package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

// A trick is one way in which a provider, or whoever is on the way to it, misbehaves.
type trick struct {
	name   string
	claims func(c map[string]any)                       // of the ID token
	token  func(e *evil, payload string) string         // the ID token itself
	answer func(w http.ResponseWriter, r *http.Request) // of the token endpoint
	back   func(q url.Values)                           // the way back
	keys   func(w http.ResponseWriter, r *http.Request) // the JWK Set
}

// An evil is a server with one provider for each trick, below its name.
type evil struct {
	*notary
	*httptest.Server
	mu     sync.Mutex
	nonces map[string]string // by code
}

func newEvil(t *testing.T, tricks map[string]trick) *evil {
	e := &evil{notary: newNotary(t, "", jose.ES256), nonces: map[string]string{}}
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/{name}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		at := e.URL + "/" + r.PathValue("name")
		say(w, map[string]any{"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "jwks_uri": at + "/jwks",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "authorization_response_iss_parameter_supported": true})
	})
	routes.HandleFunc("/{name}/jwks", func(w http.ResponseWriter, r *http.Request) {
		if keys := tricks[r.PathValue("name")].keys; keys != nil {
			keys(w, r)
			return
		}
		say(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: e.key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	})
	routes.HandleFunc("/{name}/authorize", func(w http.ResponseWriter, r *http.Request) {
		q, code := r.URL.Query(), fmt.Sprint("code-", serial.Add(1))
		e.mu.Lock()
		e.nonces[code] = q.Get("nonce")
		e.mu.Unlock()
		back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {e.URL + "/" + r.PathValue("name")}}
		if change := tricks[r.PathValue("name")].back; change != nil {
			change(back)
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
	})
	routes.HandleFunc("/{name}/token", func(w http.ResponseWriter, r *http.Request) {
		trick := tricks[r.PathValue("name")]
		if trick.answer != nil {
			trick.answer(w, r)
			return
		}
		e.mu.Lock()
		nonce := e.nonces[r.PostFormValue("code")]
		e.mu.Unlock()
		now := time.Now().Unix()
		c := map[string]any{"iss": e.URL + "/" + r.PathValue("name"), "sub": "eve", "aud": "mintmark", "nonce": nonce, "iat": now, "exp": now + 3600,
			"email": "eve@evil.example", "email_verified": true}
		if trick.claims != nil {
			trick.claims(c)
		}
		payload, _ := json.Marshal(c)
		sign := trick.token
		if sign == nil {
			sign = func(e *evil, payload string) string { return e.under(goodHeader, payload) }
		}
		say(w, map[string]any{"access_token": "theirs", "token_type": "Bearer", "expires_in": 3600, "id_token": sign(e, string(payload))})
	})
	e.Server = httptest.NewServer(routes)
	t.Cleanup(e.Close)
	return e
}

const goodHeader = `{"alg":"ES256","kid":"one","typ":"JWT"}`

// tricks are at least 50; the first is none.
func tricks(eve *notary) []trick {
	set := func(claim string, value any) func(map[string]any) { return func(c map[string]any) { c[claim] = value } }
	without := func(claim string) func(map[string]any) { return func(c map[string]any) { delete(c, claim) } }
	under := func(header string) func(*evil, string) string {
		return func(e *evil, payload string) string { return e.under(header, payload) }
	}
	secretly := func(key func(e *evil) []byte) func(*evil, string) string {
		return func(e *evil, payload string) string {
			encode := base64.RawURLEncoding.EncodeToString
			signed := encode([]byte(`{"alg":"HS256","kid":"one","typ":"JWT"}`)) + "." + encode([]byte(payload))
			mac := hmac.New(sha256.New, key(e))
			mac.Write([]byte(signed))
			return signed + "." + encode(mac.Sum(nil))
		}
	}
	changed := func(change func(parts []string) string) func(*evil, string) string {
		return func(e *evil, payload string) string { return change(strings.Split(e.under(goodHeader, payload), ".")) }
	}
	said := func(status int, kind, text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
	}
	hang := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // until then nobody notices that the other one hangs up
		select {
		case <-r.Context().Done():
		case <-time.After(8 * time.Second):
		}
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"id_token":"`)
	}
	const asJSON, hour = "application/json", 3600
	now := time.Now().Unix()
	return []trick{
		{name: "nothing is wrong"},
		{name: "iss is another's", claims: set("iss", "https://accounts.google.com")},
		{name: "iss with a slash more", claims: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }},
		{name: "iss in capitals", claims: func(c map[string]any) { c["iss"] = strings.ToUpper(c["iss"].(string)) }},
		{name: "no iss", claims: without("iss")},
		{name: "iss is a list", claims: func(c map[string]any) { c["iss"] = []any{c["iss"]} }},
		{name: "no sub", claims: without("sub")},
		{name: "sub is empty", claims: set("sub", "")},
		{name: "sub is an object", claims: set("sub", map[string]any{"id": "eve"})},
		{name: "sub is too long", claims: set("sub", strings.Repeat("e", 256))},
		{name: "sub has letters that look alike", claims: set("sub", "еve")},
		{name: "sub has a line end", claims: set("sub", "eve\nadmin")},
		{name: "aud is another client's", claims: set("aud", "other")},
		{name: "no aud", claims: without("aud")},
		{name: "aud is two, without azp", claims: set("aud", []string{"mintmark", "other"})},
		{name: "azp is another client", claims: func(c map[string]any) { c["aud"], c["azp"] = []string{"mintmark", "other"}, "other" }},
		{name: "aud in capitals", claims: set("aud", "MINTMARK")},
		{name: "exp is over", claims: set("exp", now-hour)},
		{name: "no exp", claims: without("exp")},
		{name: "exp is a text", claims: set("exp", "9999999999")},
		{name: "no iat", claims: without("iat")},
		{name: "iat is to come", claims: set("iat", now+hour)},
		{name: "iat is before we asked", claims: set("iat", now-hour)},
		{name: "no nonce", claims: without("nonce")},
		{name: "nonce of another sign-in", claims: set("nonce", "6jS8hFkCTWcZ0gU2zW1v3A")},
		{name: "nonce is a list", claims: func(c map[string]any) { c["nonce"] = []any{c["nonce"]} }},
		{name: "auth_time is a text", claims: set("auth_time", "now")},
		{name: "at_hash of another token", claims: set("at_hash", "LDktKdoQak3Pk0cnXxCltA")},
		{name: "two @", claims: set("email", "eve@evil.example@example.com")},
		{name: "an address that looks like another", claims: set("email", "аda@example.com")},
		{name: "two addresses", claims: set("email", []string{"eve@evil.example", "ada@example.com"})},
		{name: "email_verified is a text", claims: set("email_verified", "true")},
		{name: "alg none", token: func(e *evil, payload string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
		}},
		{name: "alg nOnE", token: func(e *evil, payload string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
		}},
		{name: "HS256 with the public key", token: secretly(func(e *evil) []byte { return e.public() })},
		{name: "HS256 with our secret", token: secretly(func(*evil) []byte { return []byte("a client secret of ours") })},
		{name: "ES384 by name", token: under(`{"alg":"ES384","kid":"one","typ":"JWT"}`)},
		{name: "another key", token: func(_ *evil, payload string) string { return eve.under(goodHeader, payload) }},
		{name: "another key, in the token", token: func(_ *evil, payload string) string {
			jwk, _ := json.Marshal(jose.JSONWebKey{Key: eve.key.Public(), KeyID: "one"})
			return eve.under(`{"alg":"ES256","kid":"one","jwk":`+string(jwk)+`}`, payload)
		}},
		{name: "a kid that there is not", token: under(`{"alg":"ES256","kid":"two","typ":"JWT"}`)},
		{name: "crit", token: under(`{"alg":"ES256","kid":"one","crit":["x"],"x":1}`)},
		{name: "a claim twice", token: func(e *evil, payload string) string {
			return e.under(goodHeader, strings.Replace(payload, `"sub":`, `"sub":"ada","sub":`, 1))
		}},
		{name: "no signature", token: changed(func(p []string) string { return p[0] + "." + p[1] + "." })},
		{name: "changed after it was signed", token: changed(func(p []string) string { return p[0] + "." + p[1][:len(p[1])-4] + "fQAA." + p[2] })},
		{name: "two parts", token: changed(func(p []string) string { return p[0] + "." + p[1] })},
		{name: "five parts", token: changed(func(p []string) string { return strings.Join(append(p, "a", "b"), ".") })},
		{name: "no token at all", token: func(*evil, string) string { return "" }},
		{name: "too long", claims: set("more", strings.Repeat("a", 300<<10))},
		{name: "too deep", token: func(e *evil, payload string) string {
			return e.under(goodHeader, strings.Replace(payload, `"sub":`, `"x":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`,"sub":`, 1))
		}},
		{name: "the token endpoint says 400", answer: said(400, asJSON, `{"error":"invalid_grant"}`)},
		{name: "the token endpoint says 401", answer: said(401, asJSON, `{"error":"invalid_client"}`)},
		{name: "the token endpoint says 500", answer: said(500, "text/html", "oops")},
		{name: "a page in place of tokens", answer: said(200, "text/html", "<h1>hello</h1>")},
		{name: "nothing in place of tokens", answer: said(200, asJSON, "")},
		{name: "half of the tokens", answer: said(200, asJSON, `{"access_token":"x","id_tok`)},
		{name: "a list of tokens", answer: said(200, asJSON, `[]`)},
		{name: "tokens without end", answer: said(200, asJSON, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`)},
		{name: "an ID token that is a number", answer: said(200, asJSON, `{"access_token":"x","token_type":"Bearer","id_token":7}`)},
		{name: "no ID token", answer: said(200, asJSON, `{"access_token":"x","token_type":"Bearer"}`)},
		{name: "the token endpoint leads elsewhere", answer: elsewhere},
		{name: "the token endpoint closes early", answer: cut},
		{name: "the token endpoint does not answer", answer: hang},
		{name: "no keys", keys: said(200, asJSON, `{"keys":[]}`)},
		{name: "keys that are a page", keys: said(200, "text/html", "<h1>hello</h1>")},
		{name: "keys without end", keys: said(200, asJSON, `{"keys":[],"x":"`+strings.Repeat("x", 2<<20)+`"}`)},
		{name: "the keys lead elsewhere", keys: elsewhere},
		{name: "the keys say 500", keys: said(500, "text/html", "oops")},
		{name: "no code", back: func(q url.Values) { q.Del("code") }},
		{name: "an error, and a page of theirs in it", back: func(q url.Values) { q.Del("code"); q.Set("error", "<script>alert(1)</script>") }},
		{name: "they did not want to", back: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }},
		{name: "no state", back: func(q url.Values) { q.Del("state") }},
		{name: "a state of nobody", back: func(q url.Values) { q.Set("state", strings.Repeat("A", len(q.Get("state")))) }},
		{name: "two states", back: func(q url.Values) { q.Add("state", q.Get("state")) }},
		{name: "two codes", back: func(q url.Values) { q.Add("code", "x") }},
		{name: "RFC 9207: iss of another", back: func(q url.Values) { q.Set("iss", "https://accounts.google.com") }},
		{name: "RFC 9207: no iss", back: func(q url.Values) { q.Del("iss") }},
	}
}

var requestID = regexp.MustCompile(`req_[0-9A-Za-z]{11}`)

// Whatever a provider does: a page that says no and what to do, with an id that the log has too; nobody is
// signed in, no account is touched, and nothing grows.
func TestAHostileProviderOverHTTP(t *testing.T) {
	all := tricks(newNotary(t, "", jose.ES256))
	if len(all) <= 60 {
		t.Fatalf("there are %d tricks", len(all)-1)
	}
	story(t, func(t *testing.T, op *conformance.Server) {
		named := map[string]trick{}
		for i, one := range all {
			named["op-"+strconv.Itoa(i)] = one
		}
		e := newEvil(t, named)
		secret := file(t, []byte("a client secret of ours"))
		for name := range named {
			op.Run("providers", "add", name, "--kind", "oidc", "--issuer", e.URL+"/"+name, "--client-id", "mintmark", "--client-secret-file", secret, "--unchecked")
		}
		op.AddPerson("ada@example.com")
		people := func() string {
			out, err := exec.Command(conformance.Program(t), "users", "list", "--output", "json", "--data", op.Data).Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		before, some := people(), goroutines(t, op)

		var wait sync.WaitGroup
		places, ids := make(chan struct{}, 8), make([]string, len(all)-1)
		for i, one := range all[1:] {
			wait.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				somebody := conformance.NewPerson(t, "")
				page := somebody.Visit(op.Issuer + "/login/op-" + strconv.Itoa(i+1))
				id := requestID.FindString(page.Body)
				switch {
				case page.Status < 400 || page.Status >= 500 || !strings.Contains(page.URL.Path, "/callback"):
					t.Errorf("%s: %d at %s", one.name, page.Status, page.URL)
				case !page.Has("try-again") && !page.Has("another-way"):
					t.Errorf("%s: the page does not say how to go on: %s", one.name, page.Body)
				case id == "":
					t.Errorf("%s: the page has no id: %s", one.name, page.Body)
				case strings.Contains(page.Body, "<script>") || strings.Contains(page.Body, e.URL):
					t.Errorf("%s: the page repeats what a stranger says: %s", one.name, page.Body)
				}
				ids[i] = id
				if at := somebody.Visit(op.Issuer + "/account"); !at.Has("login-submit") && !strings.Contains(at.URL.Path, "/login") {
					t.Errorf("%s: somebody is signed in: %s", one.name, at.URL)
				}
			})
		}
		wait.Wait()
		if after := people(); after != before {
			t.Errorf("accounts were touched: %s, before: %s", after, before)
		}
		for i, id := range ids { // a line is written a moment later
			for end := time.Now().Add(5 * time.Second); !strings.Contains(op.Log(), id) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			if !strings.Contains(op.Log(), id) {
				t.Errorf("%s: the log does not have the id %s of the page", all[i+1].name, id)
			}
		}
		e.Server.CloseClientConnections()
		most := len(all) + 15 // each browser keeps its connection, and a goroutine serves it
		for end := time.Now().Add(10 * time.Second); goroutines(t, op)-some > most; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("there are %d goroutines more", goroutines(t, op)-some)
				break
			}
		}
		if strings.Contains(op.Log(), "a client secret of ours") || strings.Contains(op.Log(), `"level":"ERROR"`) {
			t.Error("the log has our secret, or a fault of ours")
		}

		// Without a trick they are in, and it is not the account of an address that looks like theirs.
		somebody := conformance.NewPerson(t, "")
		if page := somebody.Visit(op.Issuer + "/login/op-0"); page.Status != 200 || strings.Contains(page.URL.Path, "callback") {
			t.Errorf("nothing is wrong, and yet: %d at %s: %s", page.Status, page.URL, page.Body)
		}
		if after := people(); strings.Count(after, `"usr_`) != strings.Count(before, `"usr_`)+1 {
			t.Errorf("who is in: %s", after)
		}
	})
}

// goroutines is how many the server says that it has.
func goroutines(t *testing.T, op *conformance.Server) int {
	t.Helper()
	_, after, _ := strings.Cut(get(t, op, "/metrics").Body, "\ngo_goroutines ")
	line, _, _ := strings.Cut(after, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
