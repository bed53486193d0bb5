package upstream

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"mintmark/internal/secret"
)

// A Config says what a registry needs. Store, Sealer, StateKey and Issuer have no default.
type Config struct {
	Store  Store
	Sealer *secret.Sealer
	// StateKey seals what a sign-in's cookie holds. All copies of the server have the same: the
	// keyring's key named "upstream".
	StateKey [32]byte
	// Issuer is ours. The redirect URI is Issuer + "/login/" + name + "/callback".
	Issuer string
	// Allow is a list of hosts, as "host" or "host:port", that may have an address that is not
	// public and still be a provider's. Those that are loopback may be spoken to without TLS.
	Allow []string
	// RootCAs verify the providers. The default is the system's.
	RootCAs *x509.CertPool
	// Log gets a line when a provider is found to be away, and when it is back. What a sign-in is
	// refused for is in the error, for the caller's log. The default is [slog.Default].
	Log *slog.Logger
}

// A Registry knows the providers and signs people in with them. It is safe for concurrent use.
type Registry struct {
	Config
}

// New returns a registry. It asks nobody yet.
func New(c Config) (*Registry, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Registry{Config: c}, nil
}

// A Purpose is what a sign-in is for. It comes back from [Registry.Finish] as it went in.
type Purpose struct {
	// Request is the issuer's sealed request that waits for its person; may be empty.
	Request string `json:"request,omitempty"`
	// Return is a relative path of ours, or empty. Anything else is refused at Begin.
	Return string `json:"return,omitempty"`
	// LinkTo and Session are the account that the identity is to be linked to, and the session
	// that asks; both or none.
	LinkTo  string `json:"link_to,omitempty"`
	Session string `json:"session,omitempty"`

	// The rest is for the provider's page and does not come back.
	LoginHint string `json:"-"`
	Prompt    string `json:"-"` // "", "login", "select_account"
	// MaxAge asks when the person proved who they are: max_age of OpenID Connect Core §3.1.2.1, with
	// which auth_time becomes REQUIRED in the ID token. The caller compares [Identity.AuthTime].
	MaxAge  *int64   `json:"-"` // seconds; nil: it does not matter
	Locales []string `json:"-"`
}

// Enabled returns the providers with which people may sign in, by name. What it returns may be
// a second old, and does not change.
func (g *Registry) Enabled(ctx context.Context, now time.Time) ([]Provider, error) {
	return nil, nil
}

// ByName returns an enabled provider, or [ErrUnknown].
func (g *Registry) ByName(ctx context.Context, name string, now time.Time) (Provider, error) {
	return Provider{}, ErrUnknown
}

// ErrUnknown: there is no provider of this name, or it is disabled.
var ErrUnknown = &Refusal{Code: "unknown_provider", Words: "There is no way to sign in by that name. Choose one from the sign-in page."}

// Begin starts a sign-in with a provider: it gives the browser a cookie and returns the address
// to send it to. An error is a [*Refusal], or ours. Of the sign-ins that a browser began and did
// not finish, the latest few are kept: r says which there are.
func (g *Registry) Begin(w http.ResponseWriter, r *http.Request, name string, to Purpose, now time.Time) (authorizationURL string, err error) {
	return "", ErrUnknown
}

// Finish answers the provider's callback, by GET or by POST: it returns who has arrived, and
// what for. It takes the cookie away. An error is a [*Refusal], or ours.
//
// The purpose comes back with a refusal too, as soon as the cookie is known to be ours, so that
// the page can lead back.
func (g *Registry) Finish(w http.ResponseWriter, r *http.Request, name string, now time.Time) (Identity, Purpose, error) {
	return Identity{}, Purpose{}, ErrUnknown
}

// Forget makes the next look at the providers read them anew, on this copy of the server.
func (g *Registry) Forget() {}
