package bearer

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Identify says who makes a request, if the rule lets them in, as [Guard.With] does before it
// calls the handler: for a handler that learns only from the request what to ask for, or says no
// in words of its own. Nobody is the zero Principal; only an Optional rule lets them in. An error
// is for [Guard.Challenge].
func (g *Guard) Identify(r *http.Request, rule Rule) (Principal, error) {
	var own Principal
	lent, shown, err := g.identify(r, &rule, &own, time.Now())
	switch {
	case err == errNobody:
		return Principal{}, nil
	case err != nil:
		return Principal{}, &stopped{err, shown}
	case lent != nil:
		return *lent, nil
	}
	return own, nil
}

// CheckURL refuses an address other than the request's own that has a credential in it, with
// [ErrInURL], and tells Exposed: for a proxy's word about the address that it was asked for.
func (g *Guard) CheckURL(r *http.Request, u *url.URL) error { return g.checkURL(r, u, time.Now()) }

// CheckClearText refuses, with [ErrClearText], a request that others could have read and that shows
// credentials, and tells Exposed of those that are good: for credentials in places that a guard does
// not look at, as the body. shown is asked for them only if others could have read them.
func (g *Guard) CheckClearText(r *http.Request, shown func() []string) error {
	if !g.clearText(r, remote(r)) {
		return nil
	}
	all := shown()
	if len(all) == 0 {
		return nil
	}
	from, now := g.address(r, remote(r)), time.Now()
	for _, text := range all[:min(len(all), mostExposed)] {
		g.exposed(r.Context(), carrier{text: text}, from, ErrClearText, now)
	}
	return ErrClearText
}

// Challenge sets the headers that the standards ask for with a refusal, and returns what to say.
// The error is one of Identify or CheckURL; one that is no refusal is a fault of ours.
func (g *Guard) Challenge(h http.Header, rule Rule, err error) *Error {
	var shown carrier
	if s, ok := errors.AsType[*stopped](err); ok {
		shown = s.shown
	}
	e := refusalOf(err)
	g.challenge(h, e, slices.Concat(rule.All, rule.Any), shown)
	return e
}

// stopped is a refusal, and how the credential came: the challenge depends on it.
type stopped struct {
	error
	shown carrier
}

// Unwrap returns the refusal.
func (s *stopped) Unwrap() error { return s.error }
