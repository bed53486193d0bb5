package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/issuer"
)

// A way is how a key can be shown: in a header, or in the form of a POST.
type way struct {
	name string
	put  func(r *http.Request, form url.Values, id, key string)
}

func header(name, prefix string) func(*http.Request, url.Values, string, string) {
	return func(r *http.Request, _ url.Values, id, key string) { r.Header.Add(name, prefix+key) }
}

func field(name string, others ...string) func(*http.Request, url.Values, string, string) {
	return func(_ *http.Request, form url.Values, id, key string) {
		form.Add(name, key)
		for i := 0; i < len(others); i += 2 {
			form.Set(others[i], strings.ReplaceAll(others[i+1], "ID", id))
		}
	}
}

var (
	asAPIKey = way{"ApiKey", header("Authorization", "ApiKey ")}
	asBearer = way{"Bearer", header("Authorization", "Bearer ")}
	asHeader = way{"X-API-Key", header("X-API-Key", "")}
	asBasic  = way{"Basic", func(r *http.Request, _ url.Values, id, key string) {
		r.Header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+key)))
	}}
	asSecret  = way{"client_secret", field("client_secret", "client_id", "ID")}
	asSubject = way{"subject_token", field("subject_token", "subject_token_type", issuer.TokenTypeAPIKey, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")}
	asAccess  = way{"access_token", field("access_token")}
)

// keyDoors is every address at which somebody may show a key of their own, and how.
var keyDoors = []struct {
	line string
	form url.Values // what it takes to be a request at all
	ways []way      // every way that works, and X-API-Key
}{
	{"GET /auth/verify", nil, everyWay},
	{"GET /auth/verify/docs", nil, everyWay},
	{"GET /api/v1/info", nil, everyWay},
	{"POST /api/v1/keys/verify", nil, everyWay},
	{"POST /api/v1/keys/verify-batch", nil, everyWay},
	{"POST /api/v1/keys/lookup", nil, everyWay},
	{"POST /api/v1/leaks", nil, everyWay},
	{"GET /api/v1/revocations", nil, everyWay},
	{"GET /api/v1/revocations/snapshot", nil, everyWay},
	{"GET /api/v1/me/keys", nil, everyWay},
	{"POST /oauth/token", url.Values{"grant_type": {"client_credentials"}}, []way{asBasic, asSecret, asSubject, asHeader}},
	{"POST /introspect", url.Values{"token": {"some-token"}}, []way{asBasic, asSecret, asHeader}},
	{"POST /revoke", url.Values{"token": {"some-token"}}, []way{asBasic, asSecret, asHeader}},
	{"POST /userinfo", url.Values{}, []way{asBearer, asAccess, asHeader}},
}

var everyWay = []way{asAPIKey, asBearer, asBasic, asHeader}

// show sends a key to a door in some ways; then lines as [gate.ask] takes them.
func (g *gate) show(line string, form url.Values, ways []way, id, key string, lines ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	method, target, _ := strings.Cut(line, " ")
	body := url.Values{}
	for name, values := range form {
		body[name] = slices.Clone(values)
	}
	r := httptest.NewRequest(method, "http://id.example"+target, nil)
	for _, w := range ways {
		w.put(r, body, id, key)
	}
	if form != nil {
		all := r.Header
		r = httptest.NewRequest(method, "http://id.example"+target, strings.NewReader(body.Encode()))
		r.Header = all
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.RemoteAddr = "10.0.0.1:999"
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "From" {
			r.RemoteAddr = value + ":999"
			continue
		}
		r.Header.Add(name, value)
	}
	g.shown[key] = true
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	if w.Code >= 500 {
		g.t.Errorf("%s: %d %s", line, w.Code, w.Body)
	}
	return w
}

// Two credentials in one request are refused, and the same one twice too: at every door, every pair
// of ways to show one.
func TestTwoCredentialsAtEveryDoor(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		id, key := g.key(apikeys.New{Scopes: []string{apikeys.ScopeVerify, apikeys.ScopeLeak, apikeys.ScopeRevocations}})
		for _, door := range keyDoors {
			for i, one := range door.ways {
				for _, other := range door.ways[i:] {
					w := g.show(door.line, door.form, []way{one, other}, id, key)
					if w.Code != 400 {
						t.Errorf("%s, %s and %s: %d %s", door.line, one.name, other.name, w.Code, w.Body)
					}
				}
			}
		}
		if w := g.show("POST /revoke", url.Values{"token": {key}}, []way{asHeader}, id, key); w.Code != 400 {
			t.Errorf("/revoke, a key to revoke and the same in X-API-Key: %d %s", w.Code, w.Body)
		}
		report := []string{apikeys.HeaderMAC + ": t=1,v1=00"}
		if w := g.show("POST /api/v1/leaks", nil, []way{asAPIKey}, id, key, report...); w.Code != 400 {
			t.Errorf("/api/v1/leaks, a signature and a key: %d %s", w.Code, w.Body)
		}
		if k, err := g.apiKeys.Get(t.Context(), id); err != nil || !k.RevokedAt.IsZero() {
			t.Errorf("the key was revoked: %v", err)
		}
	})
}

