package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
)

// The stories of the endpoints for programs are told over the same houses as those of the
// front, but their authorizations are put straight into the database.

const (
	theVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 Appendix B
	theChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// An app is a client with what it knows.
type app struct {
	issuer.Client
	secret string
}

func (h *house) app(t testing.TB, change func(*issuer.Client)) app {
	t.Helper()
	c := issuer.Client{Name: "App", Type: "web", RequirePKCE: true, RedirectURIs: []string{returning}}
	if change != nil {
		change(&c)
	}
	c, shown, err := h.Register(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.Registry().AddClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return app{c, shown.Reveal()}
}

// service changes a client into one without people.
func service(scopes ...string) func(*issuer.Client) {
	return func(c *issuer.Client) { c.Type, c.RedirectURIs, c.Scopes = "service", nil, scopes }
}

// public changes a client into one without a secret.
func public(c *issuer.Client) { c.Type = "spa" }

// with returns the same house under other rules.
func (h *house) with(t testing.TB, change func(*issuer.Config)) *house {
	t.Helper()
	c := h.Config
	change(&c)
	p, err := issuer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	other := *h
	other.Provider = p
	return &other
}

// A visitor is somebody who is signed in.
type visitor struct {
	accounts.Account
	session accounts.Session
}

func (h *house) visitor(t testing.TB) visitor {
	t.Helper()
	a := h.person(t)
	return visitor{a, h.browser(t).signIn(a)}
}

// code answers an authorization request with a code, as the front does.
func (h *house) code(t testing.TB, a app, v visitor, change func(*issuer.Authorization)) string {
	t.Helper()
	now := time.Now()
	id := secret.NewID("")
	code := h.mint.Issue(secret.KindCode, id)
	digest := code.Digest()
	given := issuer.Authorization{
		ID: id, ClientID: a.ID, AccountID: v.ID, SessionID: v.session.ID,
		Scopes: []string{"openid", "profile"}, Audience: a.Audience,
		AuthTime: now.Add(-time.Minute), ACR: issuer.ACRPassword, AMR: []string{"pwd"}, Nonce: "the nonce",
		CreatedAt: now, RedirectURI: returning, Challenge: theChallenge,
		CodeDigest: digest[:], CodeExpiresAt: now.Add(time.Minute), ExpiresAt: now.Add(6 * time.Minute), ForgetAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&given)
	}
	if err := h.db.Issuer().Answer(t.Context(), given, nil); err != nil {
		t.Fatal(err)
	}
	return code.Reveal()
}

// A reply is what a program gets.
type reply struct {
	what    string // "ok", or the error code
	refusal *issuer.Error
	json    map[string]any
	w       *httptest.ResponseRecorder
}

func (r reply) str(name string) string {
	s, _ := r.json[name].(string)
	return s
}

type handler func(http.ResponseWriter, *http.Request) error

// send makes a request and takes the answer apart. A fault of ours ends the test.
func send(t testing.TB, to handler, r *http.Request) reply {
	t.Helper()
	got, err := try(t, to, r)
	if err != nil {
		t.Fatalf("a fault of ours: %v", err)
	}
	return got
}

func try(t testing.TB, to handler, r *http.Request) (reply, error) {
	t.Helper()
	got := reply{what: "ok", w: httptest.NewRecorder()}
	err := to(got.w, r)
	if errors.As(err, &got.refusal) {
		got.what = got.refusal.Code
		if strings.ContainsAny(got.refusal.Description, `"\`) || strings.Trim(got.refusal.Description, printable) != "" {
			t.Errorf("RFC 6749 5.2: the description is %q", got.refusal.Description)
		}
		return got, nil
	}
	if err != nil {
		return got, err
	}
	if cc := got.w.Header().Get("Cache-Control"); cc != "no-store" {
		t.Errorf("RFC 6749 5.1: Cache-Control is %q", cc)
	}
	if got.w.Body.Len() > 0 {
		if ct := got.w.Header().Get("Content-Type"); ct != "application/json" {
			t.Errorf("Content-Type is %q", ct)
		}
		if err := json.Unmarshal(got.w.Body.Bytes(), &got.json); err != nil {
			t.Errorf("not JSON: %s", got.w.Body)
		}
	}
	return got, nil
}

const printable = ` !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_` + "`abcdefghijklmnopqrstuvwxyz{|}~"

// posting is a POST of a form: name and value in turn. A value "-" leaves a parameter out, and
// the last value of a name counts.
func posting(pairs ...string) *http.Request {
	r := httptest.NewRequest("POST", front+"/x", strings.NewReader(values(pairs...).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func values(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			form.Del(pairs[i])
		} else {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	return form
}

// as is a POST with the authentication that the client is registered for.
func (a app) as(pairs ...string) *http.Request {
	switch a.AuthMethod {
	case "none":
		return posting(append([]string{"client_id", a.ID}, pairs...)...)
	case "client_secret_post":
		return posting(append([]string{"client_id", a.ID, "client_secret", a.secret}, pairs...)...)
	}
	r := posting(pairs...)
	r.SetBasicAuth(a.ID, a.secret)
	return r
}

func (h *house) redeem(t testing.TB, a app, code string, changes ...string) reply {
	t.Helper()
	return send(t, h.Token, a.as(append([]string{
		"grant_type", "authorization_code", "code", code, "redirect_uri", returning, "code_verifier", theVerifier,
	}, changes...)...))
}

func (h *house) renew(t testing.TB, a app, token string, changes ...string) reply {
	t.Helper()
	return send(t, h.Token, a.as(append([]string{"grant_type", "refresh_token", "refresh_token", token}, changes...)...))
}

func (h *house) own(t testing.TB, a app, changes ...string) reply {
	t.Helper()
	return send(t, h.Token, a.as(append([]string{"grant_type", "client_credentials"}, changes...)...))
}

func (h *house) examine(t testing.TB, a app, token string) reply {
	t.Helper()
	return send(t, h.Introspect, a.as("token", token))
}

func (h *house) about(t testing.TB, token string) reply {
	t.Helper()
	r := httptest.NewRequest("GET", front+"/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return send(t, h.UserInfo, r)
}

// good says where an access token still works: "userinfo introspection", or less.
func (h *house) good(t testing.TB, a app, token string) string {
	t.Helper()
	var at []string
	if h.about(t, token).what == "ok" {
		at = append(at, "userinfo")
	}
	if h.examine(t, a, token).json["active"] == true {
		at = append(at, "introspection")
	}
	return strings.Join(at, " ")
}

// jwt takes a token of ours apart. That its signature is good is the keyring's business.
func (h *house) jwt(t testing.TB, token, typ string) (header, claims map[string]any) {
	t.Helper()
	text, err := h.ring.Verify(token, typ)
	if err != nil {
		t.Fatal(err)
	}
	first, err := base64.RawURLEncoding.DecodeString(token[:strings.Index(token, ".")])
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(first, &header) != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatalf("not JSON: %s %s", first, text)
	}
	return header, claims
}

// postingBody replaces the body of a POST.
func postingBody(r *http.Request, body string) *http.Request {
	other := httptest.NewRequest("POST", r.URL.String(), strings.NewReader(body))
	other.Header = r.Header
	return other
}

// atHash is at_hash as OpenID Connect Core §3.1.3.6 has it.
func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// s256 is the code_challenge of a verifier, RFC 7636 §4.2.
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
