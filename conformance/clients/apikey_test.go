package clients_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"mintmark/conformance"
)

// An API key works with libraries that have never heard of API keys: its id is a client_id.

// ordersKey makes a key of a service account.
func ordersKey(op *conformance.Server) (id, key, owner string) {
	owner = op.Do("services", "add", "robot")["id"].(string)
	made := op.Do("keys", "add", "a key", "--owner", owner, "--scope", "orders:read", "--scope", "orders:write", "--audience", "https://orders.example")
	return made["id"].(string), made["key"].(string), owner
}

func TestXOAuth2TakesAnAPIKey(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		id, key, owner := ordersKey(op)
		provider, err := gooidc.NewProvider(t.Context(), op.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		verifier := provider.Verifier(&gooidc.Config{ClientID: "https://orders.example", SupportedSigningAlgs: []string{"ES256"}})
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			config := clientcredentials.Config{ClientID: id, ClientSecret: key, TokenURL: provider.Endpoint().TokenURL,
				Scopes: []string{"orders:read"}, AuthStyle: style}
			token, err := config.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			verified, err := verifier.Verify(t.Context(), token.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			var claims struct{ Scope, Akid string }
			if err := verified.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			if verified.Subject != owner || claims.Scope != "orders:read" || claims.Akid != id {
				t.Errorf("the token is for %s: %+v", verified.Subject, claims)
			}
		}
	})
}

func TestOpenIDClientTakesAnAPIKey(t *testing.T) {
	need(t, "node/node_modules/openid-client", npmInstall)
	each(t, func(t *testing.T, op *conformance.Server) {
		id, key, _ := ordersKey(op)
		run := exec.Command("node", "node/api-key.mjs", op.Issuer, id)
		run.Stdin = strings.NewReader(key)
		out, err := run.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var got struct {
			Offered, Active, Afterwards bool
			Own, Post, Exchanged, Type  string
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !got.Offered || got.Own == "" || got.Post == "" || got.Exchanged == "" || got.Type != "urn:ietf:params:oauth:token-type:access_token" {
			t.Errorf("it got %+v", got)
		}
		if !got.Active || got.Afterwards {
			t.Errorf("RFC 7009 2: active %v, and after it was given back %v", got.Active, got.Afterwards)
		}
	})
}
