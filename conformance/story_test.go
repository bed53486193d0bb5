package conformance_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// story tells a story on SQLite and on PostgreSQL, each with a server of its own.
func story(t *testing.T, tell func(*testing.T, *conformance.Server)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { tell(t, conformance.Start(t, "")) })
	t.Run("postgres", func(t *testing.T) { tell(t, conformance.Start(t, storagetest.Postgres(t))) })
}

const (
	back     = "https://app.example/callback"
	verifier = "a-code-verifier-of-at-least-forty-three-characters-long"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// An app is an application in a story.
type app struct {
	conformance.Client
	op *conformance.Server
	t  *testing.T
}

var serial atomic.Int64

// newApp registers an application of its own for this part of a story.
func newApp(t *testing.T, op *conformance.Server, kind string, flags ...string) app {
	t.Helper()
	if kind != "service" {
		flags = append([]string{"--redirect", back, "--post-logout-redirect", "https://app.example/bye",
			"--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "address", "--scope", "phone",
			"--scope", "offline_access"}, flags...)
	}
	return app{Client: op.AddClient(fmt.Sprintf("App %d", serial.Add(1)), kind, flags...), op: op, t: t}
}

// newPerson makes an account and sits it down at a fresh browser.
func newPerson(t *testing.T, op *conformance.Server) (*conformance.Person, string) {
	t.Helper()
	email := fmt.Sprintf("person%d@example.com", serial.Add(1))
	sub := op.AddPerson(email)
	return conformance.NewPerson(t, email), sub
}

// with changes parameters: name and value in turn; the value "-" leaves the parameter out.
func with(values url.Values, changes ...string) url.Values {
	for i := 0; i+1 < len(changes); i += 2 {
		switch {
		case changes[i] == "":
		case changes[i+1] == "-":
			values.Del(changes[i])
		default:
			values.Set(changes[i], changes[i+1])
		}
	}
	return values
}

// request is the address of a good authorization request, with changes.
func (a app) request(changes ...string) string {
	values := url.Values{"client_id": {a.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"some state"}, "nonce": {"some-nonce"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	return a.op.Issuer + "/authorize?" + with(values, changes...).Encode()
}

// code signs a person in and returns the code that comes back.
func (a app) code(p *conformance.Person, changes ...string) string {
	a.t.Helper()
	page := p.SignIn(a.request(changes...))
	code := page.URL.Query().Get("code")
	if code == "" {
		a.t.Fatalf("no code at %s (%d): %.300s", page.URL, page.Status, page.Body)
	}
	return code
}

// An answer is what an endpoint said.
type answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (a answer) str(name string) string { s, _ := a.JSON[name].(string); return s }

// what is "ok" or the error code.
func (a answer) what() string {
	if a.Status == http.StatusOK {
		return "ok"
	}
	if code := a.str("error"); code != "" {
		return code
	}
	return fmt.Sprint(a.Status)
}

var plain = &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := plain.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	json.Unmarshal(body, &got.JSON) // not everything is JSON; a story that needs it looks at JSON
	if got.Status >= 500 {
		t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, got.Status, body)
	}
	return got
}

func post(t *testing.T, address string, form url.Values, edit ...func(*http.Request)) answer {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range edit {
		f(r)
	}
	return do(t, r)
}

// asItself authenticates the application with HTTP Basic, if it has a secret.
func (a app) asItself(r *http.Request) {
	if a.Secret != "" {
		r.SetBasicAuth(url.QueryEscape(a.ID), url.QueryEscape(a.Secret))
	}
}

// token asks the token endpoint.
func (a app) token(form url.Values) answer {
	a.t.Helper()
	if a.Secret == "" && !form.Has("client_id") {
		form.Set("client_id", a.ID)
	}
	return post(a.t, a.op.Address+"/oauth/token", form, a.asItself)
}

// redeem exchanges a code, with changes.
func (a app) redeem(code string, changes ...string) answer {
	a.t.Helper()
	return a.token(with(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back},
		"code_verifier": {verifier}}, changes...))
}

// refresh uses a refresh token, with changes.
func (a app) refresh(token string, changes ...string) answer {
	a.t.Helper()
	return a.token(with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, changes...))
}

// tokens signs a person in and returns the tokens.
func (a app) tokens(p *conformance.Person, changes ...string) answer {
	a.t.Helper()
	got := a.redeem(a.code(p, changes...))
	if got.Status != 200 {
		a.t.Fatalf("the code bought nothing: %d %s", got.Status, got.Body)
	}
	return got
}

// userinfo shows an access token.
func (a app) userinfo(token string) answer {
	a.t.Helper()
	r, err := http.NewRequest("GET", a.op.Address+"/userinfo", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return do(a.t, r)
}

// introspect asks about a token.
func (a app) introspect(token string) answer {
	a.t.Helper()
	return post(a.t, a.op.Address+"/introspect", url.Values{"token": {token}}, a.asItself)
}

// revoke gives a token back.
func (a app) revoke(token string) answer {
	a.t.Helper()
	form := url.Values{"token": {token}}
	if a.Secret == "" {
		form.Set("client_id", a.ID)
	}
	return post(a.t, a.op.Address+"/revoke", form, a.asItself)
}

// claims reads a JWT without verifying it; verification is told elsewhere.
func claims(t *testing.T, jwt string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	for i, into := range []*map[string]any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}
