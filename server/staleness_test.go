package server

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
	"mintmark/storage/storagetest"
)

// A wire is what a copy of the server and its database talk over. It can be cut, and it can keep an
// answer back.
type wire struct {
	url string
	cut atomic.Bool // nothing gets through, and what is connected is not any more

	mu    sync.Mutex
	words []byte        // the answer in which they are is kept back
	held  chan struct{} // closed when one is
	let   chan struct{} // closed when it may go
	lines []net.Conn
}

func newWire(t *testing.T, database string) *wire {
	t.Helper()
	at, network, address := whereIs(t, database)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	at.Host, at.RawQuery = l.Addr().String(), "sslmode=disable"
	w := &wire{url: at.String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil || w.cut.Load() {
				client.Close()
				continue
			}
			w.mu.Lock()
			w.lines = append(w.lines, client, server)
			w.mu.Unlock()
			go w.pipe(server, client, false)
			go w.pipe(client, server, true)
		}
	}()
	return w
}

func (w *wire) pipe(to, from net.Conn, answers bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if answers {
			w.keepBack(buf[:n])
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

func (w *wire) keepBack(answer []byte) {
	w.mu.Lock()
	let := w.let
	kept := len(w.words) > 0 && bytes.Contains(answer, w.words)
	if kept {
		w.words = nil
		close(w.held)
	}
	w.mu.Unlock()
	if kept {
		<-let
	}
}

// hold keeps the next answer back that has the words in it, until it is let go.
func (w *wire) hold(words string) (held <-chan struct{}, letGo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words, w.held, w.let = []byte(words), make(chan struct{}), make(chan struct{})
	return w.held, sync.OnceFunc(func() { close(w.let) })
}

// setCut cuts the wire, or mends it.
func (w *wire) setCut(cut bool) {
	w.cut.Store(cut)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.lines {
		line.Close()
	}
	w.lines = nil
}

// wired starts two copies of the server, and a third that reaches the database over a wire.
func wired(t *testing.T) ([]*Server, *wire) {
	t.Helper()
	database := storagetest.Postgres(t)
	w := newWire(t, database)
	return append(copies(t, 2, database), copies(t, 1, w.url)...), w
}

// docs/operate/revocation.md: what was read while the key was revoked is not kept, on another copy
// than the one that revokes.
func TestRevokeDuringAFillOfAnotherCopy(t *testing.T) {
	all, w := wired(t)
	later, laterKey := aKey(t, all)
	k, token, err := all[0].apiKeys.Make(t.Context(), apikeys.New{Name: "ci", Audience: []string{"https://held.example"}}, apikeys.By{})
	if err != nil {
		t.Fatal(err)
	}
	held, letGo := w.hold("https://held.example")
	defer letGo()
	read := make(chan error, 1)
	go func() {
		_, err := all[2].apiKeys.Verify(t.Context(), token.Reveal(), time.Now())
		read <- err
	}()
	select {
	case <-held:
	case <-time.After(10 * time.Second):
		t.Fatal("the key is not read")
	}
	for _, id := range []string{k.ID, later} {
		if err := all[0].apiKeys.Revoke(t.Context(), id, "", false, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
	}
	// Who knows of the later one knows of the first.
	waitFor(t, func() bool {
		_, err := all[2].apiKeys.Verify(t.Context(), laterKey, time.Now())
		return err == apikeys.ErrInvalid
	})
	letGo()
	if err := <-read; err != nil {
		t.Errorf("it was good when it was read: %v", err)
	}
	if _, err := all[2].apiKeys.Verify(t.Context(), token.Reveal(), time.Now()); err != apikeys.ErrInvalid {
		t.Errorf("what was read before it was revoked is believed: %v", err)
	}
}

// docs/operate/revocation.md: a copy that can't reach the database believes what it knows for a
// minute, then lets nobody in; and once it is back, it knows what was revoked within a second.
func TestARevokedKeyOnACopyThatIsCutOff(t *testing.T) {
	all, w := wired(t)
	id, key := aKey(t, all)
	w.setCut(true)
	began := time.Now()
	if err := all[0].apiKeys.Revoke(t.Context(), id, "", false, apikeys.By{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := all[2].apiKeys.Verify(t.Context(), key, began.Add(50*time.Second)); err != nil {
			t.Errorf("50 s without the database: %v", err)
		}
		if _, err := all[2].apiKeys.Verify(t.Context(), key, began.Add(61*time.Second)); err == nil || errors.Is(err, apikeys.ErrInvalid) {
			t.Errorf("61 s without the database: %v", err)
		}
	}
	if _, err := all[1].apiKeys.Verify(t.Context(), key, time.Now()); err != apikeys.ErrInvalid {
		waitFor(t, func() bool {
			_, err := all[1].apiKeys.Verify(t.Context(), key, time.Now())
			return err == apikeys.ErrInvalid
		})
	}
	w.setCut(false)
	back := time.Now()
	waitFor(t, func() bool {
		_, err := all[2].apiKeys.Verify(t.Context(), key, time.Now())
		return err == apikeys.ErrInvalid
	})
	if took := time.Since(back); took > 2*time.Second {
		t.Errorf("back, it believes a revoked key for %s", took)
	}
}

// docs/operate/revocation.md: a copy that can't read does not say that there is nothing new, so a
// service that listens to it lets nobody in after its time; and misses nothing.
func TestAConnectedGuardWhileTheDatabaseIsAway(t *testing.T) {
	database := storagetest.Postgres(t)
	w := newWire(t, database)
	c := connect(t, w.url)
	jti := secret.NewID("")
	token := c.token(map[string]any{"jti": jti})
	if code := c.says(token); code != 200 {
		t.Fatalf("before: %d", code)
	}
	other := copies(t, 1, database)[0]
	w.setCut(true)
	cut := time.Now()
	if err := other.db.Issuer().RevokeToken(t.Context(), jti, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(6 * time.Second) // longer than a beat
	heard := c.feed.State().HeardAt
	if heard.After(cut.Add(time.Second)) {
		t.Errorf("it was told that nothing is new %s after the database was gone", heard.Sub(cut))
	}
	p := bearer.Principal{Issuer: c.feed.Issuer, Method: bearer.MethodBearer, Credential: "another", ExpiresAt: cut.Add(time.Hour)}
	for after, want := range map[time.Duration]error{29 * time.Second: nil, 31 * time.Second: bearer.ErrUnavailable} {
		if err := c.feed.Revoked(t.Context(), p, heard.Add(after)); !errors.Is(err, want) {
			t.Errorf("%s after the last word: %v", after, err)
		}
	}
	w.setCut(false)
	back := time.Now()
	t.Logf("back, it refuses what was revoked meanwhile after %s", c.refused(token, back))
	waitFor(t, func() bool { return c.feed.State().HeardAt.After(back) })
}

// What is disabled and enabled at the same moment on three copies is, a second later, what it is in
// the database: on each copy, and for a service that listens. Nothing that comes late brings back an
// older state.
func TestAKeyThatIsDisabledAndEnabledAtTheSameMoment(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			c := connect(t, database(t))
			for range 5 {
				id, key := c.key(apikeys.New{})
				token := c.token(map[string]any{"client_id": id, "akid": id})
				var all sync.WaitGroup
				for i, s := range c.all {
					all.Go(func() {
						for j := range 4 {
							var err error
							if (i+j)%2 == 0 {
								err = s.apiKeys.Disable(t.Context(), id, "", apikeys.By{})
							} else {
								err = s.apiKeys.Enable(t.Context(), id, apikeys.By{})
							}
							if err != nil {
								t.Error(err)
							}
							for _, s := range c.all {
								s.apiKeys.Verify(t.Context(), key, time.Now())
							}
							c.says(key)
						}
					})
				}
				all.Wait()
				k, err := c.all[0].apiKeys.Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				want := 200
				if k.Disabled {
					want = 401
				}
				for i, s := range c.all {
					if _, err := s.apiKeys.Verify(t.Context(), key, time.Now()); (err == nil) == k.Disabled {
						t.Errorf("copy %d: disabled is %t, and it says %v", i, k.Disabled, err)
					}
				}
				if a, b := c.says(key), c.says(token); a != want || b != want {
					t.Errorf("disabled is %t, and a service says %d of the key and %d of its token", k.Disabled, a, b)
				}
			}
		})
	}
}
