package apikeys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"mintmark/internal/secret"
)

// AdminScopes returns every scope of the management API.
func AdminScopes() []string { return slices.Clone(adminScopes) }

var adminScopes = []string{
	"users:read", "users:write",
	"clients:read", "clients:write",
	"keys:read", "keys:write", ScopeVerify, ScopeLeak,
	"services:read", "services:write",
	"providers:read", "providers:write",
	"signing:read", "signing:write",
	"sessions:read", "sessions:write",
	"grants:read", "grants:write",
	"audit:read",
	"tokens:read",
	ScopeRevocations,
}

// Scopes of the management API that the key of a service may have, because they change nothing that
// is not the caller's own: ScopeVerify lets it ask about other keys, ScopeLeak report those that
// it holds, ScopeRevocations hear what was revoked.
const (
	ScopeVerify      = "keys:verify"
	ScopeLeak        = "keys:leak"
	ScopeRevocations = "revocations:read"
)

// ForServices says whether a scope of the management API is one that the key of a service may have.
func ForServices(scope string) bool {
	return scope == ScopeVerify || scope == ScopeLeak || scope == ScopeRevocations
}

// A Registry makes keys and says what a presented key may do. It is safe for concurrent use.
// It must not be copied after its first use.
type Registry struct {
	Store Store
	Mint  *secret.Mint

	// MaxLife is how long a key may be good at most. The default is [MaxLife].
	MaxLife time.Duration
	// OwnScopes is what people may let keys of their own do, and OwnAudience the services that those
	// keys are for.
	OwnScopes, OwnAudience []string
	// MostKeys is how many keys an account or a service account may have, of those that are good or
	// were made in the last day: [ErrFull]. The default is any number.
	MostKeys int
	// CacheSize is how many keys are remembered. The default is 100,000, in some 50 MB.
	CacheSize int
	// MaxStale is how long what is remembered is believed while the database is away. The
	// default is a minute; negative: not at all.
	MaxStale time.Duration

	// QuotaOpen lets keys with a quota pass, uncounted, while the database is away. By default they
	// are not: what is paid for is not given away.
	QuotaOpen bool

	start sync.Once
	held  *cache
}

func (r *Registry) longest() time.Duration {
	if r.MaxLife <= 0 {
		return MaxLife
	}
	return r.MaxLife
}

// Make makes a key and returns it with the only copy of its secret, which is none if the key
// is imported. It returns an [*Invalid] if the key can't be as it is asked for.
func (r *Registry) Make(ctx context.Context, n New, by By) (Key, secret.Token, error) {
	if by.At.IsZero() {
		by.At = n.At
	}
	n.At = instant(by.At)
	longest := r.longest()
	if by.Giver != nil && n.ExpiresAt.IsZero() && !by.Giver.ends().IsZero() {
		longest = min(longest, by.Giver.ends().Sub(n.At)) // as long as it may be
	}
	k, err := n.key(longest)
	if err != nil {
		return Key{}, secret.Token{}, err
	}
	if err := by.may(making, Key{}, k); err != nil {
		return Key{}, secret.Token{}, err
	}
	if k.OwnerType != OwnerInstance {
		there, err := r.Store.OwnerStands(ctx, k.OwnerType, k.OwnerID)
		if err != nil {
			return Key{}, secret.Token{}, err
		}
		if !there {
			return Key{}, secret.Token{}, &Invalid{"owner_id", "is nobody that is there and enabled"}
		}
	}
	if n.QuotaID != "" {
		if k.Quota, err = r.Store.Quota(ctx, n.QuotaID); err != nil {
			if errors.Is(err, ErrNotFound) {
				err = &Invalid{"quota_id", "is not the quota of any key"}
			}
			return Key{}, secret.Token{}, err
		}
	}
	k.CreatedBy, k.CreatedVia = by.Actor, by.Via
	return r.mint(k, n.SHA256, func(k Key) error {
		return r.Store.AddKey(ctx, k, r.MostKeys, by.event("key.add", k.ID, "%s for %s %s", k.Kind, k.OwnerType, k.OwnerID))
	})
}

// mint gives k an id and a secret and adds it. Two of 2^64 ids meet once in a very long time;
// then the next is another.
func (r *Registry) mint(k Key, imported []byte, add func(Key) error) (Key, secret.Token, error) {
	var err error
	for range 3 {
		var token secret.Token
		k.ID, k.Digest = secret.NewShortID(), imported
		if imported == nil {
			token = r.Mint.Issue(k.Kind, k.ID)
			digest := token.Digest()
			k.Digest = digest[:]
		}
		err = add(k)
		if err == nil {
			r.Forget(k.ID)
			return k, token, nil
		}
		if !errors.Is(err, ErrExists) {
			break
		}
	}
	return Key{}, secret.Token{}, err
}

// Get returns a key, or [ErrNotFound].
func (r *Registry) Get(ctx context.Context, id string) (Key, error) { return r.Store.Key(ctx, id) }

// List lists keys by id; of one owner, or all if ownerID is empty.
func (r *Registry) List(ctx context.Context, p Page, ownerID string) ([]Key, error) {
	return r.Store.Keys(ctx, p, ownerID)
}

// Find returns the key that somebody has found somewhere: by the SHA-256 of it, in hexadecimal,
// by the whole key, or by its id. Or [ErrNotFound].
func (r *Registry) Find(ctx context.Context, what string) (Key, error) {
	what = strings.TrimSpace(what)
	if digest, err := hex.DecodeString(what); err == nil && len(digest) == sha256.Size {
		return r.Store.KeyByDigest(ctx, digest)
	}
	if len(what) == idLen && secret.IsBase62(what) {
		return r.Store.Key(ctx, what)
	}
	digest := secret.Wrap(what).Digest()
	return r.Store.KeyByDigest(ctx, digest[:])
}

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

// short bounds what people write, and keeps it on one line.
func short(s string) string {
	s = strings.Map(func(c rune) rune {
		if control(c) || c == '\uFFFD' {
			return ' '
		}
		return c
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return strings.TrimSpace(s)
}
