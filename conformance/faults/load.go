//go:build linux

package faults

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// back is where people are sent back to. Nobody is there, and nobody has to be.
const back = "https://app.example/callback"

// verifier is the PKCE verifier of everybody.
const verifier = "a-code-verifier-of-at-least-forty-three-characters-long"

// NewWorld makes what all clients share. The copies must be running.
func NewWorld(t testing.TB, nodes []*Node, seed uint64) *World {
	t.Helper()
	journal, err := NewJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Nodes: nodes, Issuer: nodes[0].Address, Journal: journal, Seed: seed, t: t, key: adminKey(t, nodes), stop: make(chan struct{})}
	t.Cleanup(func() { journal.Close() })
	c := w.newClient(0)
	if w.robot, err = newRobot(c); err != nil {
		t.Fatal(err)
	}
	w.service = c.mustAddClient(map[string]any{"client_name": "Service", "client_type": "service", "scope": "a"})
	return w
}

// A worker is one person with an application of their own: what is expected of their tokens
// depends on nobody else.
type worker struct {
	*client
	user     string
	email    string
	app      application
	families []*family
	asked    []string // sealed requests that were answered
	access   []string // access tokens
	names    int
	rotates  int
	made     int
}

// Workers are the load.
type Workers []*worker

// A family is refresh tokens that came from one code.
type family struct {
	tokens []string // as they were given, oldest first
	over   bool     // the worker has done something that ends it
}

func (f *family) newest() string { return f.tokens[len(f.tokens)-1] }

// An act is something that a worker does.
type act struct {
	name   string
	weight int
	do     func(*worker)
}

// acts is the load: about half of it moves families of refresh tokens.
func acts() []act {
	return []act{
		{"a code flow", 24, (*worker).codeFlow},
		{"a refresh", 36, (*worker).refresh},
		{"the same refresh token twice at the same time", 6, (*worker).refreshTwice},
		{"an old refresh token", 2, (*worker).replayRefresh},
		{"the end of a family", 5, (*worker).revokeFamily},
		{"the end of an access token", 3, (*worker).revokeAccess},
		{"a look at a token", 6, (*worker).look},
		{"a token of a service", 8, (*worker).clientCredentials},
		{"an assertion, perhaps twice", 6, (*worker).assert},
		{"a question answered twice", 4, (*worker).answerTwice},
		{"a new person", 2, (*worker).addPerson},
		{"another name", 3, (*worker).rename},
		{"an application that is disabled", 2, (*worker).disableClient},
		{"a person who is locked out", 1, (*worker).disablePerson},
		{"a consent that is taken back", 1, (*worker).revokeConsent},
		{"new signing keys", 1, (*worker).rotate},
	}
}

// NewWorkers makes workers and signs them in, before anything breaks.
func (w *World) NewWorkers(n int) Workers {
	w.t.Helper()
	workers := make(Workers, n)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { workers[i] = w.newWorker(i + 1) })
	}
	all.Wait()
	return workers
}

func (w *World) newWorker(number int) *worker {
	x := &worker{client: w.newClient(number), email: fmt.Sprintf("worker%d@example.com", number)}
	x.user = x.mustAddUser(x.email)
	x.app = x.mustAddClient(map[string]any{"client_name": fmt.Sprint("App ", number), "client_type": "web",
		"redirect_uris": []string{back}, "scope": "openid email offline_access"})
	x.redeem(x.authorize(nil), false)
	for tries := 1; w.Late && len(x.families) == 0 && tries < 50; tries++ {
		x.redeem(x.authorize(nil), false)
	}
	if len(x.families) != 1 {
		w.t.Error("a worker could not sign in")
	}
	return x
}

// Run lets the workers work until the campaign ends.
func (w *World) Run(workers Workers, campaign func()) {
	table := acts()
	total := 0
	for _, a := range table {
		total += a.weight
	}
	var all sync.WaitGroup
	for _, x := range workers {
		all.Go(func() {
			x.rotate() // once for certain
			for {
				time.Sleep(w.Pace)
				select {
				case <-w.stop:
					return
				default:
				}
				n := x.rng.IntN(total)
				at := slices.IndexFunc(table, func(a act) bool { n -= a.weight; return n < 0 })
				table[at].do(x)
			}
		})
	}
	campaign()
	close(w.stop)
	all.Wait()
	w.stop = make(chan struct{})
}

// Restart kills a copy as a power cut would and starts it again.
func (w *World) Restart(n *Node) {
	w.t.Helper()
	n.Kill()
	if err := n.Start(); err != nil {
		w.t.Error(err)
		return
	}
	if err := n.Ready(20 * time.Second); err != nil {
		w.t.Error(err)
	}
}
