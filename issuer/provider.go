package issuer

import (
	"context"
	"net/http"
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
	Email     string
	Name      string
	AuthTime  time.Time
	ACR       string
	AMR       []string
}

// A Provider is the issuer's endpoints. It is safe for concurrent use.
type Provider struct {
	Config
	clients *clientCache
}
