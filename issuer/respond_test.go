package issuer

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestResponse(t *testing.T) {
	p := &Provider{Config: Config{Issuer: "https://op.example"}}
	state := `a b&c=d+ä"<>` + strings.Repeat("s", 2048)
	w := httptest.NewRecorder()
	q := &request{Redirect: "https://app.example/cb?foo=bar", Mode: "query", State: state}
	if err := p.respond(w, q, pair{"code", "the+code"}); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"foo": "bar", "code": "the+code", "state": state, "iss": "https://op.example"} {
		if got := to.Query(); got.Get(name) != want || len(got) != 4 {
			t.Errorf("%s is %q", name, got.Get(name))
		}
	}
	if w.Code != 303 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%d %v", w.Code, w.Header())
	}

	w = httptest.NewRecorder()
	q.State = ""
	p.respondError(w, q, &Error{Code: "invalid_request", Description: "a \"quoted\" thing\\ in\nÜ"})
	to, _ = url.Parse(w.Header().Get("Location"))
	if got := to.Query().Get("error_description"); got != "a _quoted_ thing_ in__" {
		t.Errorf("RFC 6749 4.1.2.1: the description is %q", got)
	}
	if to.Query().Has("state") || to.Query().Get("iss") == "" || to.Query().Get("error") != "invalid_request" {
		t.Errorf("%s", to)
	}
}

func TestFormPostPage(t *testing.T) {
	p := &Provider{Config: Config{Issuer: "https://op.example"}}
	w := httptest.NewRecorder()
	q := &request{Redirect: "https://app.example:8443/cb?a=1&b='%27", Mode: "form_post", State: `"><script>alert(1)</script>`}
	if err := p.respond(w, q, pair{"code", "abc"}); err != nil {
		t.Fatal(err)
	}
	body, csp := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for _, part := range []string{
		`<form method="post" action="https://app.example:8443/cb?a=1&amp;b=%27%27">`,
		`<input type="hidden" name="code" value="abc">`,
		`name="state" value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`,
		`name="iss" value="https://op.example"`, `<noscript>`, `<script>` + postScript + `</script>`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("Form Post 2: the page has no %s:\n%s", part, body)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("the state is a script")
	}
	if !strings.Contains(csp, "form-action https://app.example:8443 https: http:;") || !strings.Contains(csp, "script-src 'sha256-") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is %s", csp)
	}
	if w.Code != 200 || w.Header().Get("Location") != "" || w.Header().Get("Cache-Control") != "no-store" ||
		w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
