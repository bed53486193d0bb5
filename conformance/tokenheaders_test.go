package conformance_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

// under is a token with any text for a header, signed with the notary's key.
func (n *notary) under(header, payload string) string {
	n.t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, n.key.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		n.t.Fatal(err)
	}
	return signed + "." + encode(append(fixed(r), fixed(s)...))
}

func fixed(x *big.Int) []byte { return x.FillBytes(make([]byte, 32)) }

// RFC 8725 §2, §3: what a token says about itself does not decide how it is verified, and what can be read in two ways is not read.
func TestTheHeaderOfATokenDecidesNothing(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	story(t, func(t *testing.T, op *conformance.Server) {
		corp, eve := newNotary(t, "https://tokens.corp.example", jose.ES256), newNotary(t, "https://tokens.corp.example", jose.ES256)
		op.Run("providers", "add", "corp", "--kind", "issuer", "--issuer", corp.iss, "--keys-file", file(t, corp.public()), "--token-audience", meant, "--algorithm", "ES256")
		ours := newApp(t, op, "web", "--grant", "authorization_code", "--grant", bearerGrant, "--consent", "never")
		jwk, err := json.Marshal(jose.JSONWebKey{Key: eve.key.Public(), KeyID: "eve"})
		if err != nil {
			t.Fatal(err)
		}
		header := func(more string) string { return `{"alg":"ES256","typ":"JWT"` + more + `}` }
		says := func(n *notary, more string) string { return n.under(header(more), payloadOf(t, corp.says(nil))) }
		with := func(from, to string) string {
			return corp.under(header(""), strings.Replace(payloadOf(t, corp.says(nil)), from, to, 1))
		}
		good := says(corp, "")
		parts := strings.Split(says(corp, ""), ".")
		for _, tt := range []struct{ name, token string }{
			{"RFC 7515 4.1.11: crit", says(corp, `,"crit":["exp"],"exp":1`)},
			{"crit of nothing", says(corp, `,"crit":[]`)},
			{"RFC 7797 3: b64", says(corp, `,"b64":false,"crit":["b64"]`)},
			{"RFC 7515 4.1.3: the key in the token", says(eve, `,"jwk":`+string(jwk))},
			{"RFC 7515 4.1.2: jku", says(eve, `,"kid":"eve","jku":"`+elsewhere.URL+`/jwks"`)},
			{"RFC 7515 4.1.5: x5u", says(eve, `,"x5u":"`+elsewhere.URL+`/cert"`)},
			{"RFC 7515 4.1.6: x5c", says(eve, `,"x5c":["`+base64.StdEncoding.EncodeToString([]byte("x"))+`"]`)},
			{"a kid that is a path", says(eve, `,"kid":"../../../../dev/null"`)},
			{"a kid that is SQL", says(eve, `,"kid":"' OR 1=1 --"`)},
			{"a kid that is an address", says(eve, `,"kid":"`+elsewhere.URL+`"`)},
			{"a kid that is no text", says(corp, `,"kid":7`)},
			{"alg twice", corp.under(`{"alg":"none","alg":"ES256","typ":"JWT"}`, payloadOf(t, corp.says(nil)))},
			{"alg in another case", corp.under(`{"Alg":"ES256","typ":"JWT"}`, payloadOf(t, corp.says(nil)))},
			{"alg es256", corp.under(`{"alg":"es256","typ":"JWT"}`, payloadOf(t, corp.says(nil)))},
			{"RFC 8725 3.11: a token of another kind", corp.under(`{"alg":"ES256","typ":"dpop+jwt"}`, payloadOf(t, corp.says(nil)))},
			{"a logout token", corp.under(`{"alg":"ES256","typ":"logout+jwt"}`, payloadOf(t, corp.says(nil)))},
			{"a header that is a list", corp.under(`["ES256"]`, payloadOf(t, corp.says(nil)))},
			{"a header and more", corp.under(header("")+"{}", payloadOf(t, corp.says(nil)))},
			{"a payload and more", with("}", "}{}")},
			{"a payload that is deep", with(`"sub":`, `"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,"sub":`)},
			{"a payload that is a text", corp.under(header(""), `"hello"`)},
			{"NUL in sub", with(`"ada"`, `"ada\u0000"`)},
			{"half of a letter in sub", with(`"ada"`, `"\ud800"`)},
			{"sub in another case besides", with(`"sub":`, `"Sub":"eve","ſub":"eve","sub":7,"x":`)},
			{"sub is a number", with(`"ada"`, `7`)},
			{"sub is a list", with(`"ada"`, `["ada"]`)},
			{"exp is a text", with(`"exp":`, `"exp":"9999999999","x":`)},
			{"auth_time is a text", with(`"exp":`, `"auth_time":"x","exp":`)},
			{"auth_time is to come", with(`"exp":`, `"auth_time":9999999999,"exp":`)},
			{"RFC 8417 2.2: a token about an event", with(`"exp":`, `"events":{"http://schemas.openid.net/event/backchannel-logout":{}},"exp":`)},
			{"jti is a number", with(`"jti":"`, `"jti":7,"x":"`)},
			{"no signature", parts[0] + "." + parts[1] + "."},
			{"a signature of zeros", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))},
			{"a signature as ASN.1", parts[0] + "." + parts[1] + "." + asn1(t, corp, parts[0]+"."+parts[1])},
			{"four parts", good + "."},
			{"five parts, RFC 7516", good + ".a.b"},
			{"white space", parts[0] + "." + parts[1] + ". " + parts[2]},
			{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "=="},
			{"JSON serialization", `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`},
		} {
			if got := ours.token(url.Values{"grant_type": {bearerGrant}, "assertion": {tt.token}}); got.what() != "invalid_grant" {
				t.Errorf("%s: %d %s", tt.name, got.Status, got.Body)
			}
		}
		if asked.Load() != 0 {
			t.Errorf("tokens made us ask %d times", asked.Load())
		}
		if out, err := exec.Command(conformance.Program(t), "users", "list", "--output", "json", "--data", op.Data).Output(); err != nil || strings.TrimSpace(string(out)) != "[]" {
			t.Errorf("there are accounts: %s %v", out, err)
		}
		if got := ours.token(url.Values{"grant_type": {bearerGrant}, "assertion": {good}}); got.what() != "ok" {
			t.Errorf("the same without any of that: %s", got.Body)
		}
	})
}

// asn1 is a good signature in the form that is not JOSE's, RFC 7518 §3.4.
func asn1(t *testing.T, n *notary, signed string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(signed))
	text, err := ecdsa.SignASN1(rand.Reader, n.key.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
