package conformance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

// A script is one of a page, in a browser that says from where it asks.
type script struct {
	t      *testing.T
	op     *conformance.Server
	origin string
	query  string
	cookie string
}

// shows sends a token, and returns the answer with the cookie that came, if one did. Header lines replace those that
// a browser sends.
func (s script) shows(body string, lines ...string) (answer, *http.Cookie) {
	s.t.Helper()
	return s.sends("POST", body, lines...)
}

func (s script) sends(method, body string, lines ...string) (answer, *http.Cookie) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.op.Address+"/api/v1/session"+s.query, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", s.origin)
	if s.cookie != "" {
		r.Header.Set("Cookie", s.cookie)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	resp, err := plain.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := answer{Status: resp.StatusCode, Header: resp.Header, Body: string(text)}
	json.Unmarshal(text, &got.JSON)
	if got.Status >= 500 {
		s.t.Errorf("%s: %d %s", method, got.Status, text)
	}
	for _, c := range resp.Cookies() {
		return got, c
	}
	return got, nil
}

func carries(token string) string {
	text, _ := json.Marshal(map[string]string{"token": token})
	return string(text)
}

// signedIn is who a session's cookie belongs to: the code that an application gets, without a page in between.
func (a app) signedIn(cookie string) map[string]any {
	a.t.Helper()
	r, err := http.NewRequest("GET", a.request("prompt", "none", "scope", "openid"), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	at, err := url.Parse(do(a.t, r).Header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	if at.Query().Get("code") == "" {
		return nil
	}
	_, payload := claims(a.t, a.redeem(at.Query().Get("code")).str("id_token"))
	return payload
}

// A page of ours gets a session for a token of an outside issuer, and no other page does.
func TestASessionForATokenOfAnotherIssuer(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		corp := newNotary(t, "https://tokens.corp.example", jose.ES256)
		quiet := newNotary(t, "https://quiet.corp.example", jose.ES256)
		add := func(name string, n *notary, flags ...string) {
			op.Run(append([]string{"providers", "add", name, "--kind", "issuer", "--issuer", n.iss, "--keys-file", file(t, n.public()), "--token-audience", meant}, flags...)...)
		}
		add("corp", corp, "--token-sessions", "--session-life", "follow-upstream")
		add("quiet", quiet)
		app := newApp(t, op, "web", "--consent", "never")
		asks := newApp(t, op, "web")
		native := newApp(t, op, "native", "--consent", "never")
		service := newApp(t, op, "service", "--consent", "never")
		ours := script{t: t, op: op, origin: op.Issuer}
		spa := script{t: t, op: op, origin: "https://app.example", query: "?client_id=" + app.ID}

		got, cookie := ours.shows(carries(corp.says(map[string]any{"email": "ada@corp.example", "email_verified": true, "amr": []string{"otp", "strange"}, "acr": "theirs", "auth_time": time.Now().Add(-time.Minute).Unix()})))
		if got.Status != 200 || cookie == nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || got.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("a page of ours: %d %s %v", got.Status, got.Body, cookie)
		}
		ada := cookie.Name + "=" + cookie.Value
		who := app.signedIn(ada)
		amr, _ := json.Marshal(who["amr"])
		if who["sub"] != got.str("sub") || string(amr) != `["fed","otp"]` || who["idp"] != "corp" || who["acr"] == "theirs" || who["acr"] != got.str("acr") {
			t.Errorf("what an application hears: %v; the page: %s", who, got.Body)
		}
		ends, err := time.Parse(time.RFC3339, got.str("expires_at"))
		if err != nil || time.Until(ends) > 10*time.Minute {
			t.Errorf("the session ends at %v, after the token", ends)
		}

		// Another origin that is ours: the browser asks first, and may read the answer.
		asked, _ := spa.sends("OPTIONS", "", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
		if asked.Status != 204 || asked.Header.Get("Access-Control-Allow-Origin") != spa.origin || asked.Header.Get("Access-Control-Allow-Credentials") != "true" ||
			asked.Header.Get("Access-Control-Allow-Methods") != "POST" || !strings.Contains(strings.Join(asked.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("Fetch 3.3, preflight: %d %v", asked.Status, asked.Header)
		}
		got, cookie = spa.shows(carries(corp.says(nil)), "Sec-Fetch-Site: same-site", "Content-Type: application/json; charset=utf-8")
		if got.Status != 200 || cookie == nil || got.Header.Get("Access-Control-Allow-Origin") != spa.origin {
			t.Fatalf("a page of a client: %d %s", got.Status, got.Body)
		}

		// Session fixation: the cookie is new, and the one before it is dead.
		mine := spa
		mine.cookie = ada
		got, cookie = mine.shows(carries(corp.says(map[string]any{"sub": "ada"})))
		if cookie == nil || cookie.Value == strings.SplitN(ada, "=", 2)[1] || app.signedIn(ada) != nil {
			t.Errorf("the cookie from before is good: %s", got.Body)
		}
		again := cookie.Name + "=" + cookie.Value
		mine.cookie = again
		if _, other := mine.shows(carries(corp.says(map[string]any{"sub": "ben"}))); other == nil || app.signedIn(again) != nil || app.signedIn(other.Name + "=" + other.Value)["sub"] == who["sub"] {
			t.Error("somebody else arrives at the browser, and the session from before goes on")
		}
		planted, given := script{t: t, op: op, origin: op.Issuer, cookie: cookie.Name + "=planted"}.shows(carries(corp.says(nil)))
		if given == nil || given.Value == "planted" {
			t.Errorf("a planted cookie: %s", planted.Body)
		}

		// Login CSRF: the attacker's own token is as good as any, and is never looked at. It stays unspent.
		token := corp.says(map[string]any{"sub": "mallory"})
		with := func(origin, query string, lines ...string) string {
			s := script{t: t, op: op, origin: origin, query: query}
			got, cookie := s.shows(carries(token), lines...)
			if cookie != nil || got.Header.Get("Access-Control-Allow-Origin") != "" || got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s%s %v: %v %v", origin, query, lines, cookie, got.Header)
			}
			if asked, _ := s.sends("OPTIONS", "", lines...); asked.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s%s %v, preflight: %v", origin, query, lines, asked.Header)
			}
			return got.str("code")
		}
		for _, tt := range []struct{ name, got string }{
			{"another site", with("https://evil.example", "")},
			{"another site, in the name of ours", with("https://evil.example", spa.query)},
			{"none", with("", spa.query)},
			{"no Origin", with(op.Issuer, "", "Origin: ")},
			{"null, as a sandbox has", with("null", spa.query)},
			{"the page's address", with("https://app.example/", spa.query)},
			{"its callback", with(back, spa.query)},
			{"without TLS", with("http://app.example", spa.query)},
			{"another port", with("https://app.example:8443", spa.query)},
			{"a subdomain", with("https://x.app.example", spa.query)},
			{"a name that ends the same", with("https://evilapp.example", spa.query)},
			{"a name that begins the same", with("https://app.example.evil.example", spa.query)},
			{"in capitals", with("https://APP.example", spa.query)},
			{"a user", with("https://app.example@evil.example", spa.query)},
			{"two", with("https://app.example https://evil.example", spa.query)},
			{"a wildcard", with("*", spa.query)},
			{"no client", with("https://app.example", "")},
			{"a client that is not there", with("https://app.example", "?client_id=none")},
			{"a client with a control character", with("https://app.example", "?client_id=%00")},
			{"one that asks people", with("https://app.example", "?client_id="+asks.ID)},
			{"one on somebody's own device", with("https://app.example", "?client_id="+native.ID)},
			{"a service", with("https://app.example", "?client_id="+service.ID)},
			{"ours, from another site", with(op.Issuer, "", "Sec-Fetch-Site: cross-site")},
			{"a client's, from another site", with("https://app.example", spa.query, "Sec-Fetch-Site: cross-site")},
			{"typed by a person", with(op.Issuer, "", "Sec-Fetch-Site: none")},
			{"our name on another port", with(op.Issuer+"0", "")},
		} {
			if tt.got != "access_denied" {
				t.Errorf("%s: %s", tt.name, tt.got)
			}
		}

		refused := func(body string, lines ...string) string {
			t.Helper()
			got, cookie := ours.shows(body, lines...)
			if cookie != nil {
				t.Errorf("%s: a cookie", body)
			}
			return got.str("code")
		}
		for _, tt := range []struct{ name, got, want string }{
			{"a form", refused("token="+token, "Content-Type: application/x-www-form-urlencoded"), "invalid_request"},
			{"what a form can send", refused(carries(token), "Content-Type: text/plain"), "invalid_request"},
			{"no type", refused(carries(token), "Content-Type: "), "invalid_request"},
			{"two types", refused(carries(token), "Content-Type: text/plain, application/json"), "invalid_request"},
			{"no JSON", refused("{"), "invalid_request"},
			{"a list", refused("[]"), "invalid_request"},
			{"nothing", refused(""), "invalid_request"},
			{"more after it", refused(carries(token) + "{}"), "invalid_request"},
			{"another member", refused(`{"token":"x","account":"admin"}`), "invalid_request"},
			{"a number", refused(`{"token":1}`), "invalid_request"},
			{"empty", refused(`{"token":""}`), "invalid_request"},
			{"too long", refused(carries(strings.Repeat("a", 65<<10))), "invalid_request"},
			{"deep", refused(strings.Repeat("[", 60000)), "invalid_request"},
			{"no token", refused(carries("nonsense")), "invalid_token"},
			{"an issuer that gives no sessions", refused(carries(quiet.says(nil))), "invalid_token"},
			{"over", refused(carries(corp.says(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}))), "invalid_token"},
			{"another audience", refused(carries(corp.says(map[string]any{"aud": "https://other.example"}))), "invalid_token"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
			}
		}
		// None of that has spent it.
		mallory, cookie := ours.shows(carries(token))
		if mallory.Status != 200 {
			t.Fatalf("a token that was never taken: %s", mallory.Body)
		}
		if got := refused(carries(token)); got != "invalid_token" {
			t.Errorf("RFC 7523 3, 7: used before: %s", got)
		}

		op.Run("users", "disable", mallory.str("sub"))
		if app.signedIn(cookie.Name+"="+cookie.Value) != nil {
			t.Error("a disabled account is signed in")
		}
		if got := refused(carries(corp.says(map[string]any{"sub": "mallory"}))); got != "account_disabled" {
			t.Errorf("a disabled account: %s", got)
		}
		op.Run("clients", "disable", app.ID)
		if got := with("https://app.example", spa.query); got != "access_denied" {
			t.Errorf("a disabled client: %s", got)
		}
		_, carl := ours.shows(carries(corp.says(map[string]any{"sub": "carl"})))
		op.Run("providers", "set", "corp", "--disabled")
		if carl == nil || asks.signedIn(carl.Name+"="+carl.Value) != nil {
			t.Error("a session of a disabled provider")
		}
		if got := refused(carries(corp.says(nil))); got != "invalid_token" {
			t.Errorf("a disabled provider: %s", got)
		}

		// A network that shows nothing but what is no good has to wait.
		wait := answer{}
		for range 150 {
			if wait, _ = ours.shows(carries("nonsense")); wait.Status == 429 {
				break
			}
		}
		if wait.Status != 429 || wait.Header.Get("Retry-After") == "" {
			t.Errorf("a flood: %d", wait.Status)
		}
	})
}

// Whatever copies of the server see a token at the same moment: one of them takes it.
func TestATokenBuysOneSession(t *testing.T) {
	copies(t, func(t *testing.T, ops []*conformance.Server) {
		corp := newNotary(t, "https://tokens.corp.example", jose.ES256)
		ops[0].Run("providers", "add", "corp", "--kind", "issuer", "--issuer", corp.iss, "--keys-file", file(t, corp.public()), "--token-audience", meant, "--token-sessions")
		time.Sleep(1100 * time.Millisecond) // the promise is that every copy has heard of it after a second
		for _, changes := range []map[string]any{nil, {"jti": nil}} {
			token := corp.says(changes)
			won := 0
			for _, got := range race(func(i int) int {
				got, _ := script{t: t, op: ops[i%len(ops)], origin: ops[0].Issuer}.shows(carries(token))
				return got.Status
			}) {
				if got == 200 {
					won++
				}
			}
			if won != 1 {
				t.Errorf("%v: one token bought %d sessions", changes, won)
			}
		}
	})
}
