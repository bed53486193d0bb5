package apikeys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mintmark/internal/secret"
)

// ScopeOwn lets an application with a person's access token look after that person's own keys.
const ScopeOwn = "keys:own"

// An Own is a person who looks after their own keys: what they may do with them, and who does it for
// them. Every other key looks to them as if it weren't there.
type Own struct {
	r       *Registry
	account string
	by      By
	// limited is whether it is an application that acts for them: it gives no more than scopes has.
	limited bool
	scopes  []string
}

// Own returns the keys of an account, as its person may look after them.
func (r *Registry) Own(account string, by By) Own { return Own{r: r, account: account, by: by} }

// By returns the same for an application that has these scopes: it gives no other.
func (o Own) By(scopes []string) Own {
	o.limited, o.scopes = true, scopes
	return o
}

// Scopes are what a key that is made may have: what the operator lets people give.
func (o Own) Scopes() []string {
	return slices.DeleteFunc(slices.Clone(o.r.OwnScopes), func(s string) bool { return o.limited && !slices.Contains(o.scopes, s) })
}

// Longest is how long a key that is made may be good.
func (o Own) Longest() time.Duration { return o.r.longest() }

// List lists the keys by id.
func (o Own) List(ctx context.Context, p Page) ([]Key, error) {
	return o.r.Store.Keys(ctx, p, o.account)
}

// Make makes a key with n's Name, Scopes, Allow and ExpiresAt. It is for the services that the operator
// says.
func (o Own) Make(ctx context.Context, n New) (Key, secret.Token, error) {
	may := o.Scopes()
	for _, scope := range n.Scopes {
		if !slices.Contains(may, scope) {
			return Key{}, secret.Token{}, &Invalid{"scopes", fmt.Sprintf("has %.60q, which is not yours to give here", scope)}
		}
	}
	return o.r.Make(ctx, New{
		OwnerType: OwnerAccount, OwnerID: o.account, Name: n.Name, Scopes: n.Scopes, Allow: n.Allow, ExpiresAt: n.ExpiresAt,
		Audience: o.r.OwnAudience,
	}, o.by)
}

// Rotate is [Registry.Rotate].
func (o Own) Rotate(ctx context.Context, id string, grace time.Duration) (Key, secret.Token, error) {
	k, err := o.key(ctx, id)
	if err != nil {
		return Key{}, secret.Token{}, err
	}
	for _, scope := range k.Scopes {
		if o.limited && !slices.Contains(o.scopes, scope) {
			return Key{}, secret.Token{}, &NotYours{"scopes", scope}
		}
	}
	return o.r.Rotate(ctx, id, grace, o.by)
}

// Revoke is [Registry.Revoke].
func (o Own) Revoke(ctx context.Context, id, reason string, leaked bool) (Key, error) {
	if _, err := o.key(ctx, id); err != nil {
		return Key{}, err
	}
	if err := o.r.Revoke(ctx, id, reason, leaked, o.by); err != nil {
		return Key{}, err
	}
	return o.key(ctx, id)
}

func (o Own) key(ctx context.Context, id string) (Key, error) {
	k, err := o.r.Store.Key(ctx, id)
	switch {
	case err != nil:
		return Key{}, err
	case k.OwnerType != OwnerAccount || k.OwnerID != o.account:
		return Key{}, ErrNotFound
	}
	return k, nil
}
