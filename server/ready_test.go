package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadinessAsksAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, away := 0, false
		d := &readiness{look: func(context.Context) error {
			looks++
			if away {
				return errors.New("away")
			}
			return nil
		}}
		for range 100 {
			go func() {
				if err := d.check(t.Context(), time.Now()); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if looks != 1 {
			t.Errorf("the database was asked %d times", looks)
		}
		away = true
		time.Sleep(lookGood)
		if d.check(t.Context(), time.Now()) == nil {
			t.Error("a second later the database is away, and we are ready")
		}
		away = false
		time.Sleep(lookGood)
		if err := d.check(t.Context(), time.Now()); err != nil {
			t.Errorf("it came back: %v", err)
		}
	})
}

func TestADatabaseThatHangsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &readiness{look: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		began := time.Now()
		if d.check(t.Context(), began) == nil {
			t.Error("ready")
		}
		if took := time.Since(began); took != lookAtMost {
			t.Errorf("after %s", took)
		}
	})
}

func TestReadyzFollowsTheDatabaseAndHealthzDoesNot(t *testing.T) {
	s, _ := start(t)
	if resp := ask(s, "GET", "/readyz", ""); resp.StatusCode != 200 {
		t.Fatalf("at the start: %d", resp.StatusCode)
	}
	s.db.Close()
	s.ready.seen = time.Time{} // as if a second had passed
	resp := ask(s, "GET", "/readyz", "")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without a database: %d %v", resp.StatusCode, resp.Header)
	}
	if body := text(t, resp); strings.Contains(body, "sql") || strings.Contains(body, "database") {
		t.Errorf("it tells strangers about the inside: %s", body)
	}
	if resp := ask(s, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("alive: %d", resp.StatusCode)
	}
}

// The order of the end: not ready, still serving; then no new connections, but what has begun
// is finished; then gone.
func TestDrain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + listener.Addr().String()
	s, _ := start(t, func(c *Config) { c.Issuer, c.Listener, c.DrainDelay = at, listener, 2*time.Second })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	status := func(path string) int {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(at + path)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status("/readyz"); got != 200 {
		t.Fatalf("ready: %d", got)
	}

	// A request that has begun: its body is still under way.
	slow, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	io.WriteString(slow, "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\nConnection: close\r\n\r\ngrant_")

	stop()
	for status("/readyz") != 503 {
		select {
		case err := <-ended:
			t.Fatalf("it ended without saying so: %v", err)
		default:
		}
	}
	if got := status("/keys"); got != 200 {
		t.Errorf("while it drains: %d", got)
	}
	for status("/keys") != 0 { // until the listener is closed
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended with a request under way: %v", err)
	default:
	}
	io.WriteString(slow, "type=x")
	answer, err := io.ReadAll(slow)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
		t.Errorf("the request that had begun: %v %.100q", err, answer)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// When nobody can come any more there is nobody to wait for: neither before the end was asked for nor
// after.
func TestNoDrainWithoutAListener(t *testing.T) {
	for _, ending := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := start(t, func(c *Config) { c.Listener, c.DrainDelay = listener, time.Minute })
		ctx, end := context.WithCancel(t.Context())
		defer end()
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		if ending {
			end()
			waitFor(t, s.draining.Load)
		}
		listener.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("ending %v: %v", ending, err)
			}
		case <-time.After(45 * time.Second):
			t.Errorf("ending %v: it waits for a minute", ending)
		}
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "taken") || !strings.Contains(err.Error(), "--listen") || strings.Contains(err.Error(), "bind:") {
		t.Errorf("got %v", err)
	}
	for _, address := range []string{"nonsense", "127.0.0.1:99999", "192.0.2.1:80"} {
		if _, err := Listen(address); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, func(c *Config) { c.Issuer, c.Listener, c.DrainDelay = "http://"+listener.Addr().String(), listener, -1 })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r, err := http.NewRequest("GET", s.Issuer()+"/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader))
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("RFC 6585 5: got %d", resp.StatusCode)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
