package bearer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"mintmark/bearer"
)

const (
	goodKey     = "mm_sk_80IPJYENAm1M8BzGoodGoodGoodGoodGood00lsRzf"
	limitedKey  = "mm_sk_80IPJYENAm1M8BzLimitedLimitedLimi00lsRzf0"
	foreignKey  = "live_0123456789abcdef"
	metadataURL = "https://api.example/.well-known/oauth-protected-resource"
)

// A door is a guard before a handler that says who came in.
type door struct {
	t       testing.TB
	op      *issuer
	key     *signer
	token   string
	guard   *bearer.Guard
	asked   int // how often the verifier of keys was
	exposed []string
	log     bytes.Buffer
}

func newDoor(t testing.TB, change ...func(*bearer.Config)) *door {
	t.Helper()
	d := &door{t: t, op: newIssuer(t)}
	d.key = newSigner(t, "ES256", "one")
	d.op.publish(d.key)
	d.token = d.key.sign(d.op.good(claims{"scope": "orders:read"}))
	c := bearer.Config{
		Tokens: d.op.believing(),
		Keys: bearer.VerifierFunc(func(_ context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
			d.asked++
			switch c.Text {
			case goodKey, foreignKey:
				return bearer.Principal{Subject: "svc_1", ClientID: "80IPJYENAm1", Credential: "80IPJYENAm1", Method: bearer.MethodAPIKey,
					Scopes: []string{"orders:read"}, Organization: c.Address.String()}, nil
			case limitedKey:
				return bearer.Principal{}, &bearer.Error{Status: 429, Code: "rate_limited", Detail: "Slower.", RetryAfter: 1500 * time.Millisecond}
			case "elsewhere":
				return bearer.Principal{}, &bearer.Error{Status: 403, Code: "ip_not_allowed", Detail: "Not from there."}
			case "broken":
				return bearer.Principal{}, errors.New("the database of keys is on fire")
			}
			return bearer.Principal{}, fmt.Errorf("in process: %w", bearer.ErrInvalid)
		}),
		Session: func(r *http.Request, now time.Time) (bearer.Principal, bool, error) {
			c, err := r.Cookie("session")
			if err != nil || c.Value != "good" {
				return bearer.Principal{}, false, nil
			}
			return bearer.Principal{Subject: "acc_1", Method: bearer.MethodSession, Credential: "ses_1", Scopes: []string{"orders:read"}}, true, nil
		},
		ResourceMetadata: metadataURL,
		Exposed: func(_ context.Context, p bearer.Principal, how *bearer.Error) {
			d.exposed = append(d.exposed, p.Credential+" "+how.Code)
		},
		Log: slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if d.guard, err = bearer.New(c); err != nil {
		t.Fatal(err)
	}
	return d
}

// who is the handler behind the door.
var who = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, ok := bearer.FromContext(r.Context())
	if !ok {
		io.WriteString(w, "nobody")
		return
	}
	fmt.Fprintf(w, "%s by %s", p.Subject, p.Method)
})

// request is written as it is on the wire: a line, and then fields.
func request(t testing.TB, lines ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, "https://api.example"+target, nil)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func (d *door) knock(middleware func(http.Handler) http.Handler, lines ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	middleware(who).ServeHTTP(w, request(d.t, lines...))
	return w
}

