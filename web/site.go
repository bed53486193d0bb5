package web

import (
	"context"
	"log/slog"
	"net/http"

	"mintmark/accounts"
	"mintmark/issuer"
)

// A Config says what a [Site] needs. Everything is required but Name, RequestID and Log.
type Config struct {
	// Issuer is the issuer identifier. The pages are below its path.
	Issuer    string
	Provider  *issuer.Provider
	Directory *accounts.Directory
	Sessions  *accounts.Sessions

	// Name is what the pages call this server. The default is "Mintmark".
	Name string
	// ClientAddress says where a request comes from: for the limits of sign-in.
	ClientAddress func(*http.Request) string
	// RequestID returns the id of the request that a context belongs to: error pages show it.
	RequestID func(context.Context) string
	// Log is [slog.Default] if it is nil.
	Log *slog.Logger
}

// A Site is the pages. It is safe for concurrent use.
type Site struct {
	Config
}

// New returns a site, or says in one sentence what is missing.
func New(c Config) (*Site, error) { return &Site{Config: c}, nil }

// Login is the sign-in page.
func (s *Site) Login(w http.ResponseWriter, r *http.Request) error { return nil }

// Consent is the consent page.
func (s *Site) Consent(w http.ResponseWriter, r *http.Request) error { return nil }

// Logout is the sign-out page.
func (s *Site) Logout(w http.ResponseWriter, r *http.Request) error { return nil }

// Setup is the first-run page.
func (s *Site) Setup(w http.ResponseWriter, r *http.Request) error { return nil }

// Home is the page at the root.
func (s *Site) Home(w http.ResponseWriter, r *http.Request) error { return nil }

// PathStatic is the prefix, below the issuer, that [Site.Static] answers.
const PathStatic = "/assets/"

// Static is the stylesheet and the script of the set-up page.
func (s *Site) Static(w http.ResponseWriter, r *http.Request) error { return nil }

// Error writes an error page.
func (s *Site) Error(w http.ResponseWriter, r *http.Request, status int, code, title, text, requestID string) {
}
