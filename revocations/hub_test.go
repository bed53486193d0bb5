package revocations_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/revocations"
)

// A list is a store that somebody writes to by hand.
type list struct {
	mu    sync.Mutex
	all   []revocations.Revocation
	away  error
	lost  bool // there is more than can be read
	reads int
}

func (s *list) add(refs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range refs {
		s.all = append(s.all, revocations.Revocation{Kind: revocations.Token, Ref: ref, Until: time.Now().Add(time.Hour), Revoked: true})
	}
}

func (s *list) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *list) set(away error, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.lost = away, lost
}

func (s *list) News(_ context.Context, from revocations.Place) ([]revocations.Revocation, revocations.Place, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.away != nil {
		return nil, from, false, s.away
	}
	to := revocations.Place{Epoch: "e", Low: int64(len(s.all) + 1), Seen: "something"}
	if from.Seen == "" {
		return nil, to, false, nil
	}
	return s.all[from.Low-1:], to, s.lost, nil
}

func (s *list) Live(context.Context, revocations.At, int, time.Time) ([]revocations.Revocation, []revocations.At, revocations.Place, error) {
	panic("a hub does not read pages")
}

// story runs a hub in a time of its own.
func story(t *testing.T, tell func(t *testing.T, h *revocations.Hub, s *list)) {
	synctest.Test(t, func(t *testing.T) {
		s := &list{}
		s.add("before")
		h := revocations.NewHub(s, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		go h.Run(ctx)
		tell(t, h, s)
		cancel()
		synctest.Wait()
	})
}

func join(t *testing.T, h *revocations.Hub) *revocations.Listener {
	t.Helper()
	l, err := h.Join(t.Context(), "svc_1")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// heard is what came to a listener, and whether there will be more.
func heard(l *revocations.Listener) (text string, more bool) {
	for {
		select {
		case m, ok := <-l.C:
			if !ok {
				return text, false
			}
			text += string(m)
		default:
			return text, true
		}
	}
}

func TestWhoJoinsHearsWhatComes(t *testing.T) {
	story(t, func(t *testing.T, h *revocations.Hub, s *list) {
		time.Sleep(time.Minute)
		if n := s.read(); n != 0 {
			t.Errorf("it reads %d times, and nobody listens", n)
		}
		l := join(t, h)
		s.add("one")
		time.Sleep(time.Second)
		text, _ := heard(l)
		if want := `data: [{"kind":"token","ref":"one","until":`; !strings.Contains(text, want) || strings.Contains(text, "before") || !strings.HasSuffix(text, "id: e.3\n\n") {
			t.Errorf("heard %q", text)
		}
		time.Sleep(11 * time.Second)
		if text, _ := heard(l); text != ": nothing new\nid: e.3\n\n: nothing new\nid: e.3\n\n" {
			t.Errorf("when nothing is new: %q", text)
		}
		// Silence: nobody says that there is nothing new who does not know.
		s.set(errors.New("away"), false)
		s.add("two")
		time.Sleep(time.Minute)
		if text, more := heard(l); text != "" || !more {
			t.Errorf("while the database is away: %q", text)
		}
		s.set(nil, false)
		time.Sleep(time.Second)
		if text, _ := heard(l); !strings.Contains(text, `"two"`) {
			t.Errorf("when it is back: %q", text)
		}
		l.Leave()
		l.Leave()
		reads := s.read()
		time.Sleep(time.Minute)
		if s.read() > reads+1 {
			t.Errorf("it goes on to read")
		}
	})
}

// Nobody waits for a listener.
func TestASlowListenerIsDropped(t *testing.T) {
	story(t, func(t *testing.T, h *revocations.Hub, s *list) {
		slow, quick := join(t, h), join(t, h)
		n := 0
		for i := range 100 {
			s.add(fmt.Sprint("r", i))
			time.Sleep(time.Second)
			text, more := heard(quick)
			if !more {
				t.Fatal("the quick one is dropped")
			}
			n += strings.Count(text, "token")
		}
		text, more := heard(slow)
		if got := strings.Count(text, "token"); n != 100 || more || got != 64 {
			t.Errorf("the quick one heard %d, the slow one %d, and goes on: %v", n, got, more)
		}
	})
}

func TestWhoMayHaveMissedSomethingIsDropped(t *testing.T) {
	story(t, func(t *testing.T, h *revocations.Hub, s *list) {
		l := join(t, h)
		s.set(nil, true)
		time.Sleep(time.Second)
		if text, more := heard(l); text != "" || more {
			t.Errorf("heard %q, and goes on: %v", text, more)
		}
	})
}

func TestWhoCanNotJoin(t *testing.T) {
	story(t, func(t *testing.T, h *revocations.Hub, s *list) {
		away := errors.New("away")
		s.set(away, false)
		if _, err := h.Join(t.Context(), "svc_1"); err != away {
			t.Errorf("while the database is away: %v", err)
		}
		s.set(nil, false)
		var all []*revocations.Listener
		for i := range 1000 {
			who := fmt.Sprint("svc_", i/250)
			l, err := h.Join(t.Context(), who)
			if err != nil {
				t.Fatalf("the listener %d, of %s: %v", i, who, err)
			}
			if all = append(all, l); i == 249 {
				if _, err := h.Join(t.Context(), who); err != revocations.ErrFull {
					t.Errorf("the 251st of %s: %v", who, err)
				}
			}
		}
		if _, err := h.Join(t.Context(), "svc_4"); err != revocations.ErrFull {
			t.Errorf("the 1001st: %v", err)
		}
		all[0].Leave()
		all[0].Leave()
		if _, err := h.Join(t.Context(), "svc_1"); err != revocations.ErrFull {
			t.Errorf("the 251st of another, when there is a place: %v", err)
		}
		if _, err := h.Join(t.Context(), "svc_0"); err != nil {
			t.Errorf("in the place of one that left: %v", err)
		}
		h.End()
		if _, more := heard(all[1]); more {
			t.Error("after the end somebody listens")
		}
		if _, err := h.Join(t.Context(), "svc_0"); err != revocations.ErrEnded {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A message is bounded, and only who has the last of several knows all of them.
func TestMessages(t *testing.T) {
	all := revocations.Messages(make([]revocations.Revocation, 450), "e.7")
	if len(all) != 3 {
		t.Fatalf("%d messages", len(all))
	}
	for i, text := range all {
		if has := strings.HasSuffix(string(text), "\nid: e.7\n\n"); has != (i == 2) || !strings.HasPrefix(string(text), "event: revocations\ndata: [{") {
			t.Errorf("message %d is %.80q", i, text)
		}
	}
}
