package conformance_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"mintmark/conformance"
)

// An assertionKey is the key pair of a client that authenticates with private_key_jwt.
type assertionKey struct{ *ecdsa.PrivateKey }

// newAssertionKey makes a key and the flags that register a client with it.
func newAssertionKey(t *testing.T) (assertionKey, []string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return assertionKey{key}, []string{"--auth-method", "private_key_jwt", "--jwks-file", file}
}

// sign makes a client assertion from claims.
func (k assertionKey) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.PrivateKey, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (k assertionKey) assertion(t *testing.T, id, audience, jti string) string {
	now := time.Now().Unix()
	return k.sign(t, map[string]any{"iss": id, "sub": id, "aud": audience, "jti": jti, "iat": now, "exp": now + 120})
}

func TestPrivateKeyJWT(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		key, flags := newAssertionKey(t)
		stranger, _ := newAssertionKey(t)
		robot := newApp(t, op, "service", append(flags, "--scope", "a")...)
		now := time.Now().Unix()
		good := func(changes map[string]any) map[string]any {
			claims := map[string]any{"iss": robot.ID, "sub": robot.ID, "aud": op.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 120}
			for name, value := range changes {
				if value == nil {
					delete(claims, name)
				} else {
					claims[name] = value
				}
			}
			return claims
		}
		for _, tt := range []struct {
			name    string
			signer  assertionKey
			changes map[string]any
			want    string
		}{
			{"as it should be", key, nil, "ok"},
			{"Core 9, the token endpoint as audience", key, map[string]any{"aud": op.Issuer + "/oauth/token"}, "ok"},
			{"RFC 7523 3, an array of one", key, map[string]any{"aud": []string{op.Issuer}}, "ok"},
			{"RFC 7523 3, another audience", key, map[string]any{"aud": "https://other.example"}, "invalid_client"},
			{"RFC 7523bis, a foreign audience beside ours", key, map[string]any{"aud": []string{op.Issuer, "https://other.example"}}, "invalid_client"},
			{"RFC 7523 3, no audience", key, map[string]any{"aud": nil}, "invalid_client"},
			{"RFC 7523 3, another issuer", key, map[string]any{"iss": "somebody"}, "invalid_client"},
			{"RFC 7523 3, another subject", key, map[string]any{"sub": "somebody"}, "invalid_client"},
			{"RFC 7523 3, expired", key, map[string]any{"exp": now - 120}, "invalid_client"},
			{"RFC 7523 3, no exp", key, map[string]any{"exp": nil}, "invalid_client"},
			{"RFC 7523 3, exp in ten years", key, map[string]any{"exp": now + 315360000}, "invalid_client"},
			{"RFC 7523 3, not yet", key, map[string]any{"nbf": now + 600}, "invalid_client"},
			{"Core 9, no jti", key, map[string]any{"jti": nil}, "invalid_client"},
			{"another key", stranger, nil, "invalid_client"},
		} {
			got := post(t, op.Issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion":      {tt.signer.sign(t, good(tt.changes))}})
			if got.what() != tt.want {
				t.Errorf("%s: got %s (%s), want %s", tt.name, got.what(), got.Body, tt.want)
			}
		}
	})
}
