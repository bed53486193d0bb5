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
