package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mintmark/conformance"
)

// doors is where a credential may be shown, rightly or not.
var doors = []string{
	"/auth/verify", "/auth/verify/docs", "/api/v1/info", "/api/v1/keys/verify", "/api/v1/keys/verify-batch", "/api/v1/keys/lookup", "/api/v1/users",
	"/api/v1/leaks", "/api/v1/me/keys", "/api/v1/revocations/snapshot", "/api/v1/nothing", "/account/keys", "/oauth/token", "/introspect", "/revoke", "/userinfo", "/authorize", "/end_session", "/login", "/consent", "/logout", "/setup",
	"/", "/nothing", "/.well-known/openid-configuration", "/healthz", "/metrics",
}

// posted are the doors that take POST only, or show a form for GET.
var posted = []string{"/api/v1/leaks", "/api/v1/keys/verify", "/api/v1/keys/verify-batch", "/api/v1/keys/lookup", "/oauth/token", "/introspect", "/revoke", "/login", "/setup"}

// forms show again what somebody typed into the wrong field, to them.
var forms = []string{"/login", "/setup", "/authorize"}

// carriers is every way to send a secret along with a request. The URL comes last: after it a
// key is revoked.
var carriers = []struct {
	name string
	put  func(r *http.Request, secret string)
}{
	{"ApiKey", func(r *http.Request, s string) { r.Header.Set("Authorization", "ApiKey "+s) }},
	{"Bearer", func(r *http.Request, s string) { r.Header.Set("Authorization", "Bearer "+s) }},
	{"Basic", func(r *http.Request, s string) { r.SetBasicAuth("robot", s) }},
	{"Basic, by its id", func(r *http.Request, s string) { r.SetBasicAuth(s, s) }},
	{"no scheme", func(r *http.Request, s string) { r.Header.Set("Authorization", s) }},
	{"another scheme", func(r *http.Request, s string) { r.Header.Set("Authorization", s+" "+s) }},
	{"two", func(r *http.Request, s string) {
		r.Header.Set("Authorization", "ApiKey "+s)
		r.Header.Set("X-API-Key", s)
	}},
	{"cookies", func(r *http.Request, s string) { r.Header.Set("Cookie", "mintmark_session="+s+"; other="+s) }},
	{"fields that are for something else", func(r *http.Request, s string) {
		for _, name := range []string{"X-Request-Id", "User-Agent", "Referer", "Origin", "X-Forwarded-For", "X-Forwarded-Proto", "Accept-Language", "If-None-Match", "X-Auth-Want-Scope", "X-Auth-Subject", s} {
			r.Header.Set(name, s)
		}
	}},
	{"a media type", func(r *http.Request, s string) { r.Header.Set("Content-Type", s) }},
	{"a form", func(r *http.Request, s string) {
		form := url.Values{}
		for _, name := range []string{"token", "client_secret", "client_id", "code", "refresh_token", "subject_token", "password", "username", "request", "grant_type", s} {
			form.Set(name, s)
		}
		body(r, "application/x-www-form-urlencoded", form.Encode())
	}},
	{"a grant", func(r *http.Request, s string) {
		body(r, "application/x-www-form-urlencoded", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s}, "client_id": {"x"}, "client_secret": {s}}.Encode())
	}},
	{"JSON", func(r *http.Request, s string) {
		body(r, "application/json", `{"key":"`+s+`","found":"`+s+`","`+s+`":"`+s+`"}`)
	}},
	{"a question", func(r *http.Request, s string) { body(r, "application/json", `{"key":"`+s+`","scope":"`+s+`"}`) }},
	{"JSON of another form", func(r *http.Request, s string) { body(r, "application/json", `["`+s+`"`) }},
	{"a method", func(r *http.Request, s string) { r.Method = strings.Map(letter, s) }},
	{"the query", func(r *http.Request, s string) {
		r.URL.RawQuery = url.Values{"api_key": {s}, "access_token": {s}, s: {s}}.Encode()
	}},
	{"the query, raw", func(r *http.Request, s string) { r.URL.RawQuery = s }},
	{"the query, encoded twice", func(r *http.Request, s string) { r.URL.RawQuery = "next=" + url.QueryEscape("/?x="+encoded(s)) }},
	{"the path", func(r *http.Request, s string) { r.URL.Path += "/" + s }},
	{"what a proxy tells of the address", func(r *http.Request, s string) {
		for _, name := range []string{"X-Original-Uri", "X-Forwarded-Uri", "X-Original-Method"} {
			r.Header.Set(name, "/docs?x="+s)
		}
	}},
	{"what a proxy tells of the address, encoded twice", func(r *http.Request, s string) {
		for _, name := range []string{"X-Original-Uri", "X-Forwarded-Uri"} {
			r.Header.Set(name, "/docs/"+url.PathEscape(encoded(s))+"?x="+url.QueryEscape(encoded(s)))
		}
	}},
}

// encoded is a text with every underscore percent-encoded, so that nothing that looks for the
// beginning of a key finds it.
func encoded(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "_", "%5F") }

