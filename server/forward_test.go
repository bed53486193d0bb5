package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/issuer"
	"mintmark/storage/storagetest"
)

const docs = "https://docs.example"

// A gate is a server, and a proxy before it that asks about the requests which it gets.
type gate struct {
	t *testing.T
	*Server
	log   *log
	shown map[string]bool // the keys that [gate.show] has sent
}

// onEachGate tells a story on both databases. The issuer is https, behind a proxy at 10.0.0.1.
func onEachGate(t *testing.T, story func(t *testing.T, g *gate)) {
	for name, at := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, at(t))
			story(t, g)
			g.checkLog()
		})
	}
}

// checkLog looks for keys in the log, as they are and as Basic has them.
func (g *gate) checkLog() {
	g.t.Helper()
	text := g.log.String()
	for key := range g.shown {
		if len(key) < 30 {
			continue // it is junk
		}
		secret := key[len(key)-20:]
		for i := range 3 { // how the bytes of a base64 group may stand
			encoded := base64.StdEncoding.EncodeToString([]byte(secret[i : i+15]))
			if strings.Contains(text, secret) || strings.Contains(text, encoded) {
				g.t.Errorf("the key %s… is in the log", key[:17])
				break
			}
		}
	}
}

func newGate(t *testing.T, database string) *gate {
	t.Helper()
	s, l := start(t, func(c *Config) {
		c.Issuer, c.Dev, c.Database = "https://id.example", false, database
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	return &gate{t, s, l, map[string]bool{}}
}

// ask sends what the proxy would: a line, and then fields. "From" and "Host" are those of HTTP.
func (g *gate) ask(lines ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	method, target, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, "http://id.example"+target, nil)
	r.RemoteAddr = "10.0.0.1:999"
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "From" {
			r.RemoteAddr = value + ":999"
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	return w
}

func (g *gate) service() string {
	g.t.Helper()
	s, err := g.apiKeys.AddService(g.t.Context(), fmt.Sprint("robot ", time.Now().UnixNano()), "", apikeys.By{})
	if err != nil {
		g.t.Fatal(err)
	}
	return s.ID
}

func (g *gate) key(n apikeys.New) (id, key string) {
	g.t.Helper()
	n.Kind, n.OwnerType, n.OwnerID, n.Name = "sk", apikeys.OwnerService, g.service(), "test"
	k, token, err := g.apiKeys.Make(g.t.Context(), n, apikeys.By{At: n.At})
	if err != nil {
		g.t.Fatal(err)
	}
	return k.ID, token.Reveal()
}

// client registers a client, and returns its secret.
func (g *gate) client(spec issuer.Client) (id, secret string) {
	g.t.Helper()
	spec.Name, spec.Type = "Robot", "service"
	c, token, err := g.provider.Register(spec, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.db.Registry().AddClient(g.t.Context(), c); err != nil {
		g.t.Fatal(err)
	}
	return c.ID, token.Reveal()
}

// token gets an access token for a client itself.
func (g *gate) token(spec issuer.Client, audience string) (client, token string) {
	g.t.Helper()
	client, secret := g.client(spec)
	form := url.Values{"grant_type": {"client_credentials"}}
	if audience != "" {
		form.Set("resource", audience)
	}
	r := httptest.NewRequest("POST", "https://id.example/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.AccessToken == "" {
		g.t.Fatalf("no token: %s", w.Body)
	}
	return client, answer.AccessToken
}

// signIn returns a person and the cookie of their browser.
func (g *gate) signIn() (person, cookie string) {
	g.t.Helper()
	ctx, now := g.t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	a, err := g.directory.Add(ctx, accounts.New{Email: "ada@example.com"})
	if err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if _, err := g.sessions.Begin(w, httptest.NewRequest("GET", "/", nil), a, []string{"pwd"}, "", "192.0.2.1", now); err != nil {
		g.t.Fatal(err)
	}
	pair, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return a.ID, pair
}

// said is an answer in a line: who, or the status and code of the refusal.
func said(w *httptest.ResponseRecorder) string {
	if w.Code == http.StatusOK {
		return w.Header().Get("X-Auth-Method") + " " + w.Header().Get("X-Auth-Subject")
	}
	var p struct{ Code string }
	json.Unmarshal(w.Body.Bytes(), &p)
	return fmt.Sprint(w.Code, " ", p.Code)
}

func TestForwardAuth(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		id, key := g.key(apikeys.New{Scopes: []string{"docs:read", "docs:list"}, Audience: []string{docs}})
		k, err := g.apiKeys.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		service := k.OwnerID
		_, bound := g.key(apikeys.New{Allow: []string{"203.0.113.0/24"}})
		owner := adminKey(t, g.Server)
		client, jwt := g.token(issuer.Client{Scopes: []string{"docs:read"}, Audience: []string{docs}}, docs)
		issuers, own := g.token(issuer.Client{Scopes: []string{"docs:read"}}, "")
		opaques, opaque := g.token(issuer.Client{Scopes: []string{"docs:read"}, AccessTokenFormat: "opaque"}, "")
		person, cookie := g.signIn()
		const get, read, forDocs = "GET /auth/verify", "GET /auth/verify?scope=docs:read", "GET /auth/verify?scope=docs:read&audience=" + docs
		auth, browser := "Authorization: ApiKey "+key, "Cookie: "+cookie
		for _, tt := range []struct {
			name  string
			lines []string
			want  string
		}{
			{"a key", []string{get, auth}, "api-key " + service},
			{"a key as Bearer", []string{read, "Authorization: Bearer " + key}, "api-key " + service},
			{"a key in its own field", []string{read, "X-API-Key: " + key}, "api-key " + service},
			{"RFC 7617, id and key", []string{read, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+key))}, "api-key " + service},
			{"several scopes", []string{"GET /auth/verify?scope=docs:read+docs:list&audience=" + docs, auth}, "api-key " + service},
			{"a JWT for the service", []string{forDocs, "Authorization: Bearer " + jwt}, "bearer " + client},
			{"a JWT for the issuer", []string{read, "Authorization: Bearer " + own}, "bearer " + issuers},
			{"an opaque token", []string{read, "Authorization: Bearer " + opaque}, "bearer " + opaques},
			{"a session", []string{get, browser, "X-Original-Method: GET"}, "session " + person},
			{"RFC 9110 9.1, whatever the method", []string{"POST /auth/verify?scope=docs:read", auth}, "api-key " + service},
			{"a method of another protocol", []string{"BREW /auth/verify", auth}, "api-key " + service},
			{"Envoy, the path and query of the request itself", []string{"PUT /auth/verify/docs/1?scope=evil&x=y", auth, "X-Auth-Want-Scope: docs:read"}, "api-key " + service},
			{"CIDR, where the proxy says that it came from", []string{get, "Authorization: ApiKey " + bound, "X-Forwarded-For: 203.0.113.9"}, "api-key " + g.owner(bound)},
			{"over TLS, as the proxy says", []string{get, auth, "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"}, "api-key " + service},
			{"this machine needs no TLS", []string{get, auth, "From: 127.0.0.1"}, "api-key " + service},

			{"Envoy, a session, with the method of the request itself", []string{"GET /auth/verify/docs", browser}, "session " + person},
			{"Caddy and Traefik, a session", []string{get, browser, "X-Forwarded-Method: GET"}, "session " + person},
			{"two proxies that say the same", []string{get, browser, "X-Original-Method: GET", "X-Forwarded-Method: GET"}, "session " + person},

			{"nothing", []string{get}, "401 unauthenticated"},
			{"RFC 9068 4, a JWT for another service", []string{read, "Authorization: Bearer " + jwt}, "401 invalid_credential"},
			{"RFC 9068 4, a JWT for the issuer", []string{forDocs, "Authorization: Bearer " + own}, "401 invalid_credential"},
			{"a key of the management API", []string{get, "Authorization: ApiKey " + owner}, "403 wrong_method"},
			{"A10, a scope is missing", []string{"GET /auth/verify?scope=docs:read+docs:write", auth}, "403 insufficient_scope"},
			{"A10, a scope that Envoy wants is missing", []string{"GET /auth/verify/docs", auth, "X-Auth-Want-Scope: docs:write"}, "403 insufficient_scope"},
			{"A10, the wrong audience", []string{"GET /auth/verify?audience=https://other.example", auth}, "403 wrong_audience"},
			{"A10, CIDR, from elsewhere", []string{get, "Authorization: ApiKey " + bound, "X-Forwarded-For: 192.0.2.9"}, "403 ip_not_allowed"},
			{"A10, CIDR, the client's word", []string{get, "Authorization: ApiKey " + bound, "X-Forwarded-For: 203.0.113.9, 192.0.2.9"}, "403 ip_not_allowed"},
			{"A10, two credentials", []string{get, auth, "X-API-Key: " + key}, "400 repeated_credential"},
			{"A10, two Authorization fields", []string{get, auth, auth}, "400 repeated_credential"},
			{"A10, clear text", []string{get, auth, "X-Forwarded-Proto: http", "X-Forwarded-For: 203.0.113.9"}, "403 clear_text"},
			{"A10, clear text past the proxy", []string{get, auth, "From: 192.0.2.1", "X-Forwarded-Proto: https"}, "403 clear_text"},
			{"a session has no scopes", []string{read, browser, "X-Original-Method: GET"}, "403 insufficient_scope"},
			{"a session, and nobody says what for", []string{get, browser}, "401 unauthenticated"},
			{"a session, and a stranger says what for", []string{get, browser, "X-Original-Method: GET", "From: 192.0.2.1"}, "401 unauthenticated"},
			{"a session, sent by a page of another site", []string{get, browser, "X-Forwarded-Method: POST", "Sec-Fetch-Site: same-site"}, "403 cross_origin"},
			{"RFC 6455 10.2, a session and a socket of another site", []string{get, browser, "X-Original-Method: GET", "Upgrade: websocket", "Origin: https://evil.example"}, "403 cross_origin"},
			{"RFC 6455 10.2, the same where the proxy took Upgrade away", []string{get, browser, "X-Forwarded-Method: GET", "Sec-WebSocket-Version: 13", "Origin: https://evil.example"}, "403 cross_origin"},
			{"a session, and the client says what for", []string{get, browser, "X-Original-Method: GET", "X-Forwarded-Method: POST", "Sec-Fetch-Site: cross-site"}, "401 unauthenticated"},
			{"a session, and the client says it again", []string{get, browser, "X-Forwarded-Method: GET", "X-Forwarded-Method: POST"}, "401 unauthenticated"},
			{"Envoy, a session, sent by a page of another site", []string{"POST /auth/verify/docs", browser, "Sec-Fetch-Site: cross-site"}, "403 cross_origin"},
			{"Envoy, the same, and the client says what for", []string{"POST /auth/verify/docs", browser, "Sec-Fetch-Site: cross-site", "X-Original-Method: GET"}, "401 unauthenticated"},
			{"Envoy, a session, and a stranger asks", []string{"GET /auth/verify/docs", browser, "From: 192.0.2.1"}, "401 unauthenticated"},
			{"a wish that is none", []string{"GET /auth/verify?scopes=docs:read", auth}, "400 invalid_request"},
			{"a wish that is repeated", []string{"GET /auth/verify?scope=a&scope=b", auth}, "400 invalid_request"},
			{"a wish with quotes", []string{"GET /auth/verify?scope=%22", auth}, "400 invalid_request"},
			{"a wish that is not encoded", []string{"GET /auth/verify?scope=%zz", auth}, "400 invalid_request"},
		} {
			w := g.ask(tt.lines...)
			if got := said(w); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
			h := w.Header()
			for _, name := range []string{headerSubject, headerMethod, headerClient, headerCredential, headerScopes, headerToken} {
				if there := h[name] != nil; there != (w.Code == 200) {
					t.Errorf("%s: %s is %v", tt.name, name, h[name])
				}
			}
			challenges := h["Www-Authenticate"]
			if w.Code == 401 && (len(challenges) != 2 || !strings.HasPrefix(challenges[0], "Bearer ") || !strings.HasPrefix(challenges[1], "ApiKey ")) {
				t.Errorf("%s: RFC 6750 3: the challenges are %q", tt.name, challenges)
			}
			if strings.HasSuffix(tt.want, "insufficient_scope") && !strings.Contains(strings.Join(challenges, " "), `scope="docs:`) {
				t.Errorf("%s: RFC 6750 3.1: the challenges are %q", tt.name, challenges)
			}
			if h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control: %s", tt.name, h.Get("Cache-Control"))
			}
		}
		w := g.ask(forDocs, auth)
		if got := w.Header(); got.Get(headerClient) != id || got.Get(headerCredential) != id || got.Get(headerScopes) != "docs:list docs:read" {
			t.Errorf("the header is %v", got)
		}
	})
}

