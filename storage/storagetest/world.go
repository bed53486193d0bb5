package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage"
)

// A world is an empty database with some copies of the server on it, and a vocabulary to
// fill it.
type world struct {
	t      *testing.T
	ctx    context.Context
	copies []*storage.DB
	now    time.Time // of the story; the database does not know any other

	people   accounts.Store
	issuer   issuer.Store
	registry issuer.Registry
	keys     keys.Store
	apiKeys  apikeys.Store
	upstream storage.Providers
}

func newWorld(t *testing.T, open func() *storage.DB) *world {
	w := &world{t: t, ctx: t.Context(), now: time.Date(2026, 11, 25, 12, 0, 0, 123_456_000, time.UTC)}
	for range 3 {
		w.copies = append(w.copies, open())
	}
	db := w.copies[0]
	w.upstream = db.Upstream()
	w.people, w.issuer, w.registry, w.keys, w.apiKeys = db.Accounts(), db.Issuer(), db.Registry(), db.Keys(), db.APIKeys()
	return w
}

// account adds an enabled account.
func (w *world) account() accounts.Account {
	w.t.Helper()
	id := secret.NewID("usr")
	a := accounts.Account{
		ID: id, Email: "Ada." + id + "@example.com", EmailKey: "ada." + id + "@example.com", EmailVerified: true,
		Name: "Ada Lovelace", Claims: []byte(`{"given_name":"Ada","zoneinfo":"Europe/London"}`),
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$" + id, CreatedAt: w.now, UpdatedAt: w.now.Add(time.Microsecond),
	}
	w.must(w.people.AddAccount(w.ctx, a))
	return a
}

// session signs somebody in.
func (w *world) session(a accounts.Account) accounts.Session {
	w.t.Helper()
	n := w.newSession(a)
	w.must(w.people.StartSession(w.ctx, n, a, ""))
	return n
}

func (w *world) newSession(a accounts.Account) accounts.Session {
	return accounts.Session{
		ID: secret.NewID("ses"), AccountID: a.ID, Digest: secret.Bytes(32), AuthTime: w.now.Add(-time.Second),
		AMR: []string{"pwd", "otp"}, ACR: "urn:example:2", ProviderID: "prv_1", IdP: "corp", ProvedAt: w.now.Add(-time.Hour), Limits: `{"messages":10}`, CreatedAt: w.now, SeenAt: w.now, ExpiresAt: w.now.Add(30 * 24 * time.Hour),
		Address: "2001:db8::1", UserAgent: "Mozilla/5.0 (story)",
	}
}

