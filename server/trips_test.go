package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/storage/storagetest"
)

// A price is how often a request asks the database: round trips, and the statements in them.
type price struct{ trips, statements int64 }

// prices is what every request of an application or a person costs, once its client is known.
// It is exact, the same on both databases, and docs/operate/proof.md has it row by row. To
// make one dearer, change it here and there, and say why.
var prices = map[string]price{
	"JWKS, discovery, liveness":                       {0, 0},
	"client_credentials, JWT":                         {0, 0},
	"client_credentials, opaque":                      {1, 1},
	"a client that was not seen for a minute":         {1, 1},
	"a wrong secret, a token or code that is made up": {0, 0},

	"a token exchange, a key that was seen":                  {0, 0},
	"a token exchange, a key that was not seen for a minute": {1, 1},
	"a token exchange, a key that is forged":                 {0, 0},
	"client_credentials, with an API key":                    {0, 0},
	"introspection of an API key":                            {0, 0},
	"introspection of a token from an API key":               {1, 1},
	"userinfo, with a token from an API key":                 {1, 1},
	"forward auth and keys/verify, a key that was seen":      {0, 0},
	"forward auth, a token":                                  {1, 1},

	"a token of another issuer, of somebody who was here":         {4, 11},
	"a program's token, for a key that was seen":                  {2, 2},
	"a program's token that is reusable, for a key that was seen": {1, 1},
	"a token of another issuer that is not good":                  {0, 0},

	"an authorization request of a stranger":                 {0, 0},
	"the sign-in page of a request":                          {0, 0},
	"signing in":                                             {6, 7},
	"an authorization request that needs consent":            {2, 2},
	"the consent page":                                       {2, 2},
	"agreeing":                                               {2, 7},
	"an authorization request, signed in and agreed":         {3, 7},
	"an authorization request of a client that never asks":   {2, 4},
	"an authorization request with prompt=none, signed out":  {0, 0},
	"a code for tokens, JWT":                                 {2, 2},
	"a code for tokens, opaque":                              {2, 3},
	"a refresh, JWT":                                         {2, 2},
	"a refresh, opaque":                                      {2, 3},
	"the same refresh again, because its answer was lost":    {1, 1},
	"userinfo, JWT":                                          {1, 1},
	"userinfo, opaque":                                       {1, 1},
	"introspection of an access token, JWT":                  {1, 1},
	"introspection of an access token, opaque":               {1, 1},
	"introspection of a token of client_credentials":         {1, 1},
	"introspection of a refresh token":                       {1, 1},
	"revocation of an access token, JWT":                     {1, 2},
	"revocation of an access token, opaque":                  {2, 3},
	"revocation of a refresh token, and all that came of it": {2, 3},
	"signing out, with an ID token as hint":                  {2, 4},
}

// A meter counts what requests to a server cost.
type meter struct {
	t       *testing.T
	s       *Server
	cookies map[string]*http.Cookie
	seen    map[string]bool
}

// pay sends a request and compares its price with the one in the table.
func (m *meter) pay(name string, want int, method, target string, form url.Values, authorization ...string) *httptest.ResponseRecorder {
	m.t.Helper()
	trips, statements := m.s.db.Trips(), m.s.db.Statements()
	w := m.send(want, method, target, form, authorization...)
	got := price{m.s.db.Trips() - trips, m.s.db.Statements() - statements}
	if expected, ok := prices[name]; got != expected || !ok {
		m.t.Errorf("%s: %d round trips and %d statements, want %d and %d", name, got.trips, got.statements, expected.trips, expected.statements)
	}
	m.seen[name] = true
	return w
}

