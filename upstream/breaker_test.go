package upstream

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newTestBreaker() *breaker { return newBreaker("op", slog.New(slog.DiscardHandler), nil) }

// try passes the breaker and reports an outcome after a while.
func (b *breaker) try(t *testing.T, o outcome, takes time.Duration) error {
	t.Helper()
	leave, err := b.enter(t.Context())
	if err != nil {
		return err
	}
	time.Sleep(takes)
	leave(o)
	return nil
}

func TestAProviderThatIsAwayIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		for n := range tolerance {
			if err := b.try(t, silent, 5*time.Second); err != nil {
				t.Fatalf("failure %d: %v", n, err)
			}
		}
		// Then a pause of 5, 10, 20, 40, 60, 60 seconds, with one that finds out after each.
		for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
			if err := b.try(t, silent, 0); err != errAway || !b.open() {
				t.Fatalf("at once: %v", err)
			}
			time.Sleep(pause*time.Second - time.Nanosecond)
			if err := b.try(t, silent, 0); err != errAway {
				t.Fatalf("a moment before %d s: %v", pause, err)
			}
			time.Sleep(time.Nanosecond)
			if b.open() {
				t.Fatalf("after %d s it is still closed to those who begin", pause)
			}
			leave, err := b.enter(t.Context())
			if err != nil {
				t.Fatalf("after %d s nobody may find out: %v", pause, err)
			}
			if _, err := b.enter(t.Context()); err != errAway {
				t.Fatalf("a second one finds out at the same time: %v", err)
			}
			time.Sleep(5 * time.Second)
			leave(silent)
		}
		time.Sleep(time.Minute)
		if err := b.try(t, answered, 0); err != nil {
			t.Fatal(err)
		}
		for range tolerance - 1 { // as if nothing had been
			if err := b.try(t, silent, 0); err != nil {
				t.Fatal(err)
			}
		}
		b.try(t, answered, 0)
		if err := b.try(t, silent, 0); err != nil || b.open() {
			t.Error("four failures, an answer and a failure are not five in a row")
		}
	})
}

// A provider that is away for an hour is one line of the log, and its return another.
func TestAChangeOfStateIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := newBreaker("op", slog.New(slog.NewTextHandler(&log, nil)), nil)
		g := &Registry{connections: map[string]*connection{"prv_1": {breaker: b}, "prv_0": {breaker: newTestBreaker()}}, shown: []Provider{{ID: "prv_1", Name: "op"}}}
		for range 2 {
			log.Reset()
			for end := time.Now().Add(time.Hour); time.Now().Before(end); {
				if b.try(t, silent, time.Second) != nil {
					time.Sleep(time.Second)
				}
				if b.failures >= tolerance && !g.Away()["op"] {
					t.Fatal("it is not said to be away")
				}
			}
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "does not answer") {
				t.Errorf("%d lines: %s", n, &log)
			}
			time.Sleep(mostPause)
			for range 3 {
				if err := b.try(t, answered, 0); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "answers again") || g.Away()["op"] {
				t.Errorf("%d lines: %s", n, &log)
			}
		}
	})
}

func TestWhoFindsOutAndGoesAwayLetsTheNextOneIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		for range tolerance {
			b.try(t, silent, 0)
		}
		time.Sleep(firstPause)
		for range 10 { // whose browser was closed, or who finds the state spent
			if err := b.try(t, unknown, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.try(t, answered, 0); err != nil || b.open() {
			t.Error(err)
		}
	})
}

func TestADeadProviderHoldsSixteen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		start := time.Now()
		var inside, most, away, busy atomic.Int64
		var all sync.WaitGroup
		var last time.Duration
		var mu sync.Mutex
		for range 1000 {
			all.Go(func() {
				leave, err := b.enter(t.Context())
				switch err {
				case nil:
					for n := inside.Add(1); ; {
						if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
							break
						}
					}
					time.Sleep(5 * time.Second) // hanging
					inside.Add(-1)
					leave(silent)
					return
				case errAway:
					away.Add(1)
				case errBusy:
					busy.Add(1)
				default:
					t.Error(err)
				}
				mu.Lock()
				last = max(last, time.Since(start))
				mu.Unlock()
			})
		}
		all.Wait()
		if most.Load() != inFlight || busy.Load() != 1000-inFlight || last > patience {
			t.Errorf("%d at once, %d sent away, the last one after %s", most.Load(), busy.Load(), last)
		}
		if err := b.try(t, silent, 0); err != errAway {
			t.Errorf("afterwards: %v", err)
		}
		if len(b.slots) != 0 || b.waiting != 0 || b.failures != inFlight || b.pause != firstPause {
			t.Errorf("%d places are taken, %d wait, %d failures, pause %s", len(b.slots), b.waiting, b.failures, b.pause)
		}
	})
}

func TestABurstOfSignInsWaitsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		var all sync.WaitGroup
		for range inFlight + queue {
			all.Go(func() {
				if err := b.try(t, answered, 100*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestWhoWaitsCanGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		for range inFlight {
			go b.try(t, answered, 10*time.Second)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.enter(ctx); err != context.Canceled || b.waiting != 0 {
			t.Errorf("%v, %d wait", err, b.waiting)
		}
		time.Sleep(time.Minute)
	})
}

func TestWhoWaitsWhileItBecomesSilentIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		for range inFlight {
			b.slots <- struct{}{}
		}
		go func() {
			if err := b.try(t, answered, 0); err != errAway {
				t.Errorf("who waited: %v", err)
			}
		}()
		synctest.Wait()
		for range tolerance {
			b.release(false, silent)
		}
		<-b.slots
		synctest.Wait()
		if len(b.slots) != inFlight-1 {
			t.Errorf("%d places are taken", len(b.slots))
		}
	})
}

func TestWhoWouldFindOutAndGetsNoPlaceLetsTheNextOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		for range inFlight {
			go b.try(t, silent, time.Minute)
		}
		synctest.Wait()
		b.failures, b.shut, b.until = tolerance, true, time.Now()
		if err := b.try(t, answered, 0); err != errBusy {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if err := b.try(t, answered, 0); err != nil {
			t.Errorf("nobody finds out any more: %v", err)
		}
	})
}

// A stranger can make a provider silent towards the stranger: a firewall before it drops what looks
// like an attack. Nobody else is kept out for it.
func TestSilenceTowardsAStrangerLeavesNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		asked, says := 0, answered
		b.ask = func() outcome {
			asked++
			time.Sleep(time.Second)
			return says
		}
		for range 10 * tolerance {
			if err := b.try(t, silent, 100*time.Millisecond); err != nil {
				t.Fatalf("after %d questions: %v", asked, err)
			}
		}
		synctest.Wait()
		if b.open() || asked == 0 {
			t.Errorf("open: %v, after %d questions of ours", b.open(), asked)
		}
		time.Sleep(time.Minute)
		synctest.Wait() // the question that was still being asked is over

		// If it is silent to us as well, it is left alone; and who finds out and is alone in getting no
		// answer lets everybody in again.
		says, asked = silent, 0
		for range tolerance {
			if err := b.try(t, silent, 0); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if b.open() {
			t.Error("it is left alone before we know")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !b.open() || asked != 1 {
			t.Fatalf("open: %v, after %d questions of ours", b.open(), asked)
		}
		time.Sleep(firstPause)
		says = answered
		if err := b.try(t, silent, 0); err != nil {
			t.Fatalf("nobody may find out: %v", err)
		}
		synctest.Wait()
		if err := b.try(t, silent, 0); err != errAway {
			t.Errorf("a second one finds out at the same time: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if b.open() || b.failures != 0 || b.probing || b.asking {
			t.Errorf("it answers us, and is left alone: %+v", b.failures)
		}
	})
}

func TestAnAnswerWhileWeAskKeepsItOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.ask = func() outcome { time.Sleep(time.Second); return silent }
		for range tolerance {
			b.try(t, silent, 0)
		}
		if err := b.try(t, answered, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if b.open() {
			t.Error("it answered somebody, and is left alone")
		}
	})
}

func TestADocumentOfManyValuesIsNotRead(t *testing.T) {
	if _, err := parseJSON([]byte("[" + strings.Repeat("0,", maxValues-2) + "0]")); err != nil {
		t.Error(err)
	}
	if _, err := parseJSON([]byte("[" + strings.Repeat("0,", maxValues-1) + "0]")); err == nil {
		t.Error("one more was read")
	}
}

// Who found out while we were asking anyway does not keep the others out for ever.
func TestWhoFindsOutWhileWeAskLetsTheNextOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.ask = func() outcome { time.Sleep(time.Minute); return silent }
		b.failures, b.shut, b.until = tolerance, true, time.Now()
		leave, err := b.enter(t.Context()) // who finds out
		if err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		b.answers() // somebody who was late got an answer
		b.mu.Unlock()
		for range tolerance {
			if err := b.try(t, silent, 0); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		leave(silent)
		time.Sleep(time.Minute + mostPause)
		synctest.Wait()
		if err := b.try(t, answered, 0); err != nil {
			t.Errorf("nobody finds out any more: %v", err)
		}
	})
}
