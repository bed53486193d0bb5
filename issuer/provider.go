package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"mintmark/internal/secret"
	"mintmark/keys"
)

// A Config says what a [Provider] needs. Everything is required but the lifetimes.
type Config struct {
	// Issuer is the issuer identifier, without a trailing slash. Endpoints are below it.
	Issuer string
	Store  Store
	Keys   *keys.Keyring
	Mint   *secret.Mint
	Hasher *secret.Hasher // for client secrets that a person chose

	// RefreshKey derives the secrets of refresh tokens; it is not in the database in clear.
	RefreshKey [32]byte
	// RequestKey seals requests that wait for their person.
	RequestKey [32]byte

	// Login says who is at the browser of a request. It returns false, and no error, if
	// nobody is signed in or the session is no longer good.
	Login func(*http.Request) (Login, bool, error)
	// EndSession ends a session and clears the browser's cookie.
	EndSession func(ctx context.Context, w http.ResponseWriter, sessionID string) error
	// APIKeys knows the API keys. Nil: there are none.
	APIKeys APIKeys
	// Vault has tokens of upstream providers. Nil: there are none.
	Vault Vault
	// Outside knows the tokens of other issuers. Nil: none are taken.
	Outside Outside
	// Address says where a request comes from: API keys may be bound to networks. Nil: nobody
	// knows, and such keys are refused.
	Address func(*http.Request) netip.Addr
	// ClearText refuses a request that others could have read, if it shows credentials: it is told
	// which. Nil: nobody can.
	ClearText func(r *http.Request, shown func() []string) error
	// JWKS fetches the keys of a client that registered a jwks_uri.
	JWKS func(ctx context.Context, url string) ([]byte, error)

	AccessTTL   time.Duration // 5 minutes
	IDTTL       time.Duration // 5 minutes
	CodeTTL     time.Duration // 60 seconds
	RefreshIdle time.Duration // 30 days
	RefreshMax  time.Duration // 90 days
	// RefreshGrace is how long the previous refresh token gets the same successor again. 120 seconds
	RefreshGrace time.Duration
	RequestTTL   time.Duration // how long a person has to sign in and consent: 30 minutes
}

// A Login is a person at a browser now.
type Login struct {
	AccountID string
	SessionID string
	// AuthTime is when the person last proved who they are: the auth_time claim.
	AuthTime time.Time
	ACR      string
	AMR      []string

	// IdP is the upstream provider that says who it is, by name, or empty: the idp claim. The
	// rest is only of such a sign-in.
	IdP string
	// ArrivedAt is when the person came from there. AuthTime may be long before: they were signed
	// in at the provider already.
	ArrivedAt time.Time
	// Unproven says that the provider does not tell when the person proved it. AuthTime is
	// ArrivedAt then, which satisfies nobody who asks how long ago it was.
	Unproven bool
	// Limits are what the provider says they may do, as one JSON object, or empty: the limits claim.
	Limits string
}

// A Provider is the issuer's endpoints. It is safe for concurrent use.
type Provider struct {
	Config
	clients *clientCache
	base    string // the path of the issuer, without a trailing slash: "" or "/tenant"
	secure  bool   // the issuer is https
	seal    *sealer
	secrets *slowSecrets
	keySets *keySets
}

// New returns a provider, or says in one sentence what is wrong with the configuration. It
// fills in the lifetimes that are zero.
func New(c Config) (*Provider, error) {
	at, err := url.Parse(c.Issuer)
	switch {
	case err != nil || at.Host == "" || at.User != nil:
		return nil, fmt.Errorf("issuer: %q is not a URL", c.Issuer)
	case at.RawQuery != "" || at.ForceQuery || strings.Contains(c.Issuer, "#"):
		// RFC 8414 §2: "a URL that uses the "https" scheme and has no query or fragment components"
		return nil, fmt.Errorf("issuer: %q must not have a query or a fragment", c.Issuer)
	case strings.HasSuffix(c.Issuer, "/"):
		return nil, fmt.Errorf("issuer: %q must not end with a slash", c.Issuer)
	case at.Scheme != "https" && !(at.Scheme == "http" && loopbackName(at.Hostname())):
		return nil, fmt.Errorf("issuer: %q must begin with https:// (http:// only on the loopback interface)", c.Issuer)
	case c.Store == nil || c.Keys == nil || c.Mint == nil || c.Hasher == nil:
		return nil, fmt.Errorf("issuer: Store, Keys, Mint and Hasher are required")
	case c.Login == nil || c.EndSession == nil:
		return nil, fmt.Errorf("issuer: Login and EndSession are required")
	case c.RefreshKey == [32]byte{} || c.RequestKey == [32]byte{}:
		return nil, fmt.Errorf("issuer: RefreshKey and RequestKey are required")
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"AccessTTL", &c.AccessTTL, 5 * time.Minute},
		{"IDTTL", &c.IDTTL, 5 * time.Minute},
		{"CodeTTL", &c.CodeTTL, time.Minute},
		{"RefreshIdle", &c.RefreshIdle, 30 * 24 * time.Hour},
		{"RefreshMax", &c.RefreshMax, 90 * 24 * time.Hour},
		{"RefreshGrace", &c.RefreshGrace, 120 * time.Second},
		{"RequestTTL", &c.RequestTTL, 30 * time.Minute},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("issuer: %s is negative", d.name)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	clients, err := newClientCache(c.Store)
	if err != nil {
		return nil, err
	}
	seal, err := newSealer(c.RequestKey)
	if err != nil {
		return nil, err
	}
	secrets, err := newSlowSecrets(c.Hasher)
	if err != nil {
		return nil, err
	}
	keySets, err := newKeySets(c.JWKS)
	if err != nil {
		return nil, err
	}
	return &Provider{
		Config:  c,
		clients: clients,
		base:    at.EscapedPath(),
		secure:  at.Scheme == "https",
		seal:    seal,
		secrets: secrets,
		keySets: keySets,
	}, nil
}

// loopbackName says whether a host is the machine itself, by name or address.
func loopbackName(host string) bool {
	return host == "localhost" || loopbackAddress(host)
}

// loopbackAddress says whether a host is one of the two loopback IP literals of RFC 8252 §7.3.
func loopbackAddress(host string) bool {
	return host == "127.0.0.1" || host == "::1"
}
