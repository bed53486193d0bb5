package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage"
)

// with returns a server whose only route is /it.
func with(t *testing.T, c *class, handle func(w http.ResponseWriter, r *http.Request) error) (http.Handler, *log) {
	t.Helper()
	s, l := start(t)
	return s.only(c, handle), l
}

func (s *Server) only(c *class, handle func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return s.edge(s.newRouter([]route{{"GET POST", "/it", c, handle}}), "")
}

func TestOneRefusalInEveryVoice(t *testing.T) {
	s, l := start(t)
	inside := errors.New("pq: password authentication failed for user postgres at 10.1.2.3")
	for _, tt := range []struct {
		name      string
		class     *class
		err       error
		status    int
		code      string // in the body
		challenge string
		retry     string
	}{
		{"RFC 6749 5.2, invalid_grant", application, &issuer.Error{Code: "invalid_grant", Description: "The code is spent."}, 400, "invalid_grant", "", ""},
		{"RFC 6749 5.2, invalid_client with Basic", application, &issuer.Error{Code: "invalid_client", Basic: true}, 401, "invalid_client", `Basic realm="mintmark", charset="UTF-8"`, ""},
		{"RFC 6749 5.2, invalid_client without", application, &issuer.Error{Code: "invalid_client"}, 401, "invalid_client", "", ""},
		{"RFC 6585 4, too many", application, &issuer.Error{Code: "invalid_client", RetryAfter: 1500 * time.Millisecond}, 429, "invalid_client", "", "2"},
		{"temporarily_unavailable", application, &issuer.Error{Code: "temporarily_unavailable", RetryAfter: time.Second}, 503, "temporarily_unavailable", "", "1"},
		{"RFC 6750 3.1, nothing was shown", resource, &issuer.Error{Code: "", Bearer: true}, 401, "", `Bearer realm="mintmark"`, ""},
		{"RFC 6750 3.1, invalid_token", resource, &issuer.Error{Code: "invalid_token", Description: "It is expired.", Bearer: true}, 401, "invalid_token",
			`Bearer realm="mintmark", error="invalid_token", error_description="It is expired."`, ""},
		{"RFC 6750 3.1, insufficient_scope", resource, &issuer.Error{Code: "insufficient_scope", Scope: "openid", Bearer: true}, 403, "insufficient_scope",
			`Bearer realm="mintmark", error="insufficient_scope", scope="openid"`, ""},
		{"RFC 6750 3.1, invalid_request", resource, &issuer.Error{Code: "invalid_request"}, 400, "invalid_request", `Bearer realm="mintmark", error="invalid_request"`, ""},
		{"a fault of ours", application, inside, 500, "server_error", "", ""},
		{"a fault of ours, in OAuth's words", application, &issuer.Error{Code: "server_error", Description: inside.Error()}, 500, "server_error", "", ""},
		{"a fault of ours, at a resource", resource, inside, 500, "server_error", "", ""},
		{"a fault of ours, on a page", page, inside, 500, "server_error", "", ""},
		{"the database is away", application, fmt.Errorf("%w: %w", storage.ErrUnavailable, inside), 503, "temporarily_unavailable", "", "2"},
		{"the database is away, on a page", door, fmt.Errorf("%w: %w", storage.ErrUnavailable, inside), 503, "temporarily_unavailable", "", "2"},
		{"the network is away", application, &net.OpError{Op: "dial", Err: inside}, 503, "temporarily_unavailable", "", "2"},
		{"every hash slot is taken", page, secret.ErrBusy, 503, "temporarily_unavailable", "", "2"},
		{"the keys are stale", application, keys.ErrStale, 503, "temporarily_unavailable", "", "2"},
		{"it took too long", application, context.DeadlineExceeded, 503, "temporarily_unavailable", "", "2"},
		{"too many passwords", page, &accounts.TooMany{RetryAfter: time.Minute}, 429, "temporarily_unavailable", "", "60"},
		{"too long a body", application, &http.MaxBytesError{Limit: 1}, 413, "invalid_request", "", ""},
		{"a description can not leave its header", resource, &issuer.Error{Code: "invalid_token", Description: "a\"b\r\nSet-Cookie: x=y", Bearer: true}, 401, "invalid_token",
			`Bearer realm="mintmark", error="invalid_token", error_description="a?b??Set-Cookie: x=y"`, ""},
		{"because", page, &because{errCrossSite, inside}, 403, "access_denied", "", ""},
	} {
		l.reset()
		h := s.only(tt.class, func(w http.ResponseWriter, r *http.Request) error { return tt.err })
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/it", nil))
		resp, body := w.Result(), w.Body.String()
		if resp.StatusCode != tt.status || resp.Header.Get("WWW-Authenticate") != tt.challenge || resp.Header.Get("Retry-After") != tt.retry {
			t.Errorf("%s: %d %v", tt.name, resp.StatusCode, resp.Header)
		}
		if resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: RFC 6749 5.1: Cache-Control is %q", tt.name, resp.Header.Get("Cache-Control"))
		}
		if strings.Contains(body, "10.1.2.3") || strings.Contains(fmt.Sprint(resp.Header), "10.1.2.3") {
			t.Errorf("%s: the inside shows: %s", tt.name, body)
		}
		if strings.Contains(tt.err.Error(), "10.1.2.3") && !strings.Contains(l.String(), "10.1.2.3") {
			t.Errorf("%s: the log does not say why: %s", tt.name, l)
		}
		if tt.class.ownOrigin || tt.class == door {
			if !strings.Contains(body, `id="error"`) || !strings.Contains(body, resp.Header.Get("X-Request-Id")) {
				t.Errorf("%s: not an error page with the id: %s", tt.name, body)
			}
			continue
		}
		var got struct{ Error string }
		if tt.code != "" && (json.Unmarshal([]byte(body), &got) != nil || got.Error != tt.code) {
			t.Errorf("%s: the body is %s", tt.name, body)
		}
	}
}

