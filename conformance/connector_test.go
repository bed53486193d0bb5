package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/conformance"
)

const externalType = "urn:mintmark:token-type:external"

// A desk is a system of the operator whose tokens say nothing by themselves: their server asks it.
type desk struct {
	*httptest.Server
	mu     sync.Mutex
	asked  int
	answer func(w http.ResponseWriter, r *http.Request, token string) // instead of ours
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Token string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		d.asked++
		other := d.answer
		d.mu.Unlock()
		if other != nil {
			other(w, r, q.Token)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		name, known := strings.CutPrefix(q.Token, "ticket of ")
		if !known {
			fmt.Fprint(w, `{"active":false}`)
			return
		}
		name, _, _ = strings.Cut(name, ",")
		fmt.Fprintf(w, `{"active":true,"sub":"%[1]s-1","email":"%[1]s@desk.example","email_verified":true,"groups":["support"],"limits":{"messages":100,"plan":"pro"},"expires_in":600}`, name)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) says(answer func(w http.ResponseWriter, r *http.Request, token string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// takesTickets adds the desk as a connector.
func takesTickets(t *testing.T, op *conformance.Server, d *desk, flags ...string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	op.Do(append([]string{"providers", "add", "desk", "--kind", "connector", "--connector-url", d.URL, "--client-secret-file", secret}, flags...)...)
}

// shows exchanges a token of the desk, with changes. It may be told to come again.
func (a app) shows(t *testing.T, token string, changes ...string) answer {
	t.Helper()
	form := with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {token}, "subject_token_type": {externalType}, "subject_issuer": {"desk"}}, changes...)
	r, err := http.NewRequest("POST", a.op.Address+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a.asItself(r)
	resp, err := plain.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := answer{Status: resp.StatusCode, Header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(&got.JSON); err != nil {
		t.Error(err)
	}
	if late := got.Status == 503; got.Status >= 500 && !late || late != (got.what() == "temporarily_unavailable") || late && got.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", got.Status, got.JSON)
	}
	return got
}

func limits(v map[string]any) string {
	text, _ := json.Marshal(v["limits"])
	return string(text)
}

// A program has a token of a system that has no JWTs, and gets one of ours for it.
func TestATokenOfASystemWithoutJWTsIsExchanged(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		d := newDesk(t)
		takesTickets(t, op, d, "--authoritative", "desk.example")
		flags := []string{"--grant", "authorization_code", "--grant", exchangeGrant, "--consent", "never"}
		jwt, opaque := newApp(t, op, "web", flags...), newApp(t, op, "web", append(flags, "--access-token", "opaque")...)
		asks := newApp(t, op, "web", "--grant", "authorization_code", "--grant", exchangeGrant)

		const want = `{"messages":100,"plan":"pro"}`
		got := jwt.shows(t, "ticket of ada", "scope", "openid email")
		if got.what() != "ok" || got.str("issued_token_type") != accessType || got.JSON["refresh_token"] != nil || got.JSON["id_token"] != nil {
			t.Fatalf("RFC 8693 2.2.1: %v", got.JSON)
		}
		_, payload := claims(t, got.str("access_token"))
		if limits(payload) != want || payload["client_id"] != jwt.ID || payload["exp"].(float64)-payload["iat"].(float64) > 600 {
			t.Errorf("RFC 9068 2.2: %v", payload)
		}
		again := opaque.shows(t, "ticket of ada", "scope", "openid email")
		for _, tt := range []struct {
			app   app
			token string
		}{{jwt, got.str("access_token")}, {opaque, again.str("access_token")}} {
			if info := tt.app.userinfo(tt.token); info.str("sub") != payload["sub"] || info.str("email") != "ada@desk.example" || info.JSON["email_verified"] != true || limits(info.JSON) != want {
				t.Errorf("OpenID Connect Core 5.3.2: %s", info.Body)
			}
			if about := tt.app.introspect(tt.token); about.JSON["active"] != true || limits(about.JSON) != want {
				t.Errorf("RFC 7662 2.2: %s", about.Body)
			}
		}
		// Who signs in here has none.
		person, _ := newPerson(t, op)
		mine := jwt.tokens(person).str("access_token")
		if _, payload := claims(t, mine); payload["limits"] != nil {
			t.Errorf("limits of nobody: %v", payload)
		}

		before := d.count()
		for _, tt := range []struct {
			name, got, want string
		}{
			{"a token that nobody has", jwt.shows(t, "made up").what(), "invalid_request"},
			{"no connector of that name", jwt.shows(t, "ticket of ada", "subject_issuer", "dusk").what(), "invalid_request"},
			{"no subject_issuer", jwt.shows(t, "ticket of ada", "subject_issuer", "-").what(), "invalid_request"},
			{"a subject_issuer for another type", jwt.shows(t, "ticket of ada", "subject_token_type", jwtType).what(), "invalid_request"},
			{"a token that is too long", jwt.shows(t, "ticket of "+strings.Repeat("a", 8<<10)).what(), "invalid_request"},
			{"RFC 7523, as an assertion", jwt.token(url.Values{"grant_type": {bearerGrant}, "assertion": {"ticket of ada"}}).what(), "unauthorized_client"},
			{"a client that must ask the person", asks.shows(t, "ticket of ada").what(), "unauthorized_client"},
			{"more scopes", jwt.shows(t, "ticket of ada", "scope", "admin").what(), "invalid_scope"},
			{"OpenID Connect Core 11, for ever", jwt.shows(t, "ticket of ada", "scope", "offline_access").what(), "invalid_scope"},
			{"RFC 8707 2, another resource", jwt.shows(t, "ticket of ada", "resource", "https://other.example").what(), "invalid_target"},
			{"RFC 8693 2.1, another type", jwt.shows(t, "ticket of ada", "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token").what(), "invalid_request"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
			}
		}
		if n := d.count() - before; n != 1 {
			t.Errorf("what is wrong with a request made us ask %d times, and not once", n)
		}

		// Many at once, with one token of somebody new: one question, one account.
		before = d.count()
		subjects := map[string]bool{}
		for _, got := range race(func(i int) answer { return jwt.shows(t, "ticket of ben") }) {
			if got.what() != "ok" {
				t.Errorf("of many: %v", got.JSON)
				continue
			}
			_, payload := claims(t, got.str("access_token"))
			subjects[payload["sub"].(string)] = true
		}
		if n := d.count() - before; n != 1 || len(subjects) != 1 {
			t.Errorf("many at once: %d questions, %d accounts", n, len(subjects))
		}

		// An account that is there is nobody's for its address; a role comes from a rule, and from nothing else.
		op.AddPerson("eve@desk.example")
		if got := jwt.shows(t, "ticket of eve").what(); got != "invalid_request" {
			t.Errorf("somebody's address: %s", got)
		}
		sub := payload["sub"].(string)
		if role := op.Do("users", "get", sub)["role"]; role != nil && role != "" {
			t.Errorf("a role: %v", role)
		}

		// It is no way to sign in at a browser.
		if page := get(t, op, "/login"); strings.Contains(page.Body, "/login/desk") {
			t.Error("there is a button")
		}
		if got, nobody := get(t, op, "/login/desk"), get(t, op, "/login/nobody"); got.Status != nobody.Status || got.Status == 303 {
			t.Errorf("/login/desk is %d, /login/nobody %d", got.Status, nobody.Status)
		}

		op.Run("users", "disable", sub)
		if info := jwt.userinfo(got.str("access_token")); info.Status != 401 {
			t.Errorf("a disabled account: %d %s", info.Status, info.Body)
		}
		if got := jwt.shows(t, "ticket of ada").what(); got != "invalid_request" {
			t.Errorf("a disabled account comes back: %s", got)
		}
		op.Run("providers", "set", "desk", "--role-rule", "groups=support:admin")
		_, payload = claims(t, jwt.shows(t, "ticket of ben,again").str("access_token"))
		if role := op.Do("users", "get", payload["sub"].(string))["role"]; role != "admin" {
			t.Errorf("no role by the rule: %v", role)
		}
		op.Run("providers", "set", "desk", "--disabled")
		if got := jwt.shows(t, "ticket of ben").what(); got != "invalid_request" {
			t.Errorf("a disabled connector: %s", got)
		}
		if strings.Contains(op.Log(), "ticket of") {
			t.Error("the log has a token")
		}
	})
}

