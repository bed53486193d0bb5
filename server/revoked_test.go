package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage/storagetest"
)

const ordersAPI = "https://orders.example"

// A connected guard is a service that listens to the last of three copies of the server.
type connected struct {
	t     testing.TB
	all   []*Server
	feed  *bearer.Feed
	guard http.Handler
	web   *httptest.Server
	shut  atomic.Bool // the last copy answers 503
}

// connect starts three copies of the server, and a service behind a guard.
func connect(t *testing.T, database string) *connected {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + l.Addr().String()
	c := &connected{t: t}
	for range 3 {
		s, _ := start(t, func(c *Config) { c.Database, c.MaxConns, c.Issuer = database, 4, at })
		run(t, s)
		c.all = append(c.all, s)
	}
	// Shorter than a server's own, and than the story.
	c.web = &httptest.Server{Listener: l, Config: &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.shut.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		c.all[2].Handler().ServeHTTP(w, r)
	})}}
	c.web.Start()
	t.Cleanup(c.web.Close)
	t.Cleanup(c.all[2].revoked.End)

	tokens, err := bearer.NewTokens(bearer.Issuer{URL: at, Audiences: []string{ordersAPI}})
	if err != nil {
		t.Fatal(err)
	}
	_, own := c.key(apikeys.New{Name: "orders", Scopes: []string{apikeys.ScopeRevocations, apikeys.ScopeVerify}})
	remote, err := bearer.NewRemoteKeys(bearer.RemoteConfig{Issuer: at, Key: own})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	c.feed, err = bearer.NewFeed(bearer.FeedConfig{Issuer: at, Key: own, Forget: remote.Forget, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.feed.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	guard, err := bearer.New(bearer.Config{Tokens: tokens, Keys: remote, Revoked: c.feed.Revoked, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.guard = guard.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	waitFor(t, func() bool { return c.feed.State().How == "stream" })
	return c
}

// key makes a key of a service.
func (c *connected) key(n apikeys.New) (id, key string) {
	c.t.Helper()
	by := apikeys.By{}
	service, err := c.all[0].apiKeys.AddService(context.Background(), "svc "+secret.NewShortID(), "", by)
	if err != nil {
		c.t.Fatal(err)
	}
	n.Name, n.OwnerType, n.OwnerID = "ci", apikeys.OwnerService, service.ID
	k, token, err := c.all[0].apiKeys.Make(context.Background(), n, by)
	if err != nil {
		c.t.Fatal(err)
	}
	return k.ID, token.Reveal()
}

// token signs an access token that says what it is of.
func (c *connected) token(more map[string]any) string {
	c.t.Helper()
	now := time.Now()
	claims := map[string]any{"iss": c.feed.Issuer, "sub": "usr_1", "aud": ordersAPI, "client_id": "cli_1", "jti": secret.NewID(""),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	text, err := json.Marshal(claims)
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := c.all[0].keyring.Append(nil, keys.ES256, "at+jwt", text)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(token)
}

// says is what the service answers.
func (c *connected) says(credential string) int {
	r := httptest.NewRequest("GET", "https://orders.example/", nil)
	r.Header.Set("Authorization", "Bearer "+credential)
	w := httptest.NewRecorder()
	c.guard.ServeHTTP(w, r)
	return w.Code
}

// refused waits until the service refuses, and says how long that took.
func (c *connected) refused(credential string, began time.Time) time.Duration {
	c.t.Helper()
	for {
		switch code := c.says(credential); {
		case code == 401:
			return time.Since(began)
		case code != 200 || time.Since(began) > 20*time.Second:
			c.t.Fatalf("%d after %s", code, time.Since(began))
		}
		time.Sleep(time.Millisecond)
	}
}

// given stores an authorization from which tokens come, with everything around it, on the first copy.
func (c *connected) given() issuer.Authorization {
	c.t.Helper()
	ctx, db, now := context.Background(), c.all[0].db, time.Now()
	person := accounts.Account{ID: secret.NewID("usr"), CreatedAt: now, UpdatedAt: now}
	person.EmailKey = person.ID
	client := issuer.Client{ID: secret.NewID("cli"), Name: "App", CreatedAt: now, UpdatedAt: now}
	session := accounts.Session{ID: secret.NewID("ses"), AccountID: person.ID, Digest: secret.Bytes(32), CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	a := issuer.Authorization{ID: secret.NewID(""), ClientID: client.ID, AccountID: person.ID, SessionID: session.ID, CreatedAt: now,
		CodeDigest: secret.Bytes(32), CodeExpiresAt: now.Add(time.Minute), ExpiresAt: now.Add(time.Hour), ForgetAt: now.Add(time.Hour)}
	for _, err := range []error{
		db.Accounts().AddAccount(ctx, person),
		db.Registry().AddClient(ctx, client),
		db.Accounts().StartSession(ctx, session, person, ""),
		db.Issuer().Answer(ctx, a, nil),
		db.Issuer().RedeemCode(ctx, issuer.Redemption{ID: a.ID, CodeDigest: a.CodeDigest, Now: now, ExpiresAt: a.ExpiresAt, ForgetAt: a.ForgetAt}),
	} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return a
}

// of is a token of an authorization.
func (c *connected) of(a issuer.Authorization) string {
	return c.token(map[string]any{"sub": a.AccountID, "client_id": a.ClientID, "sid": a.SessionID, "aid": a.ID})
}

// docs/operate/revocation.md: a service that is connected refuses within a second what was
// revoked on another copy than the one that it listens to.
func TestAConnectedGuardRefusesWhatWasRevoked(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			c := connect(t, database(t))
			one := c.all[0]
			ctx := t.Context()
			rounds := []struct {
				what   string
				revoke func() (credential string, revoke func() error)
			}{
				{"a token", func() (string, func() error) {
					jti := secret.NewID("")
					return c.token(map[string]any{"jti": jti}), func() error { return one.db.Issuer().RevokeToken(ctx, jti, time.Now().Add(time.Hour)) }
				}},
				{"an authorization", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Issuer().RevokeAuthorization(ctx, a.ID, "story", time.Now()) }
				}},
				{"a session", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Accounts().EndSession(ctx, a.SessionID, "revoked", time.Now()) }
				}},
				{"a sign-out", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Accounts().EndSession(ctx, a.SessionID, "logout", time.Now()) }
				}},
				{"a new password", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Accounts().SetPassword(ctx, a.AccountID, "", "new", true, time.Now()) }
				}},
				{"a person", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Accounts().DisableAccount(ctx, a.AccountID, time.Now()) }
				}},
				{"a client", func() (string, func() error) {
					a := c.given()
					return c.of(a), func() error { return one.db.Registry().DisableClient(ctx, a.ClientID, time.Now()) }
				}},
				{"a key", func() (string, func() error) {
					id, key := c.key(apikeys.New{})
					return key, func() error { return one.apiKeys.Revoke(ctx, id, "", false, apikeys.By{}) }
				}},
				{"a token that was exchanged for a key", func() (string, func() error) {
					id, _ := c.key(apikeys.New{})
					return c.token(map[string]any{"client_id": id, "akid": id}), func() error { return one.apiKeys.Disable(ctx, id, "", apikeys.By{}) }
				}},
			}
			var took []time.Duration
			for range 2 {
				for _, round := range rounds {
					credential, revoke := round.revoke()
					other := c.token(nil)
					if code := c.says(credential); code != 200 {
						t.Fatalf("%s before: %d", round.what, code)
					}
					if err := revoke(); err != nil {
						t.Fatal(err)
					}
					d := c.refused(credential, time.Now())
					took = append(took, d)
					if d > time.Second {
						t.Errorf("%s was good for %s", round.what, d)
					}
					if code := c.says(other); code != 200 {
						t.Errorf("%s: something else is refused: %d", round.what, code)
					}
				}
			}
			slices.Sort(took)
			withinASecond(t, took)
		})
	}
}

