package apikeys

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// How long what is remembered is believed. docs/operate/revocation.md promises what follows
// from these.
const (
	healthyFor  = 3 * time.Second  // since the last look at the changes of other copies
	healthyAge  = time.Minute      // of an entry, while we hear of changes
	degradedAge = 5 * time.Second  // of an entry, while we may not
	negativeAge = 10 * time.Second // of the memory that there is no such key
	maxStale    = time.Minute      // of an entry, while the database is away
	// touchEvery is how exactly it is known which keys were used least lately: moving one to the front
	// means to change its old neighbours, too, and none of the three is near to the processor.
	touchEvery = 5 * time.Second
	// tolerableWait is how long a reload may take where what is remembered would do.
	tolerableWait = 100 * time.Millisecond
	retryAfter    = time.Second // between two questions to a database that is away
	fillTimeout   = 3 * time.Second
)

const (
	shardCount   = 64
	defaultSize  = 100_000
	negativeSize = 65_536
	maxFills     = 64 // reads of the database at the same time
)

// ErrBusy means that so many keys are being looked up that this one has to wait.
var ErrBusy = errors.New("apikeys: too many keys are being looked up")

// A cache remembers keys by their ids, and apart from them, ids that no key has: a flood of
// those can't drive out a key. It is safe for concurrent use.
type cache struct {
	store    Store
	maxStale int64 // nanoseconds
	shards   [shardCount]shard
	flights  singleflight.Group
	fills    chan struct{}
	healthy  atomic.Int64 // when the last successful look at the changes started
	failed   atomic.Int64 // when the database was last found away
	foreign  foreign
	misses   misses

	quotas   sync.Mutex
	spenders map[string]*spender // by the id of the quota

	flushing  sync.Mutex
	unwritten []Use // that the database did not take yet
}

// A shard is a part of the cache with a lock of its own.
type shard struct {
	mu sync.Mutex
	// generation counts what we were told to forget. What was read while it moved is not
	// kept: it may be from before the change.
	generation uint64
	held       *simplelru.LRU[uint64, *entry]
	absent     *simplelru.LRU[uint64, int64] // and when it was looked for
	states     map[uint64]*state             // of the keys that were used lately
	left       []*state                      // that have something to write down, and no entry any more
}

func newCache(store Store, size int, stale time.Duration) *cache {
	if size <= 0 {
		size = defaultSize
	}
	if stale == 0 {
		stale = maxStale
	}
	c := &cache{store: store, maxStale: int64(max(stale, 0)), fills: make(chan struct{}, maxFills), spenders: map[string]*spender{}}
	c.foreign.store = store
	c.misses.held, _ = simplelru.NewLRU[netip.Addr, int64](missAddresses, nil)
	for i := range c.shards {
		s := &c.shards[i]
		// Only a size below one is an error.
		s.held, _ = simplelru.NewLRU[uint64, *entry](max(size/shardCount, 1), nil)
		s.absent, _ = simplelru.NewLRU[uint64, int64](negativeSize/shardCount, nil)
		s.states = map[uint64]*state{}
	}
	return c
}

func (c *cache) shard(n uint64) *shard { return &c.shards[n%shardCount] }

// look returns what is remembered: an entry, or that there is no such key.
func (c *cache) look(n uint64, now int64) (e *entry, absent bool) {
	s := c.shard(n)
	s.mu.Lock()
	e, ok := s.held.Peek(n)
	switch {
	case ok && now-e.touched > int64(touchEvery):
		e.touched = now
		s.held.Get(n)
	case !ok:
		var since int64
		since, absent = s.absent.Get(n)
		absent = absent && within10s(now-since)
	}
	s.mu.Unlock()
	return e, absent
}

func within10s(age int64) bool { return age >= 0 && age < int64(negativeAge) }

// believes says whether an entry is young enough to go by.
func (c *cache) believes(e *entry, now int64) bool {
	age, oldest := now-e.readAt, int64(degradedAge)
	if quiet := now - c.healthy.Load(); quiet >= 0 && quiet < int64(healthyFor) {
		oldest = int64(healthyAge)
	}
	return age >= 0 && age < oldest
}

