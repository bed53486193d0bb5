package web

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
	wellknown "mintmark/well-known"
)

// The stories of the pages are told over real accounts, sessions and requests of
// applications, through HTTP. Only package server is missing.

const (
	password = "correct horse battery staple"
	back     = "https://orders.example/callback"
	bye      = "https://orders.example/bye"
)

// A house is an issuer with its pages.
type house struct {
	t         *testing.T
	issuer    string
	db        *storage.DB
	hasher    *secret.Hasher
	directory *accounts.Directory
	provider  *issuer.Provider
	client    issuer.Client
	sessions  *accounts.Sessions
	apiKeys   *apikeys.Registry
	upstream  *upstream.Registry
	site      *Site
}

// inEach tells a story on each database.
func inEach(t *testing.T, tell func(t *testing.T, h *house)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) { tell(t, newHouse(t, open())) })
}

func newHouse(t *testing.T, db *storage.DB) *house { return newHouseAt(t, db, "127.0.0.1") }

// newHouseAt gives the house a name. Two with the same would share their cookies, which know no
// ports.
func newHouseAt(t *testing.T, db *storage.DB, host string) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	routes := http.NewServeMux()
	server := httptest.NewUnstartedServer(routes)
	h := &house{t: t, db: db, issuer: strings.Replace("http://"+server.Listener.Addr().String()+"/tenant", "127.0.0.1", host, 1), hasher: secret.NewHasher(1)}
	sealer, err := secret.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ring := keys.New(keys.Config{Store: db.Keys(), Sealer: sealer, Log: quiet})
	if err := ring.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mint := secret.NewMint([32]byte{1})
	sessions := &accounts.Sessions{Store: db.Accounts(), Mint: mint, Log: quiet}
	h.directory = &accounts.Directory{Store: db.Accounts(), Mint: mint, Hasher: h.hasher, Log: quiet}
	h.provider, err = issuer.New(issuer.Config{
		Issuer: h.issuer, Store: db.Issuer(), Keys: ring, Mint: mint, Hasher: h.hasher,
		RefreshKey: [32]byte{2}, RequestKey: [32]byte{3},
		Login: func(r *http.Request) (issuer.Login, bool, error) {
			x, a, ok, err := sessions.Current(r, time.Now())
			return LoginOf(x, a), ok, err
		},
		EndSession: func(ctx context.Context, w http.ResponseWriter, id string) error {
			return sessions.End(ctx, w, id, accounts.ReasonLogout, time.Now())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.sessions = sessions
	// Other houses are on loopback, too.
	h.upstream, err = upstream.New(upstream.Config{Store: db.Upstream(), Vault: db.Vault(), Sealer: sealer, StateKey: [32]byte{4}, Issuer: h.issuer, Allow: []string{"localhost"}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	h.apiKeys = &apikeys.Registry{Store: db.APIKeys(), Mint: mint, OwnScopes: []string{"orders:read", "orders:write"}, OwnAudience: []string{"https://orders.example"}}
	site, err := New(Config{Issuer: h.issuer, Provider: h.provider, Directory: h.directory, Sessions: sessions, Upstream: h.upstream, APIKeys: h.apiKeys, Key: [32]byte{5},
		ClientAddress: func(r *http.Request) string { return cmp.Or(r.Header.Get("Test-Address"), r.RemoteAddr) }, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for path, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/authorize": h.provider.Authorize, "/authorize/{request}": h.provider.Authorize, "/end_session": h.provider.EndSession,
		PathLogin: site.Login, PathConsent: site.Consent, PathLogout: site.Logout, PathSetup: site.Setup,
		PathHome + "{$}": site.Home, PathStatic: site.Static, PathAccount: site.Account, PathKeys: site.Keys,
		PathLogin + "/{provider}": site.Begin, PathLogin + "/{provider}/callback": site.Callback, PathLogin + "/{provider}/prove": site.Prove,
	} {
		routes.HandleFunc("/tenant"+path, func(w http.ResponseWriter, r *http.Request) {
			err := handle(w, r)
			refusal, _ := errors.AsType[*issuer.Error](err)
			refused, _ := errors.AsType[*Refusal](err)
			switch {
			case refused != nil:
				if refused.RetryAfter > 0 {
					retryAfter(w, refused.RetryAfter)
				}
				site.Refuse(w, r, refused, "req_1")
			case refusal != nil:
				site.Error(w, r, http.StatusBadRequest, refusal.Code, "No", refusal.Description, "req_1")
			case err != nil && !strings.Contains(err.Error(), "too large"):
				t.Errorf("%s %s: %v", r.Method, path, err)
				fallthrough
			case err != nil:
				site.Error(w, r, http.StatusInternalServerError, "server_error", "No", "", "req_1")
			}
		})
	}
	h.site = site
	wk := wellknown.New(h.provider, ring)
	for path, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/oauth/token": h.provider.Token, "/userinfo": h.provider.UserInfo,
		"/.well-known/openid-configuration": wk.OpenID, "/.well-known/jwks.json": wk.JWKS,
	} {
		routes.HandleFunc("/tenant"+path, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				t.Logf("%s: %v", path, err)
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	server.Start()
	t.Cleanup(server.Close)
	h.client = h.addClient("Orders")
	return h
}

func (h *house) addClient(name string) issuer.Client {
	h.t.Helper()
	c, _, err := h.provider.Register(issuer.Client{Name: name, Type: "web", RedirectURIs: []string{back}, PostLogoutRedirectURIs: []string{bye},
		Scopes: []string{"openid", "profile", "email", "offline_access", "orders:read"}}, time.Now())
	if err == nil {
		err = h.db.Registry().AddClient(h.t.Context(), c)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) addPerson(name string) accounts.Account {
	h.t.Helper()
	a, err := h.directory.Add(h.t.Context(), accounts.New{Email: strings.ToLower(name) + "@example.com", Name: name, Password: password})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// authorize is the address of a good request, with further parameters: name and value in turn.
func (h *house) authorize(params ...string) string {
	q := url.Values{"client_id": {h.client.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid email"}, "state": {"x"}}
	if h.client.RequirePKCE {
		q.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		q.Set("code_challenge_method", "S256")
	}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return h.issuer + "/authorize?" + q.Encode()
}

// A visitor sits at a browser.
type visitor struct {
	t    *testing.T
	h    *house
	http *http.Client
	from string // their address; empty: this machine
}

// A view is what the visitor sees.
type view struct {
	status int
	at     *url.URL
	header http.Header
	body   string
	root   *html.Node
}

func (h *house) visitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, h: h, http: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Hostname(), ".example") {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (v *visitor) open(address string) view {
	v.t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(r)
}

func (v *visitor) post(address string, form url.Values) view {
	v.t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r)
}

func (v *visitor) do(r *http.Request) view {
	v.t.Helper()
	if v.from != "" {
		r.Header.Set("Test-Address", v.from)
	}
	resp, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	seen := view{status: resp.StatusCode, at: resp.Request.URL, header: resp.Header, body: string(body)}
	if to, err := resp.Location(); err == nil {
		seen.at = to
	}
	if seen.root, err = html.Parse(strings.NewReader(seen.body)); err != nil {
		v.t.Fatal(err)
	}
	return seen
}

// press sends the form of a button, with the given values filled in.
func (v *visitor) press(page view, button string, values ...string) view {
	v.t.Helper()
	address, form := v.form(page, button)
	for i := 0; i+1 < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	return v.post(address, form)
}

// form returns where a button sends its form, and what is in it.
func (v *visitor) form(page view, button string) (address string, form url.Values) {
	v.t.Helper()
	elements(page.root, func(f *html.Node) {
		if f.Data != "form" {
			return
		}
		fields, pressed := url.Values{}, false
		elements(f, func(e *html.Node) {
			name, _ := attr(e, "name")
			value, _ := attr(e, "value")
			id, _ := attr(e, "id")
			pressed = pressed || id == button
			kind, _ := attr(e, "type")
			_, checked := attr(e, "checked")
			if kind == "checkbox" && !checked {
				return
			}
			if name != "" && (e.Data == "input" || id == button) {
				fields.Set(name, value)
			}
		})
		if pressed {
			action, _ := attr(f, "action")
			to, err := page.at.Parse(action)
			if err != nil {
				v.t.Fatal(err)
			}
			address, form = to.String(), fields
		}
	})
	if form == nil {
		v.t.Fatalf("no form with #%s at %s (%d): %s", button, page.at, page.status, page.body)
	}
	return address, form
}

// signIn signs in, at the page that is shown.
func (v *visitor) signIn(page view, a accounts.Account) view {
	v.t.Helper()
	return v.press(page, "login-submit", "username", a.Email, "password", password)
}

func (p view) has(id string) bool { return p.element(id) != nil }

func (p view) element(id string) (found *html.Node) {
	elements(p.root, func(e *html.Node) {
		if of, _ := attr(e, "id"); of == id {
			found = e
		}
	})
	return found
}

// value is what is in a field.
func (p view) value(id string) string {
	e := p.element(id)
	if e == nil {
		return ""
	}
	value, _ := attr(e, "value")
	return value
}

// says fails the test if the page does not hold a text.
func (p view) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			t.Errorf("%s (%d) does not say %q: %s", p.at, p.status, text, p.body)
		}
	}
}
