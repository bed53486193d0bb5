package apikeys

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// QuotaLimit is the name of a quota among the limits of a key.
const QuotaLimit = "quota"

// A Quota is how much may be spent in a period, by every key that has it and on all copies of the
// server together. The first period begins when the quota is made; with the end of each, all of it
// is there again.
type Quota struct {
	ID     string // "quo_…"; empty: there is no quota
	Amount int64
	Period time.Duration
	Since  time.Time // when the period began that Spent is about
	Spent  int64     // or lent to a copy of the server, which gives back what it does not spend
}

// ParseQuota reads "100000/30d": an amount, and s, m, h, d or a duration, which may be in days.
func ParseQuota(s string) (amount int64, period time.Duration, err error) {
	bad := fmt.Errorf("is not a quota like 100000/30d")
	number, per, ok := strings.Cut(s, "/")
	if amount, err = strconv.ParseInt(number, 10, 64); err != nil || !ok {
		return 0, 0, bad
	}
	if strings.Trim(per, "smhd") == "" {
		per = "1" + per
	}
	if days, ok := strings.CutSuffix(per, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 1000 {
			return 0, 0, bad
		}
		period = time.Duration(n) * 24 * time.Hour
	} else if period, err = time.ParseDuration(per); err != nil {
		return 0, 0, bad
	}
	if amount < 1 || amount > 1e15 || period < time.Minute || period > 366*24*time.Hour || period%time.Second != 0 {
		return 0, 0, fmt.Errorf("must be 1 to 10^15 in whole seconds, from a minute to 366 days")
	}
	return amount, period, nil
}

// String is what [ParseQuota] reads, or nothing if there is no quota.
func (q Quota) String() string {
	switch {
	case q.ID == "":
		return ""
	case q.Period%(24*time.Hour) == 0:
		return fmt.Sprintf("%d/%dd", q.Amount, int64(q.Period/(24*time.Hour)))
	}
	return fmt.Sprintf("%d/%ds", q.Amount, int64(q.Period/time.Second))
}

// Left is how much nobody has spent or borrowed at a moment, and when all of it is there again.
func (q Quota) Left(now time.Time) (left int64, refill time.Time) {
	refill = q.Since.Add(q.Period)
	if now.Before(refill) {
		return max(q.Amount-q.Spent, 0), refill
	}
	return q.Amount, refill.Add(now.Sub(refill) / q.Period * q.Period).Add(q.Period)
}

// policy is the quota in the RateLimit-Policy header.
func (q Quota) policy() string {
	return Limit{QuotaLimit, q.Amount, q.Period}.policy()
}

// A Lease is a part of a quota that one copy of the server may spend.
type Lease struct {
	Lent  int64     // 0: there is not as much left
	Since time.Time // the start of the period that it is of
	Until time.Time // its end: what is not spent by then is gone
	Total int64     // the whole quota
	Left  int64     // of it, for others and for later
}

// A Rest is what comes back of a lease.
type Rest struct {
	ID    string
	Since time.Time // of the lease
	N     int64
}

const (
	// leaseFor is for how long a lease should do, at the rate at which the last one was spent.
	leaseFor = 2 * time.Second
	// leaseTimeout is how long a request waits for a lease.
	leaseTimeout = 1500 * time.Millisecond
	// borrowTries is how often one request borrows, if others spend what it has borrowed.
	borrowTries = 3
	// refusedFor is how long a quota that was found empty is not asked for again.
	refusedFor = time.Second
	// mostUnused is after how many flushes the memory of a quota goes that nobody wants: they take
	// longer than any entry is believed.
	mostUnused = int64(10 * time.Minute / FlushEvery)
)

// A spender spends a quota on this copy of the server. It borrows from the database what will do
// for a while, so that spending is one addition in memory; whatever it spends was taken off the
// quota before. If the answer of the database is lost, what it lent is: never is more spent than
// there was.
type spender struct {
	store Store
	id    string

	left   atomic.Int64 // of what was borrowed
	until  atomic.Int64 // the end of the period that it is of; nanoseconds since 1970, as all below
	others atomic.Int64 // what was left in the database when we borrowed
	total  atomic.Int64
	unused atomic.Int64 // how many flushes in a row found that nobody wanted it

	turn chan struct{} // full: somebody is asking the database. Only they look at what follows
	// The last lease.
	since time.Time
	at    int64
	lent  int64
	// What the last flush found in left.
	seen int64
	// The last refusal, and what was too much then.
	refusedAt   int64
	refusedCost int64
	failedAt    int64
	why         error
}

func newSpender(store Store, id string) *spender {
	return &spender{store: store, id: id, turn: make(chan struct{}, 1)}
}

