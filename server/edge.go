package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"mintmark/internal/secret"
)

// An exchange is one request and its answer, from the edge to the log line. It is the context of
// the request as well, so that both are one allocation.
type exchange struct {
	http.ResponseWriter
	context.Context           // of the request as it came
	ids             [1]string // what the request is called, as the value of a header
	say             voice     // how it is told no
	route           string    // the template, never the path: a path can carry a sealed request
	address         netip.Addr
	start           time.Time
	status          int // 0 until the answer begins
	bytes           int64
	code            string // of the refusal
	cause           error  // of the refusal
}

type exchangeKey struct{}

// Value implements [context.Context].
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// RequestID returns the id of the request that a context belongs to: what the answer carries as
// X-Request-Id, and the log line and the audit trail as request_id. Without one it is empty.
func RequestID(ctx context.Context) string {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x.ids[0]
	}
	return ""
}

// ClientAddress returns where a request comes from, as the limits and the log see it.
func ClientAddress(r *http.Request) string {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x.address.String()
	}
	return remote(r).String()
}

// WriteHeader begins the answer.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// edge is where every request comes in. Whatever its handler does, the request leaves one
// line in the log.
func (s *Server) edge(routes *router, prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, Context: r.Context(), start: time.Now(), address: s.proxies.address(r)}
		x.ids[0] = s.requestID(r)
		h := w.Header()
		s.setHeaders(h)
		h["X-Request-Id"] = x.ids[:]
		if s.draining.Load() {
			h.Set("Connection", "close") // the next request of this client goes to another copy
		}
		r = r.WithContext(x)
		defer s.finish(x, r)
		x.say = voiceOf(r, prefix)
		if err := admit(r); err != nil {
			s.refuse(x, r, x.say, err)
			return
		}
		inner := below(r, prefix)
		if inner == nil {
			s.refuse(x, r, x.say, errNotFound)
			return
		}
		to := routes.find(inner)
		if to == nil {
			s.refuse(x, r, x.say, errNotFound)
			return
		}
		to.ServeHTTP(x, inner)
	})
}

// below returns the request with its path relative to the issuer's, or nil if it is not below it.
func below(r *http.Request, prefix string) *http.Request {
	if prefix == "" {
		return r
	}
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	switch {
	case ok && path == "":
		path = "/"
	case ok && path[0] == '/':
	case strings.HasPrefix(r.URL.Path, "/.well-known/") && strings.HasSuffix(r.URL.Path, prefix):
		// RFC 8414 §3.1: the well-known string goes "between the host component and the path
		// component, if any".
		path = strings.TrimSuffix(r.URL.Path, prefix)
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
		path = r.URL.Path // what watches the process need not know the issuer
	default:
		return nil
	}
	inner, u := *r, *r.URL
	u.Path, u.RawPath = path, strings.TrimPrefix(u.RawPath, prefix)
	inner.URL = &u
	return &inner
}

// requestID makes an id. One that came with the request is used only if a proxy of ours sent it:
// otherwise anybody could make log lines that look like somebody else's. It is no secret, and so not
// of crypto/rand, which asks the system each time.
func (s *Server) requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 && plainID(id) && s.proxies.trust(remote(r)) {
		return id
	}
	var room [16]byte
	return string(secret.AppendBase62(append(room[:0], "req_"...), rand.Uint64(), 11))
}

func plainID(id string) bool {
	return strings.IndexFunc(id, func(c rune) bool {
		return !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '_')
	}) < 0
}

// admit refuses paths that nothing of ours has. It makes the router's habit of redirecting to a
// cleaned path unnecessary: a redirect turns POST into GET, and //host leads off-site.
func admit(r *http.Request) error {
	path := r.URL.Path
	switch {
	case !printableASCII(path) && (!utf8.ValidString(path) || strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f })):
		return errBadPath
	case !cleanPath(path):
		return errNotFound
	}
	return nil
}

// printableASCII is what nearly every path is.
func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanPath says whether a path begins with a slash and has no empty, "." or ".." segment. A
// slash at the end is all right.
func cleanPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
		return false
	}
	if !strings.Contains(path, "/.") {
		return true
	}
	return !strings.Contains(path+"/", "/./") && !strings.Contains(path+"/", "/../")
}

// finish writes the log line, after turning a panic into an answer.
func (s *Server) finish(x *exchange, r *http.Request) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		s.log.ErrorContext(r.Context(), "panic", "request_id", x.ids[0], "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if x.status == 0 {
			s.answerPanic(x, r)
		} else {
			defer panic(http.ErrAbortHandler)
		}
		x.code, x.cause = errOurs.code, errors.New("panic")
	}
	if p == http.ErrAbortHandler {
		defer panic(p)
	}
	if x.status == 0 {
		x.status = http.StatusOK // net/http writes it when we return
	}
	took := time.Since(x.start)
	s.metrics.saw(x, r, took)
	level := slog.LevelInfo
	if x.status >= 500 {
		level = slog.LevelError
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	// Not LogAttrs: it finds out which line of our source calls it, for every request.
	line := slog.NewRecord(x.start.Add(took), level, "request", 0)
	line.AddAttrs(
		slog.String("request_id", x.ids[0]),
		slog.String("method", method(r.Method)),
		slog.String("route", x.route),
		slog.Int("status", x.status),
		slog.Int64("took_us", took.Microseconds()),
		slog.Int64("bytes", x.bytes),
		slog.String("address", x.address.String()))
	if x.code != "" || x.cause != nil {
		line.AddAttrs(slog.String("code", x.code), slog.Any("cause", x.cause))
	}
	_ = s.log.Handler().Handle(r.Context(), line) // a log that can not be written can not be told
}

// answerPanic answers a request whose handler panicked, unless saying so panics too.
func (s *Server) answerPanic(x *exchange, r *http.Request) {
	defer func() {
		if recover() != nil && x.status == 0 {
			x.WriteHeader(http.StatusInternalServerError)
		}
	}()
	s.refuse(x, r, x.say, errOurs)
}

// method returns the name of a method that exists, for logs and metrics: the client chooses it.
func method(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "other"
}
