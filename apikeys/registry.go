package apikeys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mintmark/internal/secret"
)

// ErrInvalid is the answer to every key that is not good, whatever is wrong with it.
var ErrInvalid = errors.New("apikeys: the key is not valid")

// DefaultLife is how long a key is good if nobody says otherwise.
const DefaultLife = 90 * 24 * time.Hour

// OwnerInstance is the owner type of the operator's own keys. Their OwnerID is empty.
const OwnerInstance = "instance"

// kinds is every kind of key, and for which owners it is made. The management API takes no
// other kind than the first.
var kinds = map[string][]string{
	secret.KindOrganizationKey: {OwnerInstance, "organization"},
	secret.KindServiceKey:      {"service"},
	secret.KindUserKey:         {"account"},
	secret.KindTestKey:         {"account", "service", "organization"},
}

// AdminScopes returns every scope of the management API.
func AdminScopes() []string { return slices.Clone(adminScopes) }

var adminScopes = []string{
	"users:read", "users:write",
	"clients:read", "clients:write",
	"keys:read", "keys:write",
	"signing:read", "signing:write",
	"sessions:read", "sessions:write",
	"grants:read", "grants:write",
	"audit:read",
	"tokens:read",
}

// A New says which key to make. Name, and OwnerID but for the instance, have no default.
type New struct {
	Kind      string // secret.KindOrganizationKey if it is empty
	OwnerType string // OwnerInstance if it is empty
	OwnerID   string
	Name      string
	Scopes    []string // none: the key proves who it is, and may nothing
	Audience  []string
	CreatedBy string

	ExpiresAt time.Time // 90 days from now if it is zero
	Forever   bool      // the key does not expire: for the operator's own key only

	At time.Time // now, if it is zero
}

// An Invalid is a value that can't be accepted, in words for the person who sent it.
type Invalid struct {
	Field   string
	Problem string // a sentence without its subject
}

// Error returns the field and its problem.
func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

// A Registry makes keys and says what a presented key may do. It is safe for concurrent use.
type Registry struct {
	Store Store
	Mint  *secret.Mint

	// OwnerMay says whether the owner of a key may still act: a key can do no more than the
	// one it acts for. If it is nil, only the instance may.
	OwnerMay func(ctx context.Context, ownerType, ownerID string) (bool, error)
}

// Make makes a key and returns it with the only copy of its secret. It returns an [*Invalid]
// if the key can't be as it is asked for.
func (r *Registry) Make(ctx context.Context, n New) (Key, secret.Token, error) {
	k, err := n.key()
	if err != nil {
		return Key{}, secret.Token{}, err
	}
	// Two of 2^64 ids meet once in a very long time; then the next is another.
	for range 3 {
		k.ID = secret.NewShortID()
		token := r.Mint.Issue(k.Kind, k.ID)
		digest := token.Digest()
		k.Digest = digest[:]
		err = r.Store.AddKey(ctx, k)
		if err == nil {
			return k, token, nil
		}
		if !errors.Is(err, ErrExists) {
			break
		}
	}
	return Key{}, secret.Token{}, err
}

// key is what is asked for, with its defaults, checked.
func (n New) key() (Key, error) {
	now := n.At
	if now.IsZero() {
		now = time.Now()
	}
	now = now.UTC().Truncate(time.Microsecond) // as exactly as it is remembered
	k := Key{
		Kind: n.Kind, OwnerType: n.OwnerType, OwnerID: n.OwnerID, Name: n.Name,
		Scopes: slices.Clone(n.Scopes), Audience: slices.Clone(n.Audience),
		CreatedAt: now, CreatedBy: n.CreatedBy, ExpiresAt: n.ExpiresAt, Version: 1,
	}
	if k.Kind == "" {
		k.Kind = secret.KindOrganizationKey
	}
	if k.OwnerType == "" {
		k.OwnerType = OwnerInstance
	}
	operators := k.OwnerType == OwnerInstance
	if k.ExpiresAt.IsZero() && !n.Forever {
		k.ExpiresAt = now.Add(DefaultLife)
	}
	switch {
	case kinds[k.Kind] == nil:
		return Key{}, &Invalid{"kind", "is not a kind of API key"}
	case !slices.Contains(kinds[k.Kind], k.OwnerType):
		return Key{}, &Invalid{"owner_type", "can't have a key of this kind"}
	case operators != (k.OwnerID == ""):
		return Key{}, &Invalid{"owner_id", "is missing, or is given for the instance"}
	case strings.TrimSpace(k.Name) == "" || len(k.Name) > 200 || !utf8.ValidString(k.Name) || strings.ContainsFunc(k.Name, control):
		return Key{}, &Invalid{"name", "is empty, longer than 200 bytes or not plain text"}
	case n.Forever && (!operators || !n.ExpiresAt.IsZero()):
		return Key{}, &Invalid{"expires_at", "can be left out for the operator's own key only"}
	case !n.Forever && !k.ExpiresAt.After(now):
		return Key{}, &Invalid{"expires_at", "is not in the future"}
	}
	slices.Sort(k.Scopes)
	k.Scopes = slices.Compact(k.Scopes)
	for _, scope := range k.Scopes {
		if !token(scope) {
			return Key{}, &Invalid{"scopes", fmt.Sprintf("has %.60q, which is not a scope", scope)}
		}
		if k.Kind == secret.KindOrganizationKey && !slices.Contains(adminScopes, scope) {
			return Key{}, &Invalid{"scopes", fmt.Sprintf("has %.60q, which the management API does not know", scope)}
		}
	}
	for _, audience := range k.Audience {
		if !token(audience) {
			return Key{}, &Invalid{"audience", fmt.Sprintf("has %.60q, which is not a resource", audience)}
		}
	}
	if len(k.Scopes) > 100 || len(k.Audience) > 20 {
		return Key{}, &Invalid{"scopes", "are more than 100, or the audience more than 20"}
	}
	return k, nil
}

// token is a scope-token of RFC 6749 §3.3, of at most 200 characters.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 200
}

func control(c rune) bool { return c < ' ' || c == 0x7f }

// Revoke revokes a key for good, or returns [ErrNotFound].
func (r *Registry) Revoke(ctx context.Context, id string, now time.Time) error {
	return r.Store.RevokeKey(ctx, id, now)
}
