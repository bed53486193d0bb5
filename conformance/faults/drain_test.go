//go:build linux

package faults

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// A balancer is what stands in front of several copies: it asks each five times a second
// whether it is ready, sends requests in turn to those that are, and tries nothing twice.
type balancer struct {
	to    []*url.URL
	ready []atomic.Bool
	turn  atomic.Int64
}

func (b *balancer) watch(stop <-chan struct{}) {
	client := http.Client{Timeout: time.Second}
	for i := range b.to {
		go func() {
			for {
				resp, err := client.Get(b.to[i].String() + "/readyz")
				b.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
				if err == nil {
					resp.Body.Close()
				}
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		}()
	}
}

func (b *balancer) rewrite(r *httputil.ProxyRequest) {
	for range b.to {
		if i := int(b.turn.Add(1)) % len(b.to); b.ready[i].Load() {
			r.SetURL(b.to[i])
			r.Out.Host = r.In.Host
			return
		}
	}
	r.SetURL(b.to[0]) // nobody is ready: the failure will be counted
}

// cycles is how often a copy is replaced: a few times, or MINTMARK_CYCLES.
func cycles(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MINTMARK_CYCLES")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("MINTMARK_CYCLES is not a number: %v", err)
	}
	return n
}

// A stream is requests at a steady rate, whatever becomes of them, that change nothing.
type stream struct {
	sent, failed atomic.Int64
}

// streamRate is how many requests a second the stream has, on top of the workers.
const streamRate = 500

// run sends until stop.
func (s *stream) run(t *testing.T, w *World, x *worker, stop <-chan struct{}) {
	tokens := make(chan struct{}, streamRate/10)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			c := w.newClient(1000 + i)
			asks := []call{
				{method: "GET", path: "/.well-known/jwks.json"},
				{method: "GET", path: "/login"},
				c.serving(w.service),
				x.introspection(x.access[0]),
			}
			for range tokens {
				ask := asks[c.rng.IntN(len(asks))]
				r, err := c.request(w.Issuer, ask)
				if err != nil {
					t.Error(err)
					return
				}
				s.sent.Add(1)
				if got := c.do(r); got.Status != http.StatusOK {
					s.failed.Add(1)
					t.Errorf("%s %s: %d %s", ask.method, ask.path, got.Status, got.Broken)
				}
			}
		})
	}
	tick := time.NewTicker(time.Second / streamRate)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-stop:
			going = false
		case <-tick.C:
			select {
			case tokens <- struct{}{}:
			default: // everybody is waiting for an answer
			}
		}
	}
	close(tokens)
	all.Wait()
}

// SIGTERM to one copy after the other, under load, behind a balancer that honours readiness:
// no request fails, and every copy ends by itself and in time.
func TestOneCopyAfterTheOtherIsReplaced(t *testing.T) {
	length(t, 0)
	database := storagetest.Postgres(t)
	nodes := Dev(t, database, database)
	b := &balancer{ready: make([]atomic.Bool, len(nodes))}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: b.rewrite, Transport: &http.Transport{MaxIdleConnsPerHost: 32}})
	defer front.Close()
	secrets := exec.Command(conformance.Program(t), "secrets", "new")
	secrets.Env = conformance.Environment()
	key, err := secrets.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(nodes[0].Data, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		// As in production: not `mintmark dev`, which does not wait for balancers.
		n.args = []string{"serve", "--data", n.Data, "--listen", n.Address[len("http://"):], "--issuer", front.URL, "--database", database, "--log-level", "warn"}
		to, err := url.Parse(n.Address)
		if err != nil {
			t.Fatal(err)
		}
		b.to = append(b.to, to)
	}
	StartAll(t, nodes)
	stop := make(chan struct{})
	defer close(stop)
	b.watch(stop)
	time.Sleep(500 * time.Millisecond) // for the first look

	w := NewWorld(t, []*Node{{Address: front.URL, Data: nodes[0].Data, front: true}}, seed(t))
	workers := append(w.NewWorkers(6), w.newWorker(50))
	number := cycles(t)
	w.Pace = time.Duration(number) * time.Millisecond // what they did is judged and shown again, all of it
	var longest time.Duration
	var s stream
	streaming, streamed := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(streamed)
		s.run(t, w, workers[6], streaming)
	}()
	w.Run(workers[:6], func() {
		defer func() { close(streaming); <-streamed }()
		for i := range number {
			time.Sleep(300 * time.Millisecond)
			n := nodes[i%2]
			begin := time.Now()
			if err := n.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
				return
			}
			if err := n.Wait(30 * time.Second); err != nil {
				t.Errorf("a copy did not end well: %v", err)
				return
			}
			longest = max(longest, time.Since(begin))
			if err := n.Start(); err != nil {
				t.Error(err)
				return
			}
			if err := n.Ready(20 * time.Second); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(500 * time.Millisecond) // the balancer sees it
		}
	})
	t.Logf("%d cycles; a copy took at most %s to end", number, longest.Round(time.Millisecond))
	t.Logf("the stream: %d requests, %.0f a second, %d failed", s.sent.Load(), float64(s.sent.Load())/time.Since(began).Seconds(), s.failed.Load())
	if longest > 15*time.Second {
		t.Errorf("a copy took %s to end", longest.Round(time.Millisecond))
	}
	all, err := w.Journal.Requests()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if !r.Known() {
			t.Errorf("request %d (%s) failed: %+v", r.ID, r.Op, r.Got)
		}
	}
	judge(t, w, workers, database)
}
