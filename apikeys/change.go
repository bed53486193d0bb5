package apikeys

import (
	"context"
	"errors"
	"strings"
	"time"
)

// A Change is what to make different of a key. What is nil stays as it is.
type Change struct {
	Name      *string
	Scopes    *[]string
	Audience  *[]string
	Allow     *[]string
	Deny      *[]string
	Limits    *[]string
	Metadata  []byte
	NotBefore *time.Time
	ExpiresAt *time.Time

	Quota      *string // as [ParseQuota] reads it: for every key that has the same; empty: none for this one
	IdleExpiry *time.Duration
}

// Change changes a key that is not revoked: [ErrNotFound], [ErrConflict] or an [*Invalid].
func (r *Registry) Change(ctx context.Context, id string, c Change, by By) (Key, error) {
	for range 3 {
		k, err := r.Store.Key(ctx, id)
		if err != nil {
			return Key{}, err
		}
		if !k.RevokedAt.IsZero() {
			return Key{}, ErrConflict
		}
		at := instant(by.At)
		if c.ExpiresAt != nil && c.ExpiresAt.UTC().Truncate(time.Microsecond).IsZero() {
			return Key{}, errNever
		}
		was := k
		what, err := c.apply(&k, at)
		if err != nil {
			return Key{}, err
		}
		longest := r.longest()
		if c.ExpiresAt == nil {
			longest, at = 1<<62, k.CreatedAt // what was allowed once stays
		}
		if k, err = k.checked(at, longest); err != nil {
			return Key{}, err
		}
		if err := by.may(changing, was, k); err != nil {
			return Key{}, err
		}
		err = r.Store.SetKey(ctx, k, by.event("key.set", id, "%s", strings.Join(what, " ")))
		r.Forget(id)
		if errors.Is(err, ErrConflict) {
			continue // somebody changed it at the same moment: their change stays, ours is added
		}
		if err != nil {
			return Key{}, err
		}
		return r.Store.Key(ctx, id)
	}
	return Key{}, ErrConflict
}

// apply puts a change into k, and returns the names of what it changed.
func (c Change) apply(k *Key, at time.Time) (what []string, err error) {
	if c.Name != nil {
		k.Name, what = *c.Name, append(what, "name")
	}
	for _, l := range []struct {
		name string
		to   *[]string
		from *[]string
	}{
		{"scopes", &k.Scopes, c.Scopes}, {"audience", &k.Audience, c.Audience}, {"allow", &k.Allow, c.Allow},
		{"deny", &k.Deny, c.Deny}, {"rate_limits", &k.Limits, c.Limits},
	} {
		if l.from != nil {
			*l.to, what = *l.from, append(what, l.name)
		}
	}
	if c.Metadata != nil {
		k.Metadata, what = c.Metadata, append(what, "metadata")
	}
	if c.NotBefore != nil {
		k.NotBefore, what = *c.NotBefore, append(what, "not_before")
	}
	if c.ExpiresAt != nil {
		k.ExpiresAt, what = *c.ExpiresAt, append(what, "expires_at")
	}
	if c.IdleExpiry != nil {
		k.IdleExpiry, what = *c.IdleExpiry, append(what, "idle_expiry")
	}
	switch {
	case c.Quota == nil:
		k.Quota.Amount = 0 // as it is, whoever else changes it
	case *c.Quota == "":
		k.Quota, what = Quota{}, append(what, "quota")
	default:
		k.Quota, err = newQuota(k.Quota, *c.Quota, at)
		what = append(what, "quota")
	}
	return what, err
}
