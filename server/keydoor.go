package server

import (
	"context"
	"net/netip"
	"time"

	"mintmark/apikeys"
	"mintmark/issuer"
)

// keyDoor is the API keys as the issuer asks about them.
type keyDoor struct{ keys *apikeys.Registry }

// Use implements [issuer.APIKeys].
func (d keyDoor) Use(ctx context.Context, key string, from netip.Addr, now time.Time) (issuer.APIKey, error) {
	a, err := d.keys.Check(ctx, apikeys.Ask{Key: key, Address: from}, now)
	if err != nil {
		return issuer.APIKey{}, apikeys.Refusal(err)
	}
	return keyOf(a), nil
}

func keyOf(a apikeys.Answer) issuer.APIKey {
	k := issuer.APIKey{
		ID: a.Principal.Credential, Subject: a.Principal.Subject, Management: a.OwnerType == apikeys.OwnerInstance,
		Scopes: a.Principal.Scopes, Audience: a.Audience, CreatedAt: a.CreatedAt, ExpiresAt: a.Principal.ExpiresAt,
	}
	if a.Policy != "" {
		k.RateLimit = a.Left.Header()
	}
	return k
}

// Stands implements [issuer.APIKeys].
func (d keyDoor) Stands(ctx context.Context, id string, scopes []string, now time.Time) (bool, error) {
	return d.keys.Stands(ctx, id, scopes, now)
}

// Surrender implements [issuer.APIKeys].
func (d keyDoor) Surrender(ctx context.Context, key string, from netip.Addr, now time.Time) error {
	id, err := d.keys.Recognise(ctx, key, now)
	if err != nil {
		return apikeys.Refusal(err)
	}
	by := apikeys.By{Actor: id, Via: "server", RequestID: RequestID(ctx), At: now}
	if from.IsValid() {
		by.Address = from.String()
	}
	// Whoever hangs up does not keep the key alive.
	return d.keys.Revoke(context.WithoutCancel(ctx), id, "by whoever holds it", false, by)
}