// owner is whose key it is.
func (g *gate) owner(key string) string {
	k, err := g.apiKeys.Find(g.t.Context(), key)
	if err != nil {
		g.t.Fatal(err)
	}
	return k.OwnerID
}

func TestLimitsOfAKeyInForwardAuth(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		_, key := g.key(apikeys.New{Scopes: []string{"a"}, Limits: []string{"2/h"}})
		auth := "Authorization: ApiKey " + key
		for range 3 { // A6: a missing scope uses nothing up
			if w := g.ask("GET /auth/verify?scope=b", auth); w.Code != 403 {
				t.Fatal(w.Code)
			}
		}
		for left := 1; left >= 0; left-- {
			w := g.ask("GET /auth/verify?scope=a", auth)
			if got := w.Header().Get("RateLimit"); w.Code != 200 || !strings.HasPrefix(got, fmt.Sprintf(`"default";r=%d;t=`, left)) ||
				w.Header().Get("RateLimit-Policy") != `"default";q=2;w=3600` {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		}
		w := g.ask("GET /auth/verify?scope=a", auth)
		if said(w) != "429 rate_limited" || w.Header().Get("Retry-After") == "" || w.Header().Get("RateLimit-Policy") == "" {
			t.Errorf("%s %v", said(w), w.Header())
		}
	})
}

