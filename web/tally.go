package web

import (
	"errors"
	"hash/maphash"
	"net/http"
	"sync/atomic"
	"time"

	"mintmark/accounts"
	"mintmark/upstream"
)

// What one network may do that costs something, on each copy of the server, before it has to wait.
// Somebody who signs in is not counted, neither is what was refused before it cost anything: a page
// of another site that sends people's browsers here can't close the network that they are in.
//
// A stranger can close the network that they share with others to sign-ins with providers. It
// opens by itself, a bit at a time, and whoever is signed in stays so.
const (
	mostFailed = 100  // callbacks that signed nobody in: each may have been a row, and a question to the provider
	mostBegun  = 1000 // sign-ins that were begun and not finished: each is some work and a cookie
	tallyTime  = 15 * time.Minute
)

// tallySize is how many networks are told apart. Two may share a place; which ones, nobody can
// know from outside.
const tallySize = 1 << 16

// A tally counts by network, with the generic cell rate algorithm: for each it remembers one time, that
// at which it will be as if nothing had been. It is as large as it is from the beginning: nothing of
// it grows with those who are counted.
type tally struct {
	each int64 // nanoseconds until one is forgotten
	seed maphash.Seed
	over []atomic.Int64 // nanoseconds since 1970
}

func newTally(most int) *tally {
	return &tally{each: int64(tallyTime) / int64(most), seed: maphash.MakeSeed(), over: make([]atomic.Int64, tallySize)}
}

func (t *tally) of(network string) *atomic.Int64 {
	return &t.over[maphash.String(t.seed, network)%tallySize]
}

// take counts one more for a network, or says how long it has to wait for that.
func (t *tally) take(network string, now time.Time) (wait time.Duration) {
	at, here := t.of(network), now.UnixNano()
	for {
		was := at.Load()
		is := max(was, here) + t.each
		if wait := is - here - int64(tallyTime); wait > 0 {
			return time.Duration(wait)
		}
		if at.CompareAndSwap(was, is) {
			return 0
		}
	}
}

// giveBack takes one back.
func (t *tally) giveBack(network string) { t.of(network).Add(-t.each) }

// network is what a request is counted by: accounts.Network of where it comes from.
func (s *Site) network(r *http.Request) string { return accounts.Network(s.ClientAddress(r)) }

// tooMany is a refusal of a network that has to wait. Nothing is spent: what was begun can be finished.
func tooMany(wait time.Duration, text string) *Refusal {
	e := refusal("too_many_attempts", text+" Wait "+inWords(wait)+", then load this page again; or sign in another way.", nil)
	e.RetryAfter = max(wait, time.Second)
	return e
}

// counts says whether a callback that failed is held against its network: it was looked at to the
// end, and was nobody's.
func counts(err error) bool {
	if theirs, ok := errors.AsType[*upstream.Refusal](err); ok {
		return theirs.Counts
	}
	_, ours := errors.AsType[*Refusal](err)
	return ours
}
