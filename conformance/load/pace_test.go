package load_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// errOver ends whoever keeps a pace.
var errOver = errors.New("the time is over")

// A pace says when each request is due, whether or not the ones before it have been answered: a
// server that stands still makes everybody late who came meanwhile, and that is counted.
//
// A client that was free, and slept until its request was due, wakes up late by itself: the timers
// of Go are a millisecond wide when there is nothing else to do, and the server has the same
// processors. That is told apart: with clients elsewhere it would not be the server's.
type pace struct {
	start time.Time
	every time.Duration // from one request to the next, of all clients together; 0: as fast as they are answered
	end   time.Time
	next  atomic.Int64

	mu    sync.Mutex
	took  map[string]*spread // by the path of the request, from when it was due
	awake spread             // of all, without what the clients overslept
}

// A chance is when a request is due, and how much later its client sent it for no other reason than
// that it woke up late.
type chance struct {
	due       time.Time
	overslept time.Duration
}

func newPace(rate float64, length time.Duration) *pace {
	p := &pace{start: time.Now(), took: map[string]*spread{}}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	p.end = p.start.Add(length)
	return p
}

// wait returns when the next request is due, at that time.
func (p *pace) wait() (chance, error) {
	due := p.start.Add(time.Duration(p.next.Add(1)-1) * p.every)
	now := time.Now()
	if p.every == 0 {
		due = now
	}
	if due.After(p.end) {
		return chance{}, errOver
	}
	if !due.After(now) {
		return chance{due: due}, nil
	}
	time.Sleep(due.Sub(now))
	return chance{due, time.Since(due)}, nil
}

// saw counts how late the answer to a request was.
func (p *pace) saw(request []byte, t chance) {
	late := time.Since(t.due)
	line, _, _ := bytes.Cut(request, []byte(" HTTP/1.1"))
	line, _, _ = bytes.Cut(line, []byte("?"))
	name := string(line)
	if strings.Contains(name, "/oauth/token") {
		_, form, _ := bytes.Cut(request, []byte("\r\n\r\n"))
		values, _ := url.ParseQuery(string(form))
		name = values.Get("grant_type")
	}
	p.mu.Lock()
	s := p.took[name]
	if s == nil {
		s = &spread{}
		p.took[name] = s
	}
	s.add(late)
	p.awake.add(late - t.overslept)
	p.mu.Unlock()
}

// report is a line for each kind of request, and how late they were all together: as they were, and
// without what the clients overslept. It begins anew.
func (p *pace) report() (lines []string, all, awake spread) {
	p.mu.Lock()
	took, awake := p.took, p.awake
	p.took, p.awake = map[string]*spread{}, spread{}
	p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(took)) {
		lines = append(lines, fmt.Sprintf("%-45s %s", name, took[name]))
		for i, n := range took[name].n {
			all.n[i] += n
		}
	}
	return lines, all, awake
}

// A spread counts durations, 32 steps from each to its double.
type spread struct{ n [1024]int64 }

func (s *spread) add(d time.Duration) {
	s.n[min(max(int(32*math.Log2(float64(max(d, 1)))), 0), len(s.n)-1)]++
}

// at returns the duration that a share of all did not exceed.
func (s *spread) at(share float64) time.Duration {
	rank := int64(math.Ceil(share * float64(s.count())))
	for i, n := range s.n {
		if rank -= n; rank <= 0 {
			return time.Duration(math.Exp2(float64(i+1) / 32))
		}
	}
	return 0
}

func (s *spread) count() (sum int64) {
	for _, n := range s.n {
		sum += n
	}
	return sum
}

func (s *spread) String() string {
	ms := func(share float64) float64 { return float64(s.at(share).Microseconds()) / 1000 }
	return fmt.Sprintf("%9d   p50 %6.2f ms   p99 %6.2f ms   p99.9 %6.2f ms", s.count(), ms(.5), ms(.99), ms(.999))
}

// walk lets clients live at a pace until it is over, and returns how many requests a second were
// answered. What fails ends the run.
func (s *target) walk(b testing.TB, people int, p *pace, life func(*visit) error) float64 {
	b.Helper()
	var group sync.WaitGroup
	for range people {
		v := s.visit(b)
		v.pace = p
		group.Go(func() {
			defer v.conn.Close() // the server is asked what it holds when all have left
			for time.Now().Before(p.end) {
				if err := life(v); err != nil {
					if !errors.Is(err, errOver) {
						b.Error(err)
						p.next.Store(math.MaxInt64 / 2 / int64(max(p.every, 1))) // the others need not go on
					}
					return
				}
			}
		})
	}
	group.Wait()
	return float64(p.next.Load()) / time.Since(p.start).Seconds()
}
