package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/upstream"
	"mintmark/web"
)

// outsideDoor is the tokens of providers as the issuer asks about them.
type outsideDoor struct {
	upstream  *upstream.Registry
	directory *accounts.Directory
}

// Arrive implements [issuer.Outside]. Who it is, is decided as at a sign-in with that provider; only
// that nobody can be asked for a password.
func (d outsideDoor) Arrive(ctx context.Context, token string, life time.Duration, now time.Time) (issuer.Login, time.Time, error) {
	p, who, err := d.upstream.Outside(ctx, token, now)
	switch {
	case errors.Is(err, upstream.ErrOutside):
		return issuer.Login{}, time.Time{}, fmt.Errorf("%w: %w", issuer.ErrNotFound, err)
	case errors.Is(err, upstream.ErrAway):
		return issuer.Login{}, time.Time{}, &issuer.Error{Code: "temporarily_unavailable", RetryAfter: 5 * time.Second,
			Description: "The keys of the token's issuer can't be had now."}
	case err != nil:
		return issuer.Login{}, time.Time{}, err
	}
	a, _, err := d.directory.Arrive(ctx, p, who, now)
	if must, ok := errors.AsType[*accounts.MustProve](err); ok {
		return issuer.Login{}, time.Time{}, fmt.Errorf("%w: %w", issuer.ErrNotFound, must)
	}
	for _, refused := range []error{accounts.ErrDisabled, accounts.ErrTaken, accounts.ErrNotInvited, accounts.ErrWrongDomain, accounts.ErrLinked, accounts.ErrNotFound} {
		if errors.Is(err, refused) {
			return issuer.Login{}, time.Time{}, fmt.Errorf("%w: %w", issuer.ErrNotFound, err)
		}
	}
	if err != nil {
		return issuer.Login{}, time.Time{}, err
	}
	until := now.Add(life)
	if who.ExpiresAt.Before(until) {
		until = who.ExpiresAt
	}
	x := accounts.Session{
		ID: secret.NewID("ses"), AccountID: a.ID, Digest: secret.Bytes(32), // of no cookie
		AuthTime: now, AMR: []string{"fed"}, ACR: issuer.ACRFederated, ProviderID: p.ID, IdP: p.Name, ProvedAt: who.AuthTime,
		CreatedAt: now, SeenAt: now, ExpiresAt: until, UserAgent: "a token of " + p.Name,
	}
	if err := d.directory.Store.StartSession(ctx, x, a, ""); errors.Is(err, accounts.ErrNotFound) {
		return issuer.Login{}, time.Time{}, fmt.Errorf("%w: %w", issuer.ErrNotFound, err) // disabled a moment ago
	} else if err != nil {
		return issuer.Login{}, time.Time{}, err
	}
	return web.LoginOf(x, a), until, nil
}
