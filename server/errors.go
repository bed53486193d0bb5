package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mintmark/accounts"
	"mintmark/admin"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage"
	"mintmark/web"
)

// A refusal is an error in the words of whoever gets it. Nothing of the inside is in it: that
// goes to the log.
type refusal struct {
	status int
	code   string // RFC 6749 §5.2 and its relatives
	title  string // for pages
	text   string
	retry  time.Duration // Retry-After, if not zero
	scope  string        // for the challenge of an insufficient_scope
	basic  bool          // a Basic challenge
	bearer bool          // a Bearer challenge
	page   *web.Refusal  // the page that says it, if it is not the plain one
	scopes []string      // that are missing, for a problem document
}

// statuses are the codes that are not answered with 400. RFC 6749 §5.2, RFC 6750 §3.1.
var statuses = map[string]int{
	"invalid_client":          http.StatusUnauthorized,
	"invalid_token":           http.StatusUnauthorized,
	"insufficient_scope":      http.StatusForbidden,
	"server_error":            http.StatusInternalServerError,
	"temporarily_unavailable": http.StatusServiceUnavailable,
}

// Refusals that the server itself makes.
var (
	errNotFound  = &refusal{status: 404, code: "not_found", title: "Page not found", text: "There is nothing at this address."}
	errBadPath   = &refusal{status: 400, code: "invalid_request", title: "Not a valid address", text: "The address contains characters that it can not contain."}
	errInAddress = &refusal{status: 400, code: "invalid_request", text: "There is a credential in the address, where every log keeps it. If it was a good API key, it is revoked now."}
	errMethod    = &refusal{status: 405, code: "invalid_request", title: "Not possible this way", text: "This address can not be used with that HTTP method."}
	errTooLarge  = &refusal{status: 413, code: "invalid_request", title: "Too much was sent", text: "The request is too large."}
	errCrossSite = &refusal{status: 403, code: "access_denied", title: "Sent from another site", text: "This form was sent from a page of another site. Open the page here and try again."}
	errOurs      = &refusal{status: 500, code: "server_error", title: "Something went wrong here", text: "This is not your fault. Try again; if it happens again, tell whoever runs this server the number below."}
	errNotNow    = &refusal{status: 503, code: "temporarily_unavailable", title: "Not available right now", text: "The server can not answer at the moment. Try again in a few seconds.", retry: 2 * time.Second}
	errTooMany   = &refusal{status: 429, code: "temporarily_unavailable", title: "Too many attempts", text: "There were too many attempts. Wait a while and try again."}
	errGivenUp   = &refusal{status: 499, code: "canceled"} // nobody is there to read it
)

func (f *refusal) Error() string { return f.code + ": " + f.text }

// because is a refusal with the reason for it, which only the log sees.
type because struct {
	*refusal
	reason error
}

func (b *because) Error() string   { return b.refusal.Error() + ": " + b.reason.Error() }
func (b *because) Unwrap() []error { return []error{b.refusal, b.reason} }

// translate turns any error into a refusal. What it does not know is ours, not theirs: they
// learn that it happened, the log learns what.
func translate(ctx context.Context, err error) *refusal {
	if f, ok := errors.AsType[*refusal](err); ok {
		return f
	}
	if e, ok := errors.AsType[*web.Refusal](err); ok {
		return &refusal{status: e.Status, code: e.Code, title: e.Title, text: e.Text, retry: e.RetryAfter, page: e}
	}
	if e, ok := errors.AsType[*issuer.Error](err); ok {
		return inOAuth(e)
	}
	if g, ok := errors.AsType[*guarded](err); ok {
		e := g.say
		return &refusal{status: e.Status, code: e.Code, text: e.Detail, retry: e.RetryAfter, scopes: e.Scopes}
	}
	if e, ok := errors.AsType[*accounts.TooMany](err); ok {
		f := *errTooMany
		f.retry = e.RetryAfter
		return &f
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return errGivenUp
	case outage(err):
		return errNotNow
	}
	return errOurs
}

// outage says whether an error will pass: the same request may succeed in a moment.
func outage(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, secret.ErrBusy) || errors.Is(err, keys.ErrStale) ||
		errors.Is(err, context.DeadlineExceeded)
}

