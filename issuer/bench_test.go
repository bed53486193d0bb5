package issuer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/issuer"
	"mintmark/storage/storagetest"
)

// The endpoints are measured in the process, with the real database and keys, and without
// net/http's server: BenchmarkSignature is the part of a token that nothing can save.

// A sink is a response writer that is used again and again.
type sink struct {
	header http.Header
	body   []byte
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { s.body = append(s.body[:0], b...); return len(b), nil }

// again calls an endpoint with one request, as often as the benchmark wants.
func again(b *testing.B, to handler, r *http.Request) {
	b.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.Fatal(err)
	}
	body := strings.NewReader(string(text))
	r.Body = io.NopCloser(body)
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(string(text))
		if err := to(w, r); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHouse(b *testing.B) *house {
	return newHouse(b, storagetest.Open(b, storagetest.SQLite(b)))
}

func BenchmarkSignature(b *testing.B) {
	sum := sha256.Sum256([]byte("x"))
	b.Run("ES256", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RS256", func(b *testing.B) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientCredentials(b *testing.B) {
	h := benchHouse(b)
	for _, alg := range []string{"ES256", "RS256"} {
		b.Run(alg, func(b *testing.B) {
			a := h.app(b, func(c *issuer.Client) {
				service("orders:read", "orders:write")(c)
				c.Audience, c.AccessTokenAlg = []string{"https://orders.example"}, alg
			})
			again(b, h.Token, a.as("grant_type", "client_credentials", "scope", "orders:read"))
		})
	}
	b.Run("opaque", func(b *testing.B) {
		a := h.app(b, func(c *issuer.Client) { service("a")(c); c.AccessTokenFormat = "opaque" })
		again(b, h.Token, a.as("grant_type", "client_credentials"))
	})
}

// What a token costs beyond its signature. The two are measured in turn, and their medians are
// compared, so that what else the machine does does not count.
func BenchmarkClientCredentialsAgainstTheSignature(b *testing.B) {
	h := benchHouse(b)
	a := h.app(b, func(c *issuer.Client) {
		service("orders:read", "orders:write")(c)
		c.Audience = []string{"https://orders.example"}
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	r := a.as("grant_type", "client_credentials", "scope", "orders:read")
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.Fatal(err)
	}
	body := strings.NewReader("")
	r.Body = io.NopCloser(body)
	w := &sink{header: http.Header{}}
	sum := sha256.Sum256([]byte("x"))
	var signatures, tokens []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		body.Reset(string(text))
		if err := h.Token(w, r); err != nil {
			b.Fatal(err)
		}
		signatures = append(signatures, between.Sub(begin))
		tokens = append(tokens, time.Since(between))
	}
	b.ReportMetric(float64(median(tokens))/float64(median(signatures)), "x/signature")
	b.ReportMetric(float64(median(tokens)-median(signatures)), "ns/beyond")
}

func BenchmarkRefresh(b *testing.B) {
	h := benchHouse(b)
	v := h.visitor(b)
	for _, alg := range []string{"ES256", "RS256"} {
		a := h.app(b, func(c *issuer.Client) { c.IDTokenAlg = alg })
		b.Run("ID token by "+alg, func(b *testing.B) {
			token := h.redeem(b, a, h.code(b, a, v, nil)).str("refresh_token")
			b.ReportAllocs()
			for b.Loop() {
				token = h.renew(b, a, token).str("refresh_token")
			}
		})
	}
}

func BenchmarkIntrospect(b *testing.B) {
	h := benchHouse(b)
	v := h.visitor(b)
	for _, format := range []string{"jwt", "opaque"} {
		a := h.app(b, func(c *issuer.Client) { c.AccessTokenFormat = format })
		got := h.redeem(b, a, h.code(b, a, v, nil))
		b.Run(format, func(b *testing.B) { again(b, h.Introspect, a.as("token", got.str("access_token"))) })
	}
}

func BenchmarkUserInfo(b *testing.B) {
	h := benchHouse(b)
	v := h.visitor(b)
	for _, format := range []string{"jwt", "opaque"} {
		a := h.app(b, func(c *issuer.Client) { c.AccessTokenFormat = format })
		got := h.redeem(b, a, h.code(b, a, v, nil))
		r := httptest.NewRequest("GET", front+"/userinfo", nil)
		b.Run(format, func(b *testing.B) { again(b, h.UserInfo, raw(r, "Bearer "+got.str("access_token"))) })
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
