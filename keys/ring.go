package keys

import (
	"cmp"
	"slices"
	"time"
)

const (
	// staleAfter is how old our view of the database may be while we still sign. It is
	// part of the schedule: a copy that was cut off may publish and sign that much late.
	staleAfter = time.Minute

	// remember is for how long a key that left the JWKS still opens an id_token_hint. A
	// hint may be expired, OpenID Connect RP-Initiated Logout §4.
	remember = 90 * 24 * time.Hour
)

// A State is where a key is in its life.
type State string

// The states of a key, in order.
const (
	Published  State = "published"  // announced, does not sign yet
	Active     State = "active"     // signs
	Retiring   State = "retiring"   // does not sign any more, but its tokens are still good
	Remembered State = "remembered" // gone from the JWKS, good for an id_token_hint only
	Revoked    State = "revoked"    // refused
	forgotten  State = "forgotten"  // to be deleted
)

// A Status is a key as an operator sees it.
type Status struct {
	ID         string
	Alg        Alg
	Generation int64
	State      State
	CreatedAt  time.Time // published from here on
	SignsAt    time.Time
	RetiresAt  time.Time // zero while no later key is known
	GoneAt     time.Time // leaves the JWKS. Zero while no later key is known
	RevokedAt  time.Time // zero if it is not revoked
}

// lead is how long before it signs a key is published. Whoever fetched the JWKS a moment
// before keeps that for MaxAge; a copy that was cut off publishes the new key staleAfter
// later; and the copy that signs first has the clock that is furthest ahead.
func (c *Config) lead() time.Duration { return c.MaxAge + staleAfter + c.Skew }

// keep is how long after its retirement a key stays published. A copy that was cut off
// signs staleAfter longer, the token lives for KeepFor, the clock of its verifier may be
// Skew behind that of the copy that takes the key out of the JWKS, and that verifier may
// tolerate as much again.
func (c *Config) keep() time.Duration { return c.KeepFor + staleAfter + 2*c.Skew }

// A ring is every key of one algorithm at one moment, by generation.
//
// It is computed from what is stored and the time, and from nothing else: copies whose
// clocks agree see the same ring, and clocks that differ by no more than Skew see rings
// that work together.
type ring struct {
	alg  Alg
	keys []Status
	// signs is the index of the key that signs, or -1 if there is none and one must be made.
	signs int
}

// look computes the ring of an algorithm.
func (c *Config) look(records []Record, alg Alg, now time.Time) ring {
	r := ring{alg: alg, signs: -1}
	for _, record := range records {
		if record.Alg == alg {
			r.keys = append(r.keys, Status{
				ID: record.ID, Alg: alg, Generation: record.Generation,
				CreatedAt: record.CreatedAt, SignsAt: record.SignsAt, RevokedAt: record.RevokedAt,
			})
		}
	}
	slices.SortFunc(r.keys, func(a, b Status) int { return cmp.Compare(a.Generation, b.Generation) })

	// A key signs until a later one begins. Who has signed last never signs again, also
	// not when its successor is revoked: its days in the JWKS are counted.
	begun := 0
	for i := range r.keys {
		if began(&r.keys[i]) && !r.keys[i].SignsAt.After(now) {
			begun = i
		}
	}
	for i := begun; i < len(r.keys) && r.signs < 0; i++ {
		// If the key that should sign was revoked, one that is announced already signs
		// early: better a verifier that must fetch the JWKS again than no signature.
		if r.keys[i].RevokedAt.IsZero() {
			r.signs = i
		}
	}
	var next time.Time // when the first of the later keys begins to sign
	for i := len(r.keys) - 1; i >= 0; i-- {
		k := &r.keys[i]
		if !next.IsZero() {
			k.RetiresAt, k.GoneAt = next, next.Add(c.keep())
		}
		if began(k) && (next.IsZero() || k.SignsAt.Before(next)) {
			next = k.SignsAt
		}
		k.State = c.state(&r, i, begun, now)
	}
	return r
}

// began says whether a key signs or will sign. One that was revoked before its time never
// did, and so it never retired its predecessor.
func began(k *Status) bool { return k.RevokedAt.IsZero() || !k.RevokedAt.Before(k.SignsAt) }

func (c *Config) state(r *ring, i, begun int, now time.Time) State {
	k := &r.keys[i]
	switch {
	case !k.RevokedAt.IsZero():
		// The newest one is never forgotten: it is what generations are counted from.
		if i < len(r.keys)-1 && !now.Before(k.RevokedAt.Add(c.keep()+remember)) {
			return forgotten
		}
		return Revoked
	case i == r.signs:
		return Active
	case i > begun:
		return Published
	case now.Before(k.GoneAt):
		return Retiring
	case now.Before(k.GoneAt.Add(remember)):
		return Remembered
	}
	return forgotten
}

// next is the generation of the next key to be made.
func (r *ring) next() int64 {
	if len(r.keys) == 0 {
		return 1
	}
	return r.keys[len(r.keys)-1].Generation + 1
}

// announced returns the key that will sign next, if there is one already.
func (r *ring) announced() (Status, bool) {
	for i := len(r.keys) - 1; i > r.signs && r.signs >= 0; i-- {
		if r.keys[i].State == Published {
			return r.keys[i], true
		}
	}
	return Status{}, false
}

// due says whether a key has to be made now, and when that one will sign. The first key,
// and one in place of a key that was revoked, sign at once.
func (c *Config) due(r *ring, now time.Time) (signsAt time.Time, due bool) {
	if r.signs < 0 {
		return now, true
	}
	if _, ok := r.announced(); ok {
		return time.Time{}, false
	}
	ends := r.keys[r.signs].SignsAt.Add(c.RotateEvery)
	if now.Before(ends.Add(-c.lead())) {
		return time.Time{}, false
	}
	return later(ends, now.Add(c.lead())), true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
