package revocations

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// How a hub reads, and whom it serves.
const (
	readEvery    = 250 * time.Millisecond
	readPatience = 2 * time.Second
	// BeatEvery is how often a listener hears that there is nothing new. That it hears so means that
	// the database was read, and is why silence means something.
	BeatEvery = 5 * time.Second

	mostListeners = 1000
	mostOfOne     = 250 // listeners: nobody keeps all the others from listening
	queueLen      = 64  // messages that may wait for one listener
	perMessage    = 200 // revocations
)

// What [Hub.Join] refuses.
var (
	ErrFull  = errors.New("revocations: too many listen already")
	ErrEnded = errors.New("revocations: this copy of the server is about to end")
)

// A Hub reads what is revoked while somebody listens, and tells them. It is safe for concurrent
// use; [Hub.Run] has to run.
type Hub struct {
	Store Store
	Log   *slog.Logger

	woken chan struct{}

	reading sync.Mutex // held while the store is asked
	place   Place      // zero while nobody listens
	beatAt  time.Time
	failing bool

	mu        sync.Mutex
	listeners map[*Listener]bool
	of        map[string]int // how many of the listeners are whose
	ended     bool
}

// NewHub returns a hub.
func NewHub(store Store, log *slog.Logger) *Hub {
	return &Hub{Store: store, Log: log, woken: make(chan struct{}, 1), listeners: map[*Listener]bool{}, of: map[string]int{}}
}

// A Listener hears what is revoked after it joined.
type Listener struct {
	// C brings messages, as server-sent events. It is closed when the listener was too slow, the
	// hub may have missed something, or ends: then somebody who wants to hear more joins again,
	// here or at another copy, and asks for what was in between.
	C   <-chan []byte
	c   chan []byte
	hub *Hub
	who string
}

// Join makes somebody a listener, or returns [ErrFull], [ErrEnded] or an error of the store. It is
// full for who has a quarter of all the places already.
func (h *Hub) Join(ctx context.Context, who string) (*Listener, error) {
	l := &Listener{c: make(chan []byte, queueLen), hub: h, who: who}
	l.C = l.c
	h.mu.Lock()
	full, ended := len(h.listeners) >= mostListeners || h.of[who] >= mostOfOne, h.ended
	if !full && !ended {
		h.listeners[l] = true
		h.of[who]++
	}
	h.mu.Unlock()
	switch {
	case ended:
		return nil, ErrEnded
	case full:
		return nil, ErrFull
	}
	// From here on, everything that is not visible yet reaches it.
	h.reading.Lock()
	defer h.reading.Unlock()
	if h.place.Seen == "" {
		_, to, _, err := h.Store.News(ctx, Place{})
		if err != nil {
			l.Leave()
			return nil, err
		}
		h.place, h.beatAt = to, time.Now()
	}
	return l, nil
}

// Leave ends listening. It may be called more than once.
func (l *Listener) Leave() { l.hub.drop(l) }

func (h *Hub) drop(l *Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(l)
}

func (h *Hub) dropLocked(l *Listener) {
	if h.listeners[l] {
		delete(h.listeners, l)
		if h.of[l.who]--; h.of[l.who] == 0 {
			delete(h.of, l.who)
		}
		close(l.c)
	}
}

// Wake has the hub read at once. It never blocks.
func (h *Hub) Wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// End drops every listener, and lets in no more: they go to another copy of the server.
func (h *Hub) End() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.dropAll()
}

func (h *Hub) dropAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		h.dropLocked(l)
	}
}

// Run reads several times a second while somebody listens, until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.End()
			return
		case <-tick.C:
		case <-h.woken:
		}
		err := h.read(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !h.failing:
			h.Log.ErrorContext(ctx, "what was revoked can not be read: nobody is told", "err", err)
		case err == nil && h.failing:
			h.Log.InfoContext(ctx, "what was revoked can be read again")
		}
		h.failing = err != nil
	}
}

// read hands on what is new.
func (h *Hub) read(ctx context.Context) error {
	h.reading.Lock()
	defer h.reading.Unlock()
	h.mu.Lock()
	nobody := len(h.listeners) == 0
	h.mu.Unlock()
	if nobody {
		h.place = Place{}
		return nil
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	found, to, more, err := h.Store.News(ctx, h.place)
	if err != nil {
		return err
	}
	h.place = to
	switch {
	case more:
		// They know up to where they have heard, and ask for the rest, page by page.
		h.dropAll()
	case len(found) > 0 || now.Sub(h.beatAt) >= BeatEvery:
		h.beatAt = now
		for _, text := range Messages(found, to.Cursor()) {
			h.tell(text)
		}
	}
	return nil
}

// tell gives a message to everybody. Whoever has no room for it is dropped.
func (h *Hub) tell(text []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		select {
		case l.c <- text:
		default:
			h.dropLocked(l)
		}
	}
}

// Messages writes revocations as server-sent events (HTML Standard §9.2), a bounded number in
// each. The last has the id: who has it has all of them. Without any there is one message all
// the same, which says that there is nothing. An empty id is none.
func Messages(found []Revocation, id string) [][]byte {
	var all [][]byte
	for len(found) > 0 {
		n := min(perMessage, len(found))
		data, err := json.Marshal(found[:n])
		if err != nil {
			panic("revocations: strings and numbers can't be written: " + err.Error())
		}
		text := append([]byte("event: revocations\ndata: "), data...)
		all, found = append(all, append(text, '\n')), found[n:]
	}
	if len(all) == 0 {
		all = [][]byte{[]byte(": nothing new\n")}
	}
	last := len(all) - 1
	if id != "" {
		all[last] = append(append(append(all[last], "id: "...), id...), '\n')
	}
	for i := range all {
		all[i] = append(all[i], '\n')
	}
	return all
}
