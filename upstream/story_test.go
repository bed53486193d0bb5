package upstream_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"mintmark/internal/secret"
	"mintmark/upstream"
)

const ours = "https://sso.example"

// refused are the codes of all refusals that some test has seen.
var refused sync.Map

// TestMain holds every refusal to be one that a test has seen, and no goroutine to be left.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, c := range upstream.Codes() {
			if _, seen := refused.Load(c); !seen {
				fmt.Println("no test was refused with", c)
				code = 1
			}
		}
	}
	if err := goleak.Find(goleak.IgnoreAnyFunction("mintmark/storage/storagetest.startCluster.func1"),
		goleak.IgnoreAnyFunction("mintmark/storage/storagetest.removeAfterUs.func1")); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// An op is a provider that does what the standards say, until a test makes it do something else.
type op struct {
	t   testing.TB
	URL string
	*http.ServeMux
	key *signer

	mu     sync.Mutex
	asked  map[string]int
	grants map[string]url.Values // authorization requests, by code

	metadata func(m claims)
	claims   func(c claims)
	text     func(s string) string       // of the claims
	sign     func(text string) string    // instead of the key
	answer   func(a claims)              // of the token endpoint
	routes   map[string]http.HandlerFunc // instead of ours
	secret   string
	user     claims // what userinfo says
}

type claims map[string]any

func newOP(t testing.TB) *op {
	o := &op{t: t, key: newSigner(t, "one"), asked: map[string]int{}, grants: map[string]url.Values{}, secret: "very:secret%",
		routes: map[string]http.HandlerFunc{}, ServeMux: http.NewServeMux()}
	server := httptest.NewServer(o.counting())
	t.Cleanup(server.Close)
	o.URL = server.URL
	o.HandleFunc("/.well-known/openid-configuration", o.discovery)
	o.HandleFunc("/jwks", o.jwks)
	o.HandleFunc("/token", o.token)
	o.HandleFunc("/userinfo", o.userinfo)
	return o
}

func (o *op) counting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.asked[r.URL.Path]++
		other := o.routes[r.URL.Path]
		o.mu.Unlock()
		if other != nil {
			other(w, r)
			return
		}
		o.ServeHTTP(w, r)
	})
}

func (o *op) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

func (o *op) total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.asked {
		n += k
	}
	return n
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (o *op) discovery(w http.ResponseWriter, r *http.Request) {
	m := claims{
		"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize?tenant=1", "token_endpoint": o.URL + "/token",
		"userinfo_endpoint": o.URL + "/userinfo", "jwks_uri": o.URL + "/jwks",
		"authorization_response_iss_parameter_supported": true,
		"id_token_signing_alg_values_supported":          []string{"ES256", "HS256", "none"},
	}
	if o.metadata != nil {
		o.metadata(m)
	}
	reply(w, 200, m)
}

func (o *op) jwks(w http.ResponseWriter, r *http.Request) {
	reply(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{o.key.jwk()}})
}

// consent is the person's yes at the provider: it returns the callback's query.
func (o *op) consent(authorization string) url.Values {
	o.t.Helper()
	u, err := url.Parse(authorization)
	if err != nil {
		o.t.Fatal(err)
	}
	q := u.Query()
	code := secret.Random62(20)
	o.mu.Lock()
	o.grants[code] = q
	o.mu.Unlock()
	return url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {o.URL}}
}

// token redeems a code as RFC 6749 §4.1.3 and RFC 7636 §4.6 say.
func (o *op) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	q := o.grants[r.PostFormValue("code")]
	delete(o.grants, r.PostFormValue("code"))
	o.mu.Unlock()
	id, password, basic := r.BasicAuth()
	if !basic {
		id, password = url.QueryEscape(r.PostFormValue("client_id")), url.QueryEscape(r.PostFormValue("client_secret"))
	}
	if id != "client" || password != url.QueryEscape(o.secret) {
		reply(w, 401, claims{"error": "invalid_client"})
		return
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if q == nil || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") ||
		r.PostFormValue("grant_type") != "authorization_code" || len(r.PostFormValue("code_verifier")) < 43 {
		reply(w, 400, claims{"error": "invalid_grant"})
		return
	}
	a := claims{"access_token": "at-" + r.PostFormValue("code"), "token_type": "bearer", "expires_in": 600, "refresh_token": "rt", "scope": "openid email"}
	a["id_token"] = o.idToken(q, a["access_token"].(string))
	if o.answer != nil {
		o.answer(a)
	}
	reply(w, 200, without(a))
}

