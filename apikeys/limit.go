package apikeys

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A Limit is how often a key may be used: Max times in Per, all at once or evenly.
type Limit struct {
	Name string // "default" if nobody says otherwise
	Max  int64
	Per  time.Duration
}

// ParseLimit reads "600/m", "daily:100000/d" or "burst:20/10s": a name that may be missing, a
// number, and s, m, h, d or a duration.
func ParseLimit(s string) (Limit, error) {
	bad := fmt.Errorf("is not a rate limit like 600/m or daily:100000/d")
	l := Limit{Name: "default"}
	if name, rest, ok := strings.Cut(s, ":"); ok {
		l.Name, s = name, rest
	}
	number, per, ok := strings.Cut(s, "/")
	if !ok || !limitName(l.Name) {
		return Limit{}, bad
	}
	var err error
	if l.Max, err = strconv.ParseInt(number, 10, 64); err != nil {
		return Limit{}, bad
	}
	switch per {
	case "s":
		l.Per = time.Second
	case "m":
		l.Per = time.Minute
	case "h":
		l.Per = time.Hour
	case "d":
		l.Per = 24 * time.Hour
	default:
		if l.Per, err = time.ParseDuration(per); err != nil {
			return Limit{}, bad
		}
	}
	if l.Max < 1 || l.Max > 1e9 || l.Per < time.Second || l.Per > 31*24*time.Hour || l.Per%time.Second != 0 {
		return Limit{}, fmt.Errorf("must be 1 to 1000000000 in whole seconds, at most 31 days")
	}
	return l, nil
}

func limitName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 40
}

// String is what [ParseLimit] reads, in one spelling.
func (l Limit) String() string {
	return fmt.Sprintf("%s:%d/%ds", l.Name, l.Max, int64(l.Per/time.Second))
}

// policy is the limit in the RateLimit-Policy header: draft-ietf-httpapi-ratelimit-headers-10 §3.
func (l Limit) policy() string {
	return fmt.Sprintf("%q;q=%d;w=%d", l.Name, l.Max, int64(l.Per/time.Second))
}

// A Remaining is how much is left of the limit that is nearest to its end.
type Remaining struct {
	Name   string
	Max    int64
	Left   int64
	Resets time.Duration // until everything is there again
}

// Header is the RateLimit header of draft-ietf-httpapi-ratelimit-headers-10 §4.
func (r Remaining) Header() string {
	return fmt.Sprintf("%q;r=%d;t=%d", r.Name, r.Left, int64(math.Ceil(r.Resets.Seconds())))
}

// A TooMany is the refusal of a key that is over one of its limits.
type TooMany struct {
	Limit      string // its name
	RetryAfter time.Duration
}

// Error says so.
func (e *TooMany) Error() string { return "apikeys: over the limit " + e.Limit }

// over says whether an error is one.
func over(err error) bool {
	if err == nil {
		return false
	}
	_, ok := errors.AsType[*TooMany](err)
	return ok
}

// Code is "rate_limited", or "quota_exceeded".
func (e *TooMany) Code() string {
	if e.Limit == QuotaLimit {
		return "quota_exceeded"
	}
	return "rate_limited"
}

// A bucket counts one limit by the generic cell rate algorithm (GCRA): it remembers one time,
// that at which everything would be there again if nothing came any more.
type bucket struct {
	Limit
	full atomic.Int64 // nanoseconds since 1970
}

// take uses the limit once, at now in nanoseconds. If there was nothing left, wait says how
// long until there is.
func (b *bucket) take(now int64) (left Remaining, wait time.Duration) {
	each := int64(b.Per) / b.Max
	for {
		was := b.full.Load()
		full := max(was, now) + each
		if over := full - now - int64(b.Per); over > 0 {
			return b.remaining(was-now, each), time.Duration(over)
		}
		if b.full.CompareAndSwap(was, full) {
			return b.remaining(full-now, each), 0
		}
	}
}

// giveBack undoes a take, because another limit refused.
func (b *bucket) giveBack() { b.full.Add(-int64(b.Per) / b.Max) }

func (b *bucket) remaining(used, each int64) Remaining {
	used = max(used, 0)
	return Remaining{b.Name, b.Max, max((int64(b.Per)-used)/each, 0), time.Duration(used)}
}

// spend takes one from every limit, or from none. It returns the one that is nearest to its end.
func spend(buckets []bucket, now int64) (nearest Remaining, refused *TooMany) {
	for i := range buckets {
		left, wait := buckets[i].take(now)
		if wait > 0 {
			for j := range i {
				buckets[j].giveBack()
			}
			return left, &TooMany{buckets[i].Name, wait}
		}
		if i == 0 || left.Left < nearest.Left {
			nearest = left
		}
	}
	return nearest, nil
}