func letter(c rune) rune {
	if strings.ContainsRune("_-.", c) || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return c
	}
	return 'x'
}

func body(r *http.Request, kind, text string) {
	r.Header.Set("Content-Type", kind)
	r.Method = "POST"
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
}

// Whatever is shown at whatever door, and however: no secret is in the log at its most talkative, in
// the audit log, in the metrics or in an answer, and nothing breaks.
func TestNoSecretIsWrittenDown(t *testing.T) {
	op := conformance.Start(t, "", "--log-level", "debug")
	op.AddPerson("ada@example.com")
	robot := op.Do("services", "add", "robot")["id"].(string)
	key := op.Do("keys", "add", "reader", "--owner", robot, "--scope", "docs:read")["key"].(string)
	app := op.AddClient("app", "service", "--scope", "a")
	opaque := op.AddClient("opaque", "service", "--scope", "a", "--access-token", "opaque")
	admin, err := os.ReadFile(filepath.Join(op.Data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"API key": key, "client secret": app.Secret, "JWT": own(t, op, app), "opaque token": own(t, op, opaque), "session": session(t, op),
	}
	mangled := map[string]string{
		"key cut off": key[:40], "key with another end": key[:len(key)-1] + "_", "key without its beginning": key[6:], "key in capitals": strings.ToUpper(key),
		"a refresh token that is none": "mm_rt_" + key[6:], "a password": conformance.Password + " " + conformance.Password,
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	requests := 0
	knock := func(doors []string, what, secret string) {
		for _, c := range carriers {
			for _, door := range doors {
				method := "GET"
				if slices.Contains(posted, door) {
					method = "POST"
				}
				r, err := http.NewRequest(method, op.Issuer+door, nil)
				if err != nil {
					t.Fatal(err)
				}
				c.put(r, secret)
				if strings.Contains(secret, " ") { // which is no token, and could not be sent
					r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, " ", "+")
					delete(r.Header, secret)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatalf("%s, %s as %s: %s", door, what, c.name, strings.ReplaceAll(err.Error(), secret, "SECRET"))
				}
				requests++
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode >= 500 {
					t.Errorf("%s, %s as %s: %d %v", door, what, c.name, resp.StatusCode, err)
				}
				if strings.Contains(string(text), secret) && !slices.Contains(forms, door) {
					t.Errorf("%s, %s as %s: the answer repeats it", door, what, c.name)
				}
			}
		}
	}
	for what, secret := range secrets {
		knock(doors, what, secret)
	}
	for what, secret := range mangled {
		knock(doors[:10], what, secret)
	}

	maps.Copy(secrets, mangled)
	secrets["admin key"] = strings.TrimSpace(string(admin))
	cmd := exec.Command(conformance.Program(t), "audit", "list", "--output", "json", "--data", op.Data)
	cmd.Env = conformance.Environment()
	audit, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(op.Address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	log := op.Log()
	if n := strings.Count(log, `"msg":"request"`) + strings.Count(log, "msg=request"); n < requests {
		t.Errorf("%d requests were sent, and the log has %d: the test looks in the wrong place", requests, n)
	}
	if !strings.Contains(string(audit), "key.leak") || !strings.Contains(string(metrics), "mintmark_http_requests_total") {
		t.Errorf("the audit log or the metrics are not what the test thinks: %.300s", audit)
	}
	for where, text := range map[string]string{"log": log, "audit log": string(audit), "metrics": string(metrics)} {
		for what, secret := range secrets {
			// The secret is towards the end of everything that we make, the checksum last.
			for _, part := range []string{secret, secret[max(0, len(secret)-20):], secret[len(secret)/2 : len(secret)/2+min(16, len(secret)/2)], base64.StdEncoding.EncodeToString([]byte(secret))[:20]} {
				if strings.Contains(text, part) {
					at := strings.Index(text, part)
					t.Errorf("%s is in the %s: …%s", what, where, strings.ReplaceAll(text[max(0, at-200):at], part, "SECRET"))
					break
				}
			}
		}
	}
}

// own gets an access token for a client itself.
func own(t *testing.T, op *conformance.Server, c conformance.Client) string {
	t.Helper()
	r, err := http.NewRequest("POST", op.Issuer+"/oauth/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.ID, c.Secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || answer.AccessToken == "" {
		t.Fatal("no access token")
	}
	return answer.AccessToken
}

// session signs in, and returns the cookie.
func session(t *testing.T, op *conformance.Server) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	resp, err := browser.Get(op.Issuer + "/login")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"username": {"ada@example.com"}, "password": {conformance.Password}}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		form.Set(m[1], m[2])
	}
	if resp, err = browser.PostForm(op.Issuer+"/login", form); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	at, err := url.Parse(op.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range jar.Cookies(at) {
		if strings.HasSuffix(c.Name, "mintmark_session") {
			return c.Value
		}
	}
	t.Fatal("no session")
	return ""
}
