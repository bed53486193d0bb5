package server

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mintmark/storage/storagetest"
)

// A log is what the server has written, readable while it goes on.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// start builds a server on a new SQLite database.
func start(t testing.TB, change ...func(*Config)) (*Server, *log) {
	t.Helper()
	l := &log{}
	cfg := Config{
		Issuer:     "http://localhost:8080",
		Database:   storagetest.SQLite(t),
		MasterKeys: [][]byte{bytes.Repeat([]byte{7}, 32)},
		Dev:        true,
		Listen:     "127.0.0.1:0",
		Log:        slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, l
}

// ask sends one request to the handler, without a network.
func ask(s *Server, method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, "http://localhost:8080/", strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	u, err := url.ParseRequestURI("http://localhost:8080" + target) // as a request line, no reference is resolved
	if err != nil || strings.HasPrefix(target, "//") {
		u = &url.URL{Path: target}
	}
	r.URL, r.RequestURI = u, target
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
