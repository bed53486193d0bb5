package admin

import (
	"context"
	"log/slog"
	"net/http"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/keys"
)

// A Config says what the API looks after. Everything is required but RequestID and Log.
type Config struct {
	Accounts *accounts.Directory
	Registry issuer.Registry
	Provider *issuer.Provider
	Keys     *keys.Keyring
	APIKeys  *apikeys.Registry

	Issuer  string // the issuer identifier, as applications know it
	Version string // of the program

	// RequestID returns the id of a request, for the problem documents.
	RequestID func(context.Context) string
	// Log gets what went wrong on our side. The default is [slog.Default].
	Log *slog.Logger
}

// New returns the handler of everything below /api/v1. A request's path begins with that:
// whoever mounts the handler below an issuer with a path strips the issuer's path before.
func New(c Config) http.Handler {
	return http.NotFoundHandler()
}
