package conformance_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

// A notary signs tokens somewhere that can't be reached: all that anybody has of it is its public key.
type notary struct {
	t   *testing.T
	iss string
	key crypto.Signer
	alg jose.SignatureAlgorithm
}

func newNotary(t *testing.T, iss string, alg jose.SignatureAlgorithm) *notary {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == jose.RS256 {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &notary{t, iss, key, alg}
}

// public is its public key as PEM.
func (n *notary) public() []byte {
	der, err := x509.MarshalPKIXPublicKey(n.key.Public())
	if err != nil {
		n.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// says is a token of its, with claims changed; nil takes one out.
func (n *notary) says(changes map[string]any) string {
	now := time.Now()
	c := map[string]any{"iss": n.iss, "sub": "ada", "aud": meant, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "jti": serial.Add(1)}
	c["jti"] = "note-" + now.Format("150405.000000000")
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		n.t.Fatal(err)
	}
	return n.signs(string(text), "")
}

// signs makes a token of any text.
func (n *notary) signs(payload, kid string) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: n.alg, Key: n.key}, options)
	if err != nil {
		n.t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		n.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		n.t.Fatal(err)
	}
	return compact
}

func file(t *testing.T, text []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// refusedBy runs a command that is to fail, and returns what it says.
func refusedBy(t *testing.T, op *conformance.Server, args ...string) string {
	t.Helper()
	cmd := exec.Command(conformance.Program(t), append(args, "--data", op.Data)...)
	cmd.Env = conformance.Environment()
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("mintmark %s is not refused: %s", strings.Join(args, " "), out)
	}
	return string(out)
}

// An issuer whose keys the operator gives is never asked for anything, and nobody signs in with it.
func TestAnIssuerWithKeysOfTheOperator(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		// Nothing is at these names: what is fetched from there fails.
		corp := newNotary(t, "https://tokens.corp.example", jose.ES256)
		old := newNotary(t, "https://old.corp.example", jose.RS256)
		twin := &notary{t, "https://twin.corp.example", corp.key, corp.alg}
		add := func(name string, n *notary, flags ...string) {
			op.Run(append([]string{"providers", "add", name, "--kind", "issuer", "--issuer", n.iss, "--keys-file", file(t, n.public()), "--token-audience", meant}, flags...)...)
		}
		add("corp", corp, "--algorithm", "ES256")
		add("old", old)
		add("twin", twin)
		private, err := x509.MarshalPKCS8PrivateKey(corp.key)
		if err != nil {
			t.Fatal(err)
		}
		if said := refusedBy(t, op, "providers", "add", "leak", "--kind", "issuer", "--issuer", "https://leak.example", "--token-audience", meant, "--keys-file",
			file(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))); !strings.Contains(said, "private or secret key") {
			t.Errorf("a private key: %s", said)
		}
		shown, _ := json.Marshal(op.Do("providers", "get", "corp"))
		if !strings.Contains(string(shown), `"crv":"P-256"`) || strings.Contains(string(shown), `"d"`) || strings.Contains(string(shown), "redirect_uri") {
			t.Errorf("how it is shown: %s", shown)
		}

		ours := newApp(t, op, "web", "--grant", "authorization_code", "--grant", bearerGrant, "--consent", "never")
		assert := func(token string) string {
			t.Helper()
			return ours.token(url.Values{"grant_type": {bearerGrant}, "assertion": {token}}).what()
		}
		parts := strings.Split(corp.says(nil), ".")
		hmacWith := func(secret []byte) string {
			signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + strings.Split(old.says(nil), ".")[1]
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(signed))
			return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		}
		now, one := time.Now().Unix(), corp.says(nil)
		for _, tt := range []struct{ name, token, want string }{
			{"ES256, named by the operator", one, "ok"},
			{"RS256, which its key is for", old.says(nil), "ok"},
			{"a kid, where the key has none", corp.signs(payloadOf(t, corp.says(nil)), "any"), "ok"},
			{"the same jti of another issuer with the same key", twin.says(map[string]any{"jti": claimOf(t, one, "jti")}), "ok"},
			{"RFC 7523 3, 7: used before", one, "invalid_grant"},
			{"two issuers with one key: the other's name", twin.signs(payloadOf(t, one), ""), "invalid_grant"},
			{"another's key", old.signs(payloadOf(t, corp.says(nil)), ""), "invalid_grant"},
			{"RFC 8725 2.1: HS256 with the public key's PEM", hmacWith(old.public()), "invalid_grant"},
			{"RFC 8725 2.1: HS256 with its PEM, without the line's end", hmacWith([]byte(strings.TrimSpace(string(old.public())))), "invalid_grant"},
			{"RFC 8725 2.1: none", "eyJhbGciOiJub25lIn0." + parts[1] + ".", "invalid_grant"},
			{"RFC 8725 2.1: nonE", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nonE"}`)) + "." + parts[1] + ".", "invalid_grant"},
			{"another audience", corp.says(map[string]any{"aud": "https://other.example"}), "invalid_grant"},
			{"a list with another audience", corp.says(map[string]any{"aud": []string{meant, "https://other.example"}}), "invalid_grant"},
			{"a list with ours twice", corp.says(map[string]any{"aud": []string{meant, meant}}), "invalid_grant"},
			{"good for a day", corp.says(map[string]any{"exp": now + 86400}), "invalid_grant"},
			{"an exp beyond all numbers", corp.signs(strings.Replace(payloadOf(t, corp.says(nil)), `"exp":`, `"exp":9e999,"x":`, 1), ""), "invalid_grant"},
			{"RFC 7515 10.12: a claim twice", corp.signs(strings.Replace(payloadOf(t, corp.says(nil)), `"sub":`, `"sub":"ben","sub":`, 1), ""), "invalid_grant"},
		} {
			if got := assert(tt.token); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
		}

		// Nobody signs in with it.
		for _, path := range []string{"/login/corp", "/login/corp/callback?state=x&code=y"} {
			r, err := plain.Get(op.Address + path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d", path, r.StatusCode)
			}
		}
		if page := conformance.NewPerson(t, "").Visit(op.Address + "/login"); strings.Contains(page.Body, "corp") || strings.Contains(page.Body, "Token issuer") {
			t.Error("the sign-in page has a button for it")
		}

		// A new key is good from the next second on, and the old one is not.
		was := *corp
		*corp = *newNotary(t, corp.iss, jose.ES256)
		op.Run("providers", "set", "corp", "--keys-file", file(t, corp.public()))
		if got := assert(was.says(nil)); got != "invalid_grant" {
			t.Errorf("the key before: %s", got)
		}
		if got := assert(corp.says(nil)); got != "ok" {
			t.Errorf("the new key: %s", got)
		}
	})
}

