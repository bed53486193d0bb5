package issuer

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"mintmark/internal/secret"
)

// Metadata that is accepted reads the same when it is shown and sent again; what is refused is
// refused in words.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `{"client_name":"A","redirect_uris":["https://app.example/cb"]}`,
		`{"client_name":"A","client_type":"native","redirect_uris":["com.example.app:/cb","http://127.0.0.1/cb"]}`,
		`{"client_name":"A","client_type":"service","scope":"a b","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`,
		`{"client_name":"A","redirect_uris":["https://a\\b@c/#"],"grant_types":["password"],"default_max_age":-1}`,
		`{"client_name":"A","redirect_uris":["javascript:alert(1)"],"jwks_uri":"http://169.254.169.254/"}`,
		`{"client_name":"A","id_token_signed_response_alg":"none","scope":"openid  openid"}`,
	} {
		f.Add([]byte(s))
	}
	p := &Provider{Config: Config{Mint: secret.NewMint([32]byte{1})}, secure: true}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		var spec Client
		if json.Unmarshal(body, &spec) != nil {
			return
		}
		c, _, err := p.Register(spec, now)
		if err != nil {
			if wrong, ok := errors.AsType[*Invalid](err); !ok || wrong.Field == "" || wrong.Problem == "" {
				t.Errorf("%s: %v", body, err)
			}
			return
		}
		shown, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var again Client
		if err := json.Unmarshal(shown, &again); err != nil {
			t.Fatalf("%s is shown as %s: %v", body, shown, err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(shown) {
			t.Errorf("%s is shown as %s, and then as %s, %v", body, shown, twice, err)
		}
		for _, uri := range c.RedirectURIs {
			if !redirectRegistered(&c, uri) {
				t.Errorf("%s: %q is registered and does not match itself", body, uri)
			}
		}
	})
}

// Of a client's JWKS only public keys for signatures are left.
func FuzzClientJWKS(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if err != nil {
			return
		}
		for _, k := range keys {
			if !k.IsPublic() || k.Use != "" && k.Use != "sig" {
				t.Errorf("%s left %T for %q", body, k.Key, k.Use)
			}
		}
	})
}
