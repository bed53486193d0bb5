package bearer

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// enter decides whether a request passes, and returns the context it passes with.
func (g *Guard) enter(r *http.Request, rule *Rule) (context.Context, carrier, error) {
	ctx := r.Context()
	if c, ok := ctx.Value(contextKey{}).(*carried); ok && c.by == g {
		// An outer guard of ours has verified it, and a limit is only to be charged once.
		method := c.principal.Method
		return ctx, carrier{method: method, bearer: method == MethodBearer}, rule.check(c.principal)
	}
	var own Principal
	p, shown, err := g.identify(r, rule, &own, time.Now())
	switch {
	case err == errNobody:
		return ctx, shown, nil
	case err != nil:
		return nil, shown, err
	case p == nil:
		kept := own
		p = &kept
	}
	return &carried{Context: ctx, principal: p, by: g}, shown, nil
}

// errNobody means that a request without a credential may pass.
var errNobody = errors.New("bearer: nobody in particular")

// identify finds out who makes a request, and whether the rule lets them in. A principal is large:
// it returns one that the verifier keeps, or nil, and has written the answer to own.
func (g *Guard) identify(r *http.Request, rule *Rule, own *Principal, now time.Time) (lent *Principal, shown carrier, err error) {
	ctx := r.Context()
	if err := g.checkURL(r, r.URL, now); err != nil {
		return nil, carrier{}, err
	}
	shown, err = g.credential(r)
	if err == ErrMissing {
		shown, err = g.identifyBySession(r, rule, own, now)
		return nil, shown, err
	}
	if err != nil && err != ErrRepeated {
		return nil, shown, err
	}
	peer := remote(r)
	from := g.address(r, peer)
	if g.clearText(r, peer) {
		all := []carrier{shown}
		if err == ErrRepeated {
			all = g.all(r) // they were all there to be read
		}
		for _, one := range all {
			g.exposed(ctx, one, from, ErrClearText, now)
		}
		return nil, shown, ErrClearText
	}
	if err != nil {
		return nil, shown, err
	}
	lent, err = g.verify(ctx, shown, from, rule, own, now)
	switch {
	case err != nil:
		return nil, shown, err
	case lent != nil:
		return lent, shown, g.admit(ctx, lent, rule, now)
	}
	return nil, shown, g.admit(ctx, own, rule, now)
}

// verify asks the verifier of the kind of credential who it is, and answers as identify does.
func (g *Guard) verify(ctx context.Context, shown carrier, from netip.Addr, rule *Rule, own *Principal, now time.Time) (lent *Principal, err error) {
	v := g.Tokens
	if shown.method == MethodAPIKey {
		v = g.Keys
	}
	if v == nil {
		return nil, ErrInvalid
	}
	c := Credential{Text: shown.text, Address: from, Want: rule}
	if l, ok := v.(lender); ok {
		return l.lend(ctx, c, now)
	}
	*own, err = v.Verify(ctx, c, now)
	if err != nil {
		if len(rule.All) > 0 && errors.Is(err, ErrScope) {
			return nil, missing(rule.All) // the verifier may have named only the first
		}
		return nil, err
	}
	if shown.user != "" && shown.user != own.Credential {
		return nil, ErrInvalid.because(errors.New("the user of Basic is not the key's id"))
	}
	return nil, nil
}

// identifyBySession is for a request without a credential: it may have a cookie.
func (g *Guard) identifyBySession(r *http.Request, rule *Rule, p *Principal, now time.Time) (carrier, error) {
	shown := carrier{bearer: true}
	if g.Session != nil {
		found, ok, err := g.Session(r, now)
		if err != nil {
			return shown, err
		}
		if ok {
			*p = found
			shown.method = MethodSession
			if g.clearText(r, remote(r)) {
				return shown, ErrClearText
			}
			if err := g.checkOrigin(r); err != nil {
				return shown, err
			}
			return shown, g.admit(r.Context(), p, rule, now)
		}
	}
	if rule.Optional {
		return shown, errNobody
	}
	return shown, ErrMissing
}

// admit lets a principal in whom a verifier knows.
func (g *Guard) admit(ctx context.Context, p *Principal, rule *Rule, now time.Time) error {
	if g.Revoked != nil {
		if err := g.Revoked(ctx, *p, now); err != nil {
			return err
		}
	}
	return rule.check(p)
}

// check compares what a principal may do with what the route asks for.
func (rule *Rule) check(p *Principal) error {
	if len(rule.Methods) > 0 && !slices.Contains(rule.Methods, p.Method) {
		return ErrMethod
	}
	for _, scope := range rule.All {
		if !slices.Contains(p.Scopes, scope) { // not May, which copies p
			return missing(rule.All)
		}
	}
	if len(rule.Any) > 0 && !slices.ContainsFunc(rule.Any, func(scope string) bool { return slices.Contains(p.Scopes, scope) }) {
		return missing(rule.Any)
	}
	return nil
}

// missing names everything that the route asks for, RFC 6750 §3: "the required scope of the
// access token for accessing the requested resource". A client that asks for just the missing
// one would get a token that lacks the others.
func missing(scopes []string) error {
	e := *ErrScope
	e.Scopes = scopes
	e.Detail = "This needs the scope " + strings.Join(scopes, " ") + "."
	return &e
}
