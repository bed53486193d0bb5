package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mintmark/accounts"
	"mintmark/issuer"
	"mintmark/upstream"
)

// Callback is where a provider sends the browser back to: PathLogin/{provider}/callback, by GET,
// or by a POST from its own site, which becomes a GET.
//
// Who has arrived is found out first, and only then which account that is. Everything that may
// have changed while the person was away is asked again: whether the provider is still enabled,
// whether the account is, whether who links an identity is still signed in.
func (s *Site) Callback(w http.ResponseWriter, r *http.Request) error {
	name, now := nameIn(r.URL.Path, "/callback"), time.Now()
	if s.Upstream == nil {
		return s.refused(upstream.ErrUnknown, name, upstream.Purpose{})
	}
	if r.Method == http.MethodPost {
		query, err := s.Upstream.Posted(r, name, now)
		if err != nil {
			return s.refused(err, name, upstream.Purpose{})
		}
		sendTo(w, s.path(PathLogin)+"/"+name+"/callback?"+query)
		return nil
	}
	from := s.network(r)
	if wait := s.failed.take(from, now); wait > 0 {
		return s.refused(tooMany(wait, "Too many sign-ins with a provider have failed in your network."), name, upstream.Purpose{})
	}
	identity, to, err := s.Upstream.Finish(w, r, name, now)
	if err == nil {
		err = s.arrived(w, r, name, identity, to, now)
	}
	if !counts(err) {
		s.failed.giveBack(from)
	}
	if err != nil {
		return s.refused(err, name, to)
	}
	s.begun.giveBack(from)
	return nil
}

// arrived goes on with somebody of whom a provider has said who they are.
func (s *Site) arrived(w http.ResponseWriter, r *http.Request, name string, identity upstream.Identity, to upstream.Purpose, now time.Time) error {
	p, err := s.still(r.Context(), name, identity.ProviderID, now)
	if err != nil {
		return err
	}
	if to.LinkTo != "" {
		return s.link(w, r, p, identity, to, now)
	}
	a, _, err := s.Directory.Arrive(r.Context(), p, identity, now)
	if must, ok := errors.AsType[*accounts.MustProve](err); ok {
		return s.askProof(w, r, p, identity, to, must.AccountID, now)
	}
	if err != nil {
		return notArrived(err)
	}
	if err := s.Upstream.Keep(r.Context(), a.ID, identity, now); err != nil {
		return notArrived(err)
	}
	return s.signInAs(w, r, a, proofOf(p, identity, now), to, now)
}

// still returns a provider if it is enabled, and the one that it was.
func (s *Site) still(ctx context.Context, name, id string, now time.Time) (upstream.Provider, error) {
	p, err := s.Upstream.ByName(ctx, name, now)
	if err == nil && p.ID != id {
		err = upstream.ErrUnknown // another one has its name now
	}
	return p, err
}

// signInAs begins a session and leads back.
func (s *Site) signInAs(w http.ResponseWriter, r *http.Request, a accounts.Account, how accounts.Proof, to upstream.Purpose, now time.Time) error {
	_, err := s.Sessions.BeginWith(w, r, a, how, s.ClientAddress(r), now)
	if errors.Is(err, accounts.ErrNotFound) {
		return refusal("account_disabled", "", err) // a moment ago
	}
	if err != nil {
		return notArrived(err)
	}
	s.goOn(w, r, to)
	return nil
}

// methods are the values of RFC 8176 §2: what a provider may say of how somebody signed in there,
// and we repeat.
var methods = map[string]bool{
	"face": true, "fpt": true, "geo": true, "hwk": true, "iris": true, "kba": true, "mca": true, "mfa": true,
	"otp": true, "pin": true, "pwd": true, "rba": true, "retina": true, "sc": true, "sms": true, "swk": true,
	"tel": true, "user": true, "vbm": true, "wia": true,
}

// fed says that a provider said it. RFC 8176 has no value for that, and leaves it to those who
// use amr to agree on more (§1); Microsoft's tokens have this one.
const fed = "fed"

// leastLife is how long a session lasts at least, when it follows a provider's token. The token may be
// over by our clock: clocks may be a minute apart. A session that was over too would send somebody
// whose application leads straight to the provider round and round.
const leastLife = 30 * time.Second

// proofOf is what a sign-in at a provider is worth here. amr begins with "fed": what follows
// is the provider's word for how it was done there.
func proofOf(p upstream.Provider, i upstream.Identity, now time.Time) accounts.Proof {
	how := accounts.Proof{AMR: []string{fed}, ACR: issuer.ACRFederated, ProviderID: p.ID, Subject: i.Subject, IdP: p.Name, ProvedAt: i.AuthTime}
	for _, m := range i.AMR {
		if methods[m] && len(how.AMR) < 10 {
			how.AMR = append(how.AMR, m)
		}
	}
	if how.ProvedAt.After(now) {
		how.ProvedAt = now // its clock is ahead
	}
	if p.SessionLife == upstream.SessionFollows {
		how.Until = i.ExpiresAt
	}
	if !how.Until.IsZero() && how.Until.Before(now.Add(leastLife)) {
		how.Until = now.Add(leastLife)
	}
	return how
}

// notArrived says in the words of the person why an account is not theirs.
func notArrived(err error) error {
	for _, row := range []struct {
		is   error
		code string
	}{
		{accounts.ErrDisabled, "account_disabled"},
		{accounts.ErrTaken, "address_taken"},
		{accounts.ErrNotInvited, "not_invited"},
		{accounts.ErrWrongDomain, "not_your_domain"},
		{accounts.ErrLinked, "identity_taken"},
		{accounts.ErrTwoReadings, "bad_email"},
		{accounts.ErrProviderOff, "disabled_provider"},
		{upstream.ErrOff, "disabled_provider"},
		{accounts.ErrTooManyLinks, "too_many_links"},
		{accounts.ErrNotFound, "changed_meanwhile"},
		{upstream.ErrNotKept, "changed_meanwhile"},
		{accounts.ErrChanged, "changed_meanwhile"},
	} {
		if errors.Is(err, row.is) {
			return refusal(row.code, "", err)
		}
	}
	return err
}