// A key in clear text is refused and written down once, at every door and however it is shown, and
// works on where it is sent as it should be.
func TestAKeyInClearTextIsNotedAtEveryDoor(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		for _, door := range keyDoors {
			for i, from := range [][]string{{"From: 192.0.2.1"}, {"X-Forwarded-Proto: http", "X-Forwarded-For: 192.0.2.1"}} {
				id, key := g.key(apikeys.New{})
				for _, shown := range append(pairs(door.ways), door.ways) {
					if w := g.show(door.line, door.form, shown, id, key, from...); w.Code != 403 {
						t.Errorf("%s, %s %d: %d %s", door.line, shown[0].name, i, w.Code, w.Body)
					}
				}
				events, err := g.apiKeys.Events(t.Context(), apikeys.Page{Limit: 10}, id, false)
				if err != nil || len(events) != 2 || events[0].Action != "key.clear_text" || events[0].Address != "192.0.2.1" {
					t.Errorf("%s: the audit log has %v %v", door.line, events, err)
				}
				if w := g.ask("GET /auth/verify", "Authorization: ApiKey "+key); w.Code != 200 {
					t.Errorf("%s: through the proxy it is %d", door.line, w.Code)
				}
			}
			if w := g.show(door.line, url.Values{}, nil, "", "", "From: 192.0.2.1"); w.Code == 403 {
				t.Errorf("%s: refused as clear text without a credential", door.line)
			}
		}
	})
}

// pairs is each of the ways alone.
func pairs(ways []way) (each [][]way) {
	for _, w := range ways {
		each = append(each, []way{w})
	}
	return each
}

// RFC 6749 3.2: the token endpoint, and its neighbours, take no credentials without TLS.
func TestAClientsSecretInClearTextIsRefused(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		client, token := g.token(issuer.Client{Scopes: []string{"a"}}, "")
		for _, line := range []string{"POST /oauth/token", "POST /introspect", "POST /revoke"} {
			for _, form := range []url.Values{
				{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {"s"}},
				{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {"mm_rt_x"}},
				{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {"c"}, "code_verifier": {"v"}},
				{"token": {token}, "client_id": {client}, "client_assertion": {"a.b.c"}},
			} {
				w := g.show(line, form, nil, "", "", "From: 192.0.2.1")
				if w.Code != 403 || !strings.HasPrefix(w.Body.String(), `{"error":"invalid_request"`) || strings.Contains(w.Body.String(), token) {
					t.Errorf("%s %v: %d %s", line, form, w.Code, w.Body)
				}
				if w := g.show(line, form, nil, "", "", "From: 127.0.0.1"); w.Code == 403 {
					t.Errorf("%s on this machine: %d %s", line, w.Code, w.Body)
				}
			}
		}
		if w := g.show("GET /userinfo", nil, []way{asBearer}, "", token, "From: 192.0.2.1"); w.Code != 403 || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("/userinfo: %d %v", w.Code, w.Header())
		}
		if strings.Contains(g.log.String(), token) {
			t.Error("the token is in the log")
		}
	})
}

