package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/issuer"
)

// A browser goes through a whole sign-in, an application through everything that it can do with
// it, and every credential on the way is noted. None of them may be in the log.
func TestNoCredentialReachesTheLog(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	at := "http://" + server.Listener.Addr().String()
	s, l := start(t, func(c *Config) { c.Issuer = at })
	server.Config.Handler = s.Handler()
	server.Start()
	defer server.Close()

	const password = "correct horse battery staple"
	if _, err := s.directory.Add(t.Context(), accounts.New{Email: "ada@example.com", Password: password, Verified: true}); err != nil {
		t.Fatal(err)
	}
	client, clientSecret, err := s.provider.Register(issuer.Client{
		Name: "App", Type: "web", RedirectURIs: []string{"https://app.example/callback"}, Scopes: []string{"openid", "offline_access"},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Registry().AddClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host == "app.example" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	visit := func(method, address string, form url.Values) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	fields := func(page string, more ...string) url.Values {
		form := url.Values{}
		for _, m := range hidden.FindAllStringSubmatch(page, -1) {
			form.Set(m[1], html.UnescapeString(m[2]))
		}
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	var credentials []string
	note := func(all ...string) { credentials = append(credentials, all...) }

	verifier := strings.Repeat("v", 43)
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {client.ID}, "redirect_uri": {"https://app.example/callback"}, "response_type": {"code"}, "scope": {"openid offline_access"},
		"state": {"state-of-the-application"}, "nonce": {"nonce-of-the-application"}, "prompt": {"consent"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	resp, page := visit("GET", at+"/authorize?"+q.Encode(), nil)
	form := fields(page, "username", "ada@example.com", "password", "a wrong password")
	note(form.Get("request"))
	visit("POST", resp.Request.URL.String(), form)
	form.Set("password", password)
	resp, page = visit("POST", resp.Request.URL.String(), form)
	if !strings.Contains(page, "consent-approve") {
		t.Fatalf("no consent page: %d %s %.300s\n%s", resp.StatusCode, resp.Request.URL, page, l)
	}
	button := regexp.MustCompile(`<button[^>]*id="consent-approve"[^>]*>`).FindString(page)
	form = fields(page)
	if m := regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindStringSubmatch(button); m != nil {
		form.Set(m[1], m[2])
	}
	resp, page = visit("POST", resp.Request.URL.String(), form)
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("not sent back: %d %.300s\n%s", resp.StatusCode, page, l)
	}
	code := back.Query().Get("code")

	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+clientSecret.Reveal()))
	post := func(path, authorization string, form url.Values) map[string]any {
		t.Helper()
		r, err := http.NewRequest("POST", at+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", authorization)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		json.NewDecoder(resp.Body).Decode(&answer)
		return answer
	}
	spend := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://app.example/callback"}, "code_verifier": {verifier}}
	tokens := post("/oauth/token", basic, spend)
	str := func(m map[string]any, name string) string { v, _ := m[name].(string); return v }
	access, refresh, id := str(tokens, "access_token"), str(tokens, "refresh_token"), str(tokens, "id_token")
	if access == "" || refresh == "" || id == "" {
		t.Fatalf("not every token came: %v\n%s", tokens["error_description"], l)
	}
	tokens = post("/oauth/token", basic, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	access2, refresh2 := str(tokens, "access_token"), str(tokens, "refresh_token")
	if refresh2 == "" {
		t.Fatalf("no second refresh token: %v\n%s", tokens, l)
	}
	post("/userinfo", "Bearer "+access, nil)
	post("/introspect", basic, url.Values{"token": {access2}})
	post("/introspect", basic, url.Values{"token": {refresh2}})
	post("/revoke", basic, url.Values{"token": {refresh2}})
	post("/oauth/token", basic, spend) // once more: refused, and everything is revoked
	post("/oauth/token", basic+"x", spend)
	post("/oauth/token", "", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {client.ID}, "client_secret": {clientSecret.Reveal() + "x"}})
	post("/userinfo", "Bearer "+access2, nil)
	visit("GET", at+"/end_session?id_token_hint="+id, nil)
	for _, c := range jar.Cookies(mustURL(t, at)) {
		note(c.Value)
	}
	note(password, "a wrong password", code, clientSecret.Reveal(), strings.TrimPrefix(basic, "Basic "), verifier, access, refresh, id, access2, refresh2,
		"state-of-the-application", "nonce-of-the-application")

	written := l.String()
	if n := strings.Count(written, `"msg":"request"`); n < 15 {
		t.Fatalf("only %d requests are in the log: the test looks in the wrong place", n)
	}
	for _, c := range credentials {
		// The last characters are the secret ones in every kind of credential that we make.
		for _, part := range []string{c, c[max(0, len(c)-20):]} {
			if part != "" && strings.Contains(written, part) {
				t.Errorf("a credential is in the log: %s…", part[:min(8, len(part))])
			}
		}
	}
	if strings.Contains(written, "ada@example.com") {
		t.Error("an e-mail address is in the log")
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
