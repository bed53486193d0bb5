package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"mintmark/keys"
)

var b64 = base64.RawURLEncoding

// forger signs whatever header it likes, with our key or its own.
type forger struct {
	t       *testing.T
	private *ecdsa.PrivateKey
}

func (f forger) sign(header, claims string) string {
	f.t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.private, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// hmac signs with HS256 and a key of text.
func hmac(t *testing.T, header, claims string, key []byte) string {
	t.Helper()
	mac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := mac.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, _ := jws.CompactSerialize()
	// The library's own header is replaced; the signature over it does not matter, what
	// matters is that HMAC is never tried.
	return b64.EncodeToString([]byte(header)) + out[strings.Index(out, "."):]
}

func TestVerifyRefuses(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		store := open()
		k := started(t, store)
		claims := `{"sub":"x"}`
		good, id := sign(t, k, keys.ES256, "at+jwt", claims), sign(t, k, keys.ES256, "JWT", claims)
		rs := sign(t, k, keys.RS256, "at+jwt", claims)
		kid, rsKID := kid(t, good), kid(t, rs)
		head, body, tail := parts(good)

		// The forger that has our private key shows that it is the header that is refused.
		ours, theirs := forger{t, private(t, store, kid)}, forger{t, newKey(t)}
		if _, err := k.Verify(ours.sign(keys.Header(keys.ES256, kid, "at+jwt"), claims), "at+jwt"); err != nil {
			t.Fatalf("the forger can't even sign what is good: %v", err)
		}
		for _, token := range []string{good, id, rs} { // that they are remembered helps nobody
			if _, err := k.Verify(token, ""); err != nil {
				t.Fatal(err)
			}
		}
		jwk, _ := json.Marshal(jose.JSONWebKey{Key: theirs.private.Public()})
		der, _ := x509.MarshalPKIXPublicKey(private(t, store, kid).Public())
		inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		signature, _ := b64.DecodeString(tail)
		header := func(text string) string { return b64.EncodeToString([]byte(text)) }

		for _, tt := range []struct{ name, token, typ string }{
			{"nothing", "", ""},
			{"two dots", "..", ""},
			{"one part", head, ""},
			{"two parts", head + "." + body, ""},
			{"four parts", good + ".", ""},
			{"five parts, as a JWE has", good + ".a.b", ""},
			{"RFC 8725 3.11, an ID token where an access token is wanted", id, "at+jwt"},
			{"RFC 8725 3.11, an access token where an ID token is wanted", good, "JWT"},
			{"a typ that we never write", good, "application/at+jwt"},
			{"RFC 8725 3.1, alg none without a signature", header(`{"alg":"none","kid":"`+kid+`","typ":"at+jwt"}`) + "." + body + ".", ""},
			{"alg none with a signature", header(`{"alg":"none","kid":"`+kid+`","typ":"at+jwt"}`) + "." + body + "." + tail, ""},
			{"alg None", ours.sign(`{"alg":"None","kid":"`+kid+`","typ":"at+jwt"}`, claims), ""},
			{"HS256 with the public key as the secret", hmac(t, `{"alg":"HS256","kid":"`+kid+`","typ":"at+jwt"}`, claims, der), ""},
			{"HS256 with the public key in PEM", hmac(t, `{"alg":"HS256","kid":"`+kid+`","typ":"at+jwt"}`, claims, inPEM), ""},
			{"HS256 under an ES256 header", hmac(t, keys.Header(keys.ES256, kid, "at+jwt"), claims, der), ""},
			{"another algorithm for the kid", ours.sign(keys.Header(keys.RS256, kid, "at+jwt"), claims), ""},
			{"the kid of the other ring", ours.sign(keys.Header(keys.RS256, rsKID, "at+jwt"), claims), ""},
			{"no kid", ours.sign(`{"alg":"ES256","typ":"at+jwt"}`, claims), ""},
			{"an empty kid", ours.sign(keys.Header(keys.ES256, "", "at+jwt"), claims), ""},
			{"an unknown kid", theirs.sign(keys.Header(keys.ES256, "nobody", "at+jwt"), claims), ""},
			{"no typ", ours.sign(`{"alg":"ES256","kid":"`+kid+`"}`, claims), ""},
			{"two algs", ours.sign(`{"alg":"none","alg":"ES256","kid":"`+kid+`","typ":"at+jwt"}`, claims), ""},
			{"an Alg", ours.sign(`{"Alg":"none","alg":"ES256","kid":"`+kid+`","typ":"at+jwt"}`, claims), ""},
			{"RFC 7515 4.1.11, a crit", ours.sign(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt","crit":["b64"],"b64":true}`, claims), ""},
			{"RFC 7515 4.1.3, its own key", theirs.sign(`{"alg":"ES256","typ":"at+jwt","jwk":`+string(jwk)+`}`, claims), ""},
			{"its own key beside our kid", theirs.sign(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt","jwk":`+string(jwk)+`}`, claims), ""},
			{"RFC 7515 4.1.2, a jku", theirs.sign(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt","jku":"https://evil.example/"}`, claims), ""},
			{"RFC 7515 4.1.6, an x5c", theirs.sign(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt","x5c":["MIIB"]}`, claims), ""},
			{"a header that is not JSON", ours.sign(`alg: ES256`, claims), ""},
			{"somebody else's signature", theirs.sign(keys.Header(keys.ES256, kid, "at+jwt"), claims), ""},
			{"the signature of another token", head + "." + body + "." + id[strings.LastIndex(id, ".")+1:], ""},
			{"other claims", head + "." + header(`{"sub":"y"}`) + "." + tail, ""},
			{"no claims", head + ".." + tail, ""},
			{"no signature", head + "." + body + ".", ""},
			{"a signature of zeros, CVE-2022-21449", head + "." + body + "." + b64.EncodeToString(make([]byte, 64)), ""},
			{"a signature in DER", head + "." + body + "." + b64.EncodeToString(asDER(t, ours.private, head+"."+body)), ""},
			{"a signature that is cut", head + "." + body + "." + b64.EncodeToString(signature[:63]), ""},
			{"a signature that is longer", head + "." + body + "." + b64.EncodeToString(append(signature[:64:64], 0)), ""},
			{"padding", good + "=", ""},
			{"another alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+", ""},
			{"a line break in the claims", head + "." + body[:4] + "\n" + body[4:] + "." + tail, ""},
			{"a line break behind it", good + "\n", ""},
			{"a space before it", " " + good, ""},
			{"loose bits in the signature", loose(good), ""},
			{"longer than 16 KiB", ours.sign(keys.Header(keys.ES256, kid, "at+jwt"), strings.Repeat("x", 16<<10)), ""},
			{"the RS256 signature of other claims", rs[:strings.LastIndex(rs, ".")-1] + "A" + rs[strings.LastIndex(rs, "."):], ""},
		} {
			if got, err := k.Verify(tt.token, tt.typ); !errors.Is(err, keys.ErrSignature) || got != nil {
				t.Errorf("%s: %q, %v", tt.name, got, err)
			}
			if got, err := k.VerifyRetained(tt.token, tt.typ); !errors.Is(err, keys.ErrSignature) || got != nil {
				t.Errorf("%s, as a hint: %q, %v", tt.name, got, err)
			}
		}
		for i := range len(good) {
			touched := good[:i] + string(good[i]^1) + good[i+1:]
			if got, err := k.Verify(touched, ""); err == nil {
				t.Errorf("byte %d was changed: %q", i, got)
			}
		}
		for _, token := range []string{good, rs} {
			if got, err := k.Verify(token, ""); err != nil || string(got) != claims {
				t.Errorf("what is good is refused: %v", err)
			}
		}
	})
}

func TestAppendAppends(t *testing.T) {
	k := started(t, sqlite(t))
	dst := append(make([]byte, 0, 1000), `{"access_token":"`...)
	out, err := k.Append(dst, keys.ES256, "at+jwt", []byte("{}"))
	if err != nil || &out[0] != &dst[0] || !strings.HasPrefix(string(out), `{"access_token":"ey`) {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := k.Append(dst, keys.ES256, "made-up+jwt", nil); err == nil || len(out) != len(dst) {
		t.Errorf("a typ that Verify does not know was signed: %s", out)
	}
	if out, err := k.Append(dst, "HS256", "JWT", nil); err == nil || len(out) != len(dst) {
		t.Errorf("HS256 was signed: %s", out)
	}
}

// What Verify takes, we have signed. The corpus is near misses.
func FuzzVerify(f *testing.F) {
	k := started(f, sqlite(f))
	ours := map[string]bool{}
	for _, alg := range keys.Algs {
		for _, typ := range []string{"JWT", "at+jwt"} {
			for _, claims := range []string{"", "{}", `{"sub":"x","aud":["a","b"]}`} {
				token := sign(f, k, alg, typ, claims)
				ours[token] = true
				head, body, tail := parts(token)
				for _, seed := range []string{
					token, token + "=", token + ".", head, head + "." + body, head + "." + body + ".", head + ".." + tail,
					"." + body + "." + tail, body + "." + head + "." + tail, head + "." + body + "\n." + tail, loose(token),
					b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + body + ".", strings.ToUpper(token),
				} {
					f.Add(seed, typ)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, token, typ string) {
		claims, err := k.VerifyRetained(token, typ)
		if err == nil && !ours[token] {
			t.Fatalf("%q was never signed, and says %q", token, claims)
		}
		if err != nil && claims != nil {
			t.Fatal("refused, and yet there are claims")
		}
	})
}

func parts(token string) (head, body, tail string) {
	head, rest, _ := strings.Cut(token, ".")
	body, tail, _ = strings.Cut(rest, ".")
	return head, body, tail
}

// loose sets a bit that base64 has no use for: 64 and 256 bytes leave four of them.
func loose(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])|1])
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// private takes a private key out of the database, as only a holder of the master key can.
func private(t *testing.T, store keys.Store, id string) *ecdsa.PrivateKey {
	t.Helper()
	records, err := store.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.ID == id {
			plain, err := sealer(t, master).Open(r.Sealed, "signing:"+id)
			if err != nil {
				t.Fatal(err)
			}
			key, err := x509.ParsePKCS8PrivateKey(plain)
			if err != nil {
				t.Fatal(err)
			}
			return key.(*ecdsa.PrivateKey)
		}
	}
	t.Fatalf("there is no key %s", id)
	return nil
}

func asDER(t *testing.T, key *ecdsa.PrivateKey, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	der, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func BenchmarkAppend(b *testing.B) {
	k := started(b, sqlite(b))
	claims := []byte(`{"iss":"https://id.example.com","sub":"cli_0000000000000000000000","aud":"https://id.example.com","client_id":"cli_0000000000000000000000","scope":"read write","iat":1700000000,"exp":1700000300,"jti":"0000000000000000000000"}`)
	for _, alg := range keys.Algs {
		b.Run(string(alg), func(b *testing.B) {
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Append(buf, alg, "at+jwt", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("verify "+string(alg), func(b *testing.B) {
			token := sign(b, k, alg, "at+jwt", string(claims))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Verify(token, "at+jwt"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What remains is ours.
func BenchmarkRawES256(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
}
