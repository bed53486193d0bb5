package clients_test

import (
	"testing"

	"golang.org/x/oauth2/clientcredentials"

	"mintmark/conformance"
)

// clientToken gets an access token for a client itself.
func clientToken(t *testing.T, op *conformance.Server, service conformance.Client) string {
	t.Helper()
	config := clientcredentials.Config{ClientID: service.ID, ClientSecret: service.Secret, TokenURL: op.Issuer + "/oauth/token"}
	token, err := config.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}
