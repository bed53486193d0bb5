package issuer

import (
	"slices"
	"time"
)

// A step is what a request needs now.
type step int

// The steps.
const (
	stepAnswer  step = iota // nothing: the client gets its code
	stepSignIn              // the person has to sign in, or again
	stepConsent             // the person has to say yes
)

// next decides what a request needs, from what is known at this moment: who is at the
// browser (if ok) and which scopes that person allowed this client before. Every page sends
// the browser back to where this is asked again, so that no page has to know what comes
// after it. With prompt=none, where no page may be shown, it returns the refusal instead.
func next(c *Client, q *request, login Login, ok bool, remembered []string, now time.Time) (step, *Error) {
	silent := q.prompts("none")
	if why := signInReason(q, login, ok, now); why != "" {
		switch {
		case silent:
			// Core §3.1.2.6
			return stepSignIn, refuse("login_required", "%s", why)
		case ok && fresh(q, login):
			// They did sign in for this request, and it still isn't enough: asking the same again
			// would never end. Core §3.1.2.2: "The Authorization Server MUST NOT reply with an ID
			// Token or Access Token for a different user, even if they have an active session".
			code := "login_required"
			if len(q.ACR) > 0 && !slices.Contains(q.ACR, login.ACR) {
				code = "unmet_authentication_requirements"
			}
			return stepSignIn, refuse(code, "%s", why)
		}
		return stepSignIn, nil
	}
	if needsConsent(c, q, remembered) {
		if silent {
			return stepConsent, refuse("consent_required", "The person has not agreed to these scopes yet.")
		}
		return stepConsent, nil
	}
	return stepAnswer, nil
}

// signInReason says why the person has to sign in, or "" if the login will do.
func signInReason(q *request, login Login, ok bool, now time.Time) string {
	switch {
	case !ok:
		return "Nobody is signed in."
	case q.Subject != "" && q.Subject != login.AccountID:
		// Core §3.1.2.1, id_token_hint; §5.5.1, sub with a value
		return "Somebody else is signed in than the one who was asked for."
	case len(q.ACR) > 0 && !slices.Contains(q.ACR, login.ACR):
		// Core §5.5.1.1
		return "The sign-in does not meet the essential acr."
	case fresh(q, login) && proven(q, login):
		// Whoever signed in for this request has satisfied prompt and max_age: also max_age=0,
		// and also if reading the consent page took longer than max_age.
		return ""
	case q.prompts("login") && login.Unproven:
		return "prompt=login asks for a new sign-in, and the provider does not say whether this was one."
	case q.prompts("login"):
		return "prompt=login asks for a new sign-in."
	case q.prompts("select_account") && q.Chosen != login.SessionID && !fresh(q, login):
		return "prompt=select_account asks the person to choose."
	case tooOld(q, login, now) && login.Unproven:
		return "max_age asks how old the sign-in is, and the provider does not say."
	case tooOld(q, login, now):
		return "The sign-in is older than max_age."
	}
	return ""
}

// fresh says whether the person signed in, or arrived from a provider, after the request began.
func fresh(q *request, login Login) bool {
	at := login.AuthTime
	if login.IdP != "" {
		at = login.ArrivedAt
	}
	return !at.Before(q.begun())
}

// leeway is how far the clock of a provider may be behind ours. A sign-in is begun before it is
// finished there, so that only the clocks are between the two times.
const leeway = time.Minute

// proven says whether the person proved who they are after the request began. Whoever arrives
// from a provider may have done it days ago: it lets those pass that it knows. Only what it
// says itself counts, and not that we asked it.
func proven(q *request, login Login) bool {
	if login.IdP == "" {
		return true // fresh has compared that time already
	}
	return !login.Unproven && !login.AuthTime.Before(q.begun().Add(-leeway))
}

// tooOld compares max_age with when the person last proved who they are, which isn't when
// they were last seen. Core §3.1.2.1
func tooOld(q *request, login Login, now time.Time) bool {
	if q.MaxAge == nil {
		return false
	}
	// In seconds: as a duration, a large max_age would overflow.
	return login.Unproven || now.Sub(login.AuthTime).Seconds() > float64(*q.MaxAge)
}

// needsConsent says whether the person has to be asked.
func needsConsent(c *Client, q *request, remembered []string) bool {
	switch {
	case q.prompts("consent"):
		return true // Core §3.1.2.1, whatever the operator registered: the client itself asks for it
	case c.Consent == "never":
		// The operator answers for people, and for offline_access too: these are the "other
		// conditions for processing the request" of Core §11.
		return false
	case c.Consent == "always":
		return true
	}
	// Remembered for each scope, so that a new one is asked for and offline_access always is
	// until it was allowed once. Somebody who was never asked has nothing remembered, and a
	// request without scopes still tells the client who they are.
	return remembered == nil || !containsAll(remembered, q.toAllow(c))
}

// remembers says whether an earlier consent can matter to a request.
func remembers(c *Client, q *request) bool {
	return c.Consent != "never" && c.Consent != "always" && !q.prompts("consent")
}

func containsAll(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}
