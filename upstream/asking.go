package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How many questions that lead to nobody a connector is asked, by each copy of the server: so many at
// once, and then so many in a second. A client hands on what strangers show it, and they can make up
// a million tokens. A question that leads to somebody costs nothing: such tokens nobody makes up.
const (
	clientBurst, clientRate = 100, 10 // because of one client
	allBurst, allRate       = 300, 50 // because of all
	// clientPlaces is how many questions of one client a connector works at: half of what it works at in all.
	clientPlaces = inFlight / 2
	maxAskers    = 2048 // who are counted; whoever has been quiet the longest is forgotten first
)

var errTooOften = errors.New("it was asked too often about tokens that are nobody's")

// An asker is a client at a connector, or all clients at it.
type asker struct {
	connector string // the id of its row
	client    string
	all       bool
}

// cost is what an asker has cost.
type cost struct {
	full   time.Time     // when everything would be there again: see apikeys, which counts as this does
	places chan struct{} // that are taken
}

// askers keep one client from taking a connector from the others, and all of them from flooding it.
type askers struct {
	mu   sync.Mutex
	held *simplelru.LRU[asker, *cost]
}

func newAskers() (*askers, error) {
	held, err := simplelru.NewLRU[asker, *cost](maxAskers, nil)
	return &askers{held: held}, err
}

// enter lets a question in, for which its client waits if it has asked many that are not answered yet. Who
// got in calls leave, once, and says whether it led to nobody.
func (a *askers) enter(ctx context.Context, connector, client string, now time.Time) (leave func(nobody bool), err error) {
	mine, ok := a.take(connector, client, now)
	if !ok {
		return nil, errTooOften
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case mine.places <- struct{}{}:
	case <-enough.C:
		err = fmt.Errorf("%w of its client", errBusy)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		a.giveBack(connector, client)
		return nil, err
	}
	return func(nobody bool) {
		<-mine.places
		if !nobody {
			a.giveBack(connector, client)
		}
	}, nil
}

// take counts a question as one that leads to nobody. That of a client which has none left is not counted
// as one of all.
func (a *askers) take(connector, client string, now time.Time) (*cost, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mine, all := a.of(asker{connector, client, false}), a.of(asker{connector, "", true})
	if mine.left(now, clientBurst, clientRate) < 1 || all.left(now, allBurst, allRate) < 1 {
		return nil, false
	}
	mine.add(now, time.Second/clientRate)
	all.add(now, time.Second/allRate)
	return mine, true
}

// giveBack takes a question back that was counted.
func (a *askers) giveBack(connector, client string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mine, all := a.of(asker{connector, client, false}), a.of(asker{connector, "", true})
	mine.full = mine.full.Add(-time.Second / clientRate)
	all.full = all.full.Add(-time.Second / allRate)
}

func (a *askers) of(who asker) *cost {
	if x, ok := a.held.Get(who); ok {
		return x
	}
	x := &cost{places: make(chan struct{}, clientPlaces)}
	a.held.Add(who, x)
	return x
}

// left says how many questions are left now.
func (x *cost) left(now time.Time, burst, rate int) int {
	each := time.Second / time.Duration(rate)
	return burst - int((max(0, x.full.Sub(now))+each-1)/each)
}

func (x *cost) add(now time.Time, each time.Duration) {
	if x.full.Before(now) {
		x.full = now
	}
	x.full = x.full.Add(each)
}
