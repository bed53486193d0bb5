package admin_test

import (
	"strings"
	"testing"
)

func TestBadInput(t *testing.T) {
	op := onSQLite(t)
	op.addUser("taken@example.com")
	app := op.does("POST", "/clients", map[string]any{"client_name": "app", "client_type": "service"})["client_id"].(string)
	for _, tt := range []struct {
		name         string
		status       int
		code         string
		method, path string
		body         any
		detail       string // somewhere in the answer
		headers      []string
	}{
		{"an address that is not there", 404, "not_found", "GET", "/usres", nil, "openapi.json", nil},
		{"a slash too many", 404, "not_found", "GET", "/users//", nil, "", nil},
		{"a way out", 404, "not_found", "GET", "/users/../clients/x/y", nil, "", nil},
		{"RFC 9110 15.5.6, another method", 405, "method_not_allowed", "PUT", "/users", "{}", "GET, POST", nil},
		{"another type of body", 415, "unsupported_media_type", "POST", "/users", "email=x", "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"no body", 400, "bad_request", "POST", "/users", nil, "body is required", nil},
		{"a body that breaks off", 400, "bad_request", "POST", "/users", `{"email": "a@b.c"`, "unexpected end", nil},
		{"two documents", 400, "bad_request", "POST", "/users", `{"email": "a@b.c"}{}`, "", nil},
		{"a body that is too long", 413, "too_large", "POST", "/users", `{"name": "` + strings.Repeat("x", 300<<10) + `"}`, "256 KiB", nil},
		{"not an object", 422, "invalid", "POST", "/users", `[]`, "expected object", nil},
		{"not UTF-8", 400, "bad_request", "POST", "/users", "{\"email\": \"a@b.c\", \"name\": \"\xff\"}", "not UTF-8", nil},
		{"a NUL", 400, "bad_request", "POST", "/users", `{"email": "a@b.c", "name": "a\u0000b"}`, "NUL", nil},
		{"a NUL in a name", 400, "bad_request", "POST", "/users", `{"email": "a@b.c", "claims": {"a\u0000b": 1}}`, "NUL", nil},
		{"a member twice", 400, "bad_request", "POST", "/users", `{"email": "a@b.c", "email": "b@b.c"}`, "repeats a member: email", nil},
		{"a member twice, below", 400, "bad_request", "POST", "/users", `{"email": "a@b.c", "claims": {"nickname": "a", "nickname": "b"}}`, "nickname", nil},
		{"nested too deeply", 400, "bad_request", "POST", "/users", `{"claims": ` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41), "nested", nil},
		{"a member that is missing", 422, "invalid", "POST", "/users", `{"name": "Ada"}`, "email", nil},
		{"a member that is not known", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "pasword": "x"}`, "did you mean password?", nil},
		{"a member in capitals", 422, "invalid", "POST", "/users", `{"Email": "a@b.c"}`, "did you mean email?", nil},
		{"a member of another kind", 422, "invalid", "POST", "/clients", `{"client_name": "x", "redirect_uri": "https://x.example"}`, "did you mean redirect_uris?", nil},
		{"a claim that is not known", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "claims": {"birthday": "1815-12-10"}}`, "birthdate", nil},
		{"a value of another type", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "email_verified": "yes"}`, "email_verified", nil},
		{"an address that is none", 422, "invalid", "POST", "/users", `{"email": "nobody"}`, "email", nil},
		{"an address that is taken", 409, "exists", "POST", "/users", `{"email": "TAKEN@example.com"}`, "email", nil},
		{"an id that is taken", 409, "exists", "POST", "/clients", map[string]any{"client_id": app, "client_name": "x", "client_type": "service"}, "client_id", nil},
		{"a weak password", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "password": "short"}`, "password", nil},
		{"a hash that is none", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "password_hash": "md5:x"}`, "password_hash", nil},
		{"a role that is none", 422, "invalid", "POST", "/users", `{"email": "a@b.c", "role": "root"}`, "role", nil},
		{"null where nothing can be taken away", 422, "invalid", "PATCH", "/users/x", `{"name": null}`, "leave it out", nil},
		{"nobody", 404, "not_found", "GET", "/users/usr_nobody", nil, "no such user", nil},
		{"nobody, changed", 404, "not_found", "PATCH", "/users/usr_nobody", `{"name": "x"}`, "no such user", nil},
		{"nobody's sessions", 404, "not_found", "GET", "/users/usr_nobody/sessions", nil, "no such user", nil},
		{"nobody's sessions, ended", 404, "not_found", "DELETE", "/users/usr_nobody/sessions", nil, "no such user", nil},
		{"no client", 404, "not_found", "DELETE", "/clients/cli_nobody", nil, "no such client", nil},
		{"no session", 404, "not_found", "DELETE", "/sessions/ses_nobody", nil, "no such session", nil},
		{"no key", 404, "not_found", "POST", "/signing-keys/nothing/revoke", nil, "no such signing key", nil},
		{"no grant", 404, "not_found", "DELETE", "/grants/usr_a:cli_b", nil, "no such grant", nil},
		{"no grant, by nonsense", 404, "not_found", "DELETE", "/grants/nonsense", nil, "no such grant", nil},
		{"a redirect that can't be compared", 422, "invalid", "POST", "/clients", `{"client_name": "x", "redirect_uris": ["https://x.example/*"]}`, "redirect_uris", nil},
		{"an unknown type of client", 422, "invalid", "POST", "/clients", `{"client_name": "x", "client_type": "toaster"}`, "client_type", nil},
		{"a type that changes", 422, "invalid", "PATCH", "/clients/" + app, `{"client_type": "web"}`, "client_type", nil},
		{"an id that changes", 422, "invalid", "PATCH", "/clients/" + app, `{"client_id": "other"}`, "client_id", nil},
		{"a secret of a few letters", 422, "invalid", "POST", "/clients", `{"client_name": "x", "client_type": "service", "client_secret": "short"}`, "client_secret", nil},
		{"an overlap of years", 422, "invalid", "POST", "/clients/" + app + "/secrets", `{"overlap_seconds": 99999999}`, "overlap_seconds", nil},
		{"an unknown ring", 422, "invalid", "POST", "/signing-keys/rotate", `{"alg": "HS256"}`, "alg", nil},
		{"a parameter twice", 400, "bad_request", "GET", "/users?limit=1&limit=2", nil, "limit", nil},
		{"a parameter that is not known", 422, "invalid", "GET", "/users?limits=1", nil, "did you mean limit?", nil},
		{"a parameter that is no number", 422, "invalid", "GET", "/users?limit=many", nil, "limit", nil},
		{"a page of nothing", 422, "invalid", "GET", "/users?limit=0", nil, "limit", nil},
		{"a page of everything", 422, "invalid", "GET", "/users?limit=501", nil, "limit", nil},
		{"a NUL in the query", 400, "bad_request", "GET", "/users?email=a%00b", nil, "NUL", nil},
		{"a query that is not encoded", 400, "bad_request", "GET", "/users?email=%zz", nil, "percent", nil},
		{"a NUL in the path", 400, "bad_request", "GET", "/users/a%00b", nil, "", nil},
		{"a path that is not UTF-8", 400, "bad_request", "GET", "/users/%ff", nil, "", nil},
		{"a path without an end", 400, "bad_request", "GET", "/users/" + strings.Repeat("x", 3000), nil, "too long", nil},
		{"a name without an end", 422, "invalid", "GET", "/users/" + strings.Repeat("x", 300), nil, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			op.t = t
			a := op.refuses(tt.status, tt.code, tt.method, tt.path, tt.body, tt.headers...)
			if !strings.Contains(a.text, tt.detail) {
				t.Errorf("the answer does not speak of %q: %s", tt.detail, a.text)
			}
			if detail, _ := a.body["detail"].(string); detail == "" || len(detail) > 400 {
				t.Errorf("the answer does not say in a sentence what is wrong: %s", a.text)
			}
		})
	}
	op.t = t
	if users, _ := op.items("/users", "10"); len(users) != 1 {
		t.Errorf("a refusal changed something: %v", users)
	}
	if clients, _ := op.items("/clients", "10"); len(clients) != 1 {
		t.Errorf("a refusal changed something: %v", clients)
	}
	if strings.Contains(op.log.String(), "level=ERROR") {
		t.Errorf("bad input is not a fault of ours: %s", op.log)
	}
}

func TestMethodsAreNamed(t *testing.T) {
	op := onSQLite(t)
	a := op.refuses(405, "method_not_allowed", "POST", "/users/x", "{}")
	if got := a.header.Get("Allow"); got != "GET, PATCH, DELETE" {
		t.Errorf("Allow is %q", got)
	}
	if a := op.ask("HEAD", "/users", nil); a.status != 200 || a.text != "" {
		t.Errorf("HEAD: %d %q", a.status, a.text)
	}
}

// The library's own refusals repeat the value that they refuse.
func TestARefusalNeverRepeatsAValue(t *testing.T) {
	op := onSQLite(t)
	id := op.addUser("ada@example.com")
	for path, body := range map[string]string{
		"POST /users":                         `{"email": "a@b.c", "password": ["hunter2hunter2"]}`,
		"POST /users ":                        `{"email": "a@b.c", "password": "hunter2hunter2" "x"}`,
		"POST /users  ":                       `{"email": "hunter2hunter2"}`,
		"POST /users   ":                      `{"email": "a@b.c", "password": "hunter2"}`,
		"POST /users    ":                     `{"email": "a@b.c", "password_hash": "hunter2hunter2"}`,
		"PUT /users/" + id + "/password":      `{"password": "hunter2", "x": 1}`,
		"POST /clients":                       `{"client_name": "x", "client_secret": {"hunter2hunter2": 1}}`,
		"POST /clients ":                      `{"client_name": "x", "client_type": "spa", "redirect_uris": ["https://x.example"], "client_secret": "hunter2hunter2"}`,
		"POST /clients  ":                     `{"client_name": "x", "consent": "hunter2"}`,
		"GET /users?limit=hunter2":            ``,
		"GET /users?after=hunter2":            ``,
		"POST /signing-keys/rotate":           `{"alg": "hunter2"}`,
		"DELETE /users/hunter2hunter2hunter2": ``,
	} {
		method, path, _ := strings.Cut(path, " ")
		var in any
		if body != "" {
			in = body
		}
		a := op.ask(method, strings.TrimRight(path, " "), in)
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s %s %s: %d", method, path, body, a.status)
		}
		if strings.Contains(a.text, "hunter2") {
			t.Errorf("%s %s repeats what was sent: %s", method, path, a.text)
		}
	}
}

// The database is away, or was taken away while a change was on its way.
func TestAFaultOfOurs(t *testing.T) {
	op := onSQLite(t)
	op.db.Close()
	for _, path := range []string{"GET /users", "POST /users", "DELETE /clients/x", "POST /signing-keys/rotate"} {
		method, path, _ := strings.Cut(path, " ")
		a := op.refuses(503, "unavailable", method, path, nil)
		if a.header.Get("Retry-After") == "" || strings.Contains(a.text, "sql") || strings.Contains(a.text, "storage") {
			t.Errorf("%s %s tells of the inside, or not when to come again: %s %v", method, path, a.text, a.header)
		}
	}
	if !strings.Contains(op.log.String(), "req_1") {
		t.Errorf("the log does not have it: %s", op.log)
	}
}
