package bearer

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// kinds are what can be revoked, in the words of the feed.
var kinds = map[string]kind{
	"key": kindKey, "authorization": kindAuthorization, "session": kindSession,
	"token": kindToken, "account": kindAccount, "client": kindClient,
}

type kind uint8

const (
	kindKey kind = iota
	kindAuthorization
	kindSession
	kindToken
	kindAccount
	kindClient
	kindCount
)

const denyBuckets = 1 << 16

// A denySet is what is revoked. It is asked on the path of every request, by any number of them at
// once, which takes no lock and allocates nothing: a bucket is a list that does not change, and
// whoever changes it puts another in its place.
type denySet struct {
	seed    maphash.Seed
	most    int
	held    [kindCount]atomic.Int64
	buckets [denyBuckets]atomic.Pointer[denied]

	mu   sync.Mutex // held by whoever changes it
	full atomic.Bool
}

type denied struct {
	next  *denied
	hash  uint64
	until int64 // Unix seconds
	ref   string
	kind  kind
}

func newDenySet(most int) *denySet { return &denySet{seed: maphash.MakeSeed(), most: most} }

func (d *denySet) hash(k kind, ref string) uint64 {
	return maphash.String(d.seed, ref) + uint64(k)*0x9e3779b97f4a7c15
}

// has says whether something is revoked.
func (d *denySet) has(k kind, ref string) bool {
	if ref == "" || d.held[k].Load() == 0 {
		return false
	}
	h := d.hash(k, ref)
	for e := d.buckets[h%denyBuckets].Load(); e != nil; e = e.next {
		if e.hash == h && e.kind == k && e.ref == ref {
			return true
		}
	}
	return false
}

// size is how many things are revoked.
func (d *denySet) size() (n int) {
	for i := range d.held {
		n += int(d.held[i].Load())
	}
	return n
}

// set revokes something until a time, or takes that back. It returns false if there is no room. Then
// the set is full until everything is read anew: it does not know everything any more.
func (d *denySet) set(k kind, ref string, until int64, revoked bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hash(k, ref)
	bucket := &d.buckets[h%denyBuckets]
	var list *denied
	found := false
	for e := bucket.Load(); e != nil; e = e.next {
		if e.hash == h && e.kind == k && e.ref == ref {
			found = true
			until = max(until, e.until)
			continue
		}
		list = &denied{list, e.hash, e.until, e.ref, e.kind}
	}
	switch {
	case revoked && !found && d.size() >= d.most:
		d.full.Store(true)
		return false
	case revoked:
		list = &denied{list, h, until, ref, k}
		if !found {
			d.held[k].Add(1)
		}
	case found:
		d.held[k].Add(-1)
	default:
		return true
	}
	bucket.Store(list)
	return true
}

// expire forgets what nobody can show any more.
func (d *denySet) expire(now time.Time) {
	at := now.Unix()
	for i := range d.buckets {
		if d.buckets[i].Load() == nil {
			continue
		}
		d.mu.Lock()
		var list *denied
		dead := false
		for e := d.buckets[i].Load(); e != nil; e = e.next {
			if e.until <= at {
				d.held[e.kind].Add(-1)
				dead = true
				continue
			}
			list = &denied{list, e.hash, e.until, e.ref, e.kind}
		}
		if dead {
			d.buckets[i].Store(list)
		}
		d.mu.Unlock()
	}
}
