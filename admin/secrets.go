package admin

import (
	"context"
	"errors"
	"time"

	"mintmark/internal/secret"
	"mintmark/issuer"
)

// A ClientSecret is one secret of an application, without the secret.
type ClientSecret struct {
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// A NewSecret says how to replace the secret of an application.
type NewSecret struct {
	Secret         string `json:"client_secret,omitempty" doc:"Made by the server if it is missing"`
	OverlapSeconds int64  `json:"overlap_seconds,omitempty" minimum:"0" maximum:"7776000" doc:"For how long the secret before it stays good; 0: it ends now"`
}

// An AddedSecret is the new secret of an application.
type AddedSecret struct {
	ID              string    `json:"client_id"`
	Secret          string    `json:"client_secret" doc:"Shown this once"`
	SecretExpiresAt int64     `json:"client_secret_expires_at" doc:"0: it does not expire. RFC 7591 §3.2.1"`
	CreatedAt       time.Time `json:"created_at"`
	OldExpiresAt    time.Time `json:"old_secret_expires_at,omitzero" doc:"When the secret before it ends"`
}

type (
	addSecretInput struct {
		ID   string `path:"client_id" maxLength:"255"`
		Body *NewSecret
	}
	addSecretOutput struct{ Body AddedSecret }
)

// addSecret gives a client another secret. Its programs can be told one after the other: the
// secret before it stays good meanwhile. Never more than two are.
func (a *api) addSecret(ctx context.Context, in *addSecretInput) (*addSecretOutput, error) {
	now := time.Now().Truncate(time.Microsecond) // as it will be remembered
	if in.Body == nil {
		in.Body = &NewSecret{}
	}
	client, err := a.Registry.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !client.HasSecret() {
		return nil, refuse(conflict, "This client authenticates with %s and has no secret.", client.AuthMethod)
	}
	out := AddedSecret{ID: client.ID, Secret: in.Body.Secret, CreatedAt: now.UTC()}
	var added issuer.ClientSecret
	if out.Secret != "" {
		added, err = issuer.HashClientSecret(ctx, a.Accounts.Hasher, out.Secret, now)
	} else {
		var made secret.Token
		made, added = issuer.NewClientSecret(a.Accounts.Mint, now)
		out.Secret = made.Reveal()
	}
	if err != nil {
		return nil, err
	}
	secrets := []issuer.ClientSecret{added}
	if old, ok := newest(client.Secrets, now); ok && in.Body.OverlapSeconds > 0 {
		end := now.Add(time.Duration(in.Body.OverlapSeconds) * time.Second)
		if old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
			old.ExpiresAt = end
		}
		secrets = append(secrets, old)
		out.OldExpiresAt = old.ExpiresAt.UTC()
	}
	err = a.Registry.SetClientSecrets(ctx, client.ID, client.Secrets, secrets, now)
	if errors.Is(err, issuer.ErrNotFound) {
		return nil, refuse(conflict, "Somebody else changed the secrets of this client at the same moment. Look at it before you try again.").because(err)
	}
	if err != nil {
		return nil, err
	}
	a.Provider.ForgetClient(client.ID)
	return &addSecretOutput{out}, nil
}

// newest returns the good secret that was made last.
func newest(secrets []issuer.ClientSecret, now time.Time) (last issuer.ClientSecret, ok bool) {
	for _, s := range secrets {
		if s.Good(now) && (!ok || s.CreatedAt.After(last.CreatedAt)) {
			last, ok = s, true
		}
	}
	return last, ok
}
