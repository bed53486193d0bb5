package upstream

import (
	"context"
	"errors"
	"time"
)

// RedirectURI is where the provider of a name sends browsers back to. An operator registers it
// there.
func (g *Registry) RedirectURI(name string) string { return g.redirectURI(&Provider{Name: name}) }

// KnownIssuer is the provider's issuer identifier, its own or its kind's, or empty: OAuth 2.0 has none.
func (p *Provider) KnownIssuer() string {
	if kinds[p.Kind] == nil {
		return p.Issuer
	}
	return p.issuer()
}

// Look asks a provider, which need not be stored yet, whether it is as its operator says: whether there
// is metadata at its issuer, with that issuer in it, and keys where that says. A kind with nothing
// of the operator's own in its addresses is not asked: nobody can have misspelt them. A connector is asked
// about a token that nobody has. The error is an [*Invalid], in the words of an operator.
func (g *Registry) Look(ctx context.Context, p Provider, now time.Time) error {
	if k := kinds[p.Kind]; k != nil && k.connector {
		return g.lookAtConnector(ctx, &p, now)
	}
	if p.Issuer == "" && p.Options["host"] == "" && p.Options["tenant"] == "" {
		return nil
	}
	// A connection of its own: what is tried here is not held against a provider that is in use.
	c := g.connect(&p, "")
	defer c.fetch.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	t := &talk{connection: c, ctx: ctx, p: &p, now: now}
	known := placesOf(&p)
	var err error
	switch {
	case kinds[p.Kind].tokens && len(p.Keys) > 0:
		return nil
	case needsDiscovery(&p, known):
		if known, err = t.readMetadata(); err == nil {
			_, _, err = c.jwks(ctx, known.JWKS)
		}
	case kinds[p.Kind].tokens:
		if _, _, err = c.jwks(ctx, known.JWKS); err != nil {
			return &Invalid{"jwks_url", "leads to no keys: " + err.Error()}
		}
	}
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.cause != nil {
		err = refusal.cause
	}
	field := "issuer"
	if p.Issuer == "" {
		field = "options"
	}
	return &Invalid{field, "leads to no OpenID Connect provider: " + err.Error()}
}