func (o *op) idToken(q url.Values, access string) string {
	now := time.Now()
	half := sha256.Sum256([]byte(access))
	c := claims{
		"iss": o.URL, "sub": "ada-1", "aud": q.Get("client_id"), "nonce": q.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]), "email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace",
		"amr": []string{"pwd", "otp"}, "acr": "2", "auth_time": now.Unix() - 30, "sid": "s-1",
	}
	if o.claims != nil {
		o.claims(c)
	}
	text, err := json.Marshal(without(c))
	if err != nil {
		o.t.Error(err)
	}
	if o.text != nil {
		text = []byte(o.text(string(text)))
	}
	if o.sign != nil {
		return o.sign(string(text))
	}
	return o.key.sign(string(text), nil)
}

func (o *op) userinfo(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer at-") {
		reply(w, 401, claims{"error": "invalid_token"})
		return
	}
	reply(w, 200, o.user)
}

// without leaves out what is nil. null is json.RawMessage("null").
func without(c claims) claims {
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

type signer struct {
	t       testing.TB
	kid     string
	private *ecdsa.PrivateKey
}

func newSigner(t testing.TB, kid string) *signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, kid, key}
}

func (s *signer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.private.Public(), KeyID: s.kid, Algorithm: "ES256", Use: "sig"}
}

var base = base64.RawURLEncoding

// sign makes a JWS by hand, so that the header may be anything.
func (s *signer) sign(text string, header claims) string {
	h := claims{"alg": "ES256", "kid": s.kid}
	maps.Copy(h, header)
	head, err := json.Marshal(without(h))
	if err != nil {
		s.t.Error(err)
	}
	return s.signRaw(string(head), text)
}

func (s *signer) signRaw(head, text string) string {
	signed := base.EncodeToString([]byte(head)) + "." + base.EncodeToString([]byte(text))
	sum := sha256.Sum256([]byte(signed))
	r, z, err := ecdsa.Sign(rand.Reader, s.private, sum[:])
	if err != nil {
		s.t.Error(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	z.FillBytes(signature[32:])
	return signed + "." + base.EncodeToString(signature)
}

var _ crypto.Signer = (*ecdsa.PrivateKey)(nil)

// A memory is a store for one process. What the database's does, its own tests prove.
type memory struct {
	mu    sync.Mutex
	rows  []upstream.Provider
	spent map[string]time.Time
	reads int
	fail  error
	slow  func() // before an answer that was read already
}

func (m *memory) Providers(context.Context) ([]upstream.Provider, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	rows, slow := slices.Clone(m.rows), m.slow
	m.slow = nil
	if slow != nil {
		m.mu.Unlock()
		slow()
		m.mu.Lock()
	}
	return rows, m.fail
}

func (m *memory) AddProvider(_ context.Context, p upstream.Provider) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, p)
	return nil
}

func (m *memory) SetProvider(_ context.Context, is, was upstream.Provider) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		if m.rows[i].ID == was.ID {
			m.rows[i] = is
			return nil
		}
	}
	return upstream.ErrNotFound
}

func (m *memory) RemoveProvider(_ context.Context, id string, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = slices.DeleteFunc(m.rows, func(p upstream.Provider) bool { return p.ID == id })
	return nil
}

func (m *memory) SpendState(ctx context.Context, id string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, spent := m.spent[id]; spent {
		return upstream.ErrSpent
	}
	m.spent[id] = until
	return m.fail
}

// A world is our side with a store, one provider named "op", and a browser.
type world struct {
	t testing.TB
	*upstream.Registry
	op      *op
	store   *memory
	sealer  *secret.Sealer
	now     time.Time
	browser browser
}