// What is wrong with a key is told by no door: not in the answer, not in its headers.
func TestBadKeysAreRefusedAlikeAtEveryDoor(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		by := apikeys.By{}
		revoked, a := g.key(apikeys.New{})
		disabled, b := g.key(apikeys.New{})
		_, expired := g.key(apikeys.New{At: time.Now().Add(-2 * time.Hour), ExpiresAt: time.Now().Add(-time.Hour)})
		_, early := g.key(apikeys.New{NotBefore: time.Now().Add(time.Hour), ExpiresAt: time.Now().Add(2 * time.Hour)})
		_, good := g.key(apikeys.New{})
		for _, err := range []error{g.apiKeys.Revoke(t.Context(), revoked, "", false, by), g.apiKeys.Disable(t.Context(), disabled, "", by)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		unknown := g.keyMint.Issue("sk", "00000000001").Reveal()
		wrong := g.keyMint.Issue("sk", good[6:17]).Reveal()
		all := map[string]string{"revoked": a, "disabled": b, "expired": expired, "not yet": early, "unknown": unknown,
			"the secret of another": wrong, "mistyped": good[:20] + "x" + good[21:], "cut off": good[:40], "junk": "mm_sk_junk", "nothing like it": "x"}
		alike := func(t *testing.T, what string, status int, ask func(id, key string) *httptest.ResponseRecorder) {
			t.Helper()
			first := ""
			for name, key := range all {
				id := "00000000001"
				if len(key) > 17 {
					id = key[6:17]
				}
				w := ask(id, key)
				h := w.Header().Clone()
				request := h.Get("X-Request-Id")
				h.Del("X-Request-Id")
				got := fmt.Sprint(w.Code, h, strings.ReplaceAll(w.Body.String(), request, ""))
				if first == "" {
					first = got
				}
				if w.Code != status || got != first {
					t.Errorf("%s, %s: %s, and another got %s", what, name, got, first)
				}
			}
		}
		for _, door := range keyDoors {
			for _, shown := range door.ways {
				status := 401
				switch {
				case shown.name == asSubject.name:
					status = 400 // RFC 8693 §2.2.2
				case door.form != nil && shown.name == asHeader.name:
					continue // it is not taken there
				}
				alike(t, door.line+", "+shown.name, status, func(id, key string) *httptest.ResponseRecorder {
					return g.show(door.line, door.form, []way{shown}, id, key)
				})
			}
		}
		service, secret := g.client(issuer.Client{})
		alike(t, "/introspect about it", 200, func(id, key string) *httptest.ResponseRecorder {
			return g.show("POST /introspect", url.Values{"token": {key}, "client_id": {service}, "client_secret": {secret}}, nil, "", "")
		})
		alike(t, "/revoke it", 200, func(id, key string) *httptest.ResponseRecorder {
			return g.show("POST /revoke", url.Values{"token": {key}, "client_id": {service}, "client_secret": {secret}}, nil, "", "")
		})
		_, asks := g.key(apikeys.New{Scopes: []string{apikeys.ScopeVerify}})
		alike(t, "/api/v1/keys/verify about it", 200, func(id, key string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "http://id.example/api/v1/keys/verify", strings.NewReader(`{"key":"`+key+`"}`))
			r.RemoteAddr = "10.0.0.1:999"
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "ApiKey "+asks)
			w := httptest.NewRecorder()
			g.Handler().ServeHTTP(w, r)
			return w
		})
	})
}

