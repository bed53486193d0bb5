//go:build linux

package faults

import (
	"database/sql"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"mintmark/storage/storagetest"
)

// fromMemory asks for what needs no database: it is there, and at once.
func fromMemory(t *testing.T, c *client) {
	t.Helper()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json", "/login", "/healthz"} {
		got := c.w.newClient(c.worker).sendTo(0, call{op: "get " + path, method: "GET", path: path})
		if got.Status != http.StatusOK || got.took > time.Second {
			t.Errorf("%s while the database is away: %d %s after %s", path, got.Status, got.Broken, got.took.Round(time.Millisecond))
		}
	}
}

// notWithout asks for what can't be answered without the database.
func notWithout(t *testing.T, x *worker) {
	t.Helper()
	notNow(t, "refresh", x.send(x.refreshing(x.families[0].newest())))
	notNow(t, "introspect", x.send(x.introspection(x.access[0])))
	notNow(t, "sign in", x.send(call{op: opAuthorize, on: x.user, arg: x.app.ID, method: "GET", path: "/authorize?client_id=" + x.app.ID +
		"&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&response_type=code&scope=openid&code_challenge_method=S256&code_challenge=" + challenge(verifier), read: readCode}))
	notNow(t, "add user", x.send(x.addingUser("nobody@example.com", "")))
}

// notReady asks whether to send requests here. The answer is no within two seconds: a look takes
// one at most, and what it saw is good for one.
func notReady(t *testing.T, c *client, away time.Duration) {
	t.Helper()
	got := c.send(call{op: "get /readyz", method: "GET", path: "/readyz"})
	if away > 2*time.Second && got.Status != http.StatusServiceUnavailable || got.took > promptly {
		t.Errorf("ready after the database was away for %s: %d %s", away.Round(time.Millisecond), got.Status, got.Broken)
	}
	if got.Status == http.StatusServiceUnavailable && got.Retry == "" {
		t.Error("not ready, and no word of when to come back")
	}
}

// backWithin waits until a refresh succeeds again.
func backWithin(t *testing.T, x *worker, most time.Duration) {
	t.Helper()
	begin := time.Now()
	f := x.families[0]
	for {
		got := x.send(x.refreshing(f.newest()))
		if got.ok() {
			f.tokens = append(f.tokens, got.Got)
			break
		}
		if time.Since(begin) > 30*time.Second || got.known() {
			t.Errorf("it does not work again: %d %s %s", got.Status, got.Broken, got.body)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(begin)
	t.Logf("it worked again after %s", took.Round(time.Millisecond))
	if took > most {
		t.Errorf("it worked again only after %s", took.Round(time.Millisecond))
	}
}

// PostgreSQL crashes and comes back; the network swallows everything and comes back. Nothing
// hangs, nothing is restarted, nothing is lost.
func TestTheDatabaseIsAway(t *testing.T) {
	length(t, 0)
	number := seed(t)
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		cluster := storagetest.StartCluster(t)
		away(t, number, cluster.URL(), cluster.URL(), func() { cluster.Stop(t) }, func() { cluster.Start(t) })
	})
	t.Run("swallowed by the network", func(t *testing.T) {
		t.Parallel()
		database := storagetest.Postgres(t)
		proxy := NewProxy(t, database)
		away(t, number, proxy.URL(), database, func() { proxy.Set(Rule{Hole: true}) }, func() { proxy.Set(Rule{}) })
	})
	t.Run("swallowed, and the connections with it", func(t *testing.T) {
		t.Parallel()
		database := storagetest.Postgres(t)
		proxy := NewProxy(t, database)
		away(t, number, proxy.URL(), database, func() { proxy.Set(Rule{Hole: true}) }, func() { proxy.Reset(); proxy.Set(Rule{}) })
	})
}

func away(t *testing.T, number uint64, url, database string, leave, come func()) {
	nodes := Dev(t, url)
	StartAll(t, nodes)
	w := NewWorld(t, nodes, number)
	workers := w.NewWorkers(4)
	watcher := w.newWorker(50)
	w.Run(workers, func() {
		time.Sleep(500 * time.Millisecond)
		leave()
		left := time.Now()
		time.Sleep(100 * time.Millisecond)
		for time.Since(left) < 3*time.Second {
			fromMemory(t, watcher.client)
			notReady(t, watcher.client, time.Since(left))
			notWithout(t, watcher)
		}
		come()
		backWithin(t, watcher, promptly)
	})
	judge(t, w, append(workers, watcher), database)
}

// The network between two copies and their database does everything that it can do.
func TestTheNetworkIsBad(t *testing.T) {
	n := length(t, 8*time.Second)
	database := storagetest.Postgres(t)
	proxies := []*Proxy{NewProxy(t, database), NewProxy(t, database)}
	nodes := Dev(t, proxies[0].URL(), proxies[1].URL())
	StartAll(t, nodes)
	w := NewWorld(t, nodes, seed(t))
	workers := w.NewWorkers(6)
	faults := chance(w.Seed)
	w.Run(workers, func() {
		for end := time.Now().Add(n); time.Now().Before(end); {
			p := proxies[faults.IntN(len(proxies))]
			trouble(p, faults)
		}
		for _, p := range proxies {
			p.Set(Rule{})
		}
		time.Sleep(time.Second)
	})
	judge(t, w, workers, database)
}

