package upstream

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// How a provider is kept from costing others anything.
const (
	inFlight   = 16          // callbacks that speak to one provider at the same time
	queue      = 64          // that wait for a place
	patience   = time.Second // of one that waits
	tolerance  = 5           // failures in a row until the provider is left alone
	firstPause = 5 * time.Second
	mostPause  = time.Minute
)

var (
	errAway = errors.New("the provider did not answer the last times, and is left alone for a while")
	errBusy = errors.New("too many sign-ins wait for the provider")
)

// An outcome is what speaking to a provider says about the provider.
type outcome int

const (
	unknown  outcome = iota // nothing: the browser went away, or we made a mistake
	answered                // it answered, whatever it was
	ending                  // nothing: we stop
	silent                  // it did not: no connection, no answer in time, a gateway's 502, 503 or 504
)

// A breaker stands before one provider. It lets a few in at a time. After five in a row who got
// no answer, if a question of our own gets none either, it lets nobody in, for five seconds; then
// one, who finds out: if it is still silent, to us too, the pause is twice as long, up to a minute.
//
// Only silence counts. What a person can cause, such as a code that the provider refuses, must
// not keep the others out. And a person can cause silence: a firewall before a provider drops
// the connection of a code that looks like an attack. Hence the question of our own. Its clock is
// the wall's: how long a failure took matters too.
type breaker struct {
	name  string
	log   *slog.Logger
	slots chan struct{}
	// ask asks the provider something in which nothing comes from a person. It is called by itself,
	// once at a time. Nil: silence towards people is enough.
	ask func() outcome

	mu       sync.Mutex
	failures int       // in a row
	shut     bool      // the provider is left alone
	until    time.Time // if shut: nobody is let in before
	pause    time.Duration
	probing  bool // somebody finds out whether it answers again
	asking   bool // ask is running
	waiting  int
}

func newBreaker(name string, log *slog.Logger, ask func() outcome) *breaker {
	return &breaker{name: name, log: log, ask: ask, slots: make(chan struct{}, inFlight)}
}

// open says whether the provider is left alone now.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shut && (b.probing || time.Now().Before(b.until))
}

// enter lets a caller in, or returns errAway or errBusy. Who got in calls leave, once.
func (b *breaker) enter(ctx context.Context) (leave func(outcome), err error) {
	probe, err := b.admit()
	if err != nil {
		return nil, err
	}
	if err := b.seat(ctx); err != nil {
		b.release(probe, unknown)
		return nil, err
	}
	if !probe && b.open() { // it became silent while we waited
		<-b.slots
		return nil, errAway
	}
	return func(o outcome) {
		<-b.slots
		b.release(probe, o)
	}, nil
}

// admit says whether a caller may come in, and whether it is the one who finds out.
func (b *breaker) admit() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.shut:
		return false, nil
	case b.probing || time.Now().Before(b.until):
		return false, errAway
	}
	b.probing = true
	return true, nil
}

// seat waits for a place.
func (b *breaker) seat(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	b.mu.Lock()
	full := b.waiting >= queue
	if !full {
		b.waiting++
	}
	b.mu.Unlock()
	if full {
		return errBusy
	}
	defer func() {
		b.mu.Lock()
		b.waiting--
		b.mu.Unlock()
	}()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-enough.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release takes note of what came of it.
func (b *breaker) release(probe bool, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o != silent {
		b.probing = b.probing && !probe
		if o == answered {
			b.answers()
		}
		return
	}
	b.failures++
	switch {
	case !probe && (b.shut || b.failures < tolerance):
		// Those who were inside when it was shut don't make the pause longer.
	case b.ask == nil:
		b.probing = b.probing && !probe
		b.leaveAlone()
	case b.asking: // somebody makes sure already
		b.probing = b.probing && !probe
	default:
		b.asking = true
		go b.makeSure(probe)
	}
}

// makeSure asks by itself whether the provider is silent. Meanwhile who is let in is as it was: who
// would find out is still busy with it.
func (b *breaker) makeSure(probe bool) {
	o := b.ask()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	b.probing = b.probing && !probe
	switch {
	case o == answered:
		b.answers()
	case o != ending && b.failures > 0: // otherwise it has answered somebody meanwhile
		b.leaveAlone()
	}
}

// answers lets everybody in.
func (b *breaker) answers() {
	if b.shut {
		b.log.Info("a provider of sign-in answers again", "provider", b.name)
	}
	b.failures, b.pause, b.shut = 0, 0, false
}

// leaveAlone lets nobody in for a while. Only the first time is news.
func (b *breaker) leaveAlone() {
	b.pause = min(max(2*b.pause, firstPause), mostPause)
	b.until = time.Now().Add(b.pause)
	if !b.shut {
		b.log.Warn("a provider of sign-in does not answer", "provider", b.name, "failures", b.failures, "pause", b.pause)
	}
	b.shut = true
}

// away says whether the provider has not answered the last time that somebody found out.
func (b *breaker) away() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shut
}

// Away says of each enabled provider that this copy of the server has spoken to, by name, whether it is left
// alone because it does not answer. It asks nobody.
func (g *Registry) Away() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	away := make(map[string]bool, len(g.connections))
	for id, c := range g.connections {
		if slices.ContainsFunc(g.shown, func(p Provider) bool { return p.ID == id && p.Enabled() }) {
			away[c.breaker.name] = c.breaker.away()
		}
	}
	return away
}