// A key in an address is in logs and histories: it is refused, revoked and told to the owner.
func TestAKeyInTheAddressIsReportedAtEveryDoor(t *testing.T) {
	onEachGate(t, func(t *testing.T, g *gate) {
		for _, lines := range [][]string{
			{"GET /auth/verify?api_key=KEY"},
			{"GET /auth/verify?x=KEY", "Authorization: ApiKey KEY"},
			{"GET /auth/verify/docs/KEY"},
			{"GET /auth/verify/docs?mm%5F=1&y=KEY&z=1"},
			{"GET /auth/verify", "X-Original-URI: /docs?access_token=KEY"},
			{"GET /auth/verify", "X-Original-URL: https://docs.example/KEY"},
			{"GET /auth/verify", "X-Forwarded-Uri: /docs?a=1;KEY", "From: 192.0.2.1"},
			{"GET /auth/verify", "X-Forwarded-Uri: not an address KEY"},
			{"GET /auth/verify", "X-Original-URL: https://ada:KEY@docs.example/"},
			{"GET /auth/verify", "X-Original-URI: /docs?x=mm%255FTAIL"},
			{"GET /auth/verify", "X-Forwarded-Uri: /docs/mm%25255FTAIL/x"},
			{"GET /auth/verify", "X-Forwarded-Uri: /docs/%zz/mm%255FTAIL"},
			{"GET /auth/verify", "X-Original-URI: /docs#access_token=KEY"},
			{"GET /auth/verify", "X-Original-URI: /docs;api_key=KEY/x"},
			{"GET /auth/verify", "X-Original-URI: /docs?next=%2Fb%3Fx%3Dmm%25255FTAIL"},
			{"POST /oauth/token?x=mm%25255FTAIL"},
			{"GET /api/v1/keys?after=KEY"},
			{"POST /api/v1/keys/verify?key=KEY"},
			{"POST /oauth/token?client_secret=KEY"},
			{"POST /oauth/token?x=KEY"},
			{"POST /introspect?token=KEY"},
			{"POST /revoke?token=KEY"},
			{"GET /userinfo?access_token=KEY"},
		} {
			id, key := g.key(apikeys.New{Allow: []string{"198.51.100.1"}, Limits: []string{"1/h"}})
			lines = slices.Clone(lines)
			for i := range lines {
				lines[i] = strings.NewReplacer("KEY", key, "TAIL", key[3:]).Replace(lines[i])
			}
			w := g.ask(lines...)
			k, err := g.apiKeys.Get(t.Context(), id)
			if w.Code != 400 || err != nil || !k.Leaked || k.RevokedAt.IsZero() {
				t.Errorf("%s: %d, leaked %t %v", lines[0], w.Code, k.Leaked, err)
			}
			events, err := g.apiKeys.Events(t.Context(), apikeys.Page{Limit: 1}, id, false)
			if err != nil || len(events) != 1 || events[0].Action != "key.leak" || events[0].RequestID != w.Header().Get("X-Request-Id") {
				t.Errorf("%s: the audit log has %v %v", lines[0], events, err)
			}
			if strings.Contains(g.log.String(), key) || strings.Contains(w.Body.String(), key) {
				t.Errorf("%s: the key is in the log or the answer", lines[0])
			}
			if !strings.Contains(g.log.String(), id) {
				t.Errorf("%s: nothing is in the log", lines[0])
			}
		}
		const legacy = "legacy-0123456789abcdef" // it has no form of its own
		digest := sha256.Sum256([]byte(legacy))
		imported, _, err := g.apiKeys.Make(t.Context(), apikeys.New{OwnerType: apikeys.OwnerService, OwnerID: g.service(), Name: "old", SHA256: digest[:]}, apikeys.By{})
		if err != nil {
			t.Fatal(err)
		}
		w := g.ask("GET /auth/verify", "X-Forwarded-Uri: /?api_key="+legacy)
		if k, err := g.apiKeys.Get(t.Context(), imported.ID); w.Code != 400 || err != nil || !k.Leaked {
			t.Errorf("a key of another system: %d, leaked %t %v", w.Code, k.Leaked, err)
		}
		_, token := g.token(issuer.Client{Scopes: []string{"a"}, Audience: []string{docs}}, docs)
		if w := g.ask("GET /auth/verify", "X-Forwarded-Uri: /?access_token="+token); w.Code != 400 {
			t.Errorf("a token in the address: %d", w.Code)
		}
		if got := said(g.ask("GET /auth/verify?audience="+docs, "Authorization: Bearer "+token)); got != "401 invalid_credential" {
			t.Errorf("a token that was in an address: %s", got)
		}
	})
}
