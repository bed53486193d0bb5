package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
