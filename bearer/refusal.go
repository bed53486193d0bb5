package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// An Error is a refusal. Its code and detail go to the caller. The cause does not: it is
// for the log.
type Error struct {
	Status     int           // of HTTP
	Code       string        // what is wrong, for programs. It does not change
	Detail     string        // what is wrong, for people
	RetryAfter time.Duration // when to come back, with 429 and 503; zero if there is no telling
	Scopes     []string      // what is missing, with insufficient_scope
	Limits     *Limits       // what is left of the credential's rate limits; nil if that is not known

	cause error
}

// Error returns the detail, and the cause after it.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is says whether target is a refusal of the same kind, so that errors.Is(err, ErrInvalid)
// is true for all that are.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Status == e.Status
}

// because returns a copy of e with the cause.
func (e *Error) because(err error) error {
	c := *e
	c.cause = err
	return &c
}

// What a guard refuses.
var (
	// ErrMissing: the request has no credential, and needs one.
	ErrMissing = &Error{Status: http.StatusUnauthorized, Code: "unauthenticated",
		Detail: "This needs a credential in the Authorization header."}
	// ErrInvalid: malformed, unknown, wrong, expired, revoked, disabled. Which of them it is, is
	// not told: it would help whoever guesses.
	ErrInvalid = &Error{Status: http.StatusUnauthorized, Code: "invalid_credential",
		Detail: "The credential is not valid."}
	// ErrRepeated: the request has more than one credential.
	ErrRepeated = &Error{Status: http.StatusBadRequest, Code: "repeated_credential",
		Detail: "The request has more than one credential. Send exactly one."}
	// ErrInURL: there is a credential in the request's address, which logs and histories keep.
	ErrInURL = &Error{Status: http.StatusBadRequest, Code: "credential_in_url",
		Detail: "There is a credential in the URL. Send it in the Authorization header, and replace it: URLs are written down in many places."}
	// ErrClearText: the credential came over a connection that anybody could read.
	ErrClearText = &Error{Status: http.StatusForbidden, Code: "clear_text",
		Detail: "The credential came over HTTP without TLS. Replace it, and use HTTPS."}
	// ErrCrossOrigin: another site's page made the browser send its cookie.
	ErrCrossOrigin = &Error{Status: http.StatusForbidden, Code: "cross_origin",
		Detail: "The request comes from another site."}
	// ErrScope: the principal may not do this. What is missing is in Scopes.
	ErrScope = &Error{Status: http.StatusForbidden, Code: "insufficient_scope",
		Detail: "The credential does not have the scope that this needs."}
	// ErrMethod: the route does not take this kind of credential.
	ErrMethod = &Error{Status: http.StatusForbidden, Code: "wrong_method",
		Detail: "This does not take this kind of credential."}
	// ErrUnavailable: whether the credential is good can't be found out now.
	ErrUnavailable = &Error{Status: http.StatusServiceUnavailable, Code: "unavailable",
		Detail: "The credential can't be verified now.", RetryAfter: 5 * time.Second}
)

// fault is what a caller learns of an error that is none of its business.
var fault = &Error{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong here."}

// refusalOf returns the refusal that an error is, or a fault.
func refusalOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return fault
}

// An ErrorWriter writes the body of a refusal, with its status. The headers that the
// standards ask for are set already, and it may add others.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, e *Error)

// WriteProblem writes a problem document, RFC 9457. It is the default.
func WriteProblem(w http.ResponseWriter, _ *http.Request, e *Error) {
	write(w, e.Status, "application/problem+json", struct {
		Type   string   `json:"type"`
		Title  string   `json:"title"`
		Status int      `json:"status"`
		Detail string   `json:"detail"`
		Code   string   `json:"code"`
		Scopes []string `json:"scopes,omitempty"`
	}{"about:blank", http.StatusText(e.Status), e.Status, e.Detail, e.Code, e.Scopes})
}

// WriteGraphQL writes a response with one error and no data, GraphQL over HTTP. The code
// is where GraphQL clients look for it, in the extensions.
func WriteGraphQL(w http.ResponseWriter, _ *http.Request, e *Error) {
	type extensions struct {
		Code   string   `json:"code"`
		Status int      `json:"status"`
		Scopes []string `json:"scopes,omitempty"`
	}
	type problem struct {
		Message    string     `json:"message"`
		Extensions extensions `json:"extensions"`
	}
	write(w, e.Status, "application/graphql-response+json", struct {
		Errors []problem `json:"errors"`
	}{[]problem{{e.Detail, extensions{e.Code, e.Status, e.Scopes}}}})
}

func write(w http.ResponseWriter, status int, kind string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte("{}") // strings and numbers: it does not happen
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text)
}
