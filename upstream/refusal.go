package upstream

// A Refusal is a sign-in that does not happen, and that is not a fault of ours. The code and
// the words go to the person. The cause does not: it is for the log.
type Refusal struct {
	Code  string // what is wrong, for programs and for support. It does not change
	Words string // what is wrong and what to do, for people
	cause error
}

// Error returns the refusal with its cause: for the log, never for strangers.
func (e *Refusal) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Words
}

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.cause }

// Is says whether target is a refusal with the same code, so that errors.Is(err, ErrUnknown)
// is true for all that are.
func (e *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == e.Code
}