// databases are where a story with its own servers is told.
var databases = map[string]func(testing.TB) string{
	"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres,
}

// What is good again is good again, and a new sign-in after a new password is not touched, in the
// same second neither.
func TestAConnectedGuardBelievesWhatIsGoodAgain(t *testing.T) {
	c := connect(t, storagetest.SQLite(t))
	one, ctx := c.all[0], t.Context()
	id, key := c.key(apikeys.New{})
	token := c.token(map[string]any{"client_id": id, "akid": id})
	if c.says(key) != 200 || c.says(token) != 200 {
		t.Fatal("not good before")
	}
	if err := one.apiKeys.Disable(ctx, id, "", apikeys.By{}); err != nil {
		t.Fatal(err)
	}
	c.refused(key, time.Now())
	c.refused(token, time.Now())
	if err := one.apiKeys.Enable(ctx, id, apikeys.By{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return c.says(token) == 200 })
	a := c.given()
	old := c.of(a)
	if err := one.db.Accounts().SetPassword(ctx, a.AccountID, "", "new", true, time.Now()); err != nil {
		t.Fatal(err)
	}
	fresh := c.token(map[string]any{"sub": a.AccountID, "client_id": a.ClientID, "sid": "ses_new", "aid": "new"})
	c.refused(old, time.Now())
	if code := c.says(fresh); code != 200 {
		t.Errorf("a token of a new sign-in: %d", code)
	}
}

// A copy of the server that ends sends its listeners away; they come back and have missed nothing.
func TestAListenerThatIsSentAwayMissesNothing(t *testing.T) {
	c := connect(t, storagetest.SQLite(t))
	jti := secret.NewID("")
	token := c.token(map[string]any{"jti": jti})
	if c.says(token) != 200 {
		t.Fatal("not good before")
	}
	c.shut.Store(true)
	c.web.CloseClientConnections()
	waitFor(t, func() bool { return c.feed.State().Err != nil }) // it can't come back yet
	if err := c.all[0].db.Issuer().RevokeToken(t.Context(), jti, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if code := c.says(token); code != 200 {
		t.Errorf("before it could hear of it: %d", code)
	}
	c.shut.Store(false)
	waitFor(t, func() bool { return c.says(token) == 401 })
}
