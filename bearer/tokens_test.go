package bearer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/bearer"
)

var b64 = base64.RawURLEncoding

func TestAToken(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key, newSigner(t, "RS256", "two"))
	tokens := op.believing()
	p, err := tokens.Verify(t.Context(), shown(key.sign(op.good(claims{"act": claims{"sub": "svc_robot"}, "org_id": "org_1", "akid": "key_1"}))), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "acc_ada" || p.Actor != "svc_robot" || p.Organization != "org_1" || p.ClientID != "cli_app" ||
		p.Method != bearer.MethodBearer || p.Credential != "jti-1" || p.Issuer != op.URL || p.Session != "ses_1" ||
		p.Authorization != "aut_1" || p.Key != "key_1" || p.ACR != "urn:example:2" ||
		!slices.Equal(p.AMR, []string{"pwd", "otp"}) || !slices.Equal(p.Scopes, []string{"orders:read", "orders:write"}) {
		t.Errorf("it is %+v", p)
	}
	if time.Until(p.ExpiresAt) > 5*time.Minute || time.Since(p.AuthTime) < 10*time.Second {
		t.Errorf("it expires %s, signed in %s", p.ExpiresAt, p.AuthTime)
	}
}

func TestTokensAreRefused(t *testing.T) {
	op := newIssuer(t)
	key, other, rsaSigner := newSigner(t, "ES256", "one"), newSigner(t, "ES256", "one"), newSigner(t, "RS256", "rsa")
	op.publish(key, rsaSigner)
	now := time.Now()
	good := key.sign(op.good())
	parts := strings.Split(good, ".")
	head := func(h string) string { return b64.EncodeToString([]byte(h)) }
	type h = map[string]any

	// RFC 8725 §2.1: the public key, which everybody knows, as the secret of an HMAC.
	der, err := x509.MarshalPKIXPublicKey(rsaSigner.public)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(secret []byte) string {
		text := head(`{"alg":"HS256","typ":"at+jwt","kid":"rsa"}`) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + b64.EncodeToString(mac.Sum(nil))
	}
	// RFC 8725 §3.10: signed with a key that the header brings along.
	jwk, err := json.Marshal(jose.JSONWebKey{Key: other.public})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := b64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	asn1, err := ecdsa.SignASN1(rand.Reader, key.private.(*ecdsa.PrivateKey), sum(parts[0]+"."+parts[1]))
	if err != nil {
		t.Fatal(err)
	}
	// The last character of a signature has bits that mean nothing: another one says the same.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", parts[2][len(parts[2])-1])
	twin := parts[2][:len(parts[2])-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])

	for _, tt := range []struct{ name, token string }{
		{"RFC 8725 2.1, alg none", head(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + "."},
		{"RFC 8725 2.1, alg none with a signature", head(`{"alg":"none","typ":"at+jwt","kid":"one"}`) + "." + parts[1] + "." + parts[2]},
		{"RFC 8725 2.1, alg nOnE", head(`{"alg":"nOnE","typ":"at+jwt","kid":"one"}`) + "." + parts[1] + "." + parts[2]},
		{"RFC 8725 2.1, HS256 with the public key in DER", forged(der)},
		{"RFC 8725 2.1, HS256 with the public key in PEM", forged(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		{"RFC 8725 3.1, RS256 where ES256 is pinned", rsaSigner.sign(op.good())},
		{"RFC 8725 3.10, key in the header", other.sign(op.good(), h{"jwk": json.RawMessage(jwk)})},
		{"RFC 8725 3.10, address of keys in the header", other.sign(op.good(), h{"jku": "http://127.0.0.1:1/keys"})},
		{"RFC 8725 3.11, typ JWT: an ID token", key.sign(op.good(), h{"typ": "JWT"})},
		{"RFC 8725 3.11, typ logout+jwt", key.sign(op.good(), h{"typ": "logout+jwt"})},
		{"RFC 8725 3.11, no typ", key.sign(op.good(), h{"typ": ""})},
		{"RFC 7515 4.1.11, crit", key.signRaw(`{"alg":"ES256","typ":"at+jwt","kid":"one","crit":["exp"],"exp":1}`, parts[1])},
		{"RFC 7797, b64 false", key.signRaw(`{"alg":"ES256","typ":"at+jwt","kid":"one","crit":["b64"],"b64":false}`, parts[1])},
		{"RFC 7515 10.12, alg twice", key.signRaw(`{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"one"}`, parts[1])},
		{"RFC 7515 10.12, aud twice", key.signText(strings.TrimSuffix(jsonText(t, op.good(claims{"aud": "https://other.example"})), "}") + `,"aud":"` + audience + `"}`)},
		{"RFC 7515 10.12, AUD is not aud", key.sign(op.good(claims{"aud": nil, "AUD": audience}))},
		{"RFC 7515 5.2, another's signature", other.sign(op.good())},
		{"RFC 7515 5.2, claims of another token", strings.Join([]string{parts[0], strings.Split(key.sign(op.good(claims{"sub": "acc_eve"})), ".")[1], parts[2]}, ".")},
		{"RFC 7515 5.2, no signature", parts[0] + "." + parts[1] + "."},
		{"RFC 7515 5.2, half a signature", parts[0] + "." + parts[1] + "." + b64.EncodeToString(signature[:32])},
		{"RFC 7518 3.4, signature in ASN.1", parts[0] + "." + parts[1] + "." + b64.EncodeToString(asn1)},
		{"RFC 7518 3.4, R and S are zero", parts[0] + "." + parts[1] + "." + b64.EncodeToString(make([]byte, 64))},
		{"RFC 7515 2, another spelling of the signature", parts[0] + "." + parts[1] + "." + twin},
		{"RFC 7515 2, padding", good + "=="},
		{"RFC 7518 3.4, a zero more", parts[0] + "." + parts[1] + "." + b64.EncodeToString(slices.Insert(slices.Clone(signature), 32, 0))},
		{"RFC 7515 2, line break in the signature", good[:len(good)-5] + "\n" + good[len(good)-5:]},
		{"RFC 7515 2, line break", parts[0] + ".\n" + parts[1] + "." + parts[2]},
		{"RFC 7515 7.1, two parts", parts[0] + "." + parts[1]},
		{"RFC 7516 7.1, five parts", good + "." + parts[1] + "." + parts[2]},
		{"RFC 7515 7.2, JSON form", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`},
		{"RFC 7519 7.2, claims are a list", key.signText(`["iss"]`)},
		{"RFC 7519 7.2, claims are null", key.signText(`null`)},
		{"RFC 9068 4, iss of a stranger", key.sign(op.good(claims{"iss": "https://evil.example"}))},
		{"RFC 9068 4, iss with a slash more", key.sign(op.good(claims{"iss": op.URL + "/"}))},
		{"RFC 9068 4, no iss", key.sign(op.good(claims{"iss": nil}))},
		{"RFC 9068 4, aud of another service", key.sign(op.good(claims{"aud": "https://other.example"}))},
		{"RFC 9068 4, aud of other services", key.sign(op.good(claims{"aud": []string{"https://other.example", op.URL}}))},
		{"RFC 9068 4, aud is part of another", key.sign(op.good(claims{"aud": audience + ".evil.example"}))},
		{"RFC 9068 4, aud with other capitals", key.sign(op.good(claims{"aud": strings.ToUpper(audience)}))},
		{"RFC 9068 4, aud is two in one", key.sign(op.good(claims{"aud": audience + " https://other.example"}))},
		{"RFC 7519 4.1.3, no aud", key.sign(op.good(claims{"aud": nil}))},
		{"RFC 7519 4.1.3, empty list of aud", key.sign(op.good(claims{"aud": []string{}}))},
		{"RFC 7519 4.1.3, a number in aud", key.sign(op.good(claims{"aud": []any{audience, 1}}))},
		{"RFC 7519 4.1.3, null in aud", key.sign(op.good(claims{"aud": []any{audience, nil}}))},
		{"RFC 7519 4.1.3, aud is an object", key.sign(op.good(claims{"aud": claims{"is": audience}}))},
		{"RFC 7519 4.1.4, expired", key.sign(op.good(claims{"exp": now.Unix() - 61}))},
		{"RFC 7519 4.1.4, no exp", key.sign(op.good(claims{"exp": nil}))},
		{"RFC 7519 4.1.4, exp is text", key.sign(op.good(claims{"exp": fmt.Sprint(now.Unix() + 60)}))},
		{"RFC 7519 4.1.4, exp is beyond time", key.signText(strings.TrimSuffix(jsonText(t, op.good(claims{"exp": nil})), "}") + `,"exp":1e300}`)},
		{"RFC 7519 4.1.5, not yet", key.sign(op.good(claims{"nbf": now.Unix() + 70}))},
		{"RFC 7519 4.1.6, from the future", key.sign(op.good(claims{"iat": now.Unix() + 70}))},
		{"RFC 9068 2.2, no sub", key.sign(op.good(claims{"sub": nil}))},
		{"RFC 9449 7.1, bound to a proof", key.sign(op.good(claims{"cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}))},
		{"a huge token", key.sign(op.good(claims{"x": strings.Repeat("x", 8<<10)}))},
		{"a huge header", key.sign(op.good(), h{"x": strings.Repeat("x", 4<<10)})},
		{"a million dots", strings.Repeat(".", 1<<20)},
		{"nothing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tokens := op.believing()
			if _, err := tokens.Verify(t.Context(), shown(good), now); err != nil {
				t.Fatalf("as it should be: %v", err)
			}
			p, err := tokens.Verify(t.Context(), shown(tt.token), now)
			if !errors.Is(err, bearer.ErrInvalid) {
				t.Errorf("got %+v, %v", p, err)
			}
			// Asked again, it is not a good one that is remembered.
			if _, err := tokens.Verify(t.Context(), shown(tt.token), now); !errors.Is(err, bearer.ErrInvalid) {
				t.Errorf("the second time: %v", err)
			}
		})
	}
}

// signRaw signs a header that the other library would not write.
func (s *signer) signRaw(header, payload string) string {
	s.t.Helper()
	text := b64.EncodeToString([]byte(header)) + "." + payload
	r, v, err := ecdsa.Sign(rand.Reader, s.private.(*ecdsa.PrivateKey), sum(text))
	if err != nil {
		s.t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + b64.EncodeToString(signature)
}

func TestTokensThatAreOdd(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	now := time.Now()
	type h = map[string]any
	for _, tt := range []struct{ name, token string }{
		{"RFC 7519 4.1.3, one of several audiences", key.sign(op.good(claims{"aud": []string{"https://other.example", audience}}))},
		{"RFC 7515 4, a header with spaces", key.signRaw(`{ "alg": "ES256", "kid": "one", "typ": "at+jwt" }`, strings.Split(key.sign(op.good()), ".")[1])},
		{"RFC 7515 4.1.9, application/at+jwt", key.sign(op.good(), h{"typ": "application/at+jwt"})},
		{"RFC 7515 4.1.9, AT+JWT", key.sign(op.good(), h{"typ": "AT+JWT"})},
		{"RFC 7519 4.1.4, expired within the skew", key.sign(op.good(claims{"exp": now.Unix() - 50}))},
		{"RFC 7519 2, a fraction of a second", key.sign(op.good(claims{"exp": float64(now.Unix()) + 60.5}))},
		{"RFC 7515 4.1.4, no kid, and one key that fits", (&signer{t, "", key.alg, key.private, key.public}).sign(op.good())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := op.believing().Verify(t.Context(), shown(tt.token), now); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			op := newIssuer(t)
			key := newSigner(t, alg, "k")
			op.publish(key)
			ways := map[string]func(*bearer.Issuer){
				"discovery": func(*bearer.Issuer) {},
				"JWKSURL":   func(i *bearer.Issuer) { i.JWKSURL = op.URL + "/jwks" },
				"JWKS": func(i *bearer.Issuer) {
					i.JWKS = []byte(jsonText(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.public, KeyID: "k"}}}))
				},
				"PEM": func(i *bearer.Issuer) {
					der, err := x509.MarshalPKIXPublicKey(key.public)
					if err != nil {
						t.Fatal(err)
					}
					i.PEM = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
				},
			}
			if secret, ok := key.public.([]byte); ok {
				delete(ways, "discovery") // A secret is not published.
				delete(ways, "JWKSURL")
				delete(ways, "PEM")
				ways["Secret"] = func(i *bearer.Issuer) { i.Secret = secret }
			}
			for name, way := range ways {
				tokens := op.believing(way, func(i *bearer.Issuer) { i.Algorithms = []string{alg} })
				token := key.sign(op.good())
				if _, err := tokens.Verify(t.Context(), shown(token), time.Now()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				at := strings.LastIndexByte(token, '.') + 10
				bad := token[:at] + string(token[at]^1) + token[at+1:]
				if token[at] == '-' || token[at] == '_' {
					bad = token[:at] + "A" + token[at+1:]
				}
				if _, err := tokens.Verify(t.Context(), shown(bad), time.Now()); !errors.Is(err, bearer.ErrInvalid) {
					t.Errorf("%s, one bit is another: %v", name, err)
				}
			}
		})
	}
}

func TestAForeignIssuer(t *testing.T) {
	ours, theirs := newIssuer(t), newIssuer(t)
	our, their := newSigner(t, "ES256", "k"), newSigner(t, "RS256", "k")
	ours.publish(our)
	theirs.publish(their)
	tokens, err := bearer.NewTokens(
		bearer.Issuer{URL: ours.URL, Audiences: []string{audience}},
		bearer.Issuer{URL: theirs.URL, Audiences: []string{audience}, Algorithms: []string{"RS256"}, Types: []string{"JWT", ""},
			Claims: func(text []byte, p *bearer.Principal) error {
				var c struct{ Tenant string }
				if err := json.Unmarshal(text, &c); err != nil || c.Tenant == "" {
					return bearer.ErrInvalid
				}
				p.Organization = c.Tenant
				return nil
			}},
	)
	if err != nil {
		t.Fatal(err)
	}
	jwt := map[string]any{"typ": "JWT"}
	p, err := tokens.Verify(t.Context(), shown(their.sign(theirs.good(claims{"scope": nil, "scp": []string{"a", "b"}, "client_id": nil, "azp": "app", "tenant": "t1"}), jwt)), time.Now())
	if err != nil || p.Organization != "t1" || p.ClientID != "app" || !p.May("b") || p.Issuer != theirs.URL {
		t.Errorf("%+v %v", p, err)
	}
	for name, token := range map[string]string{
		"theirs that says it is ours":     their.sign(ours.good()),
		"ours that says it is theirs":     our.sign(theirs.good(claims{"tenant": "t1"}), jwt),
		"refused by the reader of claims": their.sign(theirs.good(), jwt),
	} {
		if _, err := tokens.Verify(t.Context(), shown(token), time.Now()); !errors.Is(err, bearer.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	short := rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	good := bearer.Issuer{URL: "https://id.example", Audiences: []string{audience}}
	for _, tt := range []struct {
		name string
		make func(i *bearer.Issuer)
		want string
	}{
		{"no URL", func(i *bearer.Issuer) { i.URL = "" }, "no URL"},
		{"keys in clear text", func(i *bearer.Issuer) { i.URL = "http://id.example" }, "https://"},
		{"JWKS in clear text", func(i *bearer.Issuer) { i.JWKSURL = "http://id.example/jwks" }, "https://"},
		{"no audience", func(i *bearer.Issuer) { i.Audiences = nil }, "Audiences"},
		{"alg none", func(i *bearer.Issuer) { i.Algorithms = []string{"none"} }, "not an algorithm"},
		{"a secret and public keys", func(i *bearer.Issuer) { i.Algorithms = []string{"RS256", "HS256"} }, "can't both"},
		{"a secret from the network", func(i *bearer.Issuer) { i.Algorithms = []string{"HS256"} }, "Secret"},
		{"RFC 7518 3.2, a short secret", func(i *bearer.Issuer) { i.Algorithms, i.Secret = []string{"HS256"}, []byte("password") }, "too short"},
		{"RFC 7518 3.3, a short RSA key", func(i *bearer.Issuer) {
			der, _ := x509.MarshalPKIXPublicKey(&short)
			i.Algorithms, i.PEM = []string{"RS256"}, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}, "no key"},
		{"a private key", func(i *bearer.Issuer) {
			i.PEM = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())})
		}, "RSA PRIVATE KEY"},
		{"two kinds of keys", func(i *bearer.Issuer) { i.PEM, i.Secret = []byte("x"), []byte("x") }, "more than one"},
		{"an hour of skew", func(i *bearer.Issuer) { i.Skew = time.Hour }, "Skew"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.make(&c)
			if _, err := bearer.NewTokens(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := bearer.NewTokens(good); err != nil {
		t.Error(err)
	}
	if _, err := bearer.NewTokens(good, good); err == nil {
		t.Error("the same issuer twice is accepted")
	}
}

func TestAVerifiedTokenIsRememberedUntil(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	reads := 0
	tokens := op.believing(func(i *bearer.Issuer) {
		i.Claims = func([]byte, *bearer.Principal) error { reads++; return nil }
	})
	now, token := time.Now(), key.sign(op.good())
	verify := func(at time.Time) error {
		_, err := tokens.Verify(t.Context(), shown(token), at)
		return err
	}
	for range 3 {
		if err := verify(now); err != nil || reads != 1 {
			t.Fatalf("%v, read %d times", err, reads)
		}
	}
	tokens.Forget("somebody else", "")
	if verify(now); reads != 1 {
		t.Error("it was forgotten for somebody else")
	}
	for n, id := range []string{"jti-1", "ses_1", "aut_1", "cli_app", "acc_ada"} {
		tokens.Forget(id)
		if err := verify(now); err != nil || reads != n+2 {
			t.Errorf("after Forget(%s): %v, read %d times", id, err, reads)
		}
	}
	if err := verify(now.Add(5*time.Minute + 59*time.Second)); err != nil {
		t.Errorf("within the skew: %v", err)
	}
	if err := verify(now.Add(6*time.Minute + time.Second)); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("after it expired: %v", err)
	}
}

func TestAnotherTokenIsNotARememberedOneWhoseHashItHas(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	for name, more := range map[string]claims{"short": {}, "long": {"entitlements": strings.Repeat("x", 2000)}} {
		t.Run(name, func(t *testing.T) {
			tokens, good, now := op.believing(), key.sign(op.good(more)), time.Now()
			for range 2 {
				if _, err := tokens.Verify(t.Context(), shown(good), now); err != nil {
					t.Fatal(err)
				}
			}
			at := strings.LastIndexByte(good, '.')
			forged := good[:at+1] + strings.Repeat("A", len(good)-at-1)
			bearer.Collide(tokens, good, forged)
			if _, err := tokens.Verify(t.Context(), shown(forged), now); !errors.Is(err, bearer.ErrInvalid) {
				t.Errorf("it was let in: %v", err)
			}
		})
	}
}

func TestACredentialDoesNotPrint(t *testing.T) {
	c := shown("mm_sk_secret")
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c)} {
		if strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
}

func sum(s string) []byte {
	d := sha256.Sum256([]byte(s))
	return d[:]
}

func jsonText(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
