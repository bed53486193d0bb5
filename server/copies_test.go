package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/apikeys"
	"mintmark/storage/storagetest"
)

// onEach tells a story of three copies of the server on one database, on each database.
func onEach(t *testing.T, story func(t *testing.T, all []*Server)) {
	t.Run("sqlite", func(t *testing.T) { story(t, copies(t, 3, storagetest.SQLite(t))) })
	t.Run("postgres", func(t *testing.T) { story(t, copies(t, 3, storagetest.Postgres(t))) })
}

// copies starts copies of the server on one database, with their jobs.
func copies(t testing.TB, n int, database string) []*Server {
	t.Helper()
	var all []*Server
	for range n {
		s, _ := start(t, func(c *Config) { c.Database, c.MaxConns = database, 4 })
		run(t, s)
		all = append(all, s)
	}
	return all
}

// run starts a server's jobs and ends them with the test.
func run(t testing.TB, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wait := s.startJobs(ctx)
	stop = func() { cancel(); wait() }
	t.Cleanup(stop)
	return stop
}

// aKey makes a key that every copy has verified and remembers.
func aKey(t testing.TB, all []*Server) (id, key string) {
	t.Helper()
	k, token, err := all[0].apiKeys.Make(t.Context(), apikeys.New{Name: "ci", Scopes: []string{"users:read"}}, apikeys.By{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if _, err := s.apiKeys.Verify(t.Context(), token.Reveal(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return k.ID, token.Reveal()
}

// refusedAfter revokes keys on the first copy, and measures how long the others go on to let them pass.
func refusedAfter(t *testing.T, all []*Server, rounds int) (took []time.Duration) {
	t.Helper()
	for range rounds {
		id, key := aKey(t, all)
		if err := all[0].apiKeys.Revoke(t.Context(), id, "", false, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := all[0].apiKeys.Verify(t.Context(), key, began); err != apikeys.ErrInvalid {
			t.Errorf("the copy that revoked it: %v", err)
		}
		for _, s := range all[1:] {
			for {
				_, err := s.apiKeys.Verify(t.Context(), key, time.Now())
				if err == apikeys.ErrInvalid {
					break
				}
				if err != nil || time.Since(began) > 20*time.Second {
					t.Fatalf("after %s: %v", time.Since(began), err)
				}
				time.Sleep(time.Millisecond)
			}
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return took
}

// withinASecond holds the bound, and prints how it was.
func withinASecond(t *testing.T, took []time.Duration) {
	t.Helper()
	most := took[len(took)-1]
	t.Logf("revoked to refused by other copies, %d times: p50 %s, p99 %s, at most %s",
		len(took), took[len(took)/2].Round(time.Millisecond/10), took[len(took)*99/100].Round(time.Millisecond/10), most.Round(time.Millisecond/10))
	if most > time.Second {
		t.Errorf("a revoked key was good for %s", most)
	}
}

// docs/operate/revocation.md: by every other copy.
func TestARevokedKeyIsRefusedByOtherCopies(t *testing.T) {
	onEach(t, func(t *testing.T, all []*Server) {
		withinASecond(t, refusedAfter(t, all, 15))
	})
}

// Without notifications the poll is the guarantee: here PostgreSQL ends whoever listens.
func TestARevokedKeyIsRefusedWhoeverEndsTheListener(t *testing.T) {
	database := storagetest.Postgres(t)
	all := copies(t, 3, database)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	stop, ended := make(chan struct{}), make(chan struct{})
	var killed atomic.Int64
	go func() {
		defer close(ended)
		for {
			var n int64
			if err := conn.QueryRow(context.Background(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE application_name = 'mintmark listener' AND datname = current_database()`).Scan(&n); err != nil {
				t.Error(err)
				return
			}
			killed.Add(n)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	took := refusedAfter(t, all, 5)
	close(stop)
	<-ended
	withinASecond(t, took)
	if killed.Load() == 0 {
		t.Error("nobody listened")
	}
}

// A network that swallows what the listener would hear, and tells nobody, costs no more.
func TestARevokedKeyIsRefusedIfTheListenerIsDeafAndDoesNotKnow(t *testing.T) {
	database, deaf := swallowing(t, storagetest.Postgres(t), "LISTEN ")
	all := copies(t, 3, database)
	waitFor(t, func() bool { return deaf.Load() >= 3 })
	withinASecond(t, refusedAfter(t, all, 5))
}

// whereIs parses the URL of a database, and says where to find it.
func whereIs(t *testing.T, database string) (at *url.URL, network, address string) {
	t.Helper()
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if folder := at.Query().Get("host"); strings.HasPrefix(folder, "/") {
		return at, "unix", filepath.Join(folder, ".s.PGSQL.5432")
	}
	return at, "tcp", at.Host
}

// swallowing returns the URL of a database behind a proxy that falls silent on each connection over
// which it has seen some words, and how many of them there are.
func swallowing(t *testing.T, database, words string) (string, *atomic.Int64) {
	t.Helper()
	at, network, address := whereIs(t, database)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	deaf := new(atomic.Int64)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				continue
			}
			var silent atomic.Bool
			pipe := func(to, from net.Conn, look bool) {
				defer to.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := from.Read(buf)
					if look && bytes.Contains(buf[:n], []byte(words)) && !silent.Swap(true) {
						deaf.Add(1)
					}
					if !silent.Load() {
						if _, err := to.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						if err != io.EOF && silent.Load() {
							<-t.Context().Done()
						}
						return
					}
				}
			}
			go pipe(server, client, true)
			go pipe(client, server, false)
		}
	}()
	at.Host, at.RawQuery = l.Addr().String(), "sslmode=disable"
	return at.String(), deaf
}

// Whoever waits for a revocation gets the answer when every copy has confirmed it, and is told if
// one has not.
func TestWaitingForEveryCopy(t *testing.T) {
	onEach(t, func(t *testing.T, all []*Server) {
		for _, s := range all {
			if err := s.db.Serving(t.Context(), s.holder, time.Now().Add(servingFor)); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			id, key := aKey(t, all)
			if err := all[0].apiKeys.Revoke(t.Context(), id, "", false, apikeys.By{}); err != nil {
				t.Fatal(err)
			}
			if ok, err := all[0].propagated(t.Context()); err != nil || !ok {
				t.Fatalf("every copy is there: %v, %v", ok, err)
			}
			for i, s := range all {
				if _, err := s.apiKeys.Verify(t.Context(), key, time.Now()); err != apikeys.ErrInvalid {
					t.Errorf("copy %d after it confirmed: %v", i, err)
				}
			}
		}
	})
}

// A copy that was there a moment ago and says nothing may be cut off, and serving.
func TestACopyThatDoesNotConfirmIsTold(t *testing.T) {
	s := copies(t, 1, storagetest.SQLite(t))[0]
	if err := s.db.Serving(t.Context(), "cut off", time.Now().Add(servingFor)); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.propagated(t.Context()); err != nil || ok {
		t.Errorf("one copy does not confirm: %v, %v", ok, err)
	}
}

// A copy that ends in order is not waited for.
func TestACopyThatEndedIsNotWaitedFor(t *testing.T) {
	database := storagetest.SQLite(t)
	one := copies(t, 1, database)[0]
	two, _ := start(t, func(c *Config) { c.Database = database })
	stop := run(t, two)
	count := func() int64 {
		n, err := one.db.Unconfirmed(t.Context(), "nothing", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	waitFor(t, func() bool { return count() == 2 })
	stop()
	if n := count(); n != 1 {
		t.Errorf("%d copies are waited for", n)
	}
}

func waitFor(t testing.TB, what func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !what(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}
