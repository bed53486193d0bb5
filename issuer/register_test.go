package issuer

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/internal/secret"
)

func TestRegisterFillsInWhatTheTypeDecides(t *testing.T) {
	p := &Provider{Config: Config{Mint: secret.NewMint([32]byte{1})}, secure: true}
	back := []string{"https://app.example/cb"}
	for _, tt := range []struct {
		spec                   Client
		grants, method, scopes string
		pkce, secret           bool
	}{
		{Client{Name: "A", RedirectURIs: back, RequirePKCE: true}, "authorization_code refresh_token", "client_secret_basic", "openid profile email address phone offline_access", true, true},
		{Client{Name: "A", Type: "web", RedirectURIs: back}, "authorization_code refresh_token", "client_secret_basic", "openid profile email address phone offline_access", false, true},
		{Client{Name: "A", Type: "spa", RedirectURIs: back}, "authorization_code refresh_token", "none", "openid profile email address phone offline_access", true, false},
		{Client{Name: "A", Type: "native", RedirectURIs: []string{"com.example.app:/cb"}}, "authorization_code refresh_token", "none", "openid profile email address phone offline_access", true, false},
		{Client{Name: "A", Type: "mcp", RedirectURIs: []string{"cursor://x/cb"}, Scopes: []string{"tools"}}, "authorization_code refresh_token", "none", "tools", true, false},
		{Client{Name: "A", Type: "service"}, "client_credentials", "client_secret_basic", "", false, true},
	} {
		t.Run(tt.spec.Type, func(t *testing.T) {
			now := time.Now()
			c, shown, err := p.Register(tt.spec, now)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(c.GrantTypes, " ") != tt.grants || c.AuthMethod != tt.method || strings.Join(c.Scopes, " ") != tt.scopes || c.RequirePKCE != tt.pkce {
				t.Errorf("got %+v", c)
			}
			if !strings.HasPrefix(c.ID, "cli_") || c.IDTokenAlg != "RS256" || c.AccessTokenAlg != "ES256" || c.AccessTokenFormat != "jwt" {
				t.Errorf("got %+v", c)
			}
			// RFC 8252 §8.6: whom any program on the device can pose as is asked about every time.
			if asked := map[string]string{"native": "always", "mcp": "always"}[tt.spec.Type]; c.Consent != cmp.Or(asked, "once") {
				t.Errorf("consent is %s", c.Consent)
			}
			if shown.IsZero() == tt.secret || (len(c.Secrets) == 1) != tt.secret {
				t.Errorf("secret %v, remembered %v", !shown.IsZero(), c.Secrets)
			}
			if tt.secret && c.Secrets[0].Hash != fmt.Sprintf("sha256:%x", shown.Digest()) {
				t.Errorf("remembered %s", c.Secrets[0].Hash)
			}
		})
	}
}