// Another Mintmark signs tokens for us: its metadata says where its keys are, or we say it.
func TestATokenOfAnotherMintmark(t *testing.T) {
	other := conformance.Start(t, "")
	robot := newApp(t, other, "service", "--audience", meant, "--scope", "a")
	story(t, func(t *testing.T, op *conformance.Server) {
		op.Run("providers", "add", "found", "--kind", "issuer", "--issuer", other.Issuer, "--token-audience", meant, "--algorithm", "ES256")
		ours := newApp(t, op, "web", "--grant", "authorization_code", "--grant", exchangeGrant, "--consent", "never")
		exchange := func() answer {
			theirs := robot.token(url.Values{"grant_type": {"client_credentials"}}).str("access_token")
			return ours.token(url.Values{"grant_type": {exchangeGrant}, "subject_token": {theirs}, "subject_token_type": {accessType}})
		}
		if got := exchange(); got.what() != "ok" {
			t.Errorf("found by its metadata: %s", got.Body)
		}
		op.Run("providers", "rm", "found")
		op.Run("providers", "add", "told", "--kind", "issuer", "--issuer", other.Issuer, "--token-audience", meant, "--algorithm", "ES256", "--jwks-url", other.Issuer+"/keys")
		if got := exchange(); got.what() != "ok" {
			t.Errorf("told by the operator: %s", got.Body)
		}
		if said := refusedBy(t, op, "providers", "add", "lost", "--kind", "issuer", "--issuer", other.Issuer+"/lost", "--token-audience", meant); !strings.Contains(said, "issuer leads to no") {
			t.Errorf("an issuer that is not there: %s", said)
		}
		if said := refusedBy(t, op, "providers", "add", "lost", "--kind", "issuer", "--issuer", other.Issuer, "--token-audience", meant+"/lost", "--jwks-url", other.Issuer+"/lost"); !strings.Contains(said, "jwks_url leads to no") {
			t.Errorf("keys that are not there: %s", said)
		}
	})
}

func payloadOf(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func claimOf(t *testing.T, token, name string) any {
	t.Helper()
	_, payload := claims(t, token)
	return payload[name]
}
