package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

// Providers is how upstream providers are looked after. Every method is one transaction. What
// takes an event happens together with its entry in the audit log, or neither happens; other
// copies of the server hear of it. The errors are those of [upstream.Store].
type Providers interface {
	// Providers returns all, by name.
	Providers(ctx context.Context) ([]upstream.Provider, error)
	// AddProvider remembers a new one, or returns [upstream.ErrExists].
	AddProvider(ctx context.Context, p upstream.Provider, e apikeys.Event) error
	// SetProvider puts is in the place of was, if was is still what is there (its UpdatedAt and
	// its sealed secret say so); otherwise it returns [upstream.ErrChanged] or [upstream.ErrNotFound]. A name that is
	// taken is [upstream.ErrExists]. Disabling ends the sessions that began with it and revokes what was
	// allowed in them.
	SetProvider(ctx context.Context, is, was upstream.Provider, e apikeys.Event) error
	// RemoveProvider forgets a provider, the roles that its rules gave and the identities that name
	// it, but for those of people with no other way in, or returns [upstream.ErrNotFound]. Sessions end as
	// when it is disabled; tokens that were kept are to be revoked.
	RemoveProvider(ctx context.Context, id string, e apikeys.Event) error
}

// maxProviders bounds the list, which every copy of the server holds in memory.
const maxProviders = 200

func (a *api) oneProvider(p upstream.Provider) *providerOutput {
	shown := a.showProvider(p)
	return &providerOutput{etag(shown), shown}
}

func (a *api) listProviders(ctx context.Context, in *providersInput) (*pageOutput[Provider], error) {
	page, err := a.reads(ctx, "providers", in.Paging)
	if err != nil {
		return nil, err
	}
	all, err := a.Providers.Providers(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p upstream.Provider) bool { return p.Name <= page.after })
	slices.SortFunc(all, func(p, q upstream.Provider) int { return strings.Compare(p.Name, q.Name) })
	return part(page, all[:min(len(all), page.more())], func(p upstream.Provider) string { return p.Name }, a.showProvider), nil
}

// provider returns the one with an id or a name. No name is like an id: that has an underscore.
func (a *api) provider(ctx context.Context, ref string) (upstream.Provider, error) {
	all, err := a.Providers.Providers(ctx)
	if err != nil {
		return upstream.Provider{}, err
	}
	at := slices.IndexFunc(all, func(p upstream.Provider) bool { return p.ID == ref || p.Name == ref })
	if at < 0 {
		return upstream.Provider{}, upstream.ErrNotFound
	}
	return all[at], nil
}

func (a *api) getProvider(ctx context.Context, in *providerInput) (*providerOutput, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.oneProvider(p), nil
}

func (a *api) addProvider(ctx context.Context, in *addProviderInput) (*providerOutput, error) {
	all, err := a.Providers.Providers(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(all) >= maxProviders:
		return nil, refuse(conflict, "There are %d providers, which is as many as there can be.", maxProviders)
	}
	now := time.Now().Truncate(time.Microsecond) // as it will be remembered
	p, err := mergeProvider(upstream.Provider{}, in.RawBody, "client_secret", "disabled", "unchecked")
	if err != nil {
		return nil, err
	}
	p.ID, p.CreatedAt, p.UpdatedAt = secret.NewID("prv"), now, now
	if in.Body.Disabled {
		p.DisabledAt = now
	}
	if err := a.seal(&p, in.Body.Secret); err != nil {
		return nil, err
	}
	if err := errors.Join(a.lends(ctx, upstream.Provider{}, p), a.meantOnce(ctx, p)); err != nil {
		return nil, err
	}
	if !in.Body.Unchecked {
		err := a.Upstream.Look(ctx, p, now)
		if e, ok := errors.AsType[*upstream.Invalid](err); ok {
			return nil, wrong(e.Field, e.Problem+" (if it is there later: say unchecked)")
		}
		if err != nil {
			return nil, err
		}
	}
	defer a.Upstream.Forget() // before we answer
	if err := a.Providers.AddProvider(ctx, p, a.by(ctx).Event("provider.add", p.ID, p.Name+" ("+p.Kind+")")); err != nil {
		return nil, err
	}
	return a.oneProvider(p), nil
}

// mergeProvider makes a change to a provider, and reads the keys in it.
func mergeProvider(was upstream.Provider, change []byte, without ...string) (upstream.Provider, error) {
	is, err := merge(was, change, without...)
	if err != nil || len(is.Keys) == 0 || !mentions(change, "keys") {
		return is, err
	}
	is.Keys, err = upstream.ReadKeys(is.Keys)
	return is, err
}

