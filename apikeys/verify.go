package apikeys

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mintmark/bearer"
	"mintmark/internal/secret"
)

// ErrInvalid is the answer to every key that is not good, whatever is wrong with it.
var ErrInvalid = errors.New("apikeys: the key is not valid")

// A Denied is the refusal of a good key that may not do what it was presented for.
type Denied struct {
	Code  string // "ip_not_allowed", "wrong_audience" or "insufficient_scope"
	Scope string // the first scope that is missing
}

// Error says so.
func (e *Denied) Error() string { return strings.TrimSpace("apikeys: " + e.Code + " " + e.Scope) }

// An Ask is a presented key, and what it is wanted for.
type Ask struct {
	Key      string
	Scope    string     // separated by spaces; empty: none
	Audience string     // the resource that asks; empty: none in particular
	Cost     int64      // of the key's quota; 0 is 1. The rate limits count every use as one
	Address  netip.Addr // where the key comes from; a key that is bound to networks needs one
}

// An Answer is whose key it is. Its lists are shared: they must not be changed.
type Answer struct {
	Principal bearer.Principal
	Kind      string
	OwnerType string
	Audience  []string
	CreatedAt time.Time
	Policy    string    // the RateLimit-Policy header; empty: there is no limit
	Left      Remaining // of the limit that is nearest to its end
}

// Verify is Check for nothing in particular.
func (r *Registry) Verify(ctx context.Context, presented string, now time.Time) (bearer.Principal, error) {
	a, err := r.Check(ctx, Ask{Key: presented}, now)
	return a.Principal, err
}

// Check says who presented a key, and whether it is good for what is asked. It returns
// [ErrInvalid] for everything that is not a good key; a [*Denied] or [*TooMany] for one that is
// not good for this; any other error is a fault of ours, and says nothing about the key.
//
// What is not one of our keys is refused without asking the database, and what is remembered
// is answered without I/O, but that a key with a quota borrows a part of it now and then. Nothing
// about a key is looked at before its secret is the right one.
func (r *Registry) Check(ctx context.Context, ask Ask, now time.Time) (Answer, error) {
	e, err := r.find(ctx, ask.Key, ask.Address, now.UnixNano())
	if err != nil {
		return Answer{}, err
	}
	return r.permit(ctx, e, ask, now)
}

// CheckID is Check for whoever may use the key of an id without having it: what they have shown in
// its place is not for this package to judge. The Key of ask is not looked at.
func (r *Registry) CheckID(ctx context.Context, id string, ask Ask, now time.Time) (Answer, error) {
	n, ok := secret.ParseBase62(id)
	if len(id) != idLen || !ok {
		return Answer{}, ErrInvalid
	}
	e, err := r.cached().get(ctx, id, n, now.UnixNano())
	if err != nil {
		return Answer{}, err
	}
	if e == nil {
		return Answer{}, ErrInvalid
	}
	return r.permit(ctx, e, ask, now)
}

// permit says whether the key of an entry is good for what is asked, and counts that as a use.
func (r *Registry) permit(ctx context.Context, e *entry, ask Ask, now time.Time) (Answer, error) {
	at := now.UnixNano()
	if !e.good(at) {
		return Answer{}, ErrInvalid
	}
	switch {
	case !e.permits(ask.Address):
		return Answer{}, &Denied{Code: "ip_not_allowed"}
	case ask.Audience != "" && !has(e.audience, ask.Audience):
		return Answer{}, &Denied{Code: "wrong_audience"}
	}
	if ask.Scope != "" {
		if missing := e.lacks(ask.Scope); missing != "" {
			return Answer{}, &Denied{"insufficient_scope", missing}
		}
	}
	answer := Answer{Principal: e.principal(), Kind: e.kind, OwnerType: e.ownerType, Audience: e.audience, CreatedAt: e.createdAt, Policy: e.policy}
	if e.policy != "" && len(e.state.buckets) > 0 {
		left, refused := spend(e.state.buckets, at)
		if answer.Left = left; refused != nil {
			return answer, refused
		}
	}
	if e.quota != nil {
		left, err := e.quota.take(ctx, max(ask.Cost, 1), at)
		switch {
		case err == nil && (answer.Left.Name == "" || left.Left < answer.Left.Left):
			answer.Left = left
		case over(err):
			answer.Left = left
			return answer, err
		case err != nil && !r.QuotaOpen:
			return Answer{}, err
		}
	}
	e.state.use(at, ask.Address)
	return answer, nil
}