type browser map[string]*http.Cookie

func newWorld(t testing.TB, change ...func(*upstream.Config)) *world {
	t.Helper()
	sealer, err := secret.NewSealer(secret.Bytes(32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, op: newOP(t), store: &memory{spent: map[string]time.Time{}}, sealer: sealer, now: time.Now(), browser: browser{}}
	c := upstream.Config{Store: w.store, Sealer: sealer, StateKey: [32]byte(secret.Bytes(32)), Issuer: ours}
	for _, f := range change {
		f(&c)
	}
	w.Registry, err = upstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.add(upstream.Provider{Name: "op", Kind: "oidc", Issuer: w.op.URL})
	return w
}

// add adds a provider. Its secret is the op's.
func (w *world) add(p upstream.Provider) upstream.Provider {
	w.t.Helper()
	p.ID, p.UpdatedAt = secret.NewID("prv"), w.now
	if p.ClientID == "" {
		p.ClientID = "client"
	}
	if p.SealedSecret == nil {
		p.SealedSecret = w.sealer.Seal([]byte(w.op.secret), upstream.SecretAAD(p.ID))
	}
	if err := p.Check(); err != nil {
		w.t.Fatal(err)
	}
	w.store.AddProvider(w.t.Context(), p)
	w.Forget()
	return p
}

// set changes the provider "op".
func (w *world) set(change func(p *upstream.Provider)) {
	w.t.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	change(&w.store.rows[0])
	if err := w.store.rows[0].Check(); err != nil {
		w.t.Fatal(err)
	}
	w.Forget()
}

// take lets the browser take what an answer gives it.
func (b browser) take(rec *httptest.ResponseRecorder) {
	for _, c := range rec.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b, c.Name)
			continue
		}
		b[c.Name] = c
	}
}

func (b browser) show(r *http.Request) *http.Request {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		r.AddCookie(&http.Cookie{Name: name, Value: b[name].Value})
	}
	return r
}

// begins starts a sign-in and returns where the browser is sent.
func (w *world) begins(name string, to upstream.Purpose) (string, error) {
	rec := httptest.NewRecorder()
	address, err := w.Begin(rec, w.browser.show(httptest.NewRequest("GET", "/login", nil)), name, to, w.now)
	w.browser.take(rec)
	w.note(err)
	return address, err
}

// returns is the callback by GET.
func (w *world) returns(name string, q url.Values) (upstream.Identity, upstream.Purpose, error) {
	return w.finishes(name, httptest.NewRequest("GET", "/callback?"+q.Encode(), nil))
}

// posts is the callback by POST, until the browser is to bring it again by GET.
func (w *world) posts(name, form string) (query string, err error) {
	r := httptest.NewRequest("POST", "/callback", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	query, err = w.Posted(r, name, w.now) // without a cookie
	w.note(err)
	return query, err
}

func (w *world) finishes(name string, r *http.Request) (upstream.Identity, upstream.Purpose, error) {
	rec := httptest.NewRecorder()
	who, to, err := w.Finish(rec, w.browser.show(r), name, w.now)
	w.browser.take(rec)
	w.note(err)
	return who, to, err
}

// signsIn is the whole way.
func (w *world) signsIn(name string) (upstream.Identity, error) {
	address, err := w.begins(name, upstream.Purpose{Return: "/account"})
	if err != nil {
		return upstream.Identity{}, err
	}
	who, _, err := w.returns(name, w.op.consent(address))
	return who, err
}

// note holds errors to be refusals for people.
func (w *world) note(err error) {
	w.t.Helper()
	var e *upstream.Refusal
	switch {
	case err == nil:
	case !errors.As(err, &e):
		if w.store.fail == nil {
			w.t.Errorf("not a refusal: %v", err)
		}
	case e.Words == "" || strings.ContainsAny(e.Words, "{}"):
		w.t.Errorf("%s has the words %q", e.Code, e.Words)
	default:
		refused.Store(e.Code, true)
	}
}

func code(err error) string {
	if e, ok := errors.AsType[*upstream.Refusal](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}
