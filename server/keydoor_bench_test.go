package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/issuer"
)

// What the exchange of an API key costs through the whole handler, against the signature in it.
func BenchmarkExchangeAgainstTheSignature(b *testing.B) {
	s, _ := start(b, func(c *Config) {
		c.Dev, c.Log = false, slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	service, err := s.apiKeys.AddService(b.Context(), "robot", "", apikeys.By{})
	if err != nil {
		b.Fatal(err)
	}
	key, token, err := s.apiKeys.Make(b.Context(), apikeys.New{
		Name: "key", OwnerType: apikeys.OwnerService, OwnerID: service.ID, Audience: []string{"https://orders.example"},
		Scopes: []string{"orders:read", "orders:write"}, ExpiresAt: time.Now().Add(time.Hour),
	}, apikeys.By{})
	if err != nil {
		b.Fatal(err)
	}
	s.apiKeys.Heard(time.Now().Add(time.Second)) // as the background job does
	b.Run("exchange", func(b *testing.B) {
		form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token.Reveal()},
			"subject_token_type": {issuer.TokenTypeAPIKey}, "scope": {"orders:read"}}
		againstTheSignature(b, s, form.Encode(), func(*http.Request) {})
	})
	b.Run("client_credentials", func(b *testing.B) {
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}
		againstTheSignature(b, s, form.Encode(), func(r *http.Request) { r.SetBasicAuth(key.ID, token.Reveal()) })
	})
}