// The token says who it was to one audience, and is signed once in a while.
func TestTheTokenOfForwardAuth(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		id, key := g.key(apikeys.New{Scopes: []string{"docs:read"}, Audience: []string{docs, "https://b.example"}})
		jwks := g.ask("GET /.well-known/jwks.json").Body.Bytes()
		service, err := bearer.NewTokens(bearer.Issuer{URL: g.Issuer(), Audiences: []string{docs}, Types: []string{"auth+jwt"}, JWKS: jwks})
		if err != nil {
			t.Fatal(err)
		}
		strict, err := bearer.NewTokens(bearer.Issuer{URL: g.Issuer(), Audiences: []string{docs}, JWKS: jwks})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(audience string) string {
			w := g.ask("GET /auth/verify?audience="+audience, "Authorization: ApiKey "+key)
			if w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			return w.Header().Get(headerToken)
		}
		token, now := ask(docs), time.Now()
		p, err := service.Verify(t.Context(), bearer.Credential{Text: token}, now)
		if err != nil || p.Subject != g.owner(key) || p.ClientID != id || p.Key != id || !slices.Equal(p.Scopes, []string{"docs:read"}) {
			t.Errorf("%+v %v", p, err)
		}
		if left := p.ExpiresAt.Sub(now); left > time.Minute || left < 30*time.Second {
			t.Errorf("it is good for %s", left)
		}
		// RFC 8725 §3.11
		if _, err := strict.Verify(t.Context(), bearer.Credential{Text: token}, now); err == nil {
			t.Error("it is taken for an access token")
		}
		if got := said(g.ask("GET /auth/verify?audience="+docs, "Authorization: Bearer "+token)); got != "401 invalid_credential" {
			t.Errorf("it lets in at the proxy: %s", got)
		}
		if ask(docs) != token {
			t.Error("it is signed for every request")
		}
		if other := ask("https://b.example"); other == token || other == "" {
			t.Error("two audiences get one token")
		}
		if ask("") != "" {
			t.Error("there is a token for no audience")
		}
		if _, err := g.apiKeys.Change(t.Context(), id, apikeys.Change{Scopes: &[]string{"other"}}, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
		if p, err := service.Verify(t.Context(), bearer.Credential{Text: ask(docs)}, now); err != nil || !slices.Equal(p.Scopes, []string{"other"}) {
			t.Errorf("after a change it says %v %v", p.Scopes, err)
		}
		ends := time.Now().Add(40 * time.Second)
		if _, err := g.apiKeys.Change(t.Context(), id, apikeys.Change{ExpiresAt: &ends}, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
		if p, err := service.Verify(t.Context(), bearer.Credential{Text: ask(docs)}, now); err != nil || p.ExpiresAt.After(ends) {
			t.Errorf("it outlives the key: %v %v", p.ExpiresAt, err)
		}
		if err := g.apiKeys.Revoke(t.Context(), id, "", false, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
		if got := said(g.ask("GET /auth/verify?audience="+docs, "Authorization: ApiKey "+key)); got != "401 invalid_credential" {
			t.Errorf("a revoked key: %s", got)
		}
	})
}

// What is revoked is refused with the next request, whatever it is.
func TestWhatIsRevokedDoesNotPassTheProxy(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		ctx := t.Context()
		_, jwt := g.token(issuer.Client{Scopes: []string{"a"}}, "")
		disabled, opaque := g.token(issuer.Client{Scopes: []string{"a"}, AccessTokenFormat: "opaque"}, "")
		person, cookie := g.signIn()
		claims, err := g.keyring.Verify(jwt, "at+jwt")
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ JTI string }
		if err := json.Unmarshal(claims, &c); err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			field  string
			revoke func() error
		}{
			"a JWT":           {"Authorization: Bearer " + jwt, func() error { return g.db.Issuer().RevokeToken(ctx, c.JTI, time.Now().Add(time.Hour)) }},
			"an opaque token": {"Authorization: Bearer " + opaque, func() error { return g.db.Registry().DisableClient(ctx, disabled, time.Now()) }},
			"a session":       {"Cookie: " + cookie, func() error { return g.sessions.EndAll(ctx, person, accounts.ReasonRevoked, time.Now()) }},
		} {
			lines := []string{"GET /auth/verify", tt.field, "X-Original-Method: GET"}
			if w := g.ask(lines...); w.Code != 200 {
				t.Fatalf("%s: %d %s", name, w.Code, w.Body)
			}
			if err := tt.revoke(); err != nil {
				t.Fatal(err)
			}
			if w := g.ask(lines...); w.Code != 401 {
				t.Errorf("%s, revoked: %d", name, w.Code)
			}
		}
	})
}

