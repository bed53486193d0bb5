package admin

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"mintmark/apikeys"
	"mintmark/upstream"
)

// lends refuses a provider whose tokens are as good as API keys, or were, if there is no such key, or if the
// key that makes the change could not have made it: whoever says which tokens are taken has them all. To
// disable it and no more is for everybody who may change providers; what is changed while it is disabled counts
// when somebody else enables it.
func (a *api) lends(ctx context.Context, was, is upstream.Provider) error {
	if len(was.TokenRules)+len(is.TokenRules) == 0 || onlyDisables(was, is) {
		return nil
	}
	by, err := a.giver(ctx)
	if err != nil {
		return err
	}
	if err := by.MayMake(); err != nil {
		return err
	}
	for _, rule := range is.TokenRules {
		k, err := a.APIKeys.Get(ctx, rule.Key)
		switch {
		case errors.Is(err, apikeys.ErrNotFound) || err == nil && k.OwnerType != apikeys.OwnerService:
			return wrong("token_rules", "name the API key "+rule.Key+", and no service account has one with that id")
		case err != nil:
			return err
		}
		if err := by.MayLend(k); err != nil {
			return err
		}
	}
	return nil
}

// onlyDisables says whether a change makes nothing different but that the provider is disabled.
func onlyDisables(was, is upstream.Provider) bool {
	disabled := !is.Enabled()
	is.DisabledAt, is.UpdatedAt = was.DisabledAt, was.UpdatedAt
	return disabled && reflect.DeepEqual(was, is)
}

// meantOnce refuses a provider if a token could be of two: of the same issuer, for the same audience. One of
// them would decide by its name.
func (a *api) meantOnce(ctx context.Context, p upstream.Provider) error {
	if len(p.TokenAudiences) == 0 {
		return nil
	}
	all, err := a.Providers.Providers(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID == p.ID || other.KnownIssuer() != p.KnownIssuer() {
			continue
		}
		for _, audience := range p.TokenAudiences {
			if slices.Contains(other.TokenAudiences, audience) {
				return wrong("token_audiences", "have "+audience+", as those of "+other.Name+" have, with the same issuer: a token would be of two")
			}
		}
	}
	return nil
}
