//go:build linux

package faults

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// A pair is a primary and its synchronous standby, each at an address that stays the same.
type pair struct {
	at               [2]*Proxy
	primary, standby *storagetest.Cluster
	first            int // at which of the two addresses the primary is
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{primary: storagetest.StartCluster(t)}
	for i := range p.at {
		p.at[i] = NewProxy(t, p.primary.URL())
	}
	p.follow(t)
	return p
}

// URL names both.
func (p *pair) URL() string {
	at, _ := url.Parse(p.at[0].URL()) // it is one
	other, _ := url.Parse(p.at[1].URL())
	at.Host = strings.Join([]string{at.Host, other.Host}, ",")
	return at.String()
}

// follow gives the primary a standby.
func (p *pair) follow(t *testing.T) {
	t.Helper()
	p.standby = p.primary.AddStandby(t)
	p.at[1-p.first].Lead(t, p.standby.URL())
}

// failOver promotes the standby, and returns what was the primary.
func (p *pair) failOver(t *testing.T) *storagetest.Cluster {
	t.Helper()
	p.standby.Promote(t)
	old := p.primary
	p.primary, p.standby, p.first = p.standby, nil, 1-p.first
	return old
}

// The primary dies, and its standby is promoted. Nothing that was acknowledged is lost, nothing is
// restarted, and when the old primary comes back as if nothing had happened, nobody believes it.
func TestTheStandbyTakesOver(t *testing.T) {
	n := length(t, 0)
	p := newPair(t)
	nodes := Dev(t, p.URL(), p.URL())
	StartAll(t, nodes)
	w := NewWorld(t, nodes, seed(t))
	workers := w.NewWorkers(4)
	watcher := w.newWorker(50)
	faults := chance(w.Seed)
	w.Run(workers, func() {
		for round, began := 0, time.Now(); round < 2 || time.Since(began) < n; round++ {
			if p.standby == nil {
				p.follow(t)
			}
			time.Sleep(between(faults, 300*time.Millisecond, 800*time.Millisecond))
			dead := p.at[p.first]
			if round%2 == 1 {
				dead.Set(Rule{Hole: true}) // its machine, with its connections
			}
			p.primary.Kill(t)
			time.Sleep(between(faults, 100*time.Millisecond, 2500*time.Millisecond))
			fromMemory(t, watcher.client)
			notNow(t, "refresh", watcher.send(watcher.refreshing(watcher.families[0].newest())))
			old := p.failOver(t)
			backWithin(t, watcher, promptly)

			old.Start(t)
			dead.Reset()
			dead.Set(Rule{})
			time.Sleep(between(faults, 100*time.Millisecond, 500*time.Millisecond))
			p.at[p.first].Reset() // and now everybody connects again
			backWithin(t, watcher, promptly)
			old.Stop(t)
		}
	})
	judge(t, w, append(workers, watcher), p.primary.URL())
}
