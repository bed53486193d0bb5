package bearer

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// A Credential is what a caller shows: a key or a token, and where it came from. It prints
// as "[redacted]" in every form.
type Credential struct {
	_       [0]func() // Not comparable: compare digests.
	Text    string
	Address netip.Addr // of the caller, if it is known: a key may be bound to networks
	// Want is what the route asks for; nil: nothing in particular. The guard compares scopes
	// itself. A verifier looks at it that counts what is let in, or knows for which audience a
	// credential is. It must not be changed or kept.
	Want *Rule
}

// String hides the credential.
func (Credential) String() string { return "[redacted]" }

// GoString hides the credential.
func (Credential) GoString() string { return "[redacted]" }

// LogValue hides the credential.
func (Credential) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A Verifier says who shows a credential.
//
// It returns [ErrInvalid], wrapped or not, for every credential that is not good, whatever
// the reason; [ErrUnavailable] if it can't tell now; an [*Error] to refuse in words of its
// own, as with a limit that is used up. Any other error is a fault, which the caller learns
// nothing about. It must be safe for concurrent use, and must not keep or log the credential.
type Verifier interface {
	Verify(ctx context.Context, c Credential, now time.Time) (Principal, error)
}

// A VerifierFunc is a function that is a verifier: for keys that are verified in process.
type VerifierFunc func(ctx context.Context, c Credential, now time.Time) (Principal, error)

// Verify calls f.
func (f VerifierFunc) Verify(ctx context.Context, c Credential, now time.Time) (Principal, error) {
	return f(ctx, c, now)
}

// lender is a verifier of ours that keeps the principal which it returns: nobody may change it.
type lender interface {
	lend(ctx context.Context, c Credential, now time.Time) (*Principal, error)
}

// recogniser is a verifier that says whose a credential is, whatever it is for, from wherever and
// however often it is shown, and without counting that as a use. A guard that found one where
// it should not be asks it.
type recogniser interface {
	Recognise(ctx context.Context, c Credential, now time.Time) (Principal, error)
}

// forgetter is a verifier that remembers.
type forgetter interface{ Forget(ids ...string) }
