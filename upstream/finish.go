package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// The limits of a callback.
const (
	maxCallback = 16 << 10 // bytes of its query or form
	maxCode     = 4 << 10
)

// Finish answers the provider's callback, by GET: it returns who has arrived, and what for. What
// came by POST comes by GET after [Registry.Posted]. It takes the cookie away. An error is a
// [*Refusal], or ours.
//
// The order is what keeps a stranger from making us do anything: the browser must have begun
// this, with this provider; it is spent; only then the provider is spoken to. A refusal
// because the provider is known to be away spends nothing, so that loading the page again may help.
//
// The purpose comes back with a refusal too, as soon as the cookie is known to be ours, so that
// the page can lead back.
func (g *Registry) Finish(w http.ResponseWriter, r *http.Request, name string, now time.Time) (Identity, Purpose, error) {
	p, err := g.anyByName(r.Context(), name, now)
	if err != nil {
		return Identity{}, Purpose{}, err
	}
	answer, err := g.readCallback(r, &p)
	if err != nil {
		return Identity{}, Purpose{}, refuse("bad_callback", &p, err)
	}
	state := answer.Get("state")
	if !isState(state) {
		return Identity{}, Purpose{}, refuse("bad_callback", &p, errState)
	}
	a, ok := g.open(r, state)
	if !ok {
		return Identity{}, Purpose{}, refuse("no_attempt", &p, nil)
	}
	// Only for somebody who began: the row as it is at this moment.
	if p, err = g.readByName(r.Context(), name, now); err != nil {
		return Identity{}, a.Purpose, err
	}
	c := g.connection(&p)
	if err := a.check(&p, c, now); err != nil {
		return Identity{}, a.Purpose, err
	}
	var who Identity
	t, tried := &talk{connection: c, ctx: r.Context(), p: &p, now: now}, false
	err = t.bounded(func() error {
		tried = true
		// RFC 6749 §10.12 and RFC 9700 §4.7.1: "one-time use". Of two browsers, windows or attackers
		// with the same cookie, one gets on.
		err := g.Store.SpendState(t.ctx, digest(state), a.begun().Add(attemptAge+time.Minute))
		if errors.Is(err, ErrSpent) {
			return t.refuse("used", nil)
		}
		if err != nil {
			return fmt.Errorf("spending a state: %w", err)
		}
		g.forget(w, r, state)
		who, err = g.finish(t, a, answer)
		return err
	})
	if e, ok := errors.AsType[*Refusal](err); ok && tried {
		mine := *e // the table's, or that of all who wait for the same answer
		mine.Counts = true
		err = &mine
	}
	return who, a.Purpose, err
}

// check says whether an attempt may be finished with a provider now.
func (a *attempt) check(p *Provider, c *connection, now time.Time) error {
	switch {
	case a.Provider != p.ID:
		return refuse("other_provider", p, fmt.Errorf("it was begun with %s", a.Provider)) // RFC 9700 §4.4
	case !p.Enabled():
		return refuse("disabled_provider", p, nil)
	case now.Sub(a.begun()) >= attemptAge || now.Add(skew).Before(a.begun()):
		return refuse("expired", p, nil)
	case a.Version != c.version:
		return refuse("changed_provider", p, nil)
	}
	return nil
}

// finish turns the provider's answer into who has arrived.
func (g *Registry) finish(t *talk, a *attempt, answer url.Values) (Identity, error) {
	known, err := t.places()
	if err != nil {
		return Identity{}, err
	}
	if err := t.checkIssuer(known, answer); err != nil {
		return Identity{}, err
	}
	if answer.Has("error") {
		return Identity{}, t.declined(answer.Get("error"))
	}
	code := answer.Get("code")
	if code == "" || len(code) > maxCode || strings.ContainsFunc(code, func(c rune) bool { return c < ' ' || c > '~' }) { // RFC 6749 §A.11
		return Identity{}, t.refuse("bad_callback", errors.New("there is no code"))
	}
	tokens, err := g.exchange(t, known, a, code)
	if err != nil {
		return Identity{}, err
	}
	docs, err := t.learn(known, a, tokens)
	if err != nil {
		return Identity{}, err
	}
	who, err := t.identify(docs, known)
	if err != nil {
		return Identity{}, err
	}
	if t.p.Kind == "apple" && who.Name == "" {
		who.Name = appleName(answer.Get("user"))
	}
	who.ExpiresAt = tokens.expiry(t.now)
	if t.p.KeepTokens {
		who.Tokens = &Tokens{
			Access: secret.Wrap(tokens.access), Refresh: secret.Wrap(tokens.refresh), Type: "Bearer",
			Scopes: grantedScopes(t.p, known, tokens.scopes), ExpiresAt: tokens.expires,
		}
	}
	return who, nil
}

// checkIssuer is RFC 9207 §2.4: the answer's iss is who we sent the browser to, and it is there if
// the provider says that it always is.
func (t *talk) checkIssuer(known places, answer url.Values) error {
	iss := answer.Get("iss")
	switch {
	case iss == "" && !answer.Has("iss") && !known.SaysIssuer:
		return nil
	case known.Issuer == "" && !known.SaysIssuer:
		return nil // it has no name that we know; its own callback address is what tells it apart
	case !isIssuer(known.Issuer, iss, ""):
		return t.refuse("wrong_issuer", fmt.Errorf("iss is %.100q", iss))
	}
	return nil
}

// refusals are the errors that people can do something about, RFC 6749 §4.1.2.1 and OpenID Connect
// Core §3.1.2.6, and those that only the operator can.
var refusals = map[string]string{
	"access_denied":              "declined",
	"user_cancelled_authorize":   "declined", // Apple's
	"user_cancelled_login":       "declined",
	"consent_required":           "declined",
	"login_required":             "needs_interaction",
	"interaction_required":       "needs_interaction",
	"account_selection_required": "needs_interaction",
	"temporarily_unavailable":    "provider_away",
	"unauthorized_client":        "registration_wrong",
	"invalid_client":             "registration_wrong",
	"redirect_uri_mismatch":      "registration_wrong", // GitHub's
	"invalid_scope":              "registration_wrong",
}

// declined is a refusal for an error that the provider sent the browser back with.
func (t *talk) declined(code string) *Refusal {
	cause := fmt.Errorf("the provider answers %.60q", code)
	if known := refusals[code]; known != "" {
		return t.refuse(known, cause)
	}
	return t.refuse("provider_error", cause)
}