// take spends cost, or returns a [*TooMany]. Any other error means that nobody knows what is left.
func (s *spender) take(ctx context.Context, cost int64, now int64) (Remaining, error) {
	if s.spend(cost, now) {
		return s.remaining(now), nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Remaining{}, ctx.Err()
	}
	if s.spend(cost, now) { // who had the turn before us has borrowed enough
		return s.remaining(now), nil
	}
	if since := now - s.failedAt; s.why != nil && since >= 0 && since < int64(retryAfter) {
		return Remaining{}, s.why
	}
	if since := now - s.refusedAt; s.refusedCost != 0 && cost >= s.refusedCost && since >= 0 && since < int64(refusedFor) && now < s.until.Load() {
		return s.refuse(now)
	}
	s.unused.Store(0)
	for range borrowTries {
		lease, err := s.borrow(ctx, cost, now)
		if s.why = err; err != nil {
			s.failedAt = now
			return Remaining{}, err
		}
		s.keep(lease, now)
		if s.spend(cost, now) {
			return s.remaining(now), nil
		}
		if lease.Lent == 0 {
			s.refusedAt, s.refusedCost = now, cost
			break
		}
		// What came was spent already by others who did not have to wait for a turn.
	}
	return s.refuse(now)
}

// spend takes from what was borrowed.
func (s *spender) spend(cost, now int64) bool {
	if now >= s.until.Load() {
		return false // it was of a period that is over
	}
	for {
		left := s.left.Load()
		if left < cost {
			return false
		}
		if s.left.CompareAndSwap(left, left-cost) {
			return true
		}
	}
}

// borrow asks the database for as much as will do for a while, going by how fast the last lease
// went. Whoever hangs up does not lose it for the others.
func (s *spender) borrow(ctx context.Context, cost, now int64) (Lease, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer cancel()
	least := cost
	if now < s.until.Load() {
		least = max(cost-s.left.Load(), 1)
	}
	used, took := s.lent-min(s.left.Load(), s.lent), max(now-s.at, int64(time.Millisecond))
	most := max(int64(float64(used)*float64(leaseFor)/float64(took)), least)
	return s.store.LeaseQuota(ctx, s.id, least, most, time.Unix(0, now).UTC())
}

// keep adds a lease to what is left, if that is of the same period.
func (s *spender) keep(l Lease, now int64) {
	if !l.Since.Equal(s.since) {
		s.until.Store(0)
		s.left.Store(0)
		s.since = l.Since
		s.refusedCost = 0
	}
	s.others.Store(l.Left)
	s.total.Store(l.Total)
	s.until.Store(l.Until.UnixNano())
	if l.Lent > 0 {
		s.at, s.lent = now, s.left.Add(l.Lent)
	}
}

func (s *spender) refuse(now int64) (Remaining, error) {
	left := s.remaining(now)
	return left, &TooMany{QuotaLimit, max(left.Resets, time.Second)}
}

func (s *spender) remaining(now int64) Remaining {
	return Remaining{QuotaLimit, s.total.Load(), s.others.Load() + s.left.Load(), time.Duration(max(s.until.Load()-now, 0))}
}

// giveBack takes what is not needed: all of it at the end, before that what was not spent since it
// was looked at last.
func (s *spender) giveBack(all bool) (Rest, bool) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return Rest{}, false // somebody is just borrowing more
	}
	left := s.left.Load()
	idle := left == s.seen
	s.seen = left
	if left == 0 || !all && !idle {
		return Rest{}, false
	}
	return Rest{s.id, s.since, s.left.Swap(0)}, true
}

// spender returns the one spender of a quota, or nil if there is no quota.
func (c *cache) spender(q Quota) *spender {
	if q.ID == "" {
		return nil
	}
	c.quotas.Lock()
	defer c.quotas.Unlock()
	s := c.spenders[q.ID]
	if s == nil {
		s = newSpender(c.store, q.ID)
		c.spenders[q.ID] = s
	}
	s.unused.Store(0)
	return s
}

// settle gives back what was borrowed and is not needed, and forgets the quotas that no entry has
// any more. What the database does not take is lost until the quota fills again: it may have
// taken it.
func (c *cache) settle(ctx context.Context, all bool) error {
	var rests []Rest
	c.quotas.Lock()
	for id, s := range c.spenders {
		if rest, some := s.giveBack(all); some && rest.N > 0 {
			rests = append(rests, rest)
		} else if s.unused.Add(1) > mostUnused && s.left.Load() == 0 {
			delete(c.spenders, id)
		}
	}
	c.quotas.Unlock()
	for len(rests) > 0 {
		n := min(flushBatch, len(rests))
		if err := c.store.ReturnQuota(ctx, rests[:n]); err != nil {
			return fmt.Errorf("apikeys: what was left of %d quotas did not come back: %w", len(rests), err)
		}
		rests = rests[n:]
	}
	return nil
}