// client registers an application.
func (w *world) client() issuer.Client {
	w.t.Helper()
	c := issuer.Client{
		ID: secret.NewID("cli"), Name: "Shop", Type: "web", RedirectURIs: []string{"https://shop.example/cb"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, AuthMethod: "client_secret_basic",
		Scopes: []string{"openid", "email"}, RequirePKCE: true, CreatedAt: w.now, UpdatedAt: w.now,
		Secrets: []issuer.ClientSecret{{Hash: "sha256:" + secret.Random62(64), CreatedAt: w.now}},
	}
	w.must(w.registry.AddClient(w.ctx, c))
	return c
}

// An allowed is what a person allowed an application, with everything around it.
type allowed struct {
	account accounts.Account
	session accounts.Session
	client  issuer.Client
	auth    issuer.Authorization
}

// request is an authorization that nobody has stored yet.
func (w *world) request() allowed {
	w.t.Helper()
	x := allowed{account: w.account(), client: w.client()}
	x.session = w.session(x.account)
	x.auth = issuer.Authorization{
		ID: secret.NewID(""), ClientID: x.client.ID, AccountID: x.account.ID, SessionID: x.session.ID,
		Scopes: []string{"openid", "email"}, Audience: []string{"https://api.example"}, Claims: `{"userinfo":{"email":null}}`,
		AuthTime: w.now.Add(-time.Minute), ACR: "urn:example:1", AMR: []string{"pwd"}, IdP: "corp", Limits: `{"messages":20}`, Nonce: "n-0S6_WzA2Mj",
		CreatedAt: w.now, RedirectURI: "https://shop.example/cb", Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		CodeDigest: secret.Bytes(32), CodeExpiresAt: w.now.Add(time.Minute),
		ExpiresAt: w.now.Add(time.Hour), ForgetAt: w.now.Add(2 * time.Hour),
	}
	return x
}

// answered is an authorization with an unspent code.
func (w *world) answered(change ...func(*issuer.Authorization)) allowed {
	w.t.Helper()
	x := w.request()
	for _, c := range change {
		c(&x.auth)
	}
	w.must(w.issuer.Answer(w.ctx, x.auth, nil))
	return x
}

func offline(a *issuer.Authorization) { a.Offline = true }

// redemption is how the code of x is spent as it should be.
func (w *world) redemption(x allowed) issuer.Redemption {
	return issuer.Redemption{
		ID: x.auth.ID, CodeDigest: x.auth.CodeDigest, Now: w.now.Add(time.Second),
		Seed: secret.Bytes(32), IdleUntil: w.now.Add(30 * 24 * time.Hour), ExpiresAt: w.now.Add(90 * 24 * time.Hour), ForgetAt: w.now.Add(91 * 24 * time.Hour),
		Access: w.token(x),
	}
}

// redeemed is an authorization whose code bought a family of refresh tokens.
func (w *world) redeemed(change ...func(*issuer.Authorization)) allowed {
	w.t.Helper()
	x := w.answered(change...)
	w.must(w.issuer.RedeemCode(w.ctx, w.redemption(x)))
	return x
}

func (w *world) rotation(x allowed, generation int64) issuer.Rotation {
	return issuer.Rotation{ID: x.auth.ID, Generation: generation, Now: w.now.Add(time.Minute), IdleUntil: w.now.Add(31 * 24 * time.Hour), Access: w.token(x)}
}

func (w *world) token(x allowed) *issuer.AccessToken {
	return &issuer.AccessToken{
		ID: secret.NewID(""), Digest: secret.Bytes(32), AuthorizationID: x.auth.ID, ClientID: x.client.ID,
		Scopes: []string{"openid"}, Audience: []string{"https://api.example"}, IssuedAt: w.now, ExpiresAt: w.now.Add(5 * time.Minute),
	}
}

// standing reads how an authorization stands.
func (w *world) standing(x allowed) issuer.Standing {
	w.t.Helper()
	st, err := w.issuer.Standing(w.ctx, x.auth.ID, "", w.now)
	w.must(err)
	return st
}

func (w *world) sessionNow(id string) accounts.Session {
	w.t.Helper()
	n, _, err := w.people.Session(w.ctx, id)
	w.must(err)
	return n
}

// against is everything that can stand against an authorization, and how it comes about. An
// offline authorization outlives its session.
func (w *world) against() []reason {
	return []reason{
		{"its account is disabled", true, func(x allowed) error { return w.people.DisableAccount(w.ctx, x.account.ID, w.now) }},
		{"its account is removed", true, func(x allowed) error { return w.people.RemoveAccount(w.ctx, x.account.ID, w.now) }},
		{"its client is disabled", true, func(x allowed) error { return w.registry.DisableClient(w.ctx, x.client.ID, w.now) }},
		{"its client is removed", true, func(x allowed) error { return w.registry.RemoveClient(w.ctx, x.client.ID, w.now) }},
		{"it is revoked", true, func(x allowed) error { return w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "story", w.now) }},
		{"its consent is revoked", true, func(x allowed) error {
			return w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, w.now)
		}},
		{"its session is revoked", true, func(x allowed) error { return w.people.EndSession(w.ctx, x.session.ID, "revoked", w.now) }},
		{"its session signed out", false, func(x allowed) error { return w.people.EndSession(w.ctx, x.session.ID, "logout", w.now) }},
		{"its session expired", false, func(x allowed) error { return w.people.EndSession(w.ctx, x.session.ID, "expired", w.now) }},
		{"its session is past its end", false, func(x allowed) error {
			x.session.ExpiresAt = w.now
			return w.people.RenewSession(w.ctx, x.session)
		}},
	}
}

type reason struct {
	name    string
	offline bool // it stands against an offline authorization too
	happen  func(allowed) error
}

func (r reason) String() string { return fmt.Sprintf("when %s", r.name) }
