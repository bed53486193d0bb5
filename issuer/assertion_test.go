package issuer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/internal/secret"
	"mintmark/issuer"
)

// A pen is a key of a client.
type pen struct {
	key crypto.Signer
	kid string
	alg jose.SignatureAlgorithm
}

func newPen(t testing.TB, alg jose.SignatureAlgorithm) pen {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pen{key, secret.NewShortID(), alg}
}

func jwks(t testing.TB, pens ...pen) json.RawMessage {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, p := range pens {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.key.Public(), KeyID: p.kid})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type claims map[string]any

// sign writes an assertion. A claim that is nil is left out.
func (p pen) sign(t testing.TB, says claims, header ...string) string {
	t.Helper()
	for name, value := range says {
		if value == nil {
			delete(says, name)
		}
	}
	body, err := json.Marshal(says)
	if err != nil {
		t.Fatal(err)
	}
	options := new(jose.SignerOptions)
	if p.kid != "" {
		options.WithHeader("kid", p.kid)
	}
	for i := 0; i+1 < len(header); i += 2 {
		options.WithHeader(jose.HeaderKey(header[i]), header[i+1])
	}
	var key any = p.key
	if p.alg == jose.HS256 {
		key = []byte("the JSON of the public key, of which everybody knows every byte")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// saying is what a good assertion of a client says, with changes.
func saying(id string, changes ...any) claims {
	now := time.Now()
	c := claims{"iss": id, "sub": id, "aud": front, "jti": secret.NewShortID(), "exp": now.Add(time.Minute).Unix(), "iat": now.Unix()}
	for i := 0; i+1 < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	return c
}

func asserting(assertion string, more ...string) *http.Request {
	return posting(append([]string{"grant_type", "client_credentials", "client_assertion_type", assertionType, "client_assertion", assertion}, more...)...)
}

func robot(keys json.RawMessage, change func(*issuer.Client)) func(*issuer.Client) {
	return func(c *issuer.Client) {
		service("a")(c)
		c.AuthMethod, c.JWKS = "private_key_jwt", keys
		if change != nil {
			change(c)
		}
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		es, rs, ed, stranger := newPen(t, jose.ES256), newPen(t, jose.RS256), newPen(t, jose.EdDSA), newPen(t, jose.ES256)
		ps, hs, anonymous, posing := rs, rs, es, stranger
		ps.alg, hs.alg, anonymous.kid, posing.kid = jose.PS256, jose.HS256, "", es.kid
		all := jwks(t, es, rs, ed)
		c := h.app(t, robot(all, nil))
		pinned := h.app(t, robot(all, func(c *issuer.Client) { c.AuthSigningAlg = "ES256" }))
		bySecret := h.app(t, func(c *issuer.Client) { service("a")(c); c.JWKS = all })
		id := c.ID
		now := time.Now()
		none := "eyJhbGciOiJub25lIn0." + strings.Split(es.sign(t, saying(id)), ".")[1] + "."

		for _, tt := range []struct {
			name string
			r    *http.Request
			want string
		}{
			{"RFC 7523 3, ES256", asserting(es.sign(t, saying(id))), "ok"},
			{"RFC 7523 3, RS256", asserting(rs.sign(t, saying(id))), "ok"},
			{"RFC 7523 3, PS256", asserting(ps.sign(t, saying(id))), "ok"},
			{"RFC 7523 3, EdDSA", asserting(ed.sign(t, saying(id))), "ok"},
			{"RFC 7515 4.1.4, without a kid", asserting(anonymous.sign(t, saying(id))), "ok"},
			{"RFC 7521 4.2, with its client_id", asserting(es.sign(t, saying(id)), "client_id", id), "ok"},
			{"Core 9, the audience is the token endpoint", asserting(es.sign(t, saying(id, "aud", front+"/oauth/token"))), "ok"},
			{"RFC 7519 4.1.3, one audience in an array", asserting(es.sign(t, saying(id, "aud", []string{front}))), "ok"},
			{"RFC 7523 3, the clock is a little ahead", asserting(es.sign(t, saying(id, "iat", now.Unix()+30, "nbf", now.Unix()+30))), "ok"},
			{"RFC 7523 3, the clock is a little behind", asserting(es.sign(t, saying(id, "exp", now.Unix()-30))), "ok"},
			{"RFC 7519 4.1.6, without iat", asserting(es.sign(t, saying(id, "iat", nil))), "ok"},
			{"RFC 7519 2, a time with a fraction", asserting(es.sign(t, saying(id, "exp", float64(now.Unix())+9.5))), "ok"},
			{"rfc7523bis, its typ", asserting(es.sign(t, saying(id), "typ", "client-authentication+jwt")), "ok"},
			{"RFC 7519 5.1, typ JWT", asserting(es.sign(t, saying(id), "typ", "JWT")), "ok"},

			{"RFC 7521 4.2, with another client_id", asserting(es.sign(t, saying(id)), "client_id", bySecret.ID), "invalid_client"},
			{"RFC 7523 3, 1, another issuer", asserting(es.sign(t, saying(id, "iss", bySecret.ID))), "invalid_client"},
			{"RFC 7523 3, 2, another subject", asserting(es.sign(t, saying(id, "sub", bySecret.ID))), "invalid_client"},
			{"RFC 7523 3, 2, no subject", asserting(es.sign(t, saying(id, "sub", nil))), "invalid_client"},
			{"RFC 7523 3, 3, another audience", asserting(es.sign(t, saying(id, "aud", "https://evil.example"))), "invalid_client"},
			{"RFC 7523 3, 3, a second audience", asserting(es.sign(t, saying(id, "aud", []string{front, "https://evil.example"}))), "invalid_client"},
			{"RFC 7523 3, 3, an audience that begins alike", asserting(es.sign(t, saying(id, "aud", front+"/"))), "invalid_client"},
			{"RFC 7523 3, 3, no audience", asserting(es.sign(t, saying(id, "aud", nil))), "invalid_client"},
			{"RFC 7523 3, 4, expired", asserting(es.sign(t, saying(id, "exp", now.Add(-2*time.Minute).Unix()))), "invalid_client"},
			{"RFC 7523 3, 4, without exp", asserting(es.sign(t, saying(id, "exp", nil))), "invalid_client"},
			{"RFC 7523 3, 4, exp in ten years", asserting(es.sign(t, saying(id, "exp", now.AddDate(10, 0, 0).Unix()))), "invalid_client"},
			{"RFC 7523 3, 4, exp in twelve minutes", asserting(es.sign(t, saying(id, "exp", now.Add(12*time.Minute).Unix()))), "invalid_client"},
			{"RFC 7523 3, 5, nbf in the future", asserting(es.sign(t, saying(id, "nbf", now.Add(2*time.Minute).Unix()))), "invalid_client"},
			{"RFC 7523 3, 6, iat in the future", asserting(es.sign(t, saying(id, "iat", now.Add(2*time.Minute).Unix()))), "invalid_client"},
			{"RFC 7523 3, 7, without jti", asserting(es.sign(t, saying(id, "jti", nil))), "invalid_client"},
			{"RFC 7523 3, 7, a jti of 257 bytes", asserting(es.sign(t, saying(id, "jti", strings.Repeat("x", 257)))), "invalid_client"},
			{"RFC 7519 4.1.2, a subject that is no string", asserting(es.sign(t, saying(id, "sub", 1))), "invalid_client"},
			{"RFC 7515 4.1.11, something critical", asserting(es.sign(t, saying(id), "crit", "exp")), "invalid_client"},
			{"RFC 8725 3.11, an access token", asserting(es.sign(t, saying(id), "typ", "at+jwt")), "invalid_client"},
			{"RFC 8725 3.1, alg none", asserting(none), "invalid_client"},
			{"RFC 8725 3.1, HS256", asserting(hs.sign(t, saying(id))), "invalid_client"},
			{"RFC 7523 3, 9, another key", asserting(stranger.sign(t, saying(id))), "invalid_client"},
			{"RFC 7523 3, 9, another key by the right name", asserting(posing.sign(t, saying(id))), "invalid_client"},
			{"a changed signature", asserting(es.sign(t, saying(id))[:200] + "AAAA"), "invalid_client"},
			{"not a JWS", asserting("a.b.c"), "invalid_client"},
			{"a JWS of another form", asserting(`{"payload":"e30","signatures":[]}`), "invalid_client"},
			{"9 KiB", asserting(es.sign(t, saying(id, "pad", strings.Repeat("x", 9<<10)))), "invalid_client"},
			{"an unknown client", asserting(es.sign(t, saying("stranger"))), "invalid_client"},
			{"Core 9, a client that is registered for a secret", asserting(es.sign(t, saying(bySecret.ID))), "invalid_client"},
			{"Core 9, a secret of a client that is registered for this", basic(posting("grant_type", "client_credentials"), id, "x"), "invalid_client"},
			{"Registration 2, the registered algorithm", asserting(es.sign(t, saying(pinned.ID))), "ok"},
			{"Registration 2, another algorithm than the registered", asserting(rs.sign(t, saying(pinned.ID))), "invalid_client"},
		} {
			if got := send(t, h.Token, tt.r); got.what != tt.want {
				t.Errorf("%s: got %s (%v), want %s", tt.name, got.what, got.refusal, tt.want)
			}
		}

		// What carries its own key is believed as little as any other.
		public := jose.JSONWebKey{Key: stranger.key.Public()}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger.key}, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", es.kid))
		if err != nil || !public.Valid() {
			t.Fatal(err)
		}
		body, _ := json.Marshal(saying(id))
		signed, err := signer.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := signed.CompactSerialize()
		if got := send(t, h.Token, asserting(text)); got.what != "invalid_client" {
			t.Errorf("RFC 8725 3.10, a key in the header: %s", got.what)
		}
	})
}

