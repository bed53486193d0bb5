package server

import (
	"context"
	"time"

	"mintmark/revocations"
	"mintmark/storage"
)

// How a copy hears of what the others changed. The poll is the guarantee; that it is woken when
// PostgreSQL announces something makes it faster, and may fail in any way.
const (
	feedEvery    = 250 * time.Millisecond // several times in the second that the issuer believes its cache without news
	feedOverlap  = 2 * time.Minute        // two clocks may differ
	feedPatience = 2 * time.Second        // with a database that does not answer
	feedMissed   = 50 * time.Minute       // changes are kept for an hour
)

// A feed is the changes that other copies of the server have made, each handed on once.
type feed struct {
	changes func(ctx context.Context, from revocations.Place, since time.Time, again bool) ([]storage.Change, revocations.Place, bool, error)
	forget  func(context.Context, storage.Change)
	all     func()             // forgets everything: changes may have been missed
	heard   func(at time.Time) // everything that was visible then has been handed on
	woken   chan struct{}
	place   revocations.Place
	since   time.Time
	lost    bool // the last reading failed
}

func newFeed(db *storage.DB, forget func(context.Context, storage.Change)) *feed {
	return &feed{changes: db.Changes, forget: forget, all: func() {}, heard: func(time.Time) {}, woken: make(chan struct{}, 1), since: time.Now()}
}

// wake has the changes read at once. It never blocks.
func (f *feed) wake() {
	select {
	case f.woken <- struct{}{}:
	default: // somebody did
	}
}

// read hands on the changes since the last time that it succeeded. The first time there are none:
// it is from then on that something is remembered which could be wrong.
func (f *feed) read(ctx context.Context) error {
	now := time.Now()
	patient, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	// While the database was away another server may have taken its place, which numbers its
	// transactions otherwise: after that, by time.
	changes, to, missed, err := f.changes(patient, f.place, f.since.Add(-feedOverlap), f.lost)
	if err != nil {
		f.lost = true
		return err
	}
	if missed || now.Sub(f.since) > feedMissed {
		f.all()
	}
	for _, c := range changes {
		f.forget(ctx, c)
	}
	f.place, f.since, f.lost = to, now, false
	f.heard(now)
	return nil
}