func TestTheDoor(t *testing.T) {
	d := newDoor(t)
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	get := "GET /orders"
	bearerToken, apiKey := "Authorization: Bearer "+d.token, "Authorization: ApiKey "+goodKey
	for _, tt := range []struct {
		name  string
		lines []string
		want  string // the handler's answer, or the status and code of the refusal
	}{
		{"a JWT", []string{get, bearerToken}, "acc_ada by bearer"},
		{"a key", []string{get, apiKey}, "svc_1 by api-key"},
		{"a key as Bearer", []string{get, "Authorization: Bearer " + goodKey}, "svc_1 by api-key"},
		{"a key in its header", []string{get, "X-API-Key: " + goodKey}, "svc_1 by api-key"},
		{"a key of another system", []string{get, "Authorization: ApiKey " + foreignKey}, "svc_1 by api-key"},
		{"RFC 7617, key id and key", []string{get, basic("80IPJYENAm1:" + goodKey)}, "svc_1 by api-key"},
		{"RFC 9110 11.1, the scheme in other letters", []string{get, "Authorization: bEARER " + d.token}, "acc_ada by bearer"},
		{"RFC 9110 11.1, APIKEY", []string{get, "Authorization: APIKEY " + goodKey}, "svc_1 by api-key"},
		{"RFC 9110 11.4, several spaces", []string{get, "Authorization: Bearer   " + d.token}, "acc_ada by bearer"},
		{"a session", []string{get, "Cookie: session=good"}, "acc_1 by session"},
		{"what was shown on purpose is more than a cookie", []string{get, "Cookie: session=good", apiKey}, "svc_1 by api-key"},

		{"nothing", []string{get}, "401 unauthenticated"},
		{"a bad session", []string{get, "Cookie: session=bad"}, "401 unauthenticated"},
		{"a bad key beside a good session", []string{get, "Cookie: session=good", "Authorization: ApiKey bad"}, "401 invalid_credential"},
		{"an unknown key", []string{get, "Authorization: ApiKey mm_sk_unknown"}, "401 invalid_credential"},
		{"RFC 7617, another key's id", []string{get, basic("another:" + goodKey)}, "401 invalid_credential"},
		{"RFC 7617, no colon", []string{get, basic(goodKey)}, "401 invalid_credential"},
		{"RFC 7617, not base64", []string{get, "Authorization: Basic %"}, "401 invalid_credential"},
		{"RFC 7617, a JWT as password", []string{get, basic("x:" + d.token)}, "401 invalid_credential"},
		{"RFC 6750 2.1, no token", []string{get, "Authorization: Bearer"}, "401 invalid_credential"},
		{"RFC 6750 2.1, neither key nor JWT", []string{get, "Authorization: Bearer opaque"}, "401 invalid_credential"},
		{"RFC 6750 2.1, a list of two", []string{get, "Authorization: Bearer " + d.token + ", Bearer " + d.token}, "401 invalid_credential"},
		{"RFC 6750 2.1, in quotes", []string{get, `Authorization: Bearer "` + d.token + `"`}, "401 invalid_credential"},
		{"a token as ApiKey", []string{get, "Authorization: ApiKey " + d.token}, "401 invalid_credential"},
		{"an empty field", []string{get, "Authorization: "}, "401 unauthenticated"},
		{"an empty key", []string{get, "X-API-Key: "}, "401 invalid_credential"},
		{"RFC 7616, Digest", []string{get, `Authorization: Digest username="x"`}, "401 unauthenticated"},
		{"RFC 9449, DPoP", []string{get, "Authorization: DPoP " + d.token}, "401 unauthenticated"},
		{"no scheme", []string{get, "Authorization: " + goodKey}, "401 unauthenticated"},
		{"a tab for a space", []string{get, "Authorization: Bearer\t" + d.token}, "401 unauthenticated"},
		{"a mebibyte", []string{get, "Authorization: Bearer " + strings.Repeat("a", 1<<20)}, "401 invalid_credential"},

		{"RFC 9110 5.3, Authorization twice", []string{get, bearerToken, bearerToken}, "400 repeated_credential"},
		{"Authorization and a key header", []string{get, bearerToken, "X-API-Key: " + goodKey}, "400 repeated_credential"},
		{"the same key in two places", []string{get, apiKey, "X-API-Key: " + goodKey}, "400 repeated_credential"},
		{"two key headers", []string{get, "X-API-Key: " + goodKey, "X-API-Key: " + goodKey}, "400 repeated_credential"},
		{"a good one and an odd one", []string{get, apiKey, "Authorization: Negotiate abc"}, "400 repeated_credential"},

		{"RFC 9700 4.3.2, a token in the URL", []string{"GET /orders?access_token=" + d.token}, "400 credential_in_url"},
		{"a key in the URL", []string{"GET /orders?x=1&api_key=" + goodKey, bearerToken}, "400 credential_in_url"},
		{"a key in the URL under any name", []string{"GET /orders?q=" + goodKey}, "400 credential_in_url"},
		{"a key in the URL, escaped", []string{"GET /orders?q=mm%5Fsk%5F" + goodKey[6:]}, "400 credential_in_url"},
		{"a key in the path", []string{"GET /orders/" + goodKey + "/x"}, "400 credential_in_url"},
		{"a key in the URL, escaped twice", []string{"GET /orders?q=mm%255Fsk%255F" + goodKey[6:]}, "400 credential_in_url"},
		{"a key in the URL, escaped five times", []string{"GET /orders?q=mm%252525255Fsk%252525255F" + goodKey[6:]}, "400 credential_in_url"},
		{"a key in the path, escaped twice", []string{"GET /orders/mm%255Fsk%255F" + goodKey[6:] + "/x"}, "400 credential_in_url"},
		{"a key after a bad escape", []string{"GET /orders?q=%zz%255F&p=%25zmm%255Fsk%5F" + goodKey[6:]}, "400 credential_in_url"},
		{"a key in an address in the URL", []string{"GET /orders?next=https%3A%2F%2Fa.example%2F%3Fx%3Dmm%255Fsk_" + goodKey[6:]}, "400 credential_in_url"},
		{"a token in the fragment of an address in the URL", []string{"GET /orders?next=https://a.example/%23access_token=" + d.token}, "400 credential_in_url"},
		{"RFC 3986 3.3, a token in a parameter of the path", []string{"GET /orders;access_token=" + d.token + "/x"}, "400 credential_in_url"},
		{"text that speaks of tokens", []string{"GET /orders?q=what+is+access_token%3D...%3F", bearerToken}, "acc_ada by bearer"},
		{"an address with a percent sign", []string{"GET /orders/100%25/a%252Fb?q=5%25", bearerToken}, "acc_ada by bearer"},
		{"a parameter in other letters", []string{"GET /orders?Access_Token=x"}, "400 credential_in_url"},

		{"a limit that is used up", []string{get, "Authorization: ApiKey " + limitedKey}, "429 rate_limited"},
		{"from elsewhere", []string{get, "Authorization: ApiKey elsewhere"}, "403 ip_not_allowed"},
		{"a fault of ours", []string{get, "Authorization: ApiKey broken"}, "500 internal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := d.knock(d.guard.Require("orders:read"), tt.lines...)
			if got := said(t, w); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
	for _, text := range []string{goodKey, limitedKey, d.token, d.token[len(d.token)-20:], goodKey[20:]} {
		if strings.Contains(d.log.String(), text) {
			t.Error("there is a credential in the log")
		}
	}
	if !strings.Contains(d.log.String(), "on fire") {
		t.Error("the log does not say what went wrong")
	}
	slices.Sort(d.exposed)
	if got := slices.Compact(d.exposed); !slices.Equal(got, []string{"80IPJYENAm1 credential_in_url", "jti-1 credential_in_url"}) {
		t.Errorf("exposed: %v", got)
	}
}

// said is what the handler said, or the status and code of a refusal, which is a problem document.
func said(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code == http.StatusOK {
		return w.Body.String()
	}
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" ||
		p.Status != w.Code || p.Type != "about:blank" || p.Title != http.StatusText(w.Code) || p.Detail == "" {
		t.Errorf("RFC 9457: %v %s", w.Header(), w.Body)
	}
	if strings.Contains(w.Body.String(), "fire") {
		t.Error("a fault of ours was told")
	}
	return fmt.Sprint(w.Code, " ", p.Code)
}

func TestChallenges(t *testing.T) {
	d := newDoor(t)
	metadata := `resource_metadata="` + metadataURL + `"`
	for _, tt := range []struct {
		name, scope, line string
		want              []string
	}{
		{"RFC 6750 3.1, nothing shown: no error", "orders:read", "",
			[]string{`Bearer scope="orders:read", ` + metadata, `ApiKey realm="api"`}},
		{"RFC 6750 3.1, bad token", "orders:read", "Bearer a.b.c",
			[]string{`Bearer error="invalid_token", ` + metadata, `ApiKey realm="api"`}},
		{"bad key", "orders:read", "ApiKey bad",
			[]string{`Bearer ` + metadata, `ApiKey realm="api", error="invalid_key"`}},
		{"RFC 6750 3.1, missing scope of a token", "orders:write", "Bearer " + d.token,
			[]string{`Bearer error="insufficient_scope", scope="orders:write", ` + metadata, `ApiKey realm="api", error="insufficient_scope", scope="orders:write"`}},
		{"missing scope of a key", "orders:write", "ApiKey " + goodKey,
			[]string{`Bearer error="insufficient_scope", scope="orders:write", ` + metadata, `ApiKey realm="api", error="insufficient_scope", scope="orders:write"`}},
		{"key from elsewhere", "orders:read", "ApiKey elsewhere",
			[]string{`Bearer ` + metadata, `ApiKey realm="api", error="ip_not_allowed"`}},
		{"limit", "orders:read", "ApiKey " + limitedKey, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{"GET /"}
			if tt.line != "" {
				lines = append(lines, "Authorization: "+tt.line)
			}
			w := d.knock(d.guard.Require(tt.scope), lines...)
			if got := w.Header()["Www-Authenticate"]; !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if tt.name == "limit" && w.Header().Get("Retry-After") != "2" {
				t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		})
	}
	plain := newDoor(t, func(c *bearer.Config) { c.Keys, c.ResourceMetadata, c.Realm = nil, "", "orders" })
	if got := plain.knock(plain.guard.Require(), "GET /").Header()["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer realm="orders"`}) {
		t.Errorf("without keys: %q", got)
	}
}

func TestRules(t *testing.T) {
	d := newDoor(t)
	token := "Authorization: Bearer " + d.token
	for _, tt := range []struct {
		name string
		rule bearer.Rule
		line string
		want string
	}{
		{"no scope needed", bearer.Rule{}, token, "acc_ada by bearer"},
		{"all of them", bearer.Rule{All: []string{"orders:read", "orders:write"}}, token, "403 insufficient_scope"},
		{"any of them", bearer.Rule{Any: []string{"orders:write", "orders:read"}}, token, "acc_ada by bearer"},
		{"any of others", bearer.Rule{Any: []string{"orders:write", "orders"}}, token, "403 insufficient_scope"},
		{"optional, with nothing", bearer.Rule{Optional: true}, "", "nobody"},
		{"optional, with a good one", bearer.Rule{Optional: true}, token, "acc_ada by bearer"},
		{"optional, with a bad one", bearer.Rule{Optional: true}, "Authorization: Bearer a.b.c", "401 invalid_credential"},
		{"optional, with something odd", bearer.Rule{Optional: true}, "Authorization: Digest x", "401 unauthenticated"},
		{"optional, without the scope", bearer.Rule{Optional: true, All: []string{"x"}}, token, "403 insufficient_scope"},
		{"only people", bearer.Rule{Methods: []bearer.Method{bearer.MethodSession}}, token, "403 wrong_method"},
		{"only people, and one comes", bearer.Rule{Methods: []bearer.Method{bearer.MethodSession}}, "Cookie: session=good", "acc_1 by session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{"GET /"}
			if tt.line != "" {
				lines = append(lines, tt.line)
			}
			if got := said(t, d.knock(d.guard.With(tt.rule), lines...)); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
	defer func() {
		if recover() == nil {
			t.Error(`a scope with a quote would have been written into a header`)
		}
	}()
	d.guard.Require(`a"b`)
}

func TestMuxAndAGuardBehindAGuard(t *testing.T) {
	d := newDoor(t)
	router := mux.NewRouter()
	router.Use(d.guard.Require())
	router.Handle("/read", d.guard.Require("orders:read")(who))
	router.Handle("/write", d.guard.RequireAny("orders:write")(who))
	for target, want := range map[string]int{"/read": 200, "/write": 403} {
		d.asked = 0
		w := httptest.NewRecorder()
		router.ServeHTTP(w, request(t, "GET "+target, "X-API-Key: "+goodKey))
		if w.Code != want || d.asked != 1 {
			t.Errorf("%s: %d, and the key was verified %d times", target, w.Code, d.asked)
		}
	}
	// A principal that somebody else put there is not what a guard goes by.
	w := httptest.NewRecorder()
	r := request(t, "GET /")
	d.guard.Require()(who).ServeHTTP(w, r.WithContext(bearer.NewContext(r.Context(), bearer.Principal{Subject: "eve"})))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a context from elsewhere let it in: %d", w.Code)
	}
}

func TestCookiesAndOtherSites(t *testing.T) {
	d := newDoor(t, func(c *bearer.Config) { c.Origins = []string{"https://app.example"} })
	cookie, upgrade := "Cookie: session=good", "Upgrade: websocket"
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"a page of ours posts", []string{"POST /", cookie, "Sec-Fetch-Site: same-origin", "Origin: https://api.example"}, 200},
		{"a page of a friend posts", []string{"POST /", cookie, "Sec-Fetch-Site: cross-site", "Origin: https://app.example"}, 200},
		{"another page posts", []string{"POST /", cookie, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		{"another page of our site posts", []string{"POST /", cookie, "Sec-Fetch-Site: same-site", "Origin: https://evil.api.example"}, 403},
		{"an older browser on another page", []string{"DELETE /", cookie, "Origin: https://evil.example"}, 403},
		{"a page without an origin", []string{"POST /", cookie, "Origin: null"}, 403},
		{"another page with a key of its own", []string{"POST /", "X-API-Key: " + goodKey, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200},
		{"another page reads, which CORS decides", []string{"GET /", cookie, "Sec-Fetch-Site: cross-site"}, 200},
		{"RFC 6455 10.2, a socket of ours", []string{"GET /", cookie, upgrade, "Origin: https://api.example"}, 200},
		{"RFC 6455 10.2, a socket of a friend", []string{"GET /", cookie, upgrade, "Origin: https://app.example"}, 200},
		{"RFC 6455 10.2, a socket of another page", []string{"GET /", cookie, upgrade, "Origin: https://evil.example"}, 403},
		{"RFC 6455 10.2, a socket of nowhere", []string{"GET /", cookie, upgrade}, 403},
		{"RFC 6455 10.2, a socket of two origins", []string{"GET /", cookie, upgrade, "Origin: https://api.example", "Origin: https://evil.example"}, 403},
		{"RFC 6455 4.1, WebSocket in a list", []string{"GET /", cookie, "Upgrade: x, WebSocket", "Origin: https://evil.example"}, 403},
		{"RFC 6455 4.1, WebSocket, and a proxy took Upgrade away", []string{"GET /", cookie, "Sec-WebSocket-Version: 13", "Origin: https://evil.example"}, 403},
		{"a socket with a token", []string{"GET /", "Authorization: Bearer " + d.token, upgrade}, 200},
		{"a socket with nothing", []string{"GET /", upgrade}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if w := d.knock(d.guard.Require(), tt.lines...); w.Code != tt.want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestClearText(t *testing.T) {
	d := newDoor(t, func(c *bearer.Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, tt := range []struct {
		name, from string
		lines      []string
		want       string // the address that the verifier of keys hears of, or the status
	}{
		{"loopback", "127.0.0.1:1", nil, "127.0.0.1"},
		{"loopback, v6", "[::1]:1", nil, "::1"},
		{"elsewhere", "192.0.2.1:1", nil, "403"},
		{"elsewhere, and it says it had TLS", "192.0.2.1:1", []string{"X-Forwarded-Proto: https"}, "403"},
		{"a proxy that had TLS", "10.1.1.1:1", []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"}, "203.0.113.9"},
		{"two proxies, and a liar before them", "10.1.1.1:1", []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1, 203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		{"a proxy that had none", "10.1.1.1:1", []string{"X-Forwarded-Proto: http"}, "403"},
		{"a liar before a proxy that had none", "10.1.1.1:1", []string{"X-Forwarded-Proto: https, http"}, "403"},
		{"a proxy that does not say", "10.1.1.1:1", nil, "403"},
		{"no address", "", nil, "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, append([]string{"GET /", "X-API-Key: " + goodKey}, tt.lines...)...)
			r.TLS, r.RemoteAddr = nil, tt.from
			got := ""
			w := httptest.NewRecorder()
			d.guard.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				p, _ := bearer.FromContext(r.Context())
				got = p.Organization // where the test's verifier puts it
			})).ServeHTTP(w, r)
			if w.Code != 200 {
				got = fmt.Sprint(w.Code)
			}
			if got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
	if len(d.exposed) != 6 || d.exposed[0] != "80IPJYENAm1 clear_text" {
		t.Errorf("exposed: %v", d.exposed)
	}
}

func TestAProxyThatIsKnownToHaveTLS(t *testing.T) {
	d := newDoor(t, func(c *bearer.Config) {
		c.Proxies, c.ProxiesHaveTLS = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true
	})
	for _, tt := range []struct {
		name, from string
		lines      []string
		want       int
	}{
		{"it does not say", "10.1.1.1:1", nil, 200},
		{"it had none", "10.1.1.1:1", []string{"X-Forwarded-Proto: http", "X-Forwarded-For: 192.0.2.1"}, 403},
		{"it had none, on this machine", "10.1.1.1:1", []string{"X-Forwarded-Proto: http", "X-Forwarded-For: 127.0.0.1"}, 200},
		{"somebody else does not say", "192.0.2.1:1", nil, 403},
	} {
		r := request(t, append([]string{"GET /", "X-API-Key: " + goodKey}, tt.lines...)...)
		r.TLS, r.RemoteAddr = nil, tt.from
		w := httptest.NewRecorder()
		d.guard.Require()(who).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d", tt.name, w.Code)
		}
	}
}

func TestRevokedIsAskedAboutWhatIsRemembered(t *testing.T) {
	var answer error
	d := newDoor(t, func(c *bearer.Config) {
		c.Revoked = func(_ context.Context, p bearer.Principal, _ time.Time) error {
			if p.Authorization == "aut_1" || p.Credential == "ses_1" {
				return answer
			}
			return nil
		}
	})
	for _, tt := range []struct {
		answer error
		want   int
	}{{nil, 200}, {bearer.ErrInvalid, 401}, {nil, 200}, {bearer.ErrUnavailable, 503}} {
		answer = tt.answer
		for _, line := range []string{"Authorization: Bearer " + d.token, "Cookie: session=good"} {
			if w := d.knock(d.guard.Require(), "GET /", line); w.Code != tt.want {
				t.Errorf("%v: got %d", tt.answer, w.Code)
			}
		}
	}
}

func TestGraphQLErrors(t *testing.T) {
	d := newDoor(t, func(c *bearer.Config) { c.WriteError = bearer.WriteGraphQL })
	w := d.knock(d.guard.Require("orders:write"), "POST /graphql", "Authorization: Bearer "+d.token)
	want := `{"errors":[{"message":"This needs the scope orders:write.","extensions":{"code":"insufficient_scope","status":403,"scopes":["orders:write"]}}]}`
	if w.Code != 403 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/graphql-response+json" ||
		w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestGuardsThatAreRefused(t *testing.T) {
	keys := bearer.VerifierFunc(nil)
	for name, c := range map[string]bearer.Config{
		"nothing to verify with": {},
		"Cookie as a key header": {Keys: keys, Headers: []string{"cookie"}},
		"every token a key":      {Keys: keys, KeyPrefixes: []string{""}},
		"a quote in the realm":   {Keys: keys, Realm: `a"b`},
		"an origin with a path":  {Keys: keys, Origins: []string{"https://app.example/x"}},
	} {
		if _, err := bearer.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What is refused by a handler itself is refused as by the guard before it.
func TestIdentify(t *testing.T) {
	d := newDoor(t)
	rule := bearer.Rule{All: []string{"orders:read", "orders:write"}}
	for _, lines := range [][]string{
		{"GET /"},
		{"GET /", "Authorization: Bearer " + d.token},
		{"GET /", "Authorization: ApiKey " + goodKey},
		{"GET /", "Authorization: ApiKey bad"},
		{"GET /", "Authorization: ApiKey " + limitedKey},
		{"GET /?api_key=" + goodKey},
	} {
		by := d.knock(d.guard.With(rule), lines...)
		p, err := d.guard.Identify(request(t, lines...), rule)
		w := httptest.NewRecorder()
		if e := d.guard.Challenge(w.Header(), rule, err); err == nil || e.Status != by.Code || p.Subject != "" ||
			!slices.Equal(w.Header()["Www-Authenticate"], by.Header()["Www-Authenticate"]) || w.Header().Get("Retry-After") != by.Header().Get("Retry-After") {
			t.Errorf("%s: %v %v, and the guard %v", lines, err, w.Header(), by.Header())
		}
	}
	if p, err := d.guard.Identify(request(t, "GET /", "Authorization: Bearer "+d.token), bearer.Rule{}); err != nil || p.Subject != "acc_ada" {
		t.Error(p, err)
	}
	if p, err := d.guard.Identify(request(t, "GET /"), bearer.Rule{Optional: true}); err != nil || p.Subject != "" {
		t.Error(p, err)
	}
	if err := d.guard.CheckURL(request(t, "GET /"), &url.URL{Path: "/a_mm_x/mm_sk_short/" + goodKey}); err != bearer.ErrInURL {
		t.Error(err)
	}
}

// Rate limits are told with what is let in, as with what is not.
func TestLimitsAreTold(t *testing.T) {
	d := newDoor(t, func(c *bearer.Config) {
		c.Keys = bearer.VerifierFunc(func(_ context.Context, c bearer.Credential, _ time.Time) (bearer.Principal, error) {
			limits := &bearer.Limits{Policy: `"a";q=1;w=1`, Left: `"a";r=0;t=1`}
			if c.Want == nil || c.Want.Audience != "orders" {
				return bearer.Principal{}, &bearer.Error{Status: 429, Code: "rate_limited", Limits: limits}
			}
			return bearer.Principal{Subject: "svc_1", Method: bearer.MethodAPIKey, Limits: limits}, nil
		})
	})
	for status, rule := range map[int]bearer.Rule{200: {Audience: "orders"}, 429: {}} {
		w := d.knock(d.guard.With(rule), "GET /", "Authorization: ApiKey "+goodKey)
		if w.Code != status || w.Header().Get("RateLimit") == "" || w.Header().Get("RateLimit-Policy") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
}
