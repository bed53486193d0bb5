package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/issuer"
)

type nowhere struct{ h http.Header }

func (w nowhere) Header() http.Header         { return w.h }
func (w nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w nowhere) WriteHeader(int)             {}

// What the edge, the router and the log line cost a request whose handler does nothing.
func BenchmarkEdge(b *testing.B) {
	s, _ := start(b)
	s.log = slog.New(slog.NewJSONHandler(nowhere{}, nil))
	for i, r := range s.routes() {
		if r.path == "/oauth/token" {
			all := s.routes()
			all[i].handle = func(w http.ResponseWriter, r *http.Request) error { return nil }
			h := s.edge(s.newRouter(all), "")
			r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader("x"))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nowhere{http.Header{}}, r)
			}
		}
	}
}

// What a token costs through the whole handler, route, headers and log line included, against
// the signature in it. The two are measured in turn, and their medians are compared, so that
// what else the machine does does not count.
func BenchmarkTokenAgainstTheSignature(b *testing.B) {
	s, _ := start(b, func(c *Config) {
		c.Dev, c.Log = false, slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	client, shown, err := s.provider.Register(issuer.Client{
		Name: "Robot", Type: "service", Scopes: []string{"orders:read", "orders:write"}, Audience: []string{"https://orders.example"},
	}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.db.Registry().AddClient(b.Context(), client); err != nil {
		b.Fatal(err)
	}
	againstTheSignature(b, s, "grant_type=client_credentials&scope=orders%3Aread", func(r *http.Request) { r.SetBasicAuth(client.ID, shown.Reveal()) })
}

func againstTheSignature(b *testing.B, s *Server, form string, edit func(*http.Request)) {
	b.Helper()
	r := httptest.NewRequest("POST", "/oauth/token", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	edit(r)
	body := strings.NewReader(form)
	r.ContentLength = int64(len(form))
	token := func() {
		body.Reset(form)
		r.Body = io.NopCloser(body)
		s.Handler().ServeHTTP(nowhere{http.Header{}}, r)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	sign := func() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
	var signatures, tokens []time.Duration
	for b.Loop() {
		begin := time.Now()
		sign()
		between := time.Now()
		token()
		signatures = append(signatures, between.Sub(begin))
		tokens = append(tokens, time.Since(between))
	}
	b.ReportMetric(float64(median(tokens))/float64(median(signatures)), "x/signature")
	b.ReportMetric(float64(median(tokens)-median(signatures)), "ns/beyond")
	b.ReportMetric(testing.AllocsPerRun(1000, token)-testing.AllocsPerRun(1000, sign), "allocs/beyond")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
