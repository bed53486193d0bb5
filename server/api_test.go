package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mintmark/admin"
	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// Whatever goes wrong below /api/v1, and whoever notices, the answer is a problem document
// (RFC 9457) with the id of the request.
func TestTheAPIAnswersInProblemsOnly(t *testing.T) {
	s, _ := start(t)
	long := `{"name": "` + strings.Repeat("x", admin.MaxBody) + `"}`
	for _, tt := range []struct {
		name, method, path string
		body               string
		length             bool // is said
		status             int
		code               string
	}{
		{"no key", "GET", "/api/v1/users", "", true, 401, "unauthenticated"},
		{"an unknown address", "GET", "/api/v1/nothing", "", true, 404, "not_found"},
		{"the root", "GET", "/api/v1/", "", true, 404, "not_found"},
		{"the root without its slash", "GET", "/api/v1", "", true, 404, "not_found"},
		{"a way out", "GET", "/api/v1/../x", "", true, 404, "not_found"},
		{"two slashes", "GET", "/api/v1//users", "", true, 404, "not_found"},
		{"a control character", "GET", "/api/v1/users/\x01", "", true, 400, "bad_request"},
		{"another method", "PUT", "/api/v1/users", "{}", true, 405, "method_not_allowed"},
		{"a preflight", "OPTIONS", "/api/v1/users", "", true, 405, "method_not_allowed"},
		{"a method of another protocol", "BREW", "/api/v1/users", "", true, 405, "method_not_allowed"},
		{"a body that says that it is too long", "POST", "/api/v1/users", long, true, 413, "too_large"},
	} {
		r := httptest.NewRequest(tt.method, "http://localhost:8080/", strings.NewReader(tt.body))
		r.URL.Path, r.RequestURI = tt.path, tt.path
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		problem(t, tt.name, w.Result(), tt.status, tt.code)
		if allow := w.Header().Get("Allow"); tt.status == 405 && allow != "GET, POST" {
			t.Errorf("%s: Allow is %q", tt.name, allow)
		}
	}

	key := adminKey(t, s)
	r := httptest.NewRequest("POST", "http://localhost:8080/api/v1/users", strings.NewReader(long))
	r.RemoteAddr = "127.0.0.1:1"
	r.ContentLength = -1 // it turns out while it is read
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "ApiKey "+key)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	problem(t, "a body that turns out to be too long", w.Result(), 413, "too_large")
}

// The database goes away under a running server: that passes, and the API says so.
func TestWithoutTheDatabaseTheAPIIsUnavailable(t *testing.T) {
	s, _ := start(t)
	key := adminKey(t, s)
	s.db.Close()
	resp := ask(s, "GET", "/api/v1/users", "", "Authorization", "ApiKey "+key)
	problem(t, "the database is away", resp, 503, "unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to come again")
	}
}

func problem(t *testing.T, name string, resp *http.Response, status int, code string) {
	t.Helper()
	var p admin.Problem
	body := text(t, resp)
	if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" || json.Unmarshal([]byte(body), &p) != nil {
		t.Errorf("%s: not a problem document: %s %s", name, kind, body)
		return
	}
	if resp.StatusCode != status || p.Status != status || p.Code != code || p.Detail == "" ||
		p.RequestID == "" || p.RequestID != resp.Header.Get("X-Request-Id") {
		t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, body, status, code)
	}
}

func adminKey(t *testing.T, s *Server) string {
	t.Helper()
	_, key, err := s.apiKeys.Make(t.Context(), apikeys.New{
		Kind: secret.KindOrganizationKey, OwnerType: "instance", Name: "test", Scopes: apikeys.AdminScopes(), Forever: true,
	}, apikeys.By{})
	if err != nil {
		t.Fatal(err)
	}
	return key.Reveal()
}
