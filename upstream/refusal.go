package upstream

import "strings"

// A Refusal is a sign-in that does not happen, and that is not a fault of ours. The code and
// the words go to the person. The cause does not: it is for the log.
type Refusal struct {
	Code  string // what is wrong, for programs and for support. It does not change
	Words string // what is wrong and what to do, for people
	// Provider is the name of the provider, if it is known.
	Provider string
	// Counts says that it had a cost: a state was spent on it, and the provider may have been asked.
	// It is to be held against the address that it came from.
	Counts bool
	cause  error
}

// Error returns the refusal with its cause: for the log, never for strangers.
func (e *Refusal) Error() string {
	text := "upstream: " + e.Code
	if e.Provider != "" {
		text += " (" + e.Provider + ")"
	}
	if e.cause != nil {
		return text + ": " + e.cause.Error()
	}
	return text + ": " + e.Words
}

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.cause }

// Is says whether target is a refusal with the same code, so that errors.Is(err, ErrUnknown)
// is true for all that are.
func (e *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == e.Code
}

// ErrUnknown: there is no provider of this name, or it is disabled.
var ErrUnknown = &Refusal{Code: "unknown_provider", Words: words["unknown_provider"]}

// words is everything that is refused, and what people are told. {provider} is the title of the
// provider.
var words = map[string]string{
	// What a person, or their browser, can do something about.
	"unknown_provider":   "There is no way to sign in by that name. Choose one from the sign-in page.",
	"disabled_provider":  "Signing in with {provider} was switched off. Choose another way from the sign-in page.",
	"changed_provider":   "The settings for {provider} were changed while you were there. Please start again.",
	"other_provider":     "This answer came back to the wrong place: the sign-in was begun with another provider. Please start again.",
	"no_attempt":         "This browser has not begun this sign-in, or has lost its cookie for it. Begin and finish in the same browser, with cookies allowed.",
	"expired":            "This took longer than ten minutes. Please start again.",
	"used":               "This sign-in was finished already. If you are not signed in, please start again.",
	"bad_callback":       "{provider} sent you back with something that can't be read. Please start again.",
	"bad_return":         "The address to return to is not a path of this site.",
	"too_long":           "The application's request is too long to be kept during a visit elsewhere. Sign in here first, then go back to the application.",
	"declined":           "You were not signed in: it was declined at {provider}. You may try again, or choose another way.",
	"needs_interaction":  "{provider} wants you to do something there first. Sign in to {provider} itself, then start again.",
	"not_a_member":       "Your account at {provider} is not a member of the community that may sign in here.",
	"no_email_scope":     "{provider} did not let us see what is needed to sign you in. Please start again, and allow it.",
	"code_refused":       "{provider} does not recognize its own answer any more: it may be too old, or was used already. Please start again.",
	"provider_away":      "{provider} does not answer at the moment. Please try again in a minute, or choose another way.",
	"provider_busy":      "Too many people are signing in with {provider} at this moment. Please try again in a few seconds.",
	"provider_error":     "{provider} could not sign you in. Please try again later, or choose another way.",
	"registration_wrong": "This site is not registered at {provider} as it should be. Please tell whoever runs this site.",

	// What only the provider, or whoever runs this site, can do something about.
	"wrong_issuer":       "The answer says that it comes from somebody else than {provider}." + stop,
	"bad_discovery":      "{provider} describes itself in a way that can't be trusted." + stop,
	"bad_token_answer":   "{provider} answered with something that is not a sign-in." + stop,
	"no_id_token":        "{provider} did not say who you are." + stop,
	"bad_id_token":       "What {provider} says about you can't be read." + stop,
	"id_token_algorithm": "What {provider} says about you is not signed in the way that was agreed on." + stop,
	"id_token_type":      "{provider} sent another kind of token than one that signs you in." + stop,
	"id_token_signature": "What {provider} says about you is not signed by {provider}." + stop,
	"id_token_keys":      "The keys of {provider} can't be had or used at the moment." + stop,
	"id_token_issuer":    "What was said about you was said by somebody else than {provider}." + stop,
	"id_token_audience":  "What {provider} says about you was meant for another site." + stop,
	"id_token_azp":       "What {provider} says about you was given to another application." + stop,
	"id_token_expired":   "What {provider} says about you is not valid any more. If the clocks are right, please start again.",
	"id_token_early":     "What {provider} says about you is not valid yet." + stop,
	"id_token_issued":    "What {provider} says about you was said before you asked, or in the future." + stop,
	"id_token_nonce":     "What {provider} says about you belongs to another sign-in." + stop,
	"id_token_at_hash":   "The parts of the answer of {provider} do not belong together." + stop,
	"id_token_auth_time": "{provider} did not ask you again who you are, as it was asked to. Sign out of {provider}, then start again.",
	"bad_subject":        "{provider} has no proper name for your account." + stop,
	"other_subject":      "{provider} spoke of two different people in one answer." + stop,
	"bad_userinfo":       "What {provider} knows about you can't be read." + stop,
	"bad_email":          "{provider} names an e-mail address that can be read in more than one way." + stop,
	"bad_email_verified": "{provider} does not say clearly whether your e-mail address was verified." + stop,
	"bad_groups":         "{provider} lists your groups in a way that can't be used, or too many of them." + stop,
}

// stop ends what trying again will hardly help.
const stop = " You were not signed in. If this happens again, please tell whoever runs this site."

// refuse makes a refusal of the table. The cause is for the log, and may be nil.
func refuse(code string, p *Provider, cause error) *Refusal {
	e := &Refusal{Code: code, Words: words[code], cause: cause}
	title := "The provider"
	if p != nil {
		e.Provider, title = p.Name, p.Label()
	}
	if strings.HasPrefix(e.Words, "{provider}") {
		e.Words = title + strings.TrimPrefix(e.Words, "{provider}")
	}
	if p == nil {
		title = "the provider"
	}
	e.Words = strings.ReplaceAll(e.Words, "{provider}", title)
	return e
}
