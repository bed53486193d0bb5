package apikeys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mintmark/internal/secret"
)

// DefaultLife is how long a key is good if nobody says otherwise, and MaxLife how long at most
// if the operator says nothing else.
const (
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 366 * 24 * time.Hour
)

// The owners of keys. The instance's own keys have no OwnerID.
const (
	OwnerInstance = "instance"
	OwnerAccount  = "account"
	OwnerService  = "service"
)

// KindImported is the kind of keys that another system made. They have no form that we know
// and are found by their SHA-256.
const KindImported = "im"

// kinds is every kind of key, and for which owners it is made. The management API takes no
// other kind than the first.
var kinds = map[string][]string{
	secret.KindOrganizationKey: {OwnerInstance},
	secret.KindServiceKey:      {OwnerService},
	secret.KindUserKey:         {OwnerAccount},
	secret.KindTestKey:         {OwnerAccount, OwnerService},
	KindImported:               {OwnerAccount, OwnerService},
}

// kindOf is the kind of key that an owner has if nobody says otherwise.
var kindOf = map[string]string{
	OwnerInstance: secret.KindOrganizationKey, OwnerService: secret.KindServiceKey, OwnerAccount: secret.KindUserKey,
}

// A New says which key to make. Name, and OwnerID but for the instance, have no default.
type New struct {
	Kind      string // what is usual for the owner, if it is empty
	OwnerType string // OwnerInstance if it is empty
	OwnerID   string
	Name      string
	Scopes    []string // none: the key proves who it is, and may nothing
	Audience  []string
	Allow     []string // addresses or networks
	Deny      []string
	Limits    []string // as [ParseLimit] reads them
	Metadata  json.RawMessage

	Quota      string        // as [ParseQuota] reads it; empty: none
	QuotaID    string        // in its place: the quota of another key, which both spend from then on
	IdleExpiry time.Duration // disables the key when it was not used for so long: 1 to 366 days; 0: never

	NotBefore time.Time
	ExpiresAt time.Time // 90 days from now if it is zero
	Forever   bool      // the key does not expire: for the operator's own key only

	// SHA256 imports a key that another system made, of which we know only this: 32 bytes.
	SHA256 []byte

	At time.Time // now, if it is zero
}

// An Invalid is a value that can't be accepted, in words for the person who sent it.
type Invalid struct {
	Field   string
	Problem string // a sentence without its subject
}

// Error returns the field and its problem.
func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

// errNever is the refusal of the one moment that would be taken for no end at all.
var errNever = &Invalid{"expires_at", "is not in the future"}

// key is what is asked for, with its defaults, checked.
func (n New) key(longest time.Duration) (Key, error) {
	now := instant(n.At)
	k := Key{
		Kind: n.Kind, OwnerType: n.OwnerType, OwnerID: n.OwnerID, Name: n.Name,
		Scopes: n.Scopes, Audience: n.Audience, Allow: n.Allow, Deny: n.Deny, Limits: n.Limits, Metadata: n.Metadata,
		CreatedAt: now, UpdatedAt: now, NotBefore: n.NotBefore, IdleExpiry: n.IdleExpiry, Version: 1,
	}
	if !n.ExpiresAt.IsZero() {
		if k.ExpiresAt = instant(n.ExpiresAt); k.ExpiresAt.IsZero() {
			return Key{}, errNever
		}
	}
	if k.OwnerType == "" {
		k.OwnerType = OwnerInstance
	}
	switch {
	case k.Kind == "" && n.SHA256 != nil:
		k.Kind = KindImported
	case k.Kind == "":
		k.Kind = kindOf[k.OwnerType]
	}
	if k.ExpiresAt.IsZero() && !n.Forever {
		k.ExpiresAt = now.Add(min(DefaultLife, longest))
	}
	switch {
	case kinds[k.Kind] == nil && kindOf[k.OwnerType] != "":
		return Key{}, &Invalid{"kind", "is not a kind of API key"}
	case !slices.Contains(kinds[k.Kind], k.OwnerType):
		return Key{}, &Invalid{"owner_type", "can't have a key of this kind"}
	case (k.OwnerType == OwnerInstance) != (k.OwnerID == ""):
		return Key{}, &Invalid{"owner_id", "is missing, or is given for the instance"}
	case len(k.OwnerID) > 100 || !token(k.OwnerID) && k.OwnerID != "":
		return Key{}, &Invalid{"owner_id", "is not the id of anybody"}
	case (k.Kind == KindImported) != (n.SHA256 != nil) || n.SHA256 != nil && len(n.SHA256) != 32:
		return Key{}, &Invalid{"sha256", "is for imported keys, and has 64 hexadecimal digits"}
	case n.Forever && (k.OwnerType != OwnerInstance || !n.ExpiresAt.IsZero()):
		return Key{}, &Invalid{"expires_at", "can be left out for the operator's own key only"}
	}
	if n.Quota != "" && n.QuotaID != "" {
		return Key{}, &Invalid{"quota_id", "is the quota of another key, and so there is no other"}
	}
	if n.Quota != "" {
		var err error
		if k.Quota, err = newQuota(Quota{}, n.Quota, now); err != nil {
			return Key{}, err
		}
	}
	return k.checked(now, longest)
}

// newQuota returns what a quota becomes that is to be as text says: with the id that it has, if it
// has one.
func newQuota(q Quota, text string, now time.Time) (Quota, error) {
	amount, period, err := ParseQuota(text)
	if err != nil {
		return Quota{}, &Invalid{"quota", err.Error()}
	}
	if q.ID == "" {
		q = Quota{ID: secret.NewID("quo"), Since: now}
	}
	q.Amount, q.Period = amount, period
	return q, nil
}

