package conformance_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
)

// mutations is what a parameter can be that it shouldn't.
var mutations = []struct {
	name   string
	mutate func(form url.Values, name string)
}{
	{"missing", func(f url.Values, n string) { f.Del(n) }},
	{"empty", func(f url.Values, n string) { f.Set(n, "") }},
	{"twice", func(f url.Values, n string) { f.Add(n, f.Get(n)) }},
	{"twice, differently", func(f url.Values, n string) { f.Add(n, "other") }},
	{"with NUL", func(f url.Values, n string) { f.Set(n, f.Get(n)+"\x00") }},
	{"not UTF-8", func(f url.Values, n string) { f.Set(n, "\xff\xfe") }},
	{"with CR LF", func(f url.Values, n string) { f.Set(n, "a\r\nSet-Cookie: a=b") }},
	{"oversized", func(f url.Values, n string) { f.Set(n, strings.Repeat("a", 100_000)) }},
	{"longish", func(f url.Values, n string) { f.Set(n, strings.Repeat("a", 5_000)) }},
	{"deep JSON", func(f url.Values, n string) { f.Set(n, strings.Repeat(`{"a":`, 500)+strings.Repeat("}", 500)) }},
	{"odd words", func(f url.Values, n string) { f.Set(n, "' OR 1=1 -- <script>alert(1)</script> ${x} %00 ../..") }},
	{"a huge number", func(f url.Values, n string) { f.Set(n, "99999999999999999999999999") }},
	{"only spaces", func(f url.Values, n string) { f.Set(n, "   ") }},
}

// Every parameter of every endpoint, mutated: a client error with the right form, and no more.
func TestNoInputIsAFaultOfOurs(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		got := web.tokens(p, "scope", "openid offline_access", "prompt", "consent")
		key, _ := newKey(t, op, "--allow-ip", "127.0.0.0/8")
		endpoints := []struct {
			path   string
			authed bool
			page   bool
			params url.Values
		}{
			{"/oauth/token", true, false, url.Values{"grant_type": {"authorization_code"}, "code": {"mm_ac_x"}, "redirect_uri": {back}, "code_verifier": {verifier}}},
			{"/oauth/token", true, false, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"mm_rt_x"}, "scope": {"openid"}}},
			{"/oauth/token", true, false, url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}, "resource": {"https://x.example"}}},
			{"/oauth/token", false, false, url.Values{"grant_type": {"client_credentials"}, "client_id": {web.ID}, "client_secret": {"wrong"}}},
			{"/oauth/token", false, false, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {"a.b.c"}}},
			{"/oauth/token", false, false, form(key, "scope", "a", "resource", "https://x.example", "audience", "x", "requested_token_type", "x", "actor_token", "x", "actor_token_type", "x")},
			{"/introspect", true, false, url.Values{"token": {key.Text}, "address": {"192.0.2.1"}}},
			{"/introspect", true, false, url.Values{"token": {"junk"}, "token_type_hint": {"access_token"}}},
			{"/revoke", true, false, url.Values{"token": {"junk"}, "token_type_hint": {"refresh_token"}}},
			{"/userinfo", false, false, url.Values{"access_token": {"junk"}}},
			{"/authorize", false, true, mustQuery(t, web.request("max_age", "10", "prompt", "login", "claims", "{}", "display", "page",
				"acr_values", "1", "ui_locales", "en", "login_hint", "x", "id_token_hint", "x", "response_mode", "query", "resource", "https://x.example"))},
			{"/end_session", false, true, url.Values{"id_token_hint": {got.str("id_token")}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"x"}, "client_id": {web.ID}, "ui_locales": {"en"}, "logout_hint": {"x"}}},
			{"/login", false, true, url.Values{"request": {"junk"}, "username": {"a@example.com"}, "password": {"guess guess"}}},
			{"/consent", false, true, url.Values{"request": {"junk"}}},
			{"/logout", false, true, url.Values{"request": {"junk"}}},
			{"/setup", false, true, url.Values{"code": {"junk"}, "email": {"a@example.com"}, "name": {"A"}, "username": {"a@example.com"}, "password": {"guess guess guess"}}},
		}
		for _, e := range endpoints {
			for name := range e.params {
				for _, m := range mutations {
					form := url.Values{}
					for k, v := range e.params {
						form[k] = append([]string(nil), v...)
					}
					m.mutate(form, name)
					seen := post(t, op.Issuer+e.path, form, func(r *http.Request) {
						if e.authed {
							web.asItself(r)
						}
					})
					if seen.Status >= 500 || strings.Contains(seen.Body, "<script>alert") {
						t.Errorf("%s, %s %s: %d %.200s", e.path, name, m.name, seen.Status, seen.Body)
					}
					if _, set := seen.Header["Set-Cookie"]; set && strings.Contains(seen.Header.Get("Set-Cookie"), "a=b") {
						t.Errorf("%s, %s %s: a header was split", e.path, name, m.name)
					}
					// RFC 6750 3.1: a request without any token is told how, and no error.
					bare := seen.Status == 401 && seen.Header.Get("WWW-Authenticate") != ""
					if !e.page && seen.Status >= 400 && !bare && seen.JSON == nil {
						t.Errorf("%s, %s %s: not a JSON error: %.200s", e.path, name, m.name, seen.Body)
					}
					if e.page && len(form.Encode()) < 8000 {
						r, _ := http.NewRequest("GET", op.Issuer+e.path+"?"+form.Encode(), nil)
						do(t, r)
					}
				}
			}
		}
		// Nothing of that touched what was there.
		if seen := key.exchanges(t, op.Issuer); seen.what() != "ok" {
			t.Errorf("the key died of it: %s", seen.Body)
		}
		if seen := web.userinfo(got.str("access_token")); seen.Status != 200 {
			t.Errorf("the token died of it: %d", seen.Status)
		}
		if seen := web.refresh(got.str("refresh_token")); seen.what() != "ok" {
			t.Errorf("the refresh token died of it: %s", seen.Body)
		}
	})
}

func mustQuery(t *testing.T, address string) url.Values {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// Requests that no HTTP library would send.
func TestRawRequests(t *testing.T) {
	op := conformance.Start(t, "")
	host := strings.TrimPrefix(op.Address, "http://")
	long := strings.Repeat("a", 40_000)
	for name, request := range map[string]string{
		"no host":                   "GET / HTTP/1.1\r\n\r\n",
		"another host":              "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		"a NUL in the path":         "GET /authorize%00 HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"a double slash":            "POST //oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"dots in the path":          "GET /static/../../etc/passwd HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"a long path":               "GET /" + long + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"a long header":             "GET / HTTP/1.1\r\nHost: " + host + "\r\nX: " + long + long + "\r\nConnection: close\r\n\r\n",
		"a length that lies":        "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: -5\r\n\r\n",
		"both lengths":              "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
		"a body that is no form":    "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
		"no content type":           "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 24\r\nConnection: close\r\n\r\ngrant_type=client_creden",
		"a broken escape":           "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\nConnection: close\r\n\r\na=%zz&b=",
		"two authorization headers": "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Basic eDp5\r\nAuthorization: Basic eDp6\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"Basic that isn't base64":   "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Basic ***\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(c, request)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // closed without a word: no more than it deserves
			}
			resp.Body.Close()
			if resp.StatusCode >= 500 {
				t.Errorf("status %d", resp.StatusCode)
			}
			if to := resp.Header.Get("Location"); strings.Contains(to, "evil") || strings.HasPrefix(to, "//") {
				t.Errorf("sent to %s", to)
			}
		})
	}
}
