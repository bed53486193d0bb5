package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"mintmark/keys"
)

// healthz says that the process is alive: that it answers is the answer. A copy that is
// only cut off from its database must not be restarted for it.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("alive\n"))
	return nil
}

// readyz says whether to send requests here: the database answers, the signing keys are there
// and fresh, and the process is not about to end.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return &because{errNotNow, errors.New("the server is about to end")}
	}
	if err := s.ready.check(r.Context(), time.Now()); err != nil {
		return &because{errNotNow, err}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ready\n"))
	return nil
}

// How long a look takes at most, and for how long what it saw is good: nobody can load the
// database by asking whether it is there.
const (
	lookAtMost = time.Second
	lookGood   = time.Second
)

// readiness is a look at everything that an answer needs, remembered for a moment.
type readiness struct {
	look func(ctx context.Context) error

	mu   sync.Mutex
	seen time.Time
	err  error
}

// check returns what the last look saw, or looks again. Callers at the same time share a look.
func (d *readiness) check(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.seen.IsZero() && now.Sub(d.seen) < lookGood {
		return d.err
	}
	// Not the caller's patience: the others believe what this look sees.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookAtMost)
	defer cancel()
	d.err = d.look(ctx)
	d.seen = time.Now()
	return d.err
}

// look asks the database, and signs something that nobody gets: a keyring refuses that when it
// has not seen the database for too long.
func (s *Server) look(ctx context.Context) error {
	if err := s.db.Ping(ctx); err != nil {
		return err
	}
	_, err := s.keyring.Append(nil, keys.ES256, "JWT", []byte("{}"))
	return err
}