func TestRegisterRefuses(t *testing.T) {
	p := &Provider{Config: Config{Mint: secret.NewMint([32]byte{1})}, secure: true}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := jwks(t, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "1"})
	minus := int64(-1)
	for _, tt := range []struct {
		name   string
		change func(*Client)
		want   string // the field, or "" if it is fine
	}{
		{"as it should be", func(c *Client) {}, ""},
		{"no name", func(c *Client) { c.Name = "" }, "client_name"},
		{"a name that turns the text around", func(c *Client) { c.Name = "A\u202eB" }, "client_name"},
		{"a name with a newline", func(c *Client) { c.Name = "A\nB" }, "client_name"},
		{"an enormous name", func(c *Client) { c.Name = strings.Repeat("a", 101) }, "client_name"},
		{"an unknown type", func(c *Client) { c.Type = "toaster" }, "client_type"},
		{"an id of its own", func(c *Client) { c.ID = "my-app" }, ""},
		{"an id with a space", func(c *Client) { c.ID = "my app" }, "client_id"},
		{"an id that is a URL", func(c *Client) { c.ID = "https://app.example/client" }, "client_id"},
		{"RFC 6749 3.1.2.2, no redirect URI", func(c *Client) { c.RedirectURIs = nil }, "redirect_uris"},
		{"RFC 6749 3.1.2, a fragment", func(c *Client) { c.RedirectURIs = []string{"https://app.example/#x"} }, "redirect_uris"},
		{"RFC 8252 8.4, a private scheme of a web client", func(c *Client) { c.RedirectURIs = []string{"com.example.app:/cb"} }, "redirect_uris"},
		{"a redirect URI twice", func(c *Client) { c.RedirectURIs = append(c.RedirectURIs, c.RedirectURIs[0]) }, "redirect_uris"},
		{"51 redirect URIs", func(c *Client) {
			for i := range 51 {
				c.RedirectURIs = append(c.RedirectURIs, fmt.Sprintf("https://app.example/%d", i))
			}
		}, "redirect_uris"},
		{"Logout 3.1, a bad return address", func(c *Client) { c.PostLogoutRedirectURIs = []string{"http://app.example/"} }, "post_logout_redirect_uris"},
		{"a service with a redirect URI", func(c *Client) { c.Type = "service" }, "redirect_uris"},
		{"an unknown grant", func(c *Client) { c.GrantTypes = []string{"password"} }, "grant_types"},
		{"only refresh tokens", func(c *Client) { c.GrantTypes = []string{"refresh_token"} }, "grant_types"},
		{"RFC 6749 4.4, client_credentials of a public client", func(c *Client) {
			c.AuthMethod, c.GrantTypes = "none", []string{"authorization_code", "client_credentials"}
		}, "grant_types"},
		{"RFC 9700 2.1.2, implicit", func(c *Client) { c.ResponseTypes = []string{"token"} }, "response_types"},
		{"an unknown method", func(c *Client) { c.AuthMethod = "tls_client_auth" }, "token_endpoint_auth_method"},
		{"a secret in a browser", func(c *Client) { c.Type, c.AuthMethod = "spa", "client_secret_basic" }, "token_endpoint_auth_method"},
		{"secrets that nobody can use", func(c *Client) { c.AuthMethod, c.Secrets = "none", []ClientSecret{{Hash: "x"}} }, "token_endpoint_auth_method"},
		{"private_key_jwt without keys", func(c *Client) { c.AuthMethod = "private_key_jwt" }, "jwks"},
		{"private_key_jwt", func(c *Client) { c.AuthMethod, c.JWKS = "private_key_jwt", public }, ""},
		{"RFC 7591 2, both", func(c *Client) { c.JWKS, c.JWKSURI = public, "https://app.example/jwks" }, "jwks"},
		{"jwks_uri", func(c *Client) { c.AuthMethod, c.JWKSURI = "private_key_jwt", "https://app.example/jwks" }, ""},
		{"jwks_uri without TLS", func(c *Client) { c.JWKSURI = "http://127.0.0.1/jwks" }, "jwks_uri"},
		{"a private key", func(c *Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: ec}) }, "jwks"},
		{"a symmetric key", func(c *Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")}) }, "jwks"},
		{"a small RSA key", func(c *Client) { c.JWKS = smallRSA(t) }, "jwks"},
		{"an empty set", func(c *Client) { c.JWKS = json.RawMessage(`{"keys":[]}`) }, "jwks"},
		{"no set", func(c *Client) { c.JWKS = json.RawMessage(`[]`) }, "jwks"},
		{"an enormous set", func(c *Client) { c.JWKS = append(public, make([]byte, maxJWKS)...) }, "jwks"},
		{"alg none", func(c *Client) { c.IDTokenAlg = "none" }, "id_token_signed_response_alg"},
		{"an ID token with ES256", func(c *Client) { c.IDTokenAlg = "ES256" }, ""},
		{"HS256", func(c *Client) { c.AccessTokenAlg = "HS256" }, "access_token_signed_response_alg"},
		{"HS256 of the client", func(c *Client) { c.AuthSigningAlg = "HS256" }, "token_endpoint_auth_signing_alg"},
		{"a third format", func(c *Client) { c.AccessTokenFormat = "paseto" }, "access_token_format"},
		{"consent sometimes", func(c *Client) { c.Consent = "sometimes" }, "consent"},
		{"RFC 6749 3.3, a scope with a quote", func(c *Client) { c.Scopes = []string{`a"b`} }, "scope"},
		{"a scope twice", func(c *Client) { c.Scopes = []string{"a", "a"} }, "scope"},
		{"RFC 8707 2, a fragment", func(c *Client) { c.Audience = []string{"https://api.example/#x"} }, "audience"},
		{"a space in the audience", func(c *Client) { c.Audience = []string{"a b"} }, "audience"},
		{"an audience", func(c *Client) { c.Audience = []string{"https://api.example", "orders"} }, ""},
		{"a provider that can't be one", func(c *Client) { c.DefaultIdP = "Google!" }, "default_idp"},
		{"a negative age", func(c *Client) { c.DefaultMaxAge = &minus }, "default_max_age"},
		{"Core 4, where it begins a sign-in", func(c *Client) { c.InitiateLoginURI = "https://app.example/start?a=b" }, ""},
		{"Core 4, in clear text", func(c *Client) { c.InitiateLoginURI = "http://app.example/start" }, "initiate_login_uri"},
		{"Core 4, with an iss of its own", func(c *Client) { c.InitiateLoginURI = "https://app.example/start?iss=x" }, "initiate_login_uri"},
		{"a logo that is a script", func(c *Client) { c.LogoURI = "javascript:alert(1)" }, "logo_uri"},
		{"what is not there yet", func(c *Client) { c.RequirePAR = true }, "require_pushed_authorization_requests"},
		{"what is not there yet, DPoP", func(c *Client) { c.RequireDPoP = true }, "dpop_bound_access_tokens"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Client{Name: "App", Type: "web", RedirectURIs: []string{"https://app.example/cb"}}
			tt.change(&c)
			_, _, err := p.Register(c, time.Now())
			var wrong *Invalid
			got := ""
			if errors.As(err, &wrong) {
				got = wrong.Field
			} else if err != nil {
				t.Fatalf("an error that is no Invalid: %v", err)
			}
			if got != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReviseKeepsWhatIsNotMetadata(t *testing.T) {
	p := &Provider{Config: Config{Mint: secret.NewMint([32]byte{1})}, secure: true}
	was, _, err := p.Register(Client{Name: "App", RedirectURIs: []string{"https://app.example/cb"}}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	spec := was
	spec.ID, spec.Secrets, spec.CreatedAt, spec.Name = "other", nil, time.Time{}, "New"
	c, err := p.Revise(was, spec, time.Unix(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != was.ID || len(c.Secrets) != 1 || !c.CreatedAt.Equal(was.CreatedAt) || c.Name != "New" || !c.UpdatedAt.Equal(time.Unix(2, 0)) {
		t.Errorf("got %+v", c)
	}
	spec.RedirectURIs = nil
	if _, err := p.Revise(was, spec, time.Unix(2, 0)); err == nil {
		t.Error("a client without redirect URIs")
	}
}

func TestSecretsOfClients(t *testing.T) {
	h := secret.NewHasher(1)
	for text, want := range map[string]string{
		"short":                  "",
		"twelve chars":           "", // a space
		"correct-horse":          "$argon2id$",
		strings.Repeat("x", 31):  "$argon2id$",
		strings.Repeat("x", 32):  "sha256:",
		strings.Repeat("x", 513): "",
		strings.Repeat("ä", 20):  "",
	} {
		got, err := HashClientSecret(t.Context(), h, text, time.Now())
		if (err != nil) != (want == "") || !strings.HasPrefix(got.Hash, want) {
			t.Errorf("%q: %s, %v", text, got.Hash, err)
		}
	}
}

func jwks(t *testing.T, keys ...jose.JSONWebKey) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func smallRSA(t *testing.T) json.RawMessage {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return jwks(t, jose.JSONWebKey{Key: &key.PublicKey})
}