// RFC 7523 §3, 7: a jti is used once, at whatever endpoint and on whatever copy, and only who
// could sign it can use it up.
func TestAnAssertionIsUsedOnce(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, copies func() *house) {
		key, forger := newPen(t, jose.ES256), newPen(t, jose.ES256)
		forger.kid = key.kid
		c := h.app(t, robot(jwks(t, key), nil))
		forged := saying(c.ID, "jti", "one")
		if got := send(t, h.Token, asserting(forger.sign(t, forged))); got.what != "invalid_client" {
			t.Fatalf("a forgery: %s", got.what)
		}
		late := key.sign(t, saying(c.ID, "jti", "one", "exp", 1))
		if got := send(t, h.Token, asserting(late)); got.what != "invalid_client" {
			t.Fatalf("an expired one: %s", got.what)
		}

		assertion := key.sign(t, saying(c.ID, "jti", "one"))
		houses := []*house{h, copies(), copies()}
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				switch got := send(t, houses[i%3].Token, asserting(assertion)); got.what {
				case "ok":
					won.Add(1)
				case "invalid_client":
				default:
					t.Errorf("a loser got %s", got.what)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("one assertion was used %d times", won.Load())
		}
		for name, to := range map[string]handler{"introspection": h.Introspect, "revocation": h.Revoke} {
			r := posting("token", "x", "client_assertion_type", assertionType, "client_assertion", assertion)
			if got := send(t, to, r); got.what != "invalid_client" {
				t.Errorf("used again at %s: %s", name, got.what)
			}
		}
		// Another client may have the same idea.
		other := h.app(t, robot(jwks(t, key), nil))
		if got := send(t, h.Token, asserting(key.sign(t, saying(other.ID, "jti", "one")))); got.what != "ok" {
			t.Errorf("another client's jti: %v", got.refusal)
		}
	})
}

func TestTheKeysOfAJWKSURI(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		key := newPen(t, jose.ES256)
		h = h.with(t, func(c *issuer.Config) {
			c.JWKS = func(_ context.Context, url string) ([]byte, error) {
				if url != "https://robot.example/keys" {
					t.Errorf("asked for %s", url)
				}
				return jwks(t, key), nil
			}
		})
		c := h.app(t, robot(nil, func(c *issuer.Client) { c.JWKSURI = "https://robot.example/keys" }))
		for range 2 {
			if got := send(t, h.Token, asserting(key.sign(t, saying(c.ID)))); got.what != "ok" {
				t.Errorf("RFC 7523 3: %v", got.refusal)
			}
		}
		if got := send(t, h.Token, asserting(newPen(t, jose.ES256).sign(t, saying(c.ID)))); got.what != "invalid_client" {
			t.Errorf("another key: %s", got.what)
		}
	})
}
