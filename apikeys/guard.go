package apikeys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mintmark/bearer"
)

// Verifier returns r as a guard asks it, in the process in which the keys are: as the Keys of a
// [bearer.Config]. Its refusals are those of [Refusal].
func (r *Registry) Verifier() bearer.Verifier {
	return verifier{r}
}

type verifier struct{ *Registry }

// Verify implements [bearer.Verifier]. Scopes and audience are looked at here, and not only by the
// guard, so that what is refused for them is not counted as a use.
func (v verifier) Verify(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	ask := Ask{Key: c.Text, Address: c.Address}
	if c.Want != nil {
		ask.Audience = c.Want.Audience
		if len(c.Want.All) == 1 {
			ask.Scope = c.Want.All[0]
		} else {
			ask.Scope = strings.Join(c.Want.All, " ")
		}
	}
	a, err := v.Check(ctx, ask, now)
	var limits *bearer.Limits
	if a.Policy != "" {
		limits = &bearer.Limits{Policy: a.Policy, Left: a.Left.Header()}
	}
	if err != nil {
		err = Refusal(err)
		if e, ok := errors.AsType[*bearer.Error](err); ok && limits != nil {
			over := *e
			over.Limits = limits
			return bearer.Principal{}, &over
		}
		return bearer.Principal{}, err
	}
	p := a.Principal
	p.Limits = limits
	return p, nil
}

// Recognise says who holds a key, from wherever and however often it is shown. It is no use of
// the key.
func (v verifier) Recognise(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	e, err := v.find(ctx, c.Text, c.Address, now.UnixNano())
	if err != nil {
		return bearer.Principal{}, Refusal(err)
	}
	if !e.good(now.UnixNano()) {
		return bearer.Principal{}, bearer.ErrInvalid
	}
	return e.principal(), nil
}

// OwnerType says whose the key is that a principal showed.
func OwnerType(p bearer.Principal) string {
	switch {
	case p.Method != bearer.MethodAPIKey:
		return ""
	case p.Subject == OwnerInstance:
		return OwnerInstance
	case strings.HasPrefix(p.Subject, servicePrefix+"_"):
		return OwnerService
	}
	return OwnerAccount
}

// Revoked refuses whoever has a token that came from a key which is no longer good, or has no
// longer what the token says: it is a
// Revoked of a [bearer.Config]. It asks what is remembered of keys, as [Registry.Stands].
func (r *Registry) Revoked(ctx context.Context, p bearer.Principal, now time.Time) error {
	if p.Key == "" {
		return nil
	}
	stands, err := r.Stands(ctx, p.Key, p.Scopes, now)
	switch {
	case err != nil:
		return Refusal(err)
	case !stands:
		return bearer.ErrInvalid
	}
	return nil
}

// denials is what a guard says of a good key that is not good for this, by the code of [Denied] or [TooMany].
var denials = map[string]string{
	"ip_not_allowed":     "The key may not be used from this address.",
	"wrong_audience":     "The key is not for this service.",
	"rate_limited":       "The key's rate limit is used up.",
	"quota_exceeded":     "The key's quota is used up.",
	"insufficient_scope": "The key does not have the scope that this needs.",
}

// Refusal turns an error of Check into one of package bearer: there is no other place that does.
// An error that says nothing about the key becomes [bearer.ErrUnavailable], with the error as its
// cause, which strangers don't see.
func Refusal(err error) error {
	if err == nil {
		return nil
	}
	if denied, ok := errors.AsType[*Denied](err); ok {
		e := &bearer.Error{Status: http.StatusForbidden, Code: denied.Code, Detail: denials[denied.Code]}
		if denied.Scope != "" {
			e.Scopes = []string{denied.Scope}
		}
		return e
	}
	if many, ok := errors.AsType[*TooMany](err); ok {
		return &bearer.Error{Status: http.StatusTooManyRequests, Code: many.Code(), Detail: denials[many.Code()], RetryAfter: many.RetryAfter}
	}
	if errors.Is(err, ErrInvalid) {
		return bearer.ErrInvalid
	}
	return fmt.Errorf("%w: %w", bearer.ErrUnavailable, err)
}
