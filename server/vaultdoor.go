package server

import (
	"context"
	"errors"
	"time"

	"mintmark/issuer"
	"mintmark/upstream"
)

// vaultDoor is the kept tokens of providers as the issuer asks for them.
type vaultDoor struct{ upstream *upstream.Registry }

// Hand implements [issuer.Vault].
func (d vaultDoor) Hand(ctx context.Context, provider, accountID string, now time.Time) (issuer.Held, error) {
	held, err := d.upstream.Hand(ctx, provider, accountID, now)
	switch {
	case errors.Is(err, upstream.ErrUnknown), errors.Is(err, upstream.ErrNotKept):
		return issuer.Held{}, issuer.ErrNotFound
	case errors.Is(err, upstream.ErrAway):
		return issuer.Held{}, &issuer.Error{Code: "temporarily_unavailable", RetryAfter: 5 * time.Second,
			Description: "The provider does not answer now, and its token is over."}
	case err != nil:
		return issuer.Held{}, err
	}
	return issuer.Held{Token: held.Access, Scopes: held.Scopes, ExpiresAt: held.ExpiresAt}, nil
}