// get returns the entry of a key, or nil if there is none. It asks the database only if
// nothing is remembered that can be believed; then any number of callers ask once.
func (c *cache) get(ctx context.Context, id string, n uint64, now int64) (*entry, error) {
	e, absent := c.look(n, now)
	if absent || e != nil && c.believes(e, now) {
		return e, nil
	}
	return c.reload(ctx, id, n, now, e)
}

func (c *cache) reload(ctx context.Context, id string, n uint64, now int64, old *entry) (*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tolerable := old != nil && now >= old.readAt && now-old.readAt < c.maxStale
	if since := now - c.failed.Load(); tolerable && since >= 0 && since < int64(retryAfter) {
		return old, nil
	}
	patient := ctx
	if tolerable {
		// The request has its own business with the database, and 2 s for all of it: it does not
		// wait for the same database twice. The fill goes on, for who comes next.
		var cancel context.CancelFunc
		patient, cancel = context.WithTimeout(ctx, tolerableWait)
		defer cancel()
	}
	e, err := c.fill(patient, id, n, now)
	if err == nil || ctx.Err() != nil {
		return e, err
	}
	if !errors.Is(err, ErrBusy) {
		c.failed.Store(now)
	}
	if tolerable {
		return old, nil
	}
	return nil, err
}

// fill reads a key. The flight's name has the generation in it: who comes after a change that
// we know of does not get an answer from before it.
func (c *cache) fill(ctx context.Context, id string, n uint64, now int64) (*entry, error) {
	s := c.shard(n)
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	flight := c.flights.DoChan(id+"/"+strconv.FormatUint(generation, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fillTimeout)
		defer cancel()
		select {
		case c.fills <- struct{}{}:
			defer func() { <-c.fills }()
		case <-ctx.Done():
			return nil, ErrBusy
		}
		k, owner, err := c.store.Standing(ctx, id)
		if errors.Is(err, ErrNotFound) {
			s.keepAbsent(n, generation, now)
			return (*entry)(nil), nil
		}
		if err != nil {
			return nil, err
		}
		return s.keep(k, owner, c.spender(k.Quota), n, generation, now), nil
	})
	select {
	case answer := <-flight:
		e, _ := answer.Val.(*entry)
		return e, answer.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keep makes an entry and keeps it, unless something was changed meanwhile.
func (s *shard) keep(k Key, owner bool, quota *spender, n, generation uint64, readAt int64) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := newEntry(k, owner, quota, readAt, s.states[n])
	if s.generation != generation {
		return e
	}
	if was := s.states[n]; was != e.state {
		if was != nil {
			s.left = append(s.left, was)
		}
		s.states[n] = e.state
	}
	s.absent.Remove(n)
	s.held.Add(n, e)
	return e
}

func (s *shard) keepAbsent(n, generation uint64, readAt int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.held.Remove(n)
		s.absent.Add(n, readAt)
	}
}

// forget drops a key.
func (c *cache) forget(n uint64) {
	s := c.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.held.Remove(n)
	s.absent.Remove(n)
}

// forgetIf drops every key for which drop is true.
func (c *cache) forgetIf(drop func(*entry) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++
		for _, n := range s.held.Keys() {
			if e, ok := s.held.Peek(n); ok && drop(e) {
				s.held.Remove(n)
			}
		}
		s.mu.Unlock()
	}
}

// flush takes what the keys were used for since the last time, and lets go of what belongs to
// keys that are not remembered any more.
func (c *cache) flush() (uses []Use) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, gone := range s.left {
			if u, ok := gone.flush(); ok {
				uses = append(uses, u)
			}
		}
		s.left = nil
		for n, st := range s.states {
			u, ok := st.flush()
			if ok {
				uses = append(uses, u)
			} else if !s.held.Contains(n) && st.idle(time.Now().UnixNano()) {
				delete(s.states, n)
			}
		}
		s.mu.Unlock()
	}
	return uses
}

// idle says whether nothing would be lost with a state.
func (s *state) idle(now int64) bool {
	for i := range s.buckets {
		if s.buckets[i].full.Load() > now {
			return false
		}
	}
	return true
}
