package admin

import (
	"context"
	"errors"

	"mintmark/apikeys"
	"mintmark/upstream"
)

// lends refuses a provider whose tokens are as good as API keys, if there is no such key, or if the key that
// makes the change could not have made it: whoever says which tokens are taken has them all. A
// provider that is disabled lends nothing.
func (a *api) lends(ctx context.Context, p upstream.Provider) error {
	if len(p.TokenRules) == 0 || !p.Enabled() {
		return nil
	}
	by, err := a.giver(ctx)
	if err != nil {
		return err
	}
	for _, rule := range p.TokenRules {
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
