package keys

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// start is when the first key of every story here is made.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// usual is the default schedule.
func usual() *Config { return &New(Config{}).cfg }

// tell writes a ring as "1 retiring, 2 active, 3 published".
func tell(r ring) string {
	var words []string
	for _, k := range r.keys {
		words = append(words, fmt.Sprintf("%d %s", k.Generation, k.State))
	}
	return strings.Join(words, ", ")
}

func signsAt(generation int64, at time.Duration) Record {
	return Record{ID: fmt.Sprint(generation), Alg: ES256, Generation: generation, CreatedAt: start, SignsAt: start.Add(at)}
}

func revoked(r Record, at time.Duration) Record {
	r.RevokedAt = start.Add(at)
	return r
}

func TestTheLifeOfAKey(t *testing.T) {
	c := usual()
	lead, keep := c.lead(), c.keep()
	records := []Record{signsAt(1, 0), signsAt(2, 90*day)}
	for _, tt := range []struct {
		name string
		now  time.Duration
		want string
	}{
		{"the first key signs at once", 0, "1 active, 2 published"},
		{"a copy whose clock is behind has a key that signs, too", -time.Minute, "1 active, 2 published"},
		{"the next one is announced", 90*day - lead, "1 active, 2 published"},
		{"a moment before it signs", 90*day - 1, "1 active, 2 published"},
		{"it signs, and the tokens of the first live on", 90 * day, "1 retiring, 2 active"},
		{"the last of them may still be good", 90*day + keep - 1, "1 retiring, 2 active"},
		{"none of them is", 90*day + keep, "1 remembered, 2 active"},
		{"a sign-out may still name the first key", 180*day + keep - 1, "1 remembered, 2 active"},
		{"nothing does", 180*day + keep, "1 forgotten, 2 active"},
	} {
		if got := tell(c.look(records, ES256, start.Add(tt.now))); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
}

func TestTheLeadAndTheKeepCoverEveryCache(t *testing.T) {
	c := &New(Config{MaxAge: 10 * time.Minute, KeepFor: time.Hour, Skew: 30 * time.Second}).cfg
	if got, least := c.lead(), c.MaxAge+c.Skew+c.Refresh; got < least {
		t.Errorf("a key is published %s before it signs, and not %s", got, least)
	}
	if got, least := c.keep(), c.KeepFor+c.Skew; got < least {
		t.Errorf("a key is kept for %s after it signed, and not %s", got, least)
	}
}

func TestWhoSignsWhenAKeyIsRevoked(t *testing.T) {
	c := usual()
	for _, tt := range []struct {
		name    string
		now     time.Duration
		records []Record
		want    string
	}{
		{"the only one: none, one must be made", day, []Record{revoked(signsAt(1, 0), day)}, "1 revoked"},
		{"and the new one signs", day, []Record{revoked(signsAt(1, 0), day), signsAt(2, day)}, "1 revoked, 2 active"},
		{"also by a clock that is behind", day - time.Minute, []Record{revoked(signsAt(1, 0), day), signsAt(2, day)}, "1 revoked, 2 active"},
		{"the announced one steps in early", 90*day - time.Minute, []Record{revoked(signsAt(1, 0), 80*day), signsAt(2, 90*day)}, "1 revoked, 2 active"},
		{"the one that retired does not come back", 91 * day, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 91*day)}, "1 retiring, 2 revoked"},
		{"a retiring one: nothing changes but that", 91 * day, []Record{revoked(signsAt(1, 0), 91*day), signsAt(2, 90*day)}, "1 revoked, 2 active"},
		{"an announced one: its predecessor goes on", 91 * day, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 89*day)}, "1 active, 2 revoked"},
		{"and is not taken out of the JWKS", 99 * day, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 89*day)}, "1 active, 2 revoked"},
		{"and keeps its days in the JWKS when it retires", 95*day + time.Hour, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 89*day), signsAt(3, 95*day)}, "1 retiring, 2 revoked, 3 active"},
		{"the newest is not forgotten, generations are counted from it", 999 * day, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 89*day)}, "1 active, 2 revoked"},
		{"another one is", 999 * day, []Record{revoked(signsAt(1, 0), day), signsAt(2, day)}, "1 forgotten, 2 active"},
	} {
		if got := tell(c.look(tt.records, ES256, start.Add(tt.now))); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
}