// checked returns k with its lists in one order and spelling, or says what is wrong with it.
func (k Key) checked(now time.Time, longest time.Duration) (Key, error) {
	k.NotBefore, k.ExpiresAt = k.NotBefore.UTC().Truncate(time.Microsecond), k.ExpiresAt.UTC().Truncate(time.Microsecond)
	switch {
	case strings.TrimSpace(k.Name) == "" || len(k.Name) > 200 || !utf8.ValidString(k.Name) || strings.ContainsFunc(k.Name, control):
		return Key{}, &Invalid{"name", "is empty, longer than 200 bytes or not plain text"}
	case k.ExpiresAt.IsZero() && k.OwnerType != OwnerInstance:
		return Key{}, &Invalid{"expires_at", "can be left out for the operator's own key only"}
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return Key{}, &Invalid{"expires_at", "is not in the future"}
	case k.ExpiresAt.Sub(now) > longest && !k.ExpiresAt.IsZero():
		return Key{}, &Invalid{"expires_at", fmt.Sprintf("is more than %d days from now, which is the most that the operator allows", int(longest.Hours()/24))}
	case !k.NotBefore.IsZero() && !k.ExpiresAt.IsZero() && !k.NotBefore.Before(k.ExpiresAt):
		return Key{}, &Invalid{"not_before", "is after the key expires"}
	case !k.NotBefore.IsZero() && (k.NotBefore.Year() < 1970 || k.NotBefore.Year() > 2200):
		// In nanoseconds since 1970 it would be another moment, and JSON has no year -1.
		return Key{}, &Invalid{"not_before", "is not between the years 1970 and 2200"}
	case k.IdleExpiry != 0 && (k.IdleExpiry < 24*time.Hour || k.IdleExpiry > 366*24*time.Hour):
		return Key{}, &Invalid{"idle_expiry_seconds", "is not between a day and 366 days"}
	case len(k.Scopes) > 100:
		return Key{}, &Invalid{"scopes", "are more than 100"}
	case len(k.Audience) > 20:
		return Key{}, &Invalid{"audience", "has more than 20 resources"}
	}
	k.Scopes = sorted(k.Scopes)
	for _, scope := range k.Scopes {
		if !token(scope) {
			return Key{}, &Invalid{"scopes", fmt.Sprintf("has %.60q, which is not a scope", scope)}
		}
		if k.OwnerType == OwnerInstance && !slices.Contains(adminScopes, scope) {
			return Key{}, &Invalid{"scopes", fmt.Sprintf("has %.60q, which the management API does not know", scope)}
		}
	}
	k.Audience = sorted(k.Audience)
	for _, audience := range k.Audience {
		if !token(audience) {
			return Key{}, &Invalid{"audience", fmt.Sprintf("has %.60q, which is not a resource", audience)}
		}
	}
	var err error
	if k.Allow, err = networks("allow", k.Allow); err != nil {
		return Key{}, err
	}
	if k.Deny, err = networks("deny", k.Deny); err != nil {
		return Key{}, err
	}
	if k.Limits, err = limits(k.Limits); err != nil {
		return Key{}, err
	}
	if k.Metadata, err = metadata(k.Metadata); err != nil {
		return Key{}, err
	}
	return k, nil
}

// metadata is one JSON object of at most 4 KiB, without white space.
func metadata(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var members map[string]any
	var text bytes.Buffer
	if len(raw) > 4096 || json.Unmarshal(raw, &members) != nil || members == nil || json.Compact(&text, raw) != nil || bytes.Contains(raw, []byte(`\u0000`)) {
		return nil, &Invalid{"metadata", "is not a JSON object of at most 4096 bytes"}
	}
	if len(members) == 0 {
		return nil, nil
	}
	return text.Bytes(), nil
}

// limits brings rate limits into one spelling. Each has a name of its own.
func limits(all []string) ([]string, error) {
	if len(all) > 5 {
		return nil, &Invalid{"rate_limits", "are more than 5"}
	}
	var names, out []string
	for _, text := range all {
		l, err := ParseLimit(text)
		if err != nil {
			return nil, &Invalid{"rate_limits", err.Error()}
		}
		if l.Name == QuotaLimit {
			return nil, &Invalid{"rate_limits", "has one with the name quota, which is that of the quota"}
		}
		if slices.Contains(names, l.Name) {
			return nil, &Invalid{"rate_limits", "has two of the same name: write them as name:600/m"}
		}
		names, out = append(names, l.Name), append(out, l.String())
	}
	return sorted(out), nil
}

// networks brings addresses and networks into one spelling.
func networks(field string, all []string) ([]string, error) {
	if len(all) > 50 {
		return nil, &Invalid{field, "has more than 50 networks"}
	}
	var out []string
	for _, text := range all {
		n, err := network(text)
		if err != nil {
			return nil, &Invalid{field, fmt.Sprintf("has %.60q, which is not a network like 192.0.2.0/24 or 2001:db8::/32", text)}
		}
		out = append(out, n.String())
	}
	return sorted(out), nil
}

func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err == nil && n.Addr().Is4In6() {
		if n.Bits() < 96 { // partly IPv4 and partly not: no address that we see is in it
			return netip.Prefix{}, errors.New("apikeys: not a network of one family")
		}
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n.Masked(), err
}

// sorted returns a sorted copy without repetitions.
func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
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
