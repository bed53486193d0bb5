package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/upstream"
	"mintmark/web"
)

// outsideDoor is the tokens of providers as the issuer asks about them.
type outsideDoor struct {
	upstream  *upstream.Registry
	directory *accounts.Directory
	keys      *apikeys.Registry
	db        *storage.DB // its audit log
	log       *slog.Logger
}

// Arrive implements [issuer.Outside]. Who it is, is decided as at a sign-in with that provider; only
// that nobody can be asked for a password.
func (d outsideDoor) Arrive(ctx context.Context, brought issuer.Brought, life time.Duration, now time.Time) (issuer.Arrived, error) {
	p, who, err := d.whose(ctx, brought, now)
	if err != nil {
		return issuer.Arrived{}, err
	}
	a, _, err := d.directory.Arrive(ctx, p, who, now)
	if err != nil {
		return issuer.Arrived{}, notIn(err)
	}
	until := now.Add(life)
	if !who.ExpiresAt.IsZero() && who.ExpiresAt.Before(until) {
		until = who.ExpiresAt
	}
	x := accounts.Session{
		ID: secret.NewID("ses"), AccountID: a.ID, Digest: secret.Bytes(32), // of no cookie
		AuthTime: now, AMR: []string{"fed"}, ACR: issuer.ACRFederated, ProviderID: p.ID, Subject: who.Subject, IdP: p.Name, ProvedAt: who.AuthTime,
		CreatedAt: now, SeenAt: now, ExpiresAt: until, UserAgent: "a token of " + p.Name,
	}
	if x.Limits, err = limitsOf(who); err != nil {
		return issuer.Arrived{}, err
	}
	if err := d.directory.Store.StartSession(ctx, x, a, ""); err != nil {
		return issuer.Arrived{}, notIn(err) // disabled a moment ago
	}
	return issuer.Arrived{Login: web.LoginOf(x, a), IdP: p.Name, Until: until}, nil
}

// Stand implements [issuer.Outside]. Only keys of service accounts are stood for: a person's key is for
// that person to hold, and a key of this server's own opens more than a rule should.
func (d outsideDoor) Stand(ctx context.Context, token string, from netip.Addr, may func(*issuer.APIKey) error, now time.Time) (issuer.APIKey, error) {
	var k issuer.APIKey
	p, program, err := d.upstream.Workload(ctx, token, func(p upstream.Provider, w upstream.Workload) error {
		a, err := d.keys.CheckID(ctx, w.Key, apikeys.Ask{Address: from}, now)
		if err == nil && a.OwnerType != apikeys.OwnerService {
			err = apikeys.ErrInvalid
		}
		d.log.InfoContext(ctx, "a token of another issuer stands for an API key", "provider", p.Name, "subject", w.Subject,
			"key", w.Key, "refused", err != nil, "request_id", RequestID(ctx))
		if err != nil {
			return apikeys.Refusal(err)
		}
		if k = keyOf(a); k.ExpiresAt.IsZero() || w.ExpiresAt.Before(k.ExpiresAt) {
			k.ExpiresAt = w.ExpiresAt
		}
		return may(&k)
	}, now)
	if err != nil {
		return issuer.APIKey{}, inIssuersWords(err)
	}
	by := apikeys.By{Actor: p.Name, Via: "token", RequestID: RequestID(ctx), At: now}
	if from.IsValid() {
		by.Address = from.String()
	}
	return k, d.db.Audit(ctx, by.Event("key.lend", program.Key, p.Name+": "+program.Subject))
}

// whose says whom a token is about, in the issuer's errors.
func (d outsideDoor) whose(ctx context.Context, brought issuer.Brought, now time.Time) (upstream.Provider, upstream.Identity, error) {
	p, who, err := d.asked(ctx, brought, now)
	return p, who, inIssuersWords(err)
}

// inIssuersWords is an error about a token, or none, for the issuer.
func inIssuersWords(err error) error {
	switch {
	case errors.Is(err, upstream.ErrOutside):
		return fmt.Errorf("%w: %w", issuer.ErrNotFound, err)
	case errors.Is(err, upstream.ErrAway):
		return fmt.Errorf("%w: %w", &issuer.Error{Code: "temporarily_unavailable", RetryAfter: 5 * time.Second,
			Description: "The token's issuer, or its keys, can't be asked now."}, err)
	}
	return err
}

// asked asks the token itself, or the connector that knows whose it is.
func (d outsideDoor) asked(ctx context.Context, brought issuer.Brought, now time.Time) (upstream.Provider, upstream.Identity, error) {
	if brought.Type == issuer.TokenTypeExternal {
		return d.upstream.Identify(ctx, upstream.Shown{Provider: brought.Issuer, Client: brought.Client, Token: brought.Token}, now)
	}
	return d.upstream.Outside(ctx, brought.Token, now)
}

// limitsOf is the claim limits, or empty.
func limitsOf(who upstream.Identity) (string, error) {
	if len(who.Limits) == 0 {
		return "", nil
	}
	text, err := json.Marshal(who.Limits)
	return string(text), err
}

// notIn tells the issuer of somebody who may not come in. Every other error is a fault of ours.
func notIn(err error) error {
	if must, ok := errors.AsType[*accounts.MustProve](err); ok {
		return fmt.Errorf("%w: %w", issuer.ErrNotFound, must)
	}
	for _, refused := range []error{accounts.ErrDisabled, accounts.ErrTaken, accounts.ErrNotInvited, accounts.ErrWrongDomain, accounts.ErrLinked, accounts.ErrTwoReadings, accounts.ErrNotFound,
		accounts.ErrProviderOff, accounts.ErrChanged} {
		if errors.Is(err, refused) {
			return fmt.Errorf("%w: %w", issuer.ErrNotFound, err)
		}
	}
	return err
}
