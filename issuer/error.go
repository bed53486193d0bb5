package issuer

import (
	"fmt"
	"time"
)

// An Error is a refusal in the words of the protocol. The code and description
// go to the application. The cause does not: it is for the log.
type Error struct {
	Code        string // RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 6750 §3.1
	Description string // printable ASCII without " and \, RFC 6749 §5.2
	// Status is that of the answer, if it is not the usual one of the code.
	Status int
	// RetryAfter, if not zero, makes the answer a 429 (or 503 for temporarily_unavailable) with Retry-After.
	RetryAfter time.Duration
	// Bearer makes the answer carry a WWW-Authenticate: Bearer challenge, RFC 6750 §3.
	Bearer bool
	// Basic makes a 401 carry a WWW-Authenticate: Basic challenge, RFC 6749 §5.2.
	Basic bool
	// Scope is named in the challenge of an insufficient_scope.
	Scope string
	cause error
}

// Error returns the refusal with its cause: for the log, never for strangers.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Description + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// because adds the cause, which only the log sees.
func (e *Error) because(err error) *Error {
	e.cause = err
	return e
}