// seal checks a provider together with its client secret, and keeps the secret, sealed.
func (a *api) seal(p *upstream.Provider, plain string) error {
	p.SealedSecret = nil
	if plain != "" {
		p.SealedSecret = a.Upstream.Sealer.Seal([]byte(plain), upstream.SecretAAD(p.ID))
	}
	if err := p.Check(); err != nil {
		return err
	}
	return p.CheckSecret(plain)
}

// setProvider makes changes at the same moment one after the other, each to what the one before
// has left.
func (a *api) setProvider(ctx context.Context, in *setProviderInput) (*providerOutput, error) {
	defer a.Upstream.Forget()
	for {
		was, err := a.provider(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := unchanged(in.IfMatch, a.showProvider(was)); err != nil {
			return nil, err
		}
		is, err := a.reviseProvider(was, in)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(a.lends(ctx, was, is), a.meantOnce(ctx, is)); err != nil {
			return nil, err
		}
		err = a.Providers.SetProvider(ctx, is, was, a.by(ctx).Event(eventOf(was, is), is.ID, is.Name))
		switch {
		case err == nil:
			return a.oneProvider(is), nil
		case !errors.Is(err, upstream.ErrChanged):
			return nil, err
		}
		// Somebody else was faster, which is their change: this ends when they have made theirs.
	}
}

// eventOf is what the audit log calls a change.
func eventOf(was, is upstream.Provider) string {
	switch {
	case was.Enabled() && !is.Enabled():
		return "provider.disable"
	case !was.Enabled() && is.Enabled():
		return "provider.enable"
	}
	return "provider.set"
}

// reviseProvider returns a provider with a change made.
func (a *api) reviseProvider(was upstream.Provider, in *setProviderInput) (upstream.Provider, error) {
	if err := ofConfiguration(was, in); err != nil {
		return upstream.Provider{}, err
	}
	is, err := mergeProvider(was, in.RawBody, "client_secret", "disabled")
	if err != nil {
		return upstream.Provider{}, err
	}
	if host := "host"; was.Options[host] != is.Options[host] {
		return upstream.Provider{}, wrong("options", "host can't be changed, because people are known by what it calls them there; add another provider")
	}
	is.ID, is.Managed, is.CreatedAt, is.DisabledAt = was.ID, was.Managed, was.CreatedAt, was.DisabledAt
	is.SealedSecret = was.SealedSecret
	// Always later than before, so that no two states of a provider are of the same time.
	is.UpdatedAt = time.Now().Truncate(time.Microsecond)
	if !is.UpdatedAt.After(was.UpdatedAt) {
		is.UpdatedAt = was.UpdatedAt.Add(time.Microsecond)
	}
	switch disabled := in.Body.Disabled; {
	case disabled != nil && !*disabled:
		is.DisabledAt = time.Time{}
	case disabled != nil && was.Enabled():
		is.DisabledAt = is.UpdatedAt
	}
	if mentions(in.RawBody, "client_secret") {
		plain := ""
		if in.Body.Secret != nil {
			plain = *in.Body.Secret
		}
		if err := a.seal(&is, plain); err != nil {
			return upstream.Provider{}, err
		}
		return is, nil
	}
	return is, is.Check()
}

// ofConfiguration refuses a change of what the configuration says: it would be undone at the
// next start.
func ofConfiguration(was upstream.Provider, in *setProviderInput) error {
	theirs := slices.ContainsFunc([]string{"name", "client_id", "client_secret", "options"}, func(name string) bool { return mentions(in.RawBody, name) })
	switch {
	case was.Managed == upstream.ManagedByConfiguration && theirs:
		return refuse(managed, "The name, the client and the options of this provider come from the configuration, providers.%s: change them there and restart the server.", was.Kind)
	case was.Managed == upstream.ManagedNoLonger && in.Body.Disabled != nil && !*in.Body.Disabled:
		return refuse(managed, "This provider is disabled because providers.%s is not in the configuration any more: put it back there, or remove this one and add your own.", was.Kind)
	}
	return nil
}

// removeProvider takes a provider away. Whoever had no other way in has none.
func (a *api) removeProvider(ctx context.Context, in *providerInput) (*done, error) {
	p, err := a.provider(ctx, in.ID)
	switch {
	case err != nil:
		return nil, err
	case p.Managed == upstream.ManagedByConfiguration:
		return nil, refuse(managed, "This provider comes from the configuration, providers.%s, and would be back at the next start: take it out there, or disable it here.", p.Kind)
	}
	defer a.Upstream.Forget()
	return &done{}, a.Providers.RemoveProvider(ctx, p.ID, a.by(ctx).Event("provider.remove", p.ID, p.Name))
}