// The database is away: nobody passes who would have to be looked up, and that is no fault.
func TestForwardAuthWithoutTheDatabase(t *testing.T) {
	g := newGate(t, storagetest.SQLite(t))
	_, key := g.key(apikeys.New{})
	_, jwt := g.token(issuer.Client{Scopes: []string{"a"}}, "")
	_, cookie := g.signIn()
	g.db.Close()
	for _, field := range []string{"Authorization: ApiKey " + key, "Authorization: Bearer " + jwt, "Cookie: " + cookie} {
		w := g.ask("GET /auth/verify", field, "X-Original-Method: GET")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%.12s: %d %s", field, w.Code, w.Body)
		}
	}
}

func TestAValueInAHeaderBeginsNoLineOfItsOwn(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "usr_1": "usr_1", "a b": "a b", "a\r\nX-Auth-Subject: root": "a%0D%0AX-Auth-Subject: root", "100%": "100%25", "é\x00\x7f": "%C3%A9%00%7F",
	} {
		if got := plain(value)[0]; got != want {
			t.Errorf("%q is written as %q", value, got)
		}
	}
}

// A token of forward auth is of a type that nothing of ours takes.
func TestTheTypeOfForwardAuthIsItsOwn(t *testing.T) {
	g := newGate(t, storagetest.SQLite(t))
	token, _, err := g.provider.Vouch(bearer.Principal{Subject: "usr_1", ClientID: "c", Scopes: []string{"openid"}}, g.Issuer(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if w := g.ask("GET /userinfo", "Authorization: Bearer "+string(token)); w.Code != 401 {
		t.Errorf("userinfo: %d", w.Code)
	}
	for _, typ := range []string{"JWT", "at+jwt"} {
		if _, err := g.keyring.VerifyRetained(string(token), typ); err == nil {
			t.Errorf("it is taken for a %s", typ)
		}
	}
	if _, err := g.keyring.Verify(string(token), "auth+jwt"); err != nil {
		t.Error(err)
	}
}
