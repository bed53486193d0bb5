package web

import (
	"errors"
	"net/http"
	"time"

	"mintmark/upstream"
)

// A Refusal is something that a person wanted and that does not happen, with what they can do
// instead. The cause is for the log.
type Refusal struct {
	Status int
	Code   string // does not change; for programs and for support
	Title  string
	Text   string
	Ways   []Way // to go on; the first is the best
	// RetryAfter is how long to wait, if that helps.
	RetryAfter time.Duration
	cause      error
}

// A Way is a link of ours.
type Way struct{ ID, Text, Address string }

// Error returns the refusal with its cause: for the log, never for strangers.
func (e *Refusal) Error() string {
	if e.cause != nil {
		return "web: " + e.Code + ": " + e.cause.Error()
	}
	return "web: " + e.Code + ": " + e.Text
}

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.cause }

// refusals is what each refusal of a sign-in with a provider looks like, by its code. What is
// not here is a 400 with the words that it has.
var refusals = map[string]struct {
	status      int
	title, text string
}{
	"unknown_provider":  {http.StatusNotFound, "Not a way to sign in", ""},
	"disabled_provider": {http.StatusForbidden, "Switched off", "Signing in with this provider was switched off. Choose another way from the sign-in page."},
	"declined":          {http.StatusForbidden, "You said no", ""},
	"not_a_member":      {http.StatusForbidden, "Not a member", ""},
	"account_disabled":  {http.StatusForbidden, "This account is disabled", "You can’t sign in with it. Ask whoever runs this site."},
	"address_taken": {http.StatusForbidden, "Use the way you know",
		"With what this provider says you can’t be signed in here. If you have an account already, sign in the way you always do, and link the provider on your account page."},
	"not_invited": {http.StatusForbidden, "By invitation only",
		"There is no account for you here, and only those who run this site make new ones. Ask them for one, or sign in another way."},
	"not_your_domain": {http.StatusForbidden, "Not with this address",
		"New accounts need a verified e-mail address of certain domains, and yours is not one of them. Choose another account at the provider, or sign in another way."},
	"identity_taken": {http.StatusConflict, "Linked to somebody else",
		"That account at the provider belongs to another account here. Sign in with it, and unlink it there first."},
	"too_many_links": {http.StatusConflict, "As many as there can be",
		"There are 20 accounts of providers linked to yours, and there can’t be more. Unlink one that you don’t use, and start again."},
	"changed_meanwhile": {http.StatusForbidden, "Not possible any more",
		"The account or the provider was changed or switched off while you were there. Please start again."},
	"bad_email": {http.StatusBadRequest, "You are not signed in",
		"The provider names an e-mail address that can be read in more than one way, or taken for another. Sign in another way."},
	"bad_return": {http.StatusBadRequest, "This link leads nowhere",
		"It would sign you in and send you to an address that no application has registered here, byte for byte. Go back to the application and begin there, and tell whoever runs it."},
	"session_ended":     {http.StatusForbidden, "You were signed out", "The sign-in that began this has ended meanwhile. Sign in again, and start again."},
	"proof_too_late":    {http.StatusBadRequest, "This took too long", "You had ten minutes to type the password. Please start again."},
	"too_many_attempts": {http.StatusTooManyRequests, "Too many attempts", ""},
	"other_browser": {http.StatusBadRequest, "Another browser began this",
		"This page belongs to a sign-in of another browser, or this browser keeps no cookies. Please start again."},
}

// refusal makes a refusal of the table.
func refusal(code, words string, cause error) *Refusal {
	e := &Refusal{Status: http.StatusBadRequest, Code: code, Title: "You are not signed in", Text: words, cause: cause}
	if row, ok := refusals[code]; ok {
		e.Status, e.Title = row.status, row.title
		if e.Text == "" {
			e.Text = row.text
		}
	}
	return e
}

// refused turns what went wrong between a provider's button and the session into a page that
// leads back: to the provider, or to the other ways to sign in. What is a fault of ours stays
// an error.
func (s *Site) refused(err error, name string, to upstream.Purpose) error {
	var e *Refusal
	theirs, _ := errors.AsType[*upstream.Refusal](err)
	ours, _ := errors.AsType[*Refusal](err)
	switch {
	case ours != nil:
		e = ours
	case theirs != nil:
		e = refusal(theirs.Code, theirs.Words, err)
	default:
		return err
	}
	if to.LinkTo != "" {
		e.Ways = []Way{{"back", "Back to your account", s.path(PathAccount)}}
		return e
	}
	again := Way{"try-again", "Try again", s.providerPath(name, to)}
	another := Way{"another-way", "Sign in another way", s.loginPath(to, true)}
	switch e.Code {
	case "unknown_provider", "disabled_provider", "account_disabled", "address_taken", "not_invited", "too_many_attempts":
		e.Ways = []Way{another}
	default:
		e.Ways = []Way{again, another}
	}
	return e
}

// Refuse writes the page of a refusal.
func (s *Site) Refuse(w http.ResponseWriter, r *http.Request, e *Refusal, requestID string) {
	page := errorPage{frame: s.frame(e.Title), Text: e.Text, Code: e.Code, RequestID: requestID, Ways: e.Ways}
	s.showError(w, r, e.Status, page)
}