func TestAnEmergencyPassesOverTheAnnouncedKey(t *testing.T) {
	c := usual()
	records := []Record{signsAt(1, 0), signsAt(2, 90*day), signsAt(3, 89*day)}
	for at, want := range map[time.Duration]string{
		89*day - 1: "1 active, 2 published, 3 published",
		89 * day:   "1 retiring, 2 retiring, 3 active",
		91 * day:   "1 remembered, 2 remembered, 3 active",
	} {
		if got := tell(c.look(records, ES256, start.Add(at))); got != want {
			t.Errorf("after %s: %s, not %s", at, got, want)
		}
	}
}

func TestWhenAKeyIsDue(t *testing.T) {
	c := usual()
	lead := c.lead()
	for _, tt := range []struct {
		name    string
		now     time.Duration
		records []Record
		want    time.Duration // when the new key signs, or -1 if none is due
	}{
		{"there is none: it signs at once", day, nil, day},
		{"one is signing", day, []Record{signsAt(1, 0)}, -1},
		{"a moment before the announcement", 90*day - lead - 1, []Record{signsAt(1, 0)}, -1},
		{"its time is over as soon as the next is known everywhere", 90*day - lead, []Record{signsAt(1, 0)}, 90 * day},
		{"the next is announced already", 90*day - lead, []Record{signsAt(1, 0), signsAt(2, 90*day)}, -1},
		{"the server was off for a year", 455 * day, []Record{signsAt(1, 0)}, 455*day + lead},
		{"the announced one was revoked", 90*day - lead, []Record{signsAt(1, 0), revoked(signsAt(2, 90*day), 80*day)}, 90 * day},
		{"the one that signs was revoked", day, []Record{revoked(signsAt(1, 0), day)}, day},
		{"and the announced one took over", 90*day - 1, []Record{revoked(signsAt(1, 0), 90*day-1), signsAt(2, 90*day)}, -1},
	} {
		now := start.Add(tt.now)
		r := c.look(tt.records, ES256, now)
		at, due := c.due(&r, now)
		if due != (tt.want >= 0) || due && !at.Equal(start.Add(tt.want)) {
			t.Errorf("%s: %v, %v after the start", tt.name, due, at.Sub(start))
		}
	}
}

// At no time, in no history, and for no clock, is there a key that signs and isn't
// published, a retired key that signs again, or a moment in which nobody signs although a
// key is left.
func TestARingInEveryHistory(t *testing.T) {
	c := usual()
	steps := []time.Duration{0, time.Minute, c.lead(), day, c.keep(), 40 * day, 90 * day}
	var walk func(records []Record, now time.Duration, depth int)
	histories := 0
	walk = func(records []Record, now time.Duration, depth int) {
		histories++
		retired := map[string]bool{}
		for _, later := range []time.Duration{-time.Minute, 0, time.Minute, day, 91 * day, 300 * day} {
			r := c.look(records, ES256, start.Add(now+later))
			usable := slices.ContainsFunc(r.keys, func(k Status) bool { return k.State == Active || k.State == Published })
			if usable != (r.signs >= 0) {
				t.Fatalf("nobody signs in %s", tell(r))
			}
			for i, k := range r.keys {
				if (k.State == Active) != (i == r.signs) {
					t.Fatalf("%d signs in %s", i, tell(r))
				}
				if (k.State == Active || k.State == Published) && retired[k.ID] {
					t.Fatalf("%s is back in %s", k.ID, tell(r))
				}
				retired[k.ID] = retired[k.ID] || k.State == Retiring || k.State == Remembered || k.State == forgotten
			}
		}
		if depth == 0 {
			return
		}
		r := c.look(records, ES256, start.Add(now))
		for _, step := range steps {
			at := now + step
			for _, signs := range []time.Duration{at, at + c.lead()} {
				walk(append(slices.Clone(records), signsAt(r.next(), signs)), at, depth-1)
			}
			for i := range records {
				if records[i].RevokedAt.IsZero() {
					changed := slices.Clone(records)
					changed[i] = revoked(changed[i], at)
					walk(changed, at, depth-1)
				}
			}
		}
	}
	walk(nil, 0, 4)
	if histories < 10_000 {
		t.Errorf("only %d histories were walked", histories)
	}
}