// send sends a request with the browser's cookies, or with an Authorization header and none.
func (m *meter) send(want int, method, target string, form url.Values, authorization ...string) *httptest.ResponseRecorder {
	m.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:1" // from elsewhere, a key in clear text would be refused
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if len(authorization) > 0 {
		r.Header.Set("Authorization", authorization[0])
	} else {
		for _, c := range m.cookies {
			r.AddCookie(c)
		}
	}
	w := httptest.NewRecorder()
	m.s.Handler().ServeHTTP(w, r)
	if w.Code != want {
		m.t.Fatalf("%s %.60s: %d, want %d: %.300s", method, target, w.Code, want, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		m.cookies[c.Name] = c
	}
	return w
}

// A customer is a client with its authentication.
type customer struct {
	issuer.Client
	basic string
}

func (m *meter) client(spec issuer.Client) customer {
	m.t.Helper()
	c, shown, err := m.s.provider.Register(spec, time.Now())
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.s.db.Registry().AddClient(m.t.Context(), c); err != nil {
		m.t.Fatal(err)
	}
	got := customer{c, "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+shown.Reveal()))}
	m.pay("a client that was not seen for a minute", 200, "POST", "/introspect", url.Values{"token": {"x"}}, got.basic)
	return got
}

const back = "https://app.example/callback"

func (c customer) ask(more string) string {
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	return "/authorize?" + url.Values{
		"client_id": {c.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid profile"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode() + more
}

// to is the address that an answer leads to, without the issuer.
func (m *meter) to(w *httptest.ResponseRecorder) string {
	return strings.TrimPrefix(w.Header().Get("Location"), m.s.Issuer())
}

func (m *meter) code(w *httptest.ResponseRecorder) url.Values {
	m.t.Helper()
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || !u.Query().Has("code") {
		m.t.Fatalf("no code: %s", w.Header().Get("Location"))
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {back}, "code_verifier": {strings.Repeat("v", 43)},
	}
}

func (m *meter) json(w *httptest.ResponseRecorder) map[string]string {
	m.t.Helper()
	var all map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		m.t.Fatal(err)
	}
	texts := map[string]string{}
	for name, value := range all {
		texts[name], _ = value.(string)
	}
	return texts
}

func TestWhatEachRequestAsksOfTheDatabase(t *testing.T) {
	for name, at := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, func(c *Config) { c.Database = at(t) })
			m := &meter{t: t, s: s, cookies: map[string]*http.Cookie{}, seen: map[string]bool{}}
			m.machines()
			m.keys()
			m.people()
			m.outside()
			for name := range prices {
				if !m.seen[name] {
					t.Errorf("%s: not measured", name)
				}
			}
		})
	}
}

func (m *meter) machines() {
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/healthz"} {
		m.pay("JWKS, discovery, liveness", 200, "GET", path, nil)
	}
	own := url.Values{"grant_type": {"client_credentials"}}
	robot := m.client(issuer.Client{Name: "Robot", Type: "service", Scopes: []string{"a"}})
	opaque := m.client(issuer.Client{Name: "Robot", Type: "service", Scopes: []string{"a"}, AccessTokenFormat: "opaque"})
	token := m.json(m.pay("client_credentials, JWT", 200, "POST", "/oauth/token", own, robot.basic))["access_token"]
	m.pay("introspection of a token of client_credentials", 200, "POST", "/introspect", url.Values{"token": {token}}, robot.basic)
	m.pay("client_credentials, opaque", 200, "POST", "/oauth/token", own, opaque.basic)

	const junk = "a wrong secret, a token or code that is made up"
	m.pay(junk, 401, "POST", "/oauth/token", own, "Basic "+base64.StdEncoding.EncodeToString([]byte(robot.ID+":x")))
	m.pay(junk, 401, "GET", "/userinfo", nil, "Bearer x")
	m.pay(junk, 200, "POST", "/introspect", url.Values{"token": {token[:len(token)-2]}}, robot.basic)
	m.pay(junk, 200, "POST", "/revoke", url.Values{"token": {"x"}}, robot.basic)
}

func (m *meter) keys() {
	service, err := m.s.apiKeys.AddService(m.t.Context(), "robot", "", apikeys.By{})
	if err != nil {
		m.t.Fatal(err)
	}
	key, token, err := m.s.apiKeys.Make(m.t.Context(), apikeys.New{
		Name: "key", OwnerType: apikeys.OwnerService, OwnerID: service.ID, Scopes: []string{"a"}, ExpiresAt: time.Now().Add(time.Hour),
	}, apikeys.By{})
	if err != nil {
		m.t.Fatal(err)
	}
	forged := m.s.apiKeys.Mint.Issue(key.Kind, key.ID).Reveal()
	exchange := func(key string) url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {key}, "subject_token_type": {issuer.TokenTypeAPIKey}}
	}
	own, basic := url.Values{"grant_type": {"client_credentials"}}, "Basic "+base64.StdEncoding.EncodeToString([]byte(key.ID+":"+token.Reveal()))
	m.pay("a token exchange, a key that was not seen for a minute", 200, "POST", "/oauth/token", exchange(token.Reveal()))
	m.s.apiKeys.Heard(time.Now()) // what the background job says
	access := m.json(m.pay("a token exchange, a key that was seen", 200, "POST", "/oauth/token", exchange(token.Reveal())))["access_token"]
	m.pay("a token exchange, a key that is forged", 400, "POST", "/oauth/token", exchange(forged))
	m.pay("a token exchange, a key that is forged", 400, "POST", "/oauth/token", exchange("mm_sk_"+strings.Repeat("A", 43)))
	m.pay("client_credentials, with an API key", 200, "POST", "/oauth/token", own, basic)
	m.pay("introspection of an API key", 200, "POST", "/introspect", url.Values{"token": {token.Reveal()}}, basic)
	m.pay("introspection of a token from an API key", 200, "POST", "/introspect", url.Values{"token": {access}}, basic)
	m.pay("userinfo, with a token from an API key", 403, "GET", "/userinfo", nil, "Bearer "+access)
	m.pay("forward auth and keys/verify, a key that was seen", 200, "GET", "/auth/verify?scope=a", nil, "ApiKey "+token.Reveal())
	m.pay("forward auth and keys/verify, a key that was seen", 401, "GET", "/auth/verify", nil, "ApiKey "+forged)
	m.pay("forward auth and keys/verify, a key that was seen", 403, "POST", "/api/v1/keys/verify", nil, "ApiKey "+token.Reveal())
	m.pay("forward auth, a token", 200, "GET", "/auth/verify?scope=a", nil, "Bearer "+access)
}

