package apikeys

import (
	"context"
	"errors"
	"slices"
	"time"

	"mintmark/bearer"
	"mintmark/internal/secret"
)

// Verify says who presented a key. It returns [ErrInvalid] for everything that is not a good
// key; any other error is a fault of ours, and says nothing about the key.
//
// What is not one of our keys is refused without asking the database. Nothing about a key is
// looked at before its secret is the right one.
func (r *Registry) Verify(ctx context.Context, presented string, now time.Time) (bearer.Principal, error) {
	id, kind, ok := r.parse(presented)
	if !ok {
		return bearer.Principal{}, ErrInvalid
	}
	k, err := r.Store.Key(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return bearer.Principal{}, ErrInvalid
	}
	if err != nil {
		return bearer.Principal{}, err
	}
	if !secret.Wrap(presented).Digest().Matches(k.Digest) || !k.good(kind, now) {
		return bearer.Principal{}, ErrInvalid
	}
	may, err := r.ownerMay(ctx, k)
	if err != nil {
		return bearer.Principal{}, err
	}
	if !may {
		return bearer.Principal{}, ErrInvalid
	}
	return k.principal(), nil
}

// parse recognises a key of ours by its grammar, checksum and tag, and returns its id and kind.
func (r *Registry) parse(presented string) (id, kind string, ok bool) {
	const at = len("mm_")
	if len(presented) < at+2 {
		return "", "", false
	}
	kind = presented[at : at+2]
	if kinds[kind] == nil {
		return "", "", false
	}
	id, ok = r.Mint.Parse(kind, presented)
	return id, kind, ok
}

// good says whether a key can be used now.
func (k Key) good(kind string, now time.Time) bool {
	return k.Kind == kind && !k.Disabled && k.RevokedAt.IsZero() &&
		(k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

func (r *Registry) ownerMay(ctx context.Context, k Key) (bool, error) {
	if k.OwnerType == OwnerInstance {
		return true, nil
	}
	if r.OwnerMay == nil {
		return false, nil
	}
	return r.OwnerMay(ctx, k.OwnerType, k.OwnerID)
}

// principal is who presents k.
func (k Key) principal() bearer.Principal {
	subject := k.OwnerID
	if k.OwnerType == OwnerInstance {
		subject = OwnerInstance
	}
	return bearer.Principal{
		Subject:    subject,
		ClientID:   k.ID,
		Method:     bearer.MethodAPIKey,
		Credential: k.ID,
		Scopes:     slices.Clone(k.Scopes),
		ExpiresAt:  k.ExpiresAt,
	}
}