// Stands says whether the key of an id is good at this moment and has these scopes, without
// anybody showing it: for what came from a key, gives no more than the key does, and is gone with
// it. It is no use of the key. What is remembered is answered without I/O; an error says nothing
// about the key.
func (r *Registry) Stands(ctx context.Context, id string, scopes []string, now time.Time) (bool, error) {
	n, ok := secret.ParseBase62(id)
	if len(id) != idLen || !ok {
		return false, nil
	}
	e, err := r.cached().get(ctx, id, n, now.UnixNano())
	if err != nil || e == nil || !e.good(now.UnixNano()) {
		return false, err
	}
	for _, scope := range scopes {
		if !slices.Contains(e.scopes, scope) {
			return false, nil
		}
	}
	return true, nil
}

// Recognise returns the id of a good key that somebody holds, from wherever and however often
// it is shown, or [ErrInvalid]. It is no use of the key.
func (r *Registry) Recognise(ctx context.Context, presented string, now time.Time) (string, error) {
	e, err := r.find(ctx, presented, netip.Addr{}, now.UnixNano())
	if err != nil {
		return "", err
	}
	if !e.good(now.UnixNano()) {
		return "", ErrInvalid
	}
	return e.id, nil
}

// find returns the entry whose secret was presented.
func (r *Registry) find(ctx context.Context, presented string, from netip.Addr, now int64) (*entry, error) {
	c := r.cached()
	id, n, ours := address(presented)
	if !ours {
		return c.findForeign(ctx, presented, now)
	}
	// A hit does not look at checksum and tag: the digest covers both.
	e, absent := c.look(n, now)
	if absent {
		return nil, ErrInvalid
	}
	if e == nil || !c.believes(e, now) {
		if _, good := r.Mint.Parse(presented[len(brand):len(brand)+2], presented); !good {
			return nil, ErrInvalid
		}
		if e == nil {
			if wait := c.misses.take(from, now); wait > 0 {
				return nil, &TooMany{"lookups", wait}
			}
		}
		var err error
		if e, err = c.reload(ctx, id, n, now, e); err != nil {
			return nil, err
		}
	}
	if e == nil || e.kind != presented[len(brand):len(brand)+2] || !e.matches(presented) {
		return nil, ErrInvalid
	}
	return e, nil
}

// findForeign looks for a key that another system made.
func (c *cache) findForeign(ctx context.Context, presented string, now int64) (*entry, error) {
	if len(presented) < 16 || len(presented) > 512 || strings.HasPrefix(presented, brand) {
		return nil, ErrInvalid
	}
	id, err := c.foreign.find(ctx, secret.Wrap(presented).Digest())
	if err != nil {
		return nil, err
	}
	n, ok := secret.ParseBase62(id)
	if id == "" || !ok {
		return nil, ErrInvalid
	}
	e, err := c.get(ctx, id, n, now)
	if err != nil {
		return nil, err
	}
	if e == nil || e.kind != KindImported || !e.matches(presented) {
		return nil, ErrInvalid
	}
	return e, nil
}

// The form of a key, as package secret has it: mm_ kind _ id …
const (
	brand  = "mm_"
	head   = len("mm_ok_")
	idLen  = 11
	keyLen = head + idLen + 4 + 22 + 6
)

// address recognises a key of ours by its outer form, and returns its id, also as a number.
func address(presented string) (id string, n uint64, ours bool) {
	if len(presented) != keyLen || presented[:len(brand)] != brand || presented[head-1] != '_' {
		return "", 0, false
	}
	switch presented[len(brand) : len(brand)+2] {
	case secret.KindOrganizationKey, secret.KindServiceKey, secret.KindUserKey, secret.KindTestKey:
	default:
		return "", 0, false
	}
	id = presented[head : head+idLen]
	n, ours = secret.ParseBase62(id)
	return id, n, ours
}

// matches compares digests, in time that does not depend on either.
func (e *entry) matches(presented string) bool {
	var text [512]byte // on the stack: a conversion of the string would not be
	digest := sha256.Sum256(text[:copy(text[:], presented)])
	return subtle.ConstantTimeCompare(digest[:], e.digest[:]) == 1
}

// lacks returns the first of the scopes that the key does not have, and remembers that it was
// used for the others.
func (e *entry) lacks(scopes string) string {
	for scopes != "" {
		scope, rest, _ := strings.Cut(scopes, " ")
		scopes = rest
		if scope == "" {
			continue
		}
		found := false
		for i := range e.scopes {
			if e.scopes[i] == scope {
				e.state.usedFor(i)
				found = true
				break
			}
		}
		if !found {
			return scope
		}
	}
	return ""
}

func has(list []string, s string) bool {
	for i := range list {
		if list[i] == s {
			return true
		}
	}
	return false
}
