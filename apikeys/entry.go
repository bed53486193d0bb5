package apikeys

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"mintmark/bearer"
)

// An entry is a key as it is remembered for verification: everything that can be worked out
// beforehand is. It does not change, but for touched; what does is in its state.
//
// Among a hundred thousand, each part that is looked at has to come from memory, and that is most of what
// a verification takes. So the fields stand in groups of 64 bytes, in the order in which they are
// needed, and what Check does not need for most keys is at the end.
type entry struct {
	digest   [sha256.Size]byte
	from, to int64 // nanoseconds since 1970; 0: no bound
	readAt   int64 // when its read started, in nanoseconds since 1970
	touched  int64 // when it was last moved to the front, the same; of the shard's lock

	state   *state
	id      string
	subject string
	scopes  []string // shared by all who get it, and clipped: whoever appends gets a copy

	expires   time.Time
	kind      string
	ownerType string
	stands    bool // it is not disabled or revoked, and its owner is there and enabled
	bound     bool // there are networks

	createdAt time.Time
	policy    string // RateLimit-Policy
	audience  []string

	quota *spender  // nil: there is none
	few   [2]string // the scopes, if there are no more

	allow   []netip.Prefix
	deny    []netip.Prefix
	ownerID string
}

// newEntry makes an entry of a key. What it had used before goes on to count.
func newEntry(k Key, owner bool, quota *spender, readAt int64, was *state) *entry {
	e := &entry{
		id: k.ID, kind: unique.Make(k.Kind).Value(), ownerType: k.OwnerType, ownerID: k.OwnerID, subject: k.OwnerID,
		stands: owner && !k.Disabled && k.RevokedAt.IsZero(),
		from:   nanos(k.NotBefore), to: nanos(k.ends()), expires: k.ends(),
		allow: prefixes(k.Allow), deny: prefixes(k.Deny), audience: k.Audience, createdAt: k.CreatedAt,
		readAt: readAt, touched: readAt, quota: quota,
	}
	copy(e.digest[:], k.Digest)
	if len(k.Digest) != sha256.Size || len(e.allow) != len(k.Allow) || len(e.deny) != len(k.Deny) {
		e.stands = false // what we can't read, we don't trust
	}
	e.bound = len(e.allow) > 0 || len(e.deny) > 0
	if k.OwnerType == OwnerInstance {
		e.subject = OwnerInstance
	}
	e.scopes = e.few[:0]
	for _, scope := range k.Scopes {
		e.scopes = append(e.scopes, unique.Make(scope).Value()) // most keys have the same ones
	}
	e.scopes = slices.Clip(e.scopes)
	var policies []string
	e.state = was
	if was == nil || !slices.Equal(was.scopes, k.Scopes) || !slices.Equal(was.limits, k.Limits) {
		e.state = &state{id: k.ID, scopes: k.Scopes, limits: k.Limits, buckets: make([]bucket, len(k.Limits))}
		for i, text := range k.Limits {
			l, err := ParseLimit(text)
			if err != nil {
				e.stands = false
				l = Limit{"", 1, time.Hour}
			}
			e.state.buckets[i].Limit = l
		}
	}
	for i := range e.state.buckets {
		policies = append(policies, e.state.buckets[i].policy())
	}
	if quota != nil {
		policies = append(policies, k.Quota.policy())
	}
	e.policy = strings.Join(policies, ", ")
	return e
}

// principal is whoever shows the key.
func (e *entry) principal() bearer.Principal {
	return bearer.Principal{
		Subject:    e.subject,
		ClientID:   e.id,
		Method:     bearer.MethodAPIKey,
		Credential: e.id,
		Scopes:     e.scopes,
		ExpiresAt:  e.expires,
	}
}

// ends is when a key stops to work: when it expires or, if it was replaced, with its grace.
func (k Key) ends() time.Time {
	if k.ReplacedBy != "" && (k.ExpiresAt.IsZero() || k.GraceUntil.Before(k.ExpiresAt)) {
		return k.GraceUntil
	}
	return k.ExpiresAt
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func prefixes(all []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range all {
		if n, err := network(text); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// good says whether the key may be used at all at a moment, in nanoseconds since 1970.
func (e *entry) good(at int64) bool {
	return e.stands && (e.from == 0 || at >= e.from) && (e.to == 0 || at < e.to)
}

// permits says whether a key may be used from an address. Where there are lists, an address
// that nobody knows is on the wrong side of them.
func (e *entry) permits(at netip.Addr) bool {
	if !e.bound {
		return true
	}
	// An address with a zone is in no network, and one of IPv4 in the clothes of IPv6 only in those.
	if at = at.Unmap().WithZone(""); !at.IsValid() || within(e.deny, at) {
		return false
	}
	return len(e.allow) == 0 || within(e.allow, at)
}

func within(networks []netip.Prefix, at netip.Addr) bool {
	for i := range networks {
		if networks[i].Contains(at) {
			return true
		}
	}
	return false
}

// A state is what changes with every use of a key. It outlives its entry. What every use
// changes stands together.
type state struct {
	uses  atomic.Int64
	last  atomic.Int64     // nanoseconds since 1970
	asked [2]atomic.Uint64 // bit by bit, which of scopes it was used for
	mu    sync.Mutex
	from  netip.Addr

	buckets []bucket
	id      string
	scopes  []string
	limits  []string
	told    [2]uint64 // of asked, which the database knows of; only the flush looks
	_       [24]byte  // so that the next one begins where the processor reads
}

// use counts one use.
func (s *state) use(now int64, from netip.Addr) {
	s.uses.Add(1)
	s.last.Store(now)
	if s.mu.TryLock() { // whoever writes at the same moment is as good as we are
		s.from = from
		s.mu.Unlock()
	}
}

// usedFor remembers that a scope of the key was asked for.
func (s *state) usedFor(i int) {
	word, bit := &s.asked[i/64&1], uint64(1)<<(i%64)
	if word.Load()&bit == 0 {
		word.Or(bit)
	}
}

// flush takes what there is to write down, and says whether that is anything.
func (s *state) flush() (Use, bool) {
	n := s.uses.Swap(0)
	if n == 0 {
		return Use{}, false
	}
	s.mu.Lock()
	from := s.from
	s.mu.Unlock()
	u := Use{ID: s.id, Uses: n, At: time.Unix(0, s.last.Load()).UTC()}
	if from.IsValid() {
		u.Address = from.String()
	}
	for i, scope := range s.scopes {
		if bit := uint64(1) << (i % 64); s.asked[i/64&1].Load()&bit != 0 && s.told[i/64&1]&bit == 0 {
			s.told[i/64&1] |= bit
			u.Scopes = append(u.Scopes, scope)
		}
	}
	return u, true
}

// Status is how a key stands, in one word: "active", or why it is not good now.
func (k Key) Status(now time.Time) string {
	switch {
	case k.Leaked:
		return "leaked"
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return "expired"
	case k.ReplacedBy != "" && !now.Before(k.GraceUntil):
		return "replaced"
	case k.Disabled:
		return "disabled"
	case now.Before(k.NotBefore):
		return "pending"
	}
	return "active"
}
