package storage

import (
	"fmt"
	"sync/atomic"
	"time"
)

// leastQueue is how many may wait for a connection whatever happens: so many are let in to see whether
// the database is back.
const leastQueue = 64

// errCrowded is the answer to whoever would wait in vain.
var errCrowded = fmt.Errorf("storage: %w: too many wait for a connection to PostgreSQL", ErrUnavailable)

// A line is who waits for a connection. It is as long as can be served in time, going by how long verbs
// take at present: whoever comes when it is longer is refused at once, and not after a wait that ends with the same. So
// what waits is bounded, and those who are let in get what they want.
type line struct {
	waiting atomic.Int64
	typical atomic.Int64 // what a verb takes, in nanoseconds
}

// enter lets somebody in who has that long, among so many connections. They leave when they have one, or give up.
func (l *line) enter(patience time.Duration, conns int64) (leave func(), ok bool) {
	n := l.waiting.Add(1)
	if n > leastQueue && n*l.typical.Load()/conns > int64(patience) {
		l.waiting.Add(-1)
		return nil, false
	}
	return func() { l.waiting.Add(-1) }, true
}

// took counts a verb that was answered, or was not, or for which there was no connection. The last eight say what is typical.
func (l *line) took(d time.Duration) {
	old := l.typical.Load()
	l.typical.Store(old + (int64(d)-old)/8) // one of two at the same moment may be lost
}
