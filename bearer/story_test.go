package bearer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/bearer"
)

const audience = "https://orders.example"

// An issuer publishes keys over HTTP and signs with another library than the guard reads with.
type issuer struct {
	t      testing.TB
	URL    string
	Prefix string // another issuer that its metadata claims to be
	asked  atomic.Int64
	away   atomic.Bool
	slow   atomic.Pointer[chan struct{}]

	mu     sync.Mutex
	public []jose.JSONWebKey
	body   []byte // instead of the keys
	maxAge string
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{t: t, maxAge: "max-age=3600"}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	i.URL = s.URL
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wait := i.slow.Load(); wait != nil {
		<-*wait
	}
	if i.away.Load() {
		i.asked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.URL.Path == "/.well-known/openid-configuration" {
		name := i.URL
		if i.Prefix != "" {
			name = i.Prefix
		}
		json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": i.URL + "/jwks"})
		return
	}
	i.asked.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Cache-Control", "public, "+i.maxAge)
	if i.body != nil {
		w.Write(i.body)
		return
	}
	json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.public})
}

// publish replaces the issuer's keys.
func (i *issuer) publish(keys ...*signer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.public = nil
	for _, k := range keys {
		i.public = append(i.public, jose.JSONWebKey{Key: k.public, KeyID: k.kid, Algorithm: k.alg, Use: "sig"})
	}
}

// A signer signs tokens with one key.
type signer struct {
	t       testing.TB
	kid     string
	alg     string
	private any
	public  any
}

// makeKey is slow for RSA, so that there is one key of each size.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newSigner(t testing.TB, alg, kid string) *signer {
	t.Helper()
	s := &signer{t: t, kid: kid, alg: alg}
	var err error
	curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
	switch {
	case curve != nil:
		s.private, err = ecdsa.GenerateKey(curve, rand.Reader)
	case alg == "EdDSA":
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	case alg[:2] == "HS":
		secret := make([]byte, 64)
		rand.Read(secret)
		s.private, s.public = secret, secret
		return s
	default:
		s.private = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.public = s.private.(crypto.Signer).Public()
	return s
}

type claims map[string]any

// good is what a token of ours says.
func (i *issuer) good(change ...claims) claims {
	now := time.Now()
	c := claims{
		"iss": i.URL, "sub": "acc_ada", "aud": audience, "client_id": "cli_app", "jti": "jti-1", "scope": "orders:read orders:write",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "sid": "ses_1", "aid": "aut_1",
		"acr": "urn:example:2", "amr": []string{"pwd", "otp"}, "auth_time": now.Unix() - 10,
	}
	for _, more := range change {
		maps.Copy(c, more)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token; header overrides typ, kid and whatever else.
func (s *signer) sign(c claims, header ...map[string]any) string {
	s.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.signText(string(text), header...)
}

func (s *signer) signText(text string, header ...map[string]any) string {
	s.t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	if s.kid != "" {
		options = options.WithHeader("kid", s.kid)
	}
	for _, more := range header {
		for name, value := range more {
			options = options.WithHeader(jose.HeaderKey(name), value)
		}
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: s.private}, options)
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := made.Sign([]byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// believing returns a verifier that believes the issuer.
func (i *issuer) believing(change ...func(*bearer.Issuer)) *bearer.Tokens {
	i.t.Helper()
	c := bearer.Issuer{URL: i.URL, Audiences: []string{audience}}
	for _, f := range change {
		f(&c)
	}
	tokens, err := bearer.NewTokens(c)
	if err != nil {
		i.t.Fatal(err)
	}
	return tokens
}

func shown(text string) bearer.Credential { return bearer.Credential{Text: text} }
