package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// The stories of the authorization and the end-session endpoint are told over the real
// database, keys and sessions. Only the pages are missing: a browser that is sent to one stays there.

const (
	front     = "https://op.example/base"
	returning = "https://app.example/cb"
	bye       = "https://app.example/bye"
)

// A house is one copy of the issuer with everything behind it.
type house struct {
	*issuer.Provider
	db        *storage.DB
	ring      *keys.Keyring
	mint      *secret.Mint
	sessions  *accounts.Sessions
	directory *accounts.Directory
}

// inEach tells a story on each database. copies opens further copies of the server.
func inEach(t *testing.T, tell func(t *testing.T, h *house, copies func() *house)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		copies := func() *house { return newHouse(t, open()) }
		tell(t, copies(), copies)
	})
}

func newHouse(t testing.TB, db *storage.DB) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	sealer, err := secret.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{db: db, mint: secret.NewMint([32]byte{1})}
	h.ring = keys.New(keys.Config{Store: db.Keys(), Sealer: sealer, Log: quiet})
	if err := h.ring.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	hasher := secret.NewHasher(2)
	h.sessions = &accounts.Sessions{Store: db.Accounts(), Mint: h.mint, Secure: true, Log: quiet}
	h.directory = &accounts.Directory{Store: db.Accounts(), Mint: h.mint, Hasher: hasher, Log: quiet}
	h.Provider, err = issuer.New(issuer.Config{
		Issuer: front, Store: db.Issuer(), Keys: h.ring, Mint: h.mint, Hasher: hasher,
		RefreshKey: [32]byte{2}, RequestKey: [32]byte{3},
		Login: func(r *http.Request) (issuer.Login, bool, error) {
			s, a, ok, err := h.sessions.Current(r, time.Now())
			return issuer.Login{AccountID: a.ID, SessionID: s.ID, AuthTime: s.AuthTime, ACR: s.ACR, AMR: s.AMR}, ok, err
		},
		EndSession: func(ctx context.Context, w http.ResponseWriter, id string) error {
			return h.sessions.End(ctx, w, id, accounts.ReasonLogout, time.Now())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// client registers an application.
func (h *house) client(t *testing.T, change func(*issuer.Client)) issuer.Client {
	t.Helper()
	c := issuer.Client{
		Name: "App", Type: "web", RequirePKCE: true,
		RedirectURIs: []string{returning}, PostLogoutRedirectURIs: []string{bye},
	}
	if change != nil {
		change(&c)
	}
	c, _, err := h.Register(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.Registry().AddClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// person makes an account.
func (h *house) person(t testing.TB) accounts.Account {
	t.Helper()
	a, err := h.directory.Add(t.Context(), accounts.New{Email: secret.NewShortID() + "@example.com", Name: "Anna"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// hint signs an ID token for a client.
func (h *house) hint(t *testing.T, client, sub, sid string) string {
	t.Helper()
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":%q,"sid":%q,"exp":1}`, front, client, sub, sid)
	token, err := h.ring.Append(nil, keys.RS256, "JWT", []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// A browser keeps cookies and follows redirects, as long as they stay at the issuer.
type browser struct {
	t       testing.TB
	h       *house
	cookies map[string]*http.Cookie
}

func (h *house) browser(t testing.TB) *browser {
	return &browser{t: t, h: h, cookies: map[string]*http.Cookie{}}
}

// do makes one request. A POST of another site comes without cookies: all of ours are Lax.
func (b *browser) do(method, address string, form url.Values, handler func(http.ResponseWriter, *http.Request) error, otherSite bool) (*httptest.ResponseRecorder, error) {
	b.t.Helper()
	r := httptest.NewRequest(method, address, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !otherSite || method == http.MethodGet {
		for _, c := range b.cookies {
			r.AddCookie(c)
		}
	}
	w := httptest.NewRecorder()
	err := handler(w, r)
	for _, c := range w.Result().Cookies() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") {
			b.t.Errorf("the cookie is %v", c)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return w, err
}

// A place is where a browser arrived: at a page of ours, back at the application, or at an
// error page.
type place struct {
	name   string // "login", "consent", "logout", "code", "bye", "page: CODE", or the error that the application got
	query  url.Values
	sealed string
	body   string
}

// visit opens an address at the issuer.
func (b *browser) visit(address string) place {
	b.t.Helper()
	w, err := b.do("GET", address, nil, b.handler(address), false)
	return b.arrive(w, err)
}

// send posts a form from another site's page.
func (b *browser) send(address string, form url.Values) place {
	b.t.Helper()
	w, err := b.do("POST", address, form, b.handler(address), true)
	if err == nil && w.Code != http.StatusSeeOther {
		b.t.Errorf("RFC 9700 4.12: a POST is answered with %d", w.Code)
	}
	return b.arrive(w, err)
}

// press posts the form of one of our pages.
func (b *browser) press(button func(http.ResponseWriter, *http.Request, string) error, sealed string) place {
	b.t.Helper()
	w, err := b.do("POST", front+"/page", nil, func(w http.ResponseWriter, r *http.Request) error {
		return button(w, r, sealed)
	}, false)
	return b.arrive(w, err)
}

// signIn is what the sign-in page does when the password is right.
func (b *browser) signIn(a accounts.Account) accounts.Session {
	b.t.Helper()
	var s accounts.Session
	_, err := b.do("POST", front+"/login", nil, func(w http.ResponseWriter, r *http.Request) (err error) {
		s, err = b.h.sessions.Begin(w, r, a, []string{"pwd"}, issuer.ACRPassword, "127.0.0.1", time.Now())
		return err
	}, false)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *browser) handler(address string) func(http.ResponseWriter, *http.Request) error {
	if strings.HasPrefix(address, front+"/authorize") {
		return b.h.Authorize
	}
	return b.h.EndSession
}

func (b *browser) arrive(w *httptest.ResponseRecorder, err error) place {
	b.t.Helper()
	if err != nil {
		var refusal *issuer.Error
		if !errors.As(err, &refusal) {
			b.t.Fatalf("a fault of ours: %v", err)
		}
		if w.Header().Get("Location") != "" {
			b.t.Errorf("an error page that redirects to %s", w.Header().Get("Location"))
		}
		return place{name: "page: " + refusal.Code}
	}
	if cache := w.Header().Get("Cache-Control"); cache != "no-store" {
		b.t.Errorf("Cache-Control is %q", cache)
	}
	to := w.Header().Get("Location")
	if to == "" {
		return place{name: "form", body: w.Body.String()}
	}
	if strings.HasPrefix(to, "/") {
		to = "https://op.example" + to
	}
	u, err := url.Parse(to)
	if err != nil {
		b.t.Fatal(err)
	}
	p := place{query: u.Query(), sealed: u.Query().Get("request")}
	switch {
	case strings.HasPrefix(to, front+"/authorize/"), strings.HasPrefix(to, front+"/end_session?"):
		return b.visit(to)
	case strings.HasPrefix(to, front+"/"):
		p.name = strings.TrimPrefix(u.Path, "/base/")
	case strings.HasPrefix(to, bye):
		p.name = "bye"
	case strings.HasPrefix(to, returning):
		if p.query.Get("iss") != front {
			b.t.Errorf("RFC 9207 2: iss is %q", p.query.Get("iss"))
		}
		if p.name = p.query.Get("error"); p.name == "" {
			p.name = "code"
		}
	default:
		b.t.Fatalf("sent to %s", to)
	}
	return p
}

// ask is the address of an authorization request, with parameters changed: name and value in
// turn; the value "-" leaves a parameter out.
func ask(c issuer.Client, changes ...string) string {
	return front + "/authorize?" + asked(c, changes...).Encode()
}

func asked(c issuer.Client, changes ...string) url.Values {
	values := url.Values{
		"client_id": {c.ID}, "redirect_uri": {returning}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"the state"}, "nonce": {"the nonce"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i+1] == "-" {
			values.Del(changes[i])
		} else {
			values.Set(changes[i], changes[i+1])
		}
	}
	return values
}

// authorization returns what the database remembers of an answered request.
func (h *house) authorization(t *testing.T, code string) issuer.Authorization {
	t.Helper()
	id, ok := h.mint.Parse(secret.KindCode, code)
	if !ok {
		t.Fatalf("%q is no code", code)
	}
	s, err := h.db.Issuer().Standing(t.Context(), id, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if digest := secret.Wrap(code).Digest(); !digest.Matches(s.CodeDigest) {
		t.Error("the digest is not of the code")
	}
	return s.Authorization
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
