package upstream_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/upstream"
)

func inPEM(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spkiPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	return inPEM(t, "PUBLIC KEY", der, err)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func setOf(t *testing.T, keys ...jose.JSONWebKey) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

// What an operator has in a file becomes a JWK Set of public keys, or a sentence.
func TestKeysAsOperatorsHaveThem(t *testing.T) {
	strong := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	weak := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	p256 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	p384 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corp"}, NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &p256.PublicKey, p256)
	certificate := inPEM(t, "CERTIFICATE", der, err)
	private, err := x509.MarshalPKCS8PrivateKey(p256)
	privatePEM := inPEM(t, "PRIVATE KEY", private, err)
	named := jose.JSONWebKey{Key: p384.Public(), KeyID: "three", Algorithm: "ES384", Use: "sig"}
	asText := string(must[[]byte](t)(json.Marshal(spkiPEM(t, p256.Public()))))

	for _, tt := range []struct{ name, text, want string }{
		{"a public key", spkiPEM(t, p256.Public()), "1"},
		{"PKCS #1", inPEM(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&strong.PublicKey), nil), "1"},
		{"the key of a certificate that is over", certificate, "1"},
		{"several, with words between", "first:\n" + spkiPEM(t, p256.Public()) + "second:\n" + spkiPEM(t, edwards.Public()) + spkiPEM(t, strong.Public()), "3"},
		{"PEM in JSON", asText, "1"},
		{"a JWK Set", setOf(t, named, jose.JSONWebKey{Key: edwards.Public(), KeyID: "e"}), "2"},
		{"a JWK Set with a key for encryption", setOf(t, named, jose.JSONWebKey{Key: strong.Public(), Use: "enc", Algorithm: "RSA-OAEP"}), "1"},
		{"nothing", "", "have no public key"},
		{"nonsense", "hello", "have no public key"},
		{"an empty set", `{"keys":[]}`, "have no public key"},
		{"broken JSON", `{"keys":[`, "can be read"},
		{"RFC 7515 10.12, a member twice", `{"keys":[],"keys":[]}`, "can be read"},
		{"one JWK", string(must[[]byte](t)(json.Marshal(named))), "are one JWK"},
		{"a private key", privatePEM, "private or secret"},
		{"a private key after a public one", spkiPEM(t, p256.Public()) + privatePEM, "private or secret"},
		{"a private JWK", setOf(t, jose.JSONWebKey{Key: p256}), "private or secret"},
		{"a private JWK for encryption", setOf(t, jose.JSONWebKey{Key: strong, Use: "enc"}), "private or secret"},
		{"RFC 8725 3.2, a shared secret", setOf(t, jose.JSONWebKey{Key: []byte(strings.Repeat("s", 32))}), "private or secret"},
		{"RFC 7518 3.3, RSA with 1024 bits", spkiPEM(t, weak.Public()), "none that verifies"},
		{"P-224", spkiPEM(t, p224.Public()), "none that verifies"},
		{"a key for an algorithm of another", setOf(t, jose.JSONWebKey{Key: p256.Public(), Algorithm: "RS256"}), "none that verifies"},
		{"a key for HS256", setOf(t, jose.JSONWebKey{Key: strong.Public(), Algorithm: "HS256"}), "none that verifies"},
		{"a broken block before a good one", strings.Replace(spkiPEM(t, p256.Public()), "MF", "!!", 1) + spkiPEM(t, p256.Public()), "can't be read"},
		{"a request for a certificate", inPEM(t, "CERTIFICATE REQUEST", []byte("x"), nil), "type \"CERTIFICATE REQUEST"},
		{"five that every token would be tried with", strings.Repeat(spkiPEM(t, p256.Public()), 5), "without a kid"},
		{"too many blocks", strings.Repeat(certificate, 21), "more than 20"},
		{"too long", strings.Repeat(" ", 65<<10), "64 KiB"},
	} {
		set, err := upstream.ReadKeys([]byte(tt.text))
		wrong, refused := errors.AsType[*upstream.Invalid](err)
		switch {
		case refused && (wrong.Field != "keys" || !strings.Contains(wrong.Problem, tt.want)):
			t.Errorf("%s: %s", tt.name, wrong)
		case refused:
		case err != nil || strings.Count(string(set), `"kty"`) != int(tt.want[0]-48) || strings.Contains(string(set), `"d"`):
			t.Errorf("%s: %s %v", tt.name, set, err)
		}
	}
	many := make([]jose.JSONWebKey, 21)
	for i := range many {
		many[i] = jose.JSONWebKey{Key: p256.Public(), KeyID: strings.Repeat("k", i+1)}
	}
	if _, err := upstream.ReadKeys([]byte(setOf(t, many...))); err == nil {
		t.Error("twenty-one keys are taken")
	}
	if set, err := upstream.ReadKeys([]byte(setOf(t, many[:20]...))); err != nil || strings.Count(string(set), `"kid"`) != 20 {
		t.Errorf("twenty keys: %v", err)
	}

	// A key without a name goes behind those with one; and what was read once is read again.
	set := must[[]byte](t)(upstream.ReadKeys([]byte(setOf(t, jose.JSONWebKey{Key: p256.Public()}, named))))
	if again := must[[]byte](t)(upstream.ReadKeys(set)); strings.Index(string(set), "three") > strings.Index(string(set), "P-256") || string(again) != string(set) {
		t.Errorf("%s\n%s", set, again)
	}

	row := func(change func(p *upstream.Provider)) string {
		p := upstream.Provider{Name: "corp", Kind: "issuer", Issuer: "https://corp.example", TokenAudiences: []string{"us"}, Keys: set}
		change(&p)
		if err := p.Check(); err != nil {
			return err.Error()
		}
		return "ok"
	}
	for _, tt := range []struct {
		name, want string
		change     func(p *upstream.Provider)
	}{
		{"an issuer needs no client", "ok", func(p *upstream.Provider) {}},
		{"an issuer without keys is asked for them", "ok", func(p *upstream.Provider) { p.Keys = nil }},
		{"the algorithms of its keys", "ok", func(p *upstream.Provider) { p.Algorithms = []string{"ES256", "ES384"} }},
		{"no audience", "token_audiences are missing", func(p *upstream.Provider) { p.TokenAudiences = nil }},
		{"no issuer", "issuer is missing", func(p *upstream.Provider) { p.Issuer = "" }},
		{"a client", "client_id is for signing in", func(p *upstream.Provider) { p.ClientID = "c" }},
		{"a secret", "client_secret is for signing in", func(p *upstream.Provider) { p.SealedSecret = []byte("s") }},
		{"a token URL", "token_url is for signing in", func(p *upstream.Provider) { p.TokenURL = "https://corp.example/token" }},
		{"tokens to keep", "keep_tokens is for signing in", func(p *upstream.Provider) { p.KeepTokens = true }},
		{"an algorithm that none of the keys is for", "keys have none for", func(p *upstream.Provider) { p.Algorithms = []string{"RS256"} }},
		{"HS256", "algorithms must be one of", func(p *upstream.Provider) { p.Algorithms = []string{"HS256"} }},
		{"keys to sign in with", "keys are for tokens", func(p *upstream.Provider) { p.Kind, p.ClientID, p.TokenAudiences = "oidc", "c", nil }},
		{"keys that were not read", "keys are no JWK Set", func(p *upstream.Provider) { p.Keys = []byte(asText) }},
	} {
		if got := row(tt.change); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
