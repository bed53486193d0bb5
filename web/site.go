package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/upstream"
)

// A Config says what a [Site] needs. Everything is required but Upstream, APIKeys, Name, RequestID and Log.
type Config struct {
	// Issuer is the issuer identifier. The pages are below its path.
	Issuer    string
	Provider  *issuer.Provider
	Directory *accounts.Directory
	Sessions  *accounts.Sessions
	// Upstream are the providers that people may sign in with. Nil: there are none.
	Upstream *upstream.Registry
	// APIKeys are the keys that people may make for themselves. Nil: there is no page for that.
	APIKeys *apikeys.Registry
	// Key seals what travels through a page of ours: the keyring's key named "pages".
	Key [32]byte

	// Name is what the pages call this server. The default is "Mintmark".
	Name string
	// ClientAddress says where a request comes from: attempts to sign in are counted by it.
	ClientAddress func(*http.Request) string
	// RequestID returns the id of the request that a context belongs to: error pages that
	// this package makes by itself show it.
	RequestID func(context.Context) string
	// Log is [slog.Default] if it is nil.
	Log *slog.Logger
}

// The paths of the pages, below the issuer.
const (
	PathHome    = "/"
	PathLogin   = "/login"
	PathConsent = "/consent"
	PathLogout  = "/logout"
	PathSetup   = "/setup"
	PathAccount = "/account"
	PathStatic  = "/static/" // and the name of a file
)

// A Site is the pages. It is safe for concurrent use.
//
// Its handlers trust that a POST comes from a page of ours: the caller puts
// [http.CrossOriginProtection] around them. Forms that answer an application carry its
// sealed request besides, which opens in the browser that began it only.
type Site struct {
	Config
	sealer    *secret.Sealer
	secure    bool   // the issuer is https
	base      string // the path of the issuer, "" or "/tenant"
	host      string // of the issuer: people compare it with what their browser shows
	templates map[string]*template.Template
	assets    map[string]asset  // by the name that pages ask for
	named     map[string]string // "site.css": "site-1f0c….css"
	begun     *tally            // sign-ins with providers that were not finished
	failed    *tally            // those that came back and signed nobody in
	shown     *tally            // tokens of outside issuers that signed nobody in
	origin    string            // of the issuer
}

// New returns a site, or says in one sentence what is missing.
func New(c Config) (*Site, error) {
	at, err := url.Parse(c.Issuer)
	switch {
	case err != nil || at.Host == "":
		return nil, fmt.Errorf("web: the issuer %q is not a URL", c.Issuer)
	case c.Upstream != nil && c.Key == [32]byte{}:
		return nil, errors.New("web: with Upstream, Key is required")
	case c.Provider == nil || c.Directory == nil || c.Sessions == nil || c.ClientAddress == nil:
		return nil, errors.New("web: Provider, Directory, Sessions and ClientAddress are required")
	}
	if c.Name == "" {
		c.Name = "Mintmark"
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Site{Config: c, secure: at.Scheme == "https", base: at.EscapedPath(), host: at.Host, begun: newTally(mostBegun), failed: newTally(mostFailed), shown: newTally(mostShown), origin: originOf(c.Issuer)}
	if s.sealer, err = secret.NewSealer(c.Key[:]); err != nil {
		return nil, err
	}
	if s.templates, err = parsePages(); err != nil {
		return nil, err
	}
	s.assets, s.named, err = loadAssets()
	return s, err
}

func (s *Site) path(path string) string { return s.base + path }

// sendTo sends the browser on with a GET. The address is ours, or the issuer's.
func sendTo(w http.ResponseWriter, path string) {
	h := w.Header()
	h.Set("Location", path)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}
