package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/admin"
	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
)

// An operator looks after a server over HTTP, with a key. The parts behind it are real.
type operator struct {
	t        *testing.T
	url      string
	key      string
	db       *storage.DB
	apiKeys  *apikeys.Registry
	log      *bytes.Buffer
	hub      *revocations.Hub
	sealer   *secret.Sealer
	upstream *upstream.Registry

	published string // the key of whoever reports leaks, under the name "one"
	fetched   int    // how often it was looked up
}

// onEach tells a story on every database.
func onEach(t *testing.T, story func(t *testing.T, op *operator)) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) { story(t, start(t, open())) })
}

// onSQLite tells a story that is not about the database.
func onSQLite(t *testing.T) *operator {
	return start(t, storagetest.Open(t, storagetest.SQLite(t)))
}

func start(t *testing.T, db *storage.DB) *operator {
	t.Helper()
	ctx := context.Background()
	sealer, err := secret.NewSealer(secret.Bytes(32))
	must(t, err)
	log := new(bytes.Buffer)
	logger := slog.New(slog.NewTextHandler(log, nil))
	ring := keys.New(keys.Config{Store: db.Keys(), Sealer: sealer, Log: logger})
	must(t, ring.Start(ctx))
	mint, hasher := secret.NewMint([32]byte{1}), secret.NewHasher(2)
	provider, err := issuer.New(issuer.Config{
		Issuer: "https://id.example", Store: db.Issuer(), Keys: ring, Mint: mint, Hasher: hasher,
		RefreshKey: [32]byte{2}, RequestKey: [32]byte{3},
		Login:      func(*http.Request) (issuer.Login, bool, error) { return issuer.Login{}, false, nil },
		EndSession: func(context.Context, http.ResponseWriter, string) error { return nil },
	})
	must(t, err)
	op := &operator{t: t, db: db, log: log, apiKeys: &apikeys.Registry{Store: db.APIKeys(), Mint: mint}}
	guard, err := bearer.New(bearer.Config{
		Keys: op.apiKeys.Verifier(), Realm: "mintmark", Log: slog.New(slog.DiscardHandler),
		Exposed: func(ctx context.Context, p bearer.Principal, _ *bearer.Error) {
			must(t, op.apiKeys.Revoke(ctx, p.Credential, "", true, apikeys.By{Actor: "server", Via: "server"}))
		},
	})
	must(t, err)
	people, err := bearer.New(bearer.Config{Keys: op.apiKeys.Verifier(), Tokens: provider, Realm: "mintmark", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	hub := revocations.NewHub(db.Revocations(), logger)
	running, end := context.WithCancel(ctx)
	t.Cleanup(end)
	go hub.Run(running)
	op.hub = hub
	op.sealer = sealer
	op.upstream, err = upstream.New(upstream.Config{Store: db.Upstream(), Sealer: sealer, StateKey: [32]byte{4}, Issuer: "https://id.example", Log: logger})
	must(t, err)
	t.Cleanup(op.upstream.Close)
	server := httptest.NewServer(admin.New(admin.Config{
		Guard:    guard,
		Accounts: &accounts.Directory{Store: db.Accounts(), Hasher: hasher, Mint: mint, Name: "Mintmark"},
		Registry: db.Registry(), Provider: provider, Keys: ring, APIKeys: op.apiKeys,
		Issuer: "https://id.example", Version: "1.2.3", Revocations: hub,
		Providers: db.Upstream(), Upstream: op.upstream,
		Database: func(ctx context.Context) (admin.Database, error) {
			c, err := db.Condition(ctx)
			return admin.Database{Engine: c.Engine, Version: c.Version, Durable: c.Durable, Problems: c.Problems}, err
		},
		People: people,
		Reporters: &apikeys.Reporters{Secret: []byte("a secret of some length"), URL: "https://github.example/keys",
			Fetch: func(context.Context, string) ([]byte, error) {
				op.fetched++
				return json.Marshal(map[string]any{"public_keys": []any{map[string]any{"key_identifier": "one", "key": op.published}}})
			}},
		Unavailable: func(err error) bool { return errors.Is(err, storage.ErrUnavailable) },
		RequestID:   func(context.Context) string { return "req_1" }, Log: logger,
	}))
	t.Cleanup(server.Close)
	op.url = server.URL
	op.key = op.makeKey(apikeys.New{Scopes: apikeys.AdminScopes(), Forever: true})
	return op
}

func (op *operator) makeKey(n apikeys.New) string {
	op.t.Helper()
	n.Name = "test"
	_, token, err := op.apiKeys.Make(context.Background(), n, apikeys.By{Actor: "test", Via: "test", At: n.At})
	must(op.t, err)
	return token.Reveal()
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// ask sends a request; a body that is a string is sent as it is, any other as JSON.
func (op *operator) ask(method, path string, body any, headers ...string) answer {
	op.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		must(op.t, err)
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, op.url+"/api/v1"+path, in)
	must(op.t, err)
	r.Header.Set("Authorization", "ApiKey "+op.key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	must(op.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(op.t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if len(text) > 0 && a.header.Get("Content-Type") != "application/revocations+jwt" {
		if err := json.Unmarshal(text, &a.body); err != nil {
			op.t.Fatalf("%s %s did not answer with a JSON object: %s", method, path, text)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" && path != "/openapi.json" {
		op.t.Errorf("%s %s may be cached: %q", method, path, a.header.Get("Cache-Control"))
	}
	return a
}

// does asks for something that must work.
func (op *operator) does(method, path string, body any) map[string]any {
	op.t.Helper()
	a := op.ask(method, path, body)
	if a.status >= 300 {
		op.t.Fatalf("%s %s: %d %s", method, path, a.status, a.text)
	}
	return a.body
}

// refuses asks for something that must be refused, with a problem document.
func (op *operator) refuses(status int, code, method, path string, body any, headers ...string) answer {
	op.t.Helper()
	a := op.ask(method, path, body, headers...)
	if a.status != status || a.body["code"] != code {
		op.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.status, a.text, status, code)
	}
	// RFC 9457 §3.
	if a.header.Get("Content-Type") != "application/problem+json" || a.body["status"] != float64(status) ||
		a.body["title"] != http.StatusText(status) || a.body["type"] != "about:blank" || a.body["request_id"] != "req_1" {
		op.t.Errorf("%s %s: not a problem document: %s %s", method, path, a.header.Get("Content-Type"), a.text)
	}
	return a
}

// items returns the entries of a list, over all of its pages.
func (op *operator) items(path string, limit string) (all []map[string]any, pages int) {
	op.t.Helper()
	query := url.Values{"limit": {limit}}
	for {
		page := op.does("GET", path+"?"+query.Encode(), nil)
		pages++
		for _, item := range page["items"].([]any) {
			all = append(all, item.(map[string]any))
		}
		next, ok := page["next"].(string)
		if !ok {
			return all, pages
		}
		query.Set("after", next)
	}
}

func (op *operator) addUser(email string) string {
	op.t.Helper()
	return op.does("POST", "/users", map[string]any{"email": email})["id"].(string)
}

// signsIn remembers that a person signed in at a browser.
func (op *operator) signsIn(userID string) string {
	op.t.Helper()
	now := time.Now().Truncate(time.Microsecond)
	id := secret.NewID("ses")
	of, err := op.db.Accounts().Account(context.Background(), userID)
	must(op.t, err)
	must(op.t, op.db.Accounts().StartSession(context.Background(), accounts.Session{
		ID: id, AccountID: userID, Digest: secret.Bytes(32), AuthTime: now, AMR: []string{"pwd"}, CreatedAt: now, SeenAt: now,
		ExpiresAt: now.Add(time.Hour), Address: "192.0.2.1", UserAgent: "a browser",
	}, of, ""))
	return id
}

// allows remembers that a person allowed an application something in a session.
func (op *operator) allows(userID, sessionID, clientID string, scopes ...string) string {
	op.t.Helper()
	now := time.Now().Truncate(time.Microsecond)
	id := secret.NewID("")
	must(op.t, op.db.Issuer().Answer(context.Background(), issuer.Authorization{
		ID: id, ClientID: clientID, AccountID: userID, SessionID: sessionID, Scopes: scopes, AuthTime: now, CreatedAt: now,
		RedirectURI: "https://app.example/back", CodeDigest: secret.Bytes(32), CodeExpiresAt: now.Add(time.Minute),
		ExpiresAt: now.Add(time.Hour), ForgetAt: now.Add(time.Hour),
	}, &issuer.Consent{AccountID: userID, ClientID: clientID, Scopes: scopes, GrantedAt: now, UpdatedAt: now}))
	return id
}

// revoked says whether everything that came from an authorization is refused.
func (op *operator) revoked(id string) bool {
	op.t.Helper()
	s, err := op.db.Issuer().Standing(context.Background(), id, "", time.Now())
	must(op.t, err)
	return !s.RevokedAt.IsZero()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