// A copy that is cut off from the database can't hear that a client was disabled elsewhere. It
// stops believing what it remembers before the second is over.
func TestACopyIsCutOff(t *testing.T) {
	length(t, 0)
	database := storagetest.Postgres(t)
	proxy := NewProxy(t, database)
	nodes := Dev(t, database, proxy.URL())
	StartAll(t, nodes)
	w := NewWorld(t, nodes, seed(t))
	c := w.newClient(1)
	a := c.mustAddClient(map[string]any{"client_name": "Service", "client_type": "service", "scope": "a"})
	if got := c.sendTo(1, c.serving(a)); !got.ok() {
		t.Fatalf("no token: %d %s", got.Status, got.body)
	}
	proxy.Set(Rule{Hole: true})
	if got := c.sendTo(0, call{op: opDisable, on: a.ID, method: "POST", path: "/api/v1/clients/" + a.ID + "/disable", admin: true}); !got.ok() {
		t.Fatalf("it could not be disabled: %d %s", got.Status, got.body)
	}
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		c.sendTo(1, c.serving(a)) // the oracle judges
	}
	notNow(t, "a copy that is cut off", c.sendTo(1, c.serving(a)))
	proxy.Set(Rule{})
	if got := c.settle(c.serving(a)); got.Error != "invalid_client" {
		t.Errorf("afterwards: %d %s", got.Status, got.body)
	}
	judge(t, w, nil, database)
}

// trouble is one thing that a network does.
func trouble(p *Proxy, r *rand.Rand) {
	verbs := []string{"SET generation", "code_spent_at = $3", "revoke_reason", "INSERT INTO", "UPDATE", "SELECT"}
	switch r.IntN(5) {
	case 0:
		p.Set(Rule{Delay: between(r, time.Millisecond, 40*time.Millisecond)})
	case 1:
		p.Set(Rule{Hole: true})
	case 2:
		p.Reset()
	default:
		p.Set(Rule{Sync: Fate(1 + r.IntN(5)), Of: verbs[r.IntN(len(verbs))], Times: 1 + r.IntN(3)})
	}
	time.Sleep(between(r, 50*time.Millisecond, 1200*time.Millisecond))
	if r.IntN(2) == 0 {
		p.Set(Rule{})
	}
}

// The disk is full: what only reads goes on, what writes says so, and when there is room again
// it goes on without anybody's help.
func TestTheDiskIsFull(t *testing.T) {
	length(t, 0)
	nodes := Dev(t, "")
	StartAll(t, nodes)
	w := NewWorld(t, nodes, seed(t))
	workers := w.NewWorkers(4)
	x := w.newWorker(50)
	w.Run(workers, func() {
		time.Sleep(500 * time.Millisecond)
		limitFiles(t, nodes[0], 4096)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
			fromMemory(t, x.client)
			notNow(t, "refresh", x.send(x.refreshing(x.families[0].newest())))
			notNow(t, "add user", x.send(x.addingUser("nobody@example.com", "")))
			if got := x.send(x.introspection(x.access[0])); got.Status != http.StatusOK || got.Got != "true" {
				t.Errorf("a token is not looked up while the disk is full: %d %s %s", got.Status, got.Broken, got.body)
			}
			time.Sleep(20 * time.Millisecond)
		}
		limitFiles(t, nodes[0], ^uint64(0))
		backWithin(t, x, promptly)
	})
	judge(t, w, append(workers, x), DatabaseOf(nodes[0]))
}

// Another program has the file locked, as somebody's shell that was left in the middle of a transaction.
// What only reads goes on, what writes says so in time, and nothing of that happens later.
func TestTheFileIsLocked(t *testing.T) {
	length(t, 0)
	nodes := Dev(t, "")
	StartAll(t, nodes)
	w := NewWorld(t, nodes, seed(t))
	workers := w.NewWorkers(4)
	x := w.newWorker(50)
	db, err := sql.Open("sqlite", strings.TrimPrefix(DatabaseOf(nodes[0]), "sqlite:")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w.Run(workers, func() {
		time.Sleep(500 * time.Millisecond)
		var lock *sql.Tx
		for end := time.Now().Add(10 * time.Second); ; {
			if lock, err = db.BeginTx(t.Context(), nil); err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Error(err)
			return
		}
		for begin := time.Now(); time.Since(begin) < 4*time.Second; {
			fromMemory(t, x.client)
			notNow(t, "refresh", x.send(x.refreshing(x.families[0].newest())))
			notNow(t, "add user", x.send(x.addingUser("nobody@example.com", "")))
			if got := x.send(x.introspection(x.access[0])); got.Status != http.StatusOK || got.Got != "true" {
				t.Errorf("a token is not looked up while the file is locked: %d %s %s", got.Status, got.Broken, got.body)
			}
		}
		if err := lock.Rollback(); err != nil {
			t.Error(err)
		}
		backWithin(t, x, promptly)
	})
	judge(t, w, append(workers, x), DatabaseOf(nodes[0]))
}

// limitFiles is a full disk without a disk: no file can grow beyond so many bytes
// (RLIMIT_FSIZE).
func limitFiles(t *testing.T, n *Node, most uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: most, Max: ^uint64(0)}
	const fsize = 1
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(n.PID()), fsize, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatalf("the limit can't be set: %v", errno)
	}
}