func TestAPanicIsAnAnswerAndALogLine(t *testing.T) {
	for _, kind := range []*class{application, page, api} {
		h, l := with(t, kind, func(w http.ResponseWriter, r *http.Request) error { panic("at the secret place") })
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/it", nil))
		if w.Code != 500 || strings.Contains(w.Body.String(), "secret place") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		want := map[*class]string{application: "application/json", page: "text/html; charset=utf-8", api: "application/problem+json"}[kind]
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("a panic is told as %q, want %q", got, want)
		}
		if !strings.Contains(l.String(), "at the secret place") || !strings.Contains(l.String(), "errors_test.go") {
			t.Errorf("the log has no stack: %s", l)
		}
		if n := strings.Count(l.String(), `"msg":"request"`); n != 1 {
			t.Errorf("%d lines for one request", n)
		}
	}
}

// An error after the answer has begun can't be told any more. The connection is cut: half an
// answer must not be taken for a whole one.
func TestAnAnswerThatBreaksOffIsCut(t *testing.T) {
	for _, broken := range []func() error{
		func() error { return errors.New("the database went away") },
		func() error { panic("oh") },
	} {
		h, l := with(t, application, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Length", "20")
			w.Write([]byte("half of "))
			return broken()
		})
		server := httptest.NewServer(h)
		resp, err := http.Get(server.URL + "/it")
		if err == nil {
			buf := make([]byte, 100)
			n := 0
			for err == nil {
				var m int
				m, err = resp.Body.Read(buf[n:])
				n += m
			}
			resp.Body.Close()
			if err.Error() == "EOF" {
				t.Errorf("the answer looks whole: %q", buf[:n])
			}
		}
		server.Close()
		if !strings.Contains(l.String(), `"code":"server_error"`) {
			t.Errorf("not in the log: %s", l)
		}
	}
}

func TestNobodyIsAnsweredWhoHasLeft(t *testing.T) {
	h, l := with(t, application, func(w http.ResponseWriter, r *http.Request) error { return r.Context().Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/it", nil))
	if w.Body.Len() > 0 || !strings.Contains(l.String(), `"status":499`) || strings.Contains(l.String(), `"level":"ERROR"`) {
		t.Errorf("%s %s", w.Body, l)
	}
}

func TestABodyIsBounded(t *testing.T) {
	var read int
	h, _ := with(t, application, func(w http.ResponseWriter, r *http.Request) error {
		buf := make([]byte, 1<<20)
		for {
			n, err := r.Body.Read(buf)
			read += n
			if err != nil {
				return err
			}
		}
	})
	server := httptest.NewServer(h)
	defer server.Close()
	for _, tt := range []struct {
		name    string
		body    string
		chunked bool
	}{{"declared", strings.Repeat("x", smallBody+1), false}, {"undeclared", strings.Repeat("x", 4*smallBody), true}} {
		read = 0
		r, err := http.NewRequest("POST", server.URL+"/it", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.chunked {
			r.ContentLength = -1
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 413 || read > smallBody {
			t.Errorf("%s: %d after %d bytes", tt.name, resp.StatusCode, read)
		}
	}
}

func TestRequestID(t *testing.T) {
	s, l := start(t)
	first := ask(s, "GET", "/keys", "", "X-Request-Id", "made-up")
	second := ask(s, "GET", "/keys", "")
	a, b := first.Header.Get("X-Request-Id"), second.Header.Get("X-Request-Id")
	if !strings.HasPrefix(a, "req_") || a == b || a == "made-up" {
		t.Errorf("%q, %q", a, b)
	}
	if !strings.Contains(l.String(), `"request_id":"`+a+`"`) {
		t.Errorf("not in the log: %s", l)
	}
	if !strings.Contains(text(t, ask(s, "GET", "/nothing", "")), "req_") {
		t.Error("the error page does not show it")
	}
}
