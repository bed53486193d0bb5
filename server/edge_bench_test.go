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

	"mintmark/apikeys"
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
	r.RemoteAddr = "127.0.0.1:1" // from elsewhere it would come in clear text
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	edit(r)
	body := strings.NewReader(form)
	r.ContentLength = int64(len(form))
	token := func() {
		body.Reset(form)
		r.Body = io.NopCloser(body)
		s.Handler().ServeHTTP(nowhere{http.Header{}}, r)
	}
	works(b, s, r, form)
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

// works fails unless a request is let in: a refusal is quick, and would be a good figure.
func works(b *testing.B, s *Server, r *http.Request, body string) {
	b.Helper()
	w := httptest.NewRecorder()
	r.Body = io.NopCloser(strings.NewReader(body))
	s.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"active":false`) {
		b.Fatal(w.Code, w.Body)
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// What the two doors that services and proxies knock at all day cost, with all that is around them
// but the network.
func BenchmarkDoors(b *testing.B) {
	s, _ := start(b, func(c *Config) {
		c.Dev, c.Log = false, slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	robot, err := s.apiKeys.AddService(b.Context(), "robot", "", apikeys.By{})
	if err != nil {
		b.Fatal(err)
	}
	key := func(scope string) string {
		_, token, err := s.apiKeys.Make(b.Context(), apikeys.New{Kind: "sk", OwnerType: apikeys.OwnerService, OwnerID: robot.ID, Name: "x",
			Scopes: []string{scope}, Audience: []string{"https://docs.example"}}, apikeys.By{})
		if err != nil {
			b.Fatal(err)
		}
		return token.Reveal()
	}
	asker, reader := key(apikeys.ScopeVerify), key("docs:read")
	for _, tt := range []struct{ name, method, target, key, body string }{
		{"verify", "POST", "/api/v1/keys/verify", asker, `{"key":"` + reader + `","scope":"docs:read"}`},
		{"forward", "GET", "/auth/verify?scope=docs:read", reader, ""},
		{"forward with a token", "GET", "/auth/verify?scope=docs:read&audience=https://docs.example", reader, ""},
	} {
		b.Run(tt.name, func(b *testing.B) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Authorization", "ApiKey "+tt.key)
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = int64(len(tt.body))
			works(b, s, r, tt.body)
			body := strings.NewReader("")
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(tt.body)
				r.Body = io.NopCloser(body)
				s.Handler().ServeHTTP(nowhere{http.Header{}}, r)
			}
		})
	}
}
