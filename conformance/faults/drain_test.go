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
	workers := w.NewWorkers(6)
	var longest time.Duration
	w.Run(workers, func() {
		for i := range 4 {
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
			if err := n.Start(conformance.Program(t)); err != nil {
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
	t.Logf("a copy took at most %s to end", longest.Round(time.Millisecond))
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
