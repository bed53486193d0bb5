package examples_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mintmark/conformance"
)

// TestNginx runs Debian's nginx with the configuration of the example, but for its ports.
func TestNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // which is not in everybody's path
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
			t.Fatal("nginx is missing: apt-get install nginx")
		}
		t.Skip("nginx is missing: apt-get install nginx")
	}
	op := conformance.Start(t, "")
	robot := op.Do("services", "add", "robot")["id"].(string)
	add := func(name string, flags ...string) (id, key string) {
		made := op.Do(append([]string{"keys", "add", name, "--owner", robot}, flags...)...)
		return made["id"].(string), made["key"].(string)
	}
	id, key := add("reader", "--scope", "docs:read")
	_, other := add("other", "--scope", "docs:write")
	_, limited := add("limited", "--scope", "docs:read", "--rate-limit", "1/h")
	leakedID, leaked := add("leaked", "--scope", "docs:read")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(r.Header) // what the service behind it gets
	}))
	defer service.Close()
	site := nginx(t, program, strings.TrimPrefix(op.Issuer, "http://"), strings.TrimPrefix(service.URL, "http://"))

	ask := func(method, path string, header ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, site+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
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
	for _, tt := range []struct {
		name, path string
		header     []string
		want       int
		challenge  string
	}{
		{"who may read reads", "/", []string{"Authorization", "ApiKey " + key}, 200, ""},
		{"a key as Bearer", "/index.html", []string{"Authorization", "Bearer " + key}, 200, ""},
		{"a query of the client's is not ours", "/?scope=nothing&audience=x", []string{"Authorization", "ApiKey " + key}, 200, ""},
		{"nobody", "/", nil, 401, "Bearer"},
		{"nobody who says that they are somebody", "/", []string{"X-Auth-Subject", "root"}, 401, "Bearer"},
		{"a key changed on the way", "/", []string{"Authorization", "ApiKey " + key[:len(key)-1] + "_"}, 401, "Bearer"},
		{"a scope is missing", "/", []string{"Authorization", "ApiKey " + other}, 403, `scope="docs:read"`},
		{"two credentials", "/", []string{"Authorization", "ApiKey " + key, "X-API-Key", key}, 400, ""},
		{"within the limit", "/", []string{"Authorization", "ApiKey " + limited}, 200, ""},
		{"over the limit", "/", []string{"Authorization", "ApiKey " + limited}, 429, ""},
		{"a key in the address", "/?api_key=" + leaked, nil, 400, ""},
		{"a key that was in an address", "/", []string{"Authorization", "ApiKey " + leaked}, 401, ""},
		{"the way to us is not for clients", "/_mintmark", []string{"Authorization", "ApiKey " + key}, 404, ""},
	} {
		resp, body := ask("GET", tt.path, tt.header...)
		if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != tt.want || !strings.Contains(challenge, tt.challenge) {
			t.Errorf("%s: %d, challenge %q", tt.name, resp.StatusCode, challenge)
		}
		if strings.Contains(body, "Handbook") != (tt.want == 200) {
			t.Errorf("%s: the site is %q", tt.name, body)
		}
		if tt.want == 429 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tt.name)
		}
	}
	if k := op.Do("keys", "get", leakedID); k["status"] != "leaked" {
		t.Errorf("the key that was in an address is %v", k["status"])
	}

	// The service hears who it is from us, whatever the client says, and does not get the key.
	resp, body := ask("POST", "/app/x", "Authorization", "ApiKey "+key, "X-Auth-Subject", "root", "X-Auth-Token", "forged", "X-Auth-Scopes", "all", "Cookie", "a=b")
	var got http.Header
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got.Get("X-Auth-Subject") != robot || got.Get("X-Auth-Client") != id || got.Get("X-Auth-Method") != "api-key" || got.Get("X-Auth-Scopes") != "docs:read" ||
		got.Get("X-Auth-Token") != "" || got.Get("Authorization") != "" || got.Get("Cookie") != "" || strings.Contains(body, "root") {
		t.Errorf("the service gets %v", got)
	}
}

// nginx runs the example between the issuer and the service, and returns its address.
func nginx(t *testing.T, program, issuer, service string) string {
	t.Helper()
	text, err := os.ReadFile("nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	here := free(t)
	config := strings.NewReplacer("server 127.0.0.1:8080", "server "+issuer, "listen 127.0.0.1:8081", "listen "+here,
		"http://127.0.0.1:8082", "http://"+service).Replace(string(text))
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "site"), os.DirFS("nginx/site")); err != nil {
		t.Fatal(err)
	}
	// nginx lays down its rights if it is root: then its workers must still find the site.
	for _, name := range []string{dir, filepath.Dir(dir), filepath.Join(dir, "site")} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr"), here)
}
