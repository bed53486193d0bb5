package storage

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLen = 1024 // verbs that may wait
	groupMax = 256  // verbs that share a commit
)

// errClosed is the answer of a database that was closed.
var errClosed = fmt.Errorf("storage: %w: it was closed", ErrUnavailable)

// errLate is the answer to a verb whose turn did not come.
var errLate = fmt.Errorf("storage: %w: the file could not be written in time", ErrUnavailable)

// A writer is the one goroutine that writes to an SQLite file.
//
// A durable commit costs a hundred times what a verb costs, and one commit can carry many
// verbs. So the writer takes everything that waits, commits once, and only then answers.
// While it commits, the next group gathers by itself: there is nothing to tune.
type writer struct {
	conn  *sqliteConn
	queue chan *job
	ended chan struct{}

	commits atomic.Int64 // for tests: how many it took

	mu     sync.RWMutex // held for reading while sending to the queue
	closed bool
}

// A job is a verb that somebody waits for.
type job struct {
	verb  []statement
	state atomic.Int32
	done  chan struct{}
	rows  []int64
	err   error
}

// The states of a job. Whoever moves it away from waiting decides: the writer, who will
// then answer, or a caller whose context ended, and for whom then nothing happens.
const (
	waiting = iota
	taken
	left
)

func startWriter(conn *sqliteConn) *writer {
	w := &writer{conn: conn, queue: make(chan *job, queueLen), ended: make(chan struct{})}
	go w.run()
	return w
}

// write queues a verb and waits for its commit. If the context or the patience ends before the writer
// takes it, nothing has happened. After that the wait is short and its end is always the truth.
func (w *writer) write(ctx context.Context, verb []statement) ([]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j := &job{verb: verb, done: make(chan struct{})}
	late := time.NewTimer(budget(verb)) // another program has the lock, or the disk does not answer
	defer late.Stop()
	if err := w.send(ctx, j, late.C); err != nil {
		return nil, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, left) {
			return nil, ctx.Err()
		}
		<-j.done
	case <-late.C:
		if j.state.CompareAndSwap(waiting, left) {
			return nil, errLate
		}
		<-j.done
	}
	return j.rows, sqliteError(j.err)
}

func (w *writer) send(ctx context.Context, j *job, late <-chan time.Time) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return errLate
	}
}

// close lets the writer finish what is queued.
func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.ended
}

func (w *writer) run() {
	defer close(w.ended)
	defer w.conn.close()
	group := make([]*job, 0, groupMax)
	for first := range w.queue {
		group = w.gather(append(group[:0], first))
		err := w.commit(group)
		for _, j := range group {
			if err != nil {
				j.rows, j.err = nil, err
			}
			close(j.done)
		}
		clear(group)
	}
}

// gather adds whatever is waiting now.
func (w *writer) gather(group []*job) []*job {
	for len(group) < groupMax {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction. Its error is everybody's: nothing has happened,
// or, if it is the commit that failed, nobody knows.
func (w *writer) commit(group []*job) error {
	if _, err := w.conn.run(do(`BEGIN IMMEDIATE`)); err != nil {
		return err
	}
	for _, j := range group {
		if !j.state.CompareAndSwap(waiting, taken) {
			continue
		}
		fault, err := w.verb(j)
		if err != nil {
			w.rollback()
			return err
		}
		j.err = fault
	}
	if _, err := w.conn.run(do(`COMMIT`)); err != nil {
		w.rollback()
		return fmt.Errorf("storage: %w: commit: %v", ErrUnavailable, err)
	}
	w.commits.Add(1)
	return nil
}

// verb runs one verb, all of it or nothing. A fault is this verb's own; an error leaves the
// whole transaction in doubt. A single statement needs no savepoint: SQLite undoes one that
// fails by itself.
func (w *writer) verb(j *job) (fault, err error) {
	j.rows = make([]int64, len(j.verb))
	savepoint := len(j.verb) > 1
	if savepoint {
		if _, err := w.conn.run(do(`SAVEPOINT verb`)); err != nil {
			return nil, err
		}
	}
	fault = w.statements(j)
	if fault != nil && !ownFault(fault) {
		return nil, fault
	}
	if fault != nil && savepoint {
		if _, err := w.conn.run(do(`ROLLBACK TO verb`)); err != nil {
			return nil, err
		}
	}
	if savepoint {
		if _, err := w.conn.run(do(`RELEASE verb`)); err != nil {
			return nil, err
		}
	}
	return fault, nil
}

func (w *writer) statements(j *job) error {
	for i, s := range j.verb {
		if s.lock {
			continue // one verb at a time: there is nobody to lock out
		}
		n, err := w.conn.run(s)
		if err != nil {
			return err
		}
		j.rows[i] = n
	}
	return nil
}

// rollback ends a transaction that failed. Its own failure means that SQLite has ended it already.
func (w *writer) rollback() {
	_, _ = w.conn.run(do(`ROLLBACK`))
}