func inOAuth(e *issuer.Error) *refusal {
	if e.Code == "server_error" {
		return errOurs
	}
	f := &refusal{
		status: http.StatusBadRequest,
		code:   e.Code,
		title:  "This can not go on",
		text:   printable(e.Description),
		retry:  e.RetryAfter,
		scope:  e.Scope,
		basic:  e.Basic,
		bearer: e.Bearer,
	}
	if status, ok := statuses[e.Code]; ok {
		f.status = status
	} else if e.Bearer && e.Code == "" {
		f.status = http.StatusUnauthorized // nothing was shown at all, RFC 6750 §3.1
	}
	if e.Status != 0 {
		f.status = e.Status
	}
	if f.retry > 0 && f.status != http.StatusServiceUnavailable {
		f.status = http.StatusTooManyRequests
	}
	return f
}

// printable holds a description to the characters of RFC 6749 §5.2, so that it can stand in a
// header too.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// A voice is how a class of routes says no.
type voice func(s *Server, w http.ResponseWriter, r *http.Request, f *refusal)

// inJSON is how OAuth says no to an application, RFC 6749 §5.2.
func inJSON(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	h := w.Header()
	if f.basic {
		h.Set("WWW-Authenticate", `Basic realm="mintmark", charset="UTF-8"`)
	}
	if f.bearer {
		h.Set("WWW-Authenticate", challenge(f))
	}
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{f.code, f.text})
	if err != nil {
		s.log.ErrorContext(r.Context(), "a refusal can not be written", "err", err)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	w.Write(body)
}

// inBearer is how a protected resource says no: in a header, RFC 6750 §3. What it says is
// repeated in the body for people.
func inBearer(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	g := *f
	g.bearer = f.status == http.StatusUnauthorized || f.status == http.StatusForbidden || f.status == http.StatusBadRequest
	if g.code == "" {
		// RFC 6750 §3.1: "If the request lacks any authentication information […], the resource
		// server SHOULD NOT include an error code or other error information."
		w.Header().Set("WWW-Authenticate", challenge(&g))
		w.WriteHeader(g.status)
		return
	}
	inJSON(s, w, r, &g)
}

func challenge(f *refusal) string {
	c := `Bearer realm="mintmark"`
	if f.code != "" {
		c += `, error="` + f.code + `"`
	}
	if f.code != "" && f.text != "" {
		c += `, error_description="` + f.text + `"`
	}
	if f.scope != "" {
		c += `, scope="` + printable(f.scope) + `"`
	}
	return c
}

// inAPage is how people are told.
func inAPage(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	setPageHeaders(w.Header())
	if f.page != nil {
		s.site.Refuse(w, r, f.page, RequestID(r.Context()))
		return
	}
	s.site.Error(w, r, f.status, f.code, f.title, f.text, RequestID(r.Context()))
}

// asAsked is how people and scripts are told at the address that both use.
func asAsked(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	if web.WantsJSON(r) {
		inJSON(s, w, r, f)
		return
	}
	inAPage(s, w, r, f)
}

// inProblem is how the admin API says no, RFC 9457.
func inProblem(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	p := admin.Refuse(f.status, f.text, RequestID(r.Context()))
	body, err := json.Marshal(p)
	if err != nil {
		s.log.ErrorContext(r.Context(), "a refusal can not be written", "err", err)
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	w.Write(body)
}

// inGuard is how a guard says no: a problem document as well, with the guard's codes. The
// challenges are in the header already.
func inGuard(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	body, err := json.Marshal(struct {
		Type      string   `json:"type"`
		Title     string   `json:"title"`
		Status    int      `json:"status"`
		Detail    string   `json:"detail"`
		Code      string   `json:"code"`
		Scopes    []string `json:"scopes,omitempty"`
		RequestID string   `json:"request_id"`
	}{"about:blank", http.StatusText(f.status), f.status, f.text, f.code, f.scopes, RequestID(r.Context())})
	if err != nil {
		s.log.ErrorContext(r.Context(), "a refusal can not be written", "err", err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	w.Write(body)
}

// inText is how probes and scrapers are told.
func inText(s *Server, w http.ResponseWriter, r *http.Request, f *refusal) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.status)
	w.Write([]byte(f.text + "\n"))
}

// refuse answers with an error and keeps it for the log line. If the answer has begun there is
// no taking it back: the connection is cut, so that nobody takes half of it for the whole.
func (s *Server) refuse(x *exchange, r *http.Request, say voice, err error) {
	f := translate(r.Context(), err)
	x.code, x.cause = f.code, err
	switch {
	case x.status != 0:
		panic(http.ErrAbortHandler)
	case f == errGivenUp:
		x.status = f.status
		return
	}
	h := x.Header()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Location"} {
		h.Del(name) // of the answer that did not come about
	}
	h["Cache-Control"] = noStore
	if f.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.retry+time.Second-1)/time.Second), 10))
	}
	say(s, x, r, f)
}
