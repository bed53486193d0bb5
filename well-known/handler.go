package wellknown

import (
	"net/http"

	"mintmark/issuer"
	"mintmark/keys"
)

// A Handler serves the metadata and the JWKS. It is safe for concurrent use.
type Handler struct{ ring *keys.Keyring }

// New computes the metadata of a provider.
func New(p *issuer.Provider, ring *keys.Keyring) *Handler { return &Handler{ring: ring} }

// OpenID serves /.well-known/openid-configuration.
func (h *Handler) OpenID(w http.ResponseWriter, r *http.Request) error { return nil }

// OAuth serves /.well-known/oauth-authorization-server.
func (h *Handler) OAuth(w http.ResponseWriter, r *http.Request) error { return nil }

// JWKS serves /.well-known/jwks.json.
func (h *Handler) JWKS(w http.ResponseWriter, r *http.Request) error { return nil }
