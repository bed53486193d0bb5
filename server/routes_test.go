package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// concrete fills in a template.
func concrete(path string) string {
	return strings.NewReplacer("{request}", "junk", "{provider}", "corp", "{file}", "none.css", "{rest:.*}", "users").Replace(path)
}

func TestEveryRouteRefusesOtherMethods(t *testing.T) {
	s, _ := start(t)
	for _, route := range s.routes() {
		if route.class == api || route.class == proxied {
			continue // its own table, its own test; and the method is the original request's
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			allowed := strings.Fields(route.methods)
			if slices.Contains(allowed, "GET") {
				allowed = append(allowed, "HEAD")
			}
			if route.class.anyOrigin {
				allowed = append(allowed, "OPTIONS")
			}
			resp := ask(s, method, concrete(route.path), "")
			if refused := resp.StatusCode == http.StatusMethodNotAllowed; refused == slices.Contains(allowed, method) {
				t.Errorf("%s %s: %d", method, route.path, resp.StatusCode)
			}
			if resp.StatusCode == http.StatusMethodNotAllowed {
				allow := strings.Split(resp.Header.Get("Allow"), ", ")
				slices.Sort(allow)
				slices.Sort(allowed)
				if !slices.Equal(allow, allowed) {
					t.Errorf("%s %s: RFC 9110 15.5.6: Allow is %v, want %v", method, route.path, allow, allowed)
				}
			}
		}
	}
}

// Whatever is sent to any address: an answer below 500, with a request id and the headers that
// every answer has, and not a redirect to somewhere else.
func TestJunkIsRefusedAndNothingBreaks(t *testing.T) {
	s, l := start(t)
	bodies := []string{"", "%", "a=%zz", "=&=&&;", "client_id=%00", "client_id=a&client_id=b", "grant_type=authorization_code&code=x&client_id=y",
		"request=x", "token=x", "id_token_hint=a.b.c", "x=" + strings.Repeat("a", 70<<10), "a=\xff\xfe", "{}"}
	for _, route := range s.routes() {
		for _, method := range []string{"GET", "POST"} {
			for _, body := range bodies {
				target, sent := concrete(route.path), body
				if method == "GET" {
					sent = ""
					if utf8.ValidString(body) {
						target += "?" + body
					}
				}
				for _, headers := range [][]string{{}, {"Authorization", "Basic !!!"}, {"Authorization", "Bearer a.b.c"}, {"Content-Type", "text/plain"}, {"Cookie", "mintmark_session=x; ="}} {
					resp := ask(s, method, target, sent, headers...)
					if resp.StatusCode >= 500 {
						t.Errorf("%s %s %.40q %v: %d", method, route.path, body, headers, resp.StatusCode)
					}
					if to := resp.Header.Get("Location"); to != "" && !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, s.Issuer()+"/") {
						t.Errorf("%s %s %.40q: redirects to %s", method, route.path, body, to)
					}
					names := []string{"X-Request-Id", "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"}
					if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || resp.Header.Get("Location") != "" {
						names = append(names, "Referrer-Policy", "X-Frame-Options", "Permissions-Policy", "Cross-Origin-Resource-Policy")
					}
					for _, name := range names {
						if resp.Header.Get(name) == "" {
							t.Errorf("%s %s: no %s", method, route.path, name)
						}
					}
				}
			}
		}
	}
	if strings.Contains(l.String(), `"panic"`) {
		t.Errorf("something panicked: %s", l)
	}
}

func TestOddPathsAreNotCleanedByARedirect(t *testing.T) {
	s, _ := start(t)
	for _, tt := range []struct {
		path string
		want int
	}{
		{"//oauth/token", 404},
		{"//evil.example/", 404},
		{"/./oauth/token", 404},
		{"/login/../oauth/token", 404},
		{"/login/..", 404},
		{"/oauth//token", 404},
		{"/oauth/token/", 404},
		{"/authorize/a/b", 404},
		{"/login\x00", 400},
		{"/login\n", 400},
		{"/login\xff", 400},
		{"/LOGIN", 404},
		{"/", 405}, // POST
		{"", 404},
		{"*", 404},
	} {
		for _, method := range []string{"GET", "POST"} {
			resp := ask(s, method, tt.path, "")
			if tt.path == "/" && method == "GET" {
				continue
			}
			if resp.StatusCode != tt.want || resp.Header.Get("Location") != "" {
				t.Errorf("%s %q: %d %s", method, tt.path, resp.StatusCode, resp.Header.Get("Location"))
			}
		}
	}
}

func TestNotFoundInTheLanguageOfWhoAsked(t *testing.T) {
	s, _ := start(t)
	for _, tt := range []struct{ path, kind string }{
		{"/.well-known/openid-federation", "application/json"},
		{"/.well-known/webfinger?resource=acct:a@b", "application/json"},
		{"/nothing", "text/html"},
	} {
		resp := ask(s, "GET", tt.path, "")
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 404 || !strings.HasPrefix(kind, tt.kind) {
			t.Errorf("%s: %d %s", tt.path, resp.StatusCode, kind)
		}
		body := text(t, resp)
		if tt.kind == "application/json" && !json.Valid([]byte(body)) {
			t.Errorf("%s: %s", tt.path, body)
		}
		if tt.kind == "text/html" && !strings.Contains(body, resp.Header.Get("X-Request-Id")) {
			t.Errorf("%s: the page does not show the id of the request", tt.path)
		}
	}
}