func get(t *testing.T, op *conformance.Server, path string) answer {
	t.Helper()
	r, err := http.NewRequest("GET", op.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// Whatever a connector says instead of an answer, nobody gets in by it, and nobody is told more than to
// come again. package upstream has the whole list.
func TestAConnectorThatIsNotWell(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		d := newDesk(t)
		takesTickets(t, op, d)
		app := newApp(t, op, "web", "--grant", "authorization_code", "--grant", exchangeGrant, "--consent", "never")
		text := func(status int, body string) func(http.ResponseWriter, *http.Request, string) {
			return func(w http.ResponseWriter, r *http.Request, _ string) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			}
		}
		const sound = `{"active":true,"sub":"eve","email":"eve@desk.example","email_verified":true}`
		for i, tt := range []struct {
			name, want string
			say        func(w http.ResponseWriter, r *http.Request, token string)
		}{
			{"no JSON", "temporarily_unavailable", text(200, "hello")},
			{"a member twice", "temporarily_unavailable", text(200, `{"active":false,"active":true,"sub":"eve"}`)},
			{"active is a text", "temporarily_unavailable", text(200, `{"active":"true","sub":"eve"}`)},
			{"email_verified is a text", "temporarily_unavailable", text(200, `{"active":true,"sub":"eve","email":"eve@desk.example","email_verified":"true"}`)},
			{"no sub", "temporarily_unavailable", text(200, `{"active":true}`)},
			{"limits are deep", "temporarily_unavailable", text(200, `{"active":true,"sub":"eve","limits":{"a":{"b":1}}}`)},
			{"huge", "temporarily_unavailable", text(200, `{"active":true,"sub":"eve","x":"`+strings.Repeat("x", 70<<10)+`"}`)},
			{"not good, by its status", "temporarily_unavailable", text(401, sound)},
			{"broken", "temporarily_unavailable", text(500, sound)},
			{"a redirect", "temporarily_unavailable", func(w http.ResponseWriter, r *http.Request, _ string) {
				http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
			}},
			{"over", "invalid_request", text(200, `{"active":true,"sub":"eve","expires_in":0}`)},
			{"an address that is two", "invalid_request", text(200, `{"active":true,"sub":"eve","email":"adмin@desk.example","email_verified":true}`)},
			{"slow", "temporarily_unavailable", func(w http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() }},
		} {
			d.says(tt.say)
			began := time.Now()
			if got := app.shows(t, fmt.Sprint("ticket of eve,", i)).what(); got != tt.want || time.Since(began) > 9*time.Second {
				t.Errorf("%s: %s after %s", tt.name, got, time.Since(began))
			}
		}
		// Five without an answer, and it is not asked any more.
		d.says(text(503, ""))
		for i := range 5 {
			app.shows(t, fmt.Sprint("ticket of eve, too ", i))
		}
		for range 200 { // the server makes sure with a question of its own
			if strings.Contains(op.Log(), "does not answer") && strings.Contains(op.Log(), "pause") {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		before := d.count()
		if got := app.shows(t, "ticket of eve, too late").what(); got != "temporarily_unavailable" || d.count() != before {
			t.Errorf("it is asked on: %s", got)
		}
		out, err := exec.Command(conformance.Program(t), "users", "list", "--output", "json", "--data", op.Data).Output()
		if err != nil || strings.TrimSpace(string(out)) != "[]" {
			t.Errorf("there are accounts: %s %v", out, err)
		}
		if log := op.Log(); strings.Contains(log, "ticket of") {
			t.Error("the log has a token")
		} else if !strings.Contains(log, "active is neither") {
			t.Error("the log does not say why")
		}
	})
}

// A client hands on what strangers show it. They can make up as many tokens as they like: the operator's
// server gets a few of them, the other clients notice nothing, and nothing is written.
func TestAFloodOfMadeUpTokens(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		d := newDesk(t)
		takesTickets(t, op, d)
		flags := []string{"--grant", "authorization_code", "--grant", exchangeGrant, "--consent", "never"}
		chat, shop := newApp(t, op, "web", flags...), newApp(t, op, "web", flags...)

		before := d.count()
		stranger, nobody := chat, chat
		stranger.Secret, nobody.ID = "guessed", "nobody"
		for i := range 20 {
			if a, b := stranger.shows(t, fmt.Sprint("ticket of ada,", i)), nobody.shows(t, "ticket of ada"); a.what() != "invalid_client" || b.what() != "invalid_client" {
				t.Fatalf("%v %v", a.JSON, b.JSON)
			}
		}
		if n := d.count() - before; n != 0 {
			t.Errorf("strangers without a client made us ask %d times", n)
		}

		began := time.Now()
		said := map[string]int{}
		for i := range 400 {
			said[chat.shows(t, fmt.Sprint("made up ", i)).what()]++
		}
		most := 101 + int(10*time.Since(began).Seconds())
		if n := d.count() - before; n < 100 || n > most || said["invalid_request"] != n || said["temporarily_unavailable"] != 400-n {
			t.Errorf("asked %d times, at most %d: %v", n, most, said)
		}
		if got := shop.shows(t, "ticket of ada"); got.what() != "ok" {
			t.Errorf("another client: %v", got.JSON)
		}
		out, err := exec.Command(conformance.Program(t), "users", "list", "--output", "json", "--data", op.Data).Output()
		var users []any
		if json.Unmarshal(out, &users); len(users) != 1 {
			t.Errorf("there are accounts: %s %v", out, err)
		}
		if strings.Contains(op.Log(), "made up 1") {
			t.Error("the log has a token")
		}
	})
}