func (m *meter) people() {
	const password = "correct horse battery staple"
	if _, err := m.s.directory.Add(m.t.Context(), accounts.New{Email: "ada@example.com", Name: "Ada", Password: password}); err != nil {
		m.t.Fatal(err)
	}
	web := issuer.Client{Name: "App", Type: "web", RedirectURIs: []string{back}}
	app := m.client(web)
	web.AccessTokenFormat, web.Consent = "opaque", "never"
	quiet := m.client(web)

	m.pay("an authorization request with prompt=none, signed out", 303, "GET", app.ask("&prompt=none"), nil)
	page := m.to(m.pay("an authorization request of a stranger", 303, "GET", app.ask(""), nil))
	m.s.upstream.Heard(time.Now())
	w := m.pay("the sign-in page of a request", 200, "GET", page, nil)
	form := hiddenFields(w.Body.String())
	form.Set("username", "ada@example.com")
	form.Set("password", password)
	w = m.pay("signing in", 303, "POST", "/login", form)
	page = m.to(m.pay("an authorization request that needs consent", 303, "GET", m.to(w), nil))
	w = m.pay("the consent page", 200, "GET", page, nil)
	form = hiddenFields(w.Body.String())
	form.Set("answer", "approve")
	m.pay("agreeing", 303, "POST", "/consent", form)

	for _, one := range []struct {
		app        customer
		name, kind string
	}{
		{app, "an authorization request, signed in and agreed", "JWT"},
		{quiet, "an authorization request of a client that never asks", "opaque"},
	} {
		w := m.pay(one.name, 303, "GET", one.app.ask(""), nil)
		got := m.json(m.pay("a code for tokens, "+one.kind, 200, "POST", "/oauth/token", m.code(w), one.app.basic))
		m.pay("userinfo, "+one.kind, 200, "GET", "/userinfo", nil, "Bearer "+got["access_token"])
		m.pay("introspection of an access token, "+one.kind, 200, "POST", "/introspect", url.Values{"token": {got["access_token"]}}, one.app.basic)
		m.pay("introspection of a refresh token", 200, "POST", "/introspect", url.Values{"token": {got["refresh_token"]}}, one.app.basic)
		again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"]}}
		next := m.json(m.pay("a refresh, "+one.kind, 200, "POST", "/oauth/token", again, one.app.basic))
		if one.kind == "JWT" {
			m.pay("the same refresh again, because its answer was lost", 200, "POST", "/oauth/token", again, one.app.basic)
		}
		m.pay("revocation of an access token, "+one.kind, 200, "POST", "/revoke", url.Values{"token": {next["access_token"]}}, one.app.basic)
		m.pay("revocation of a refresh token, and all that came of it", 200, "POST", "/revoke", url.Values{"token": {next["refresh_token"]}}, one.app.basic)
		if one.kind == "opaque" {
			m.pay("signing out, with an ID token as hint", 303, "GET", "/end_session?id_token_hint="+got["id_token"], nil)
		}
	}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

func hiddenFields(page string) url.Values {
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}

func TestTheProofHasTheSamePrices(t *testing.T) {
	text, err := os.ReadFile("../docs/operate/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range prices {
		if row := fmt.Sprintf("| %s | %d | %d |", name, p.trips, p.statements); !strings.Contains(string(text), row) {
			t.Errorf("docs/operate/proof.md has no row %s", row)
		}
	}
}