func TestCORSWhereABrowserApplicationNeedsIt(t *testing.T) {
	s, _ := start(t)
	open := []string{"/oauth/token", "/userinfo", "/revoke", "/keys", "/.well-known/jwks.json",
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}
	for _, route := range s.routes() {
		method, _, _ := strings.Cut(cmp.Or(route.methods, "GET"), " ")
		resp := ask(s, method, concrete(route.path), "", "Origin", "https://spa.example")
		got := resp.Header.Get("Access-Control-Allow-Origin")
		if want := slices.Contains(open, route.path); (got == "*") != want || !want && got != "" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", route.path, got)
		}
		if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: with credentials", route.path)
		}
		if got == "*" && !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
			t.Errorf("%s: the challenge can not be read", route.path)
		}
		resp = ask(s, "OPTIONS", concrete(route.path), "", "Origin", "https://spa.example",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
		allow := strings.ToLower(resp.Header.Get("Access-Control-Allow-Headers"))
		if !slices.Contains(open, route.path) {
			if allow != "" {
				t.Errorf("%s: a preflight is answered", route.path)
			}
			continue
		}
		if resp.StatusCode != 204 || !strings.Contains(allow, "authorization") || !strings.Contains(allow, "content-type") ||
			!strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("%s: preflight: %d %v", route.path, resp.StatusCode, resp.Header)
		}
	}
}

func TestFormsOfOtherSitesAreRefusedOnPagesOnly(t *testing.T) {
	s, _ := start(t)
	for _, tt := range []struct {
		name, path string
		headers    []string
		refused    bool
	}{
		{"cross-site", "/login", []string{"Sec-Fetch-Site", "cross-site"}, true},
		{"another sub-domain", "/consent", []string{"Sec-Fetch-Site", "same-site"}, true},
		{"an old browser, elsewhere", "/logout", []string{"Origin", "https://evil.example"}, true},
		{"a sandboxed frame", "/setup", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, true},
		{"our own page", "/login", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080"}, false},
		{"our own page behind a proxy that changes Host", "/login", []string{"Origin", "http://localhost:8080", "Host", "inside"}, false},
		{"curl", "/login", nil, false},
		{"OpenID Connect Core 3.1.2.1, an application posts to us", "/authorize", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, false},
		{"RP-Initiated Logout 2, an application posts to us", "/end_session", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a browser application", "/oauth/token", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://spa.example"}, false},
	} {
		resp := ask(s, "POST", tt.path, "x=y", tt.headers...)
		if refused := resp.StatusCode == 403; refused != tt.refused {
			t.Errorf("%s: %s answers %d", tt.name, tt.path, resp.StatusCode)
		}
	}
}

func TestAnIssuerWithAPath(t *testing.T) {
	s, _ := start(t, func(c *Config) { c.Issuer = "http://localhost:8080/tenant" })
	for _, tt := range []struct {
		path string
		want int
	}{
		{"/tenant/.well-known/openid-configuration", 200},
		{"/tenant/.well-known/jwks.json", 200},
		{"/.well-known/oauth-authorization-server/tenant", 200}, // RFC 8414 3.1
		{"/.well-known/openid-configuration/tenant", 200},       // RFC 8414 5
		{"/tenant/keys", 200},
		{"/tenant", 200},
		{"/tenant/", 200},
		{"/keys", 404},
		{"/tenantkeys", 404},
		{"/healthz", 200},
		{"/tenant/healthz", 200},
		{"/tenant/api/v1/openapi.json", 200},
	} {
		if resp := ask(s, "GET", tt.path, ""); resp.StatusCode != tt.want {
			t.Errorf("%s: %d", tt.path, resp.StatusCode)
		}
	}
	var known struct{ Issuer, Token_endpoint string }
	if err := json.Unmarshal([]byte(text(t, ask(s, "GET", "/tenant/.well-known/openid-configuration", ""))), &known); err != nil {
		t.Fatal(err)
	}
	if known.Issuer != s.Issuer() || known.Token_endpoint != s.Issuer()+"/oauth/token" {
		t.Errorf("the metadata says %+v", known)
	}
}

func TestHSTSOnlyOverTLS(t *testing.T) {
	plain, _ := start(t)
	if got := ask(plain, "GET", "/healthz", "").Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("on http: %q", got)
	}
	secure, _ := start(t, func(c *Config) { c.Issuer, c.Dev = "https://id.example.com", false })
	if got := ask(secure, "GET", "/healthz", "").Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
		t.Errorf("on https: %q", got)
	}
}

func TestTheHostOfARequestChangesNothing(t *testing.T) {
	s, _ := start(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/login", "/"} {
		resp := ask(s, "GET", path, "", "Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "gopher", "Forwarded", "host=evil.example")
		if body := text(t, resp); strings.Contains(body, "evil.example") || strings.Contains(body, "gopher") {
			t.Errorf("%s repeats a forwarded host", path)
		}
	}
}

func TestMetricsOnlyInDevelopmentOrInside(t *testing.T) {
	dev, _ := start(t)
	ask(dev, "GET", "/keys", "")
	if got := text(t, ask(dev, "GET", "/metrics", "")); !strings.Contains(got, `mintmark_http_requests_total{code="200",method="GET",route="/keys"} 1`) {
		t.Errorf("the request is not counted: %s", got)
	}
	away := newMetrics(func() map[string]bool { return map[string]bool{"github": true, "google": false} })
	w := httptest.NewRecorder()
	if err := away.serve(w, httptest.NewRequest("GET", "/metrics", nil)); err != nil || !strings.Contains(w.Body.String(), "mintmark_provider_away{provider=\"github\"} 1\nmintmark_provider_away{provider=\"google\"} 0") {
		t.Errorf("%v: %s", err, w.Body)
	}
	prod, _ := start(t, func(c *Config) { c.Dev, c.AdminListen = false, "127.0.0.1:0" })
	if resp := ask(prod, "GET", "/metrics", ""); resp.StatusCode != 404 {
		t.Errorf("metrics on the public listener: %d", resp.StatusCode)
	}
}
