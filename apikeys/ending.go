package apikeys

import (
	"context"
	"time"

	"mintmark/internal/secret"
)

// Disable refuses a key until it is enabled again.
func (r *Registry) Disable(ctx context.Context, id, reason string, by By) error {
	if err := r.mayEnd(ctx, id, by); err != nil {
		return err
	}
	defer r.Forget(id)
	return r.Store.DisableKey(ctx, id, short(reason), by.event("key.disable", id, "%s", short(reason)))
}

// Enable takes Disable back.
func (r *Registry) Enable(ctx context.Context, id string, by By) error {
	if err := r.mayEnd(ctx, id, by); err != nil {
		return err
	}
	defer r.Forget(id)
	return r.Store.EnableKey(ctx, id, by.event("key.enable", id, ""))
}

// mayEnd says whether by may disable, enable or revoke a key.
func (r *Registry) mayEnd(ctx context.Context, id string, by By) error {
	if by.Giver == nil {
		return nil
	}
	k, err := r.Store.Key(ctx, id)
	if err != nil {
		return err
	}
	return by.may(ending, k, k)
}

// Revoke revokes a key for good, or returns [ErrNotFound]. The next Check of this registry
// refuses it.
func (r *Registry) Revoke(ctx context.Context, id, reason string, leaked bool, by By) error {
	if err := r.mayEnd(ctx, id, by); err != nil {
		return err
	}
	defer r.Forget(id)
	action := "key.revoke"
	if leaked {
		action = "key.leak"
	}
	return r.Store.RevokeKey(ctx, id, short(reason), leaked, by.event(action, id, "%s", short(reason)))
}

// NoteClearText writes down that a good key came over a connection that anybody could read. The
// key goes on to work where it is sent as it should be: that a proxy is not named in the
// configuration must not cost every key.
func (r *Registry) NoteClearText(ctx context.Context, id string, by By) error {
	return r.Store.NoteKey(ctx, id, by.event("key.clear_text", id, "was sent over HTTP without TLS: rotate it"))
}

// MaxGrace is how long a key works at most after it was replaced.
const MaxGrace = 30 * 24 * time.Hour

// Rotate replaces a key by a new one with the same rights and as long a life. The old one works
// until grace is over; 0: it ends now. [ErrNotFound]; [ErrConflict] if it was replaced or
// revoked already.
func (r *Registry) Rotate(ctx context.Context, id string, grace time.Duration, by By) (Key, secret.Token, error) {
	by.At = instant(by.At)
	if grace < 0 || grace > MaxGrace {
		return Key{}, secret.Token{}, &Invalid{"grace_seconds", "is not between 0 and 30 days"}
	}
	old, err := r.Store.Key(ctx, id)
	if err != nil {
		return Key{}, secret.Token{}, err
	}
	next := Key{
		Kind: old.Kind, OwnerType: old.OwnerType, OwnerID: old.OwnerID, Name: old.Name,
		Scopes: old.Scopes, Audience: old.Audience, Allow: old.Allow, Deny: old.Deny, Limits: old.Limits, Metadata: old.Metadata,
		Quota: old.Quota, IdleExpiry: old.IdleExpiry,
		CreatedAt: by.At, UpdatedAt: by.At, CreatedBy: by.Actor, CreatedVia: by.Via, Replaces: old.ID, Version: 1,
		Disabled: old.Disabled, Reason: old.Reason,
	}
	if old.NotBefore.After(by.At) {
		next.NotBefore = old.NotBefore // it does not begin earlier by being replaced
	}
	if next.Kind == KindImported {
		next.Kind = kindOf[old.OwnerType]
	}
	if !old.ExpiresAt.IsZero() {
		next.ExpiresAt = by.At.Add(min(old.ExpiresAt.Sub(old.CreatedAt), r.longest()))
	}
	if by.Giver != nil && by.Giver.ID != id && !by.Giver.ends().IsZero() && next.ExpiresAt.After(by.Giver.ends()) {
		next.ExpiresAt = by.Giver.ends() // as long as it may be
	}
	if err := by.may(rotating, old, next); err != nil {
		return Key{}, secret.Token{}, err
	}
	defer r.Forget(id)
	return r.mint(next, nil, func(k Key) error {
		return r.Store.RotateKey(ctx, k, by.At.Add(grace), by.event("key.rotate", id, "to %s, grace %s", k.ID, grace))
	})
}
