package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/internal/secret"
	"mintmark/upstream"
)

// by is what a client gets to know of the desk.
func (w *world) by(client, token string, now time.Time) error {
	_, _, err := w.Identify(w.t.Context(), upstream.Shown{Provider: "desk", Client: client, Token: token}, now)
	return err
}

// Tokens that somebody makes up cost the client that hands them on, and a connector gets a bounded number of
// questions about them, however many clients there are.
func TestMadeUpTokensMakeNoFlood(t *testing.T) {
	d, w := newDesk(t)
	made := 0
	flood := func(client string, n int, now time.Time) (asked int64) {
		before := d.asked.Load()
		for range n {
			made++
			if err := w.by(client, fmt.Sprint("made up ", made), now); !errors.Is(err, upstream.ErrOutside) && !errors.Is(err, upstream.ErrAway) {
				t.Fatal(err)
			}
		}
		return d.asked.Load() - before
	}
	good := 0
	lets := func(client string, now time.Time) bool {
		good++
		return w.by(client, fmt.Sprint("good ", good), now) == nil
	}
	if !lets("chat", w.now) {
		t.Fatal("a good token, before")
	}
	for _, tt := range []struct {
		name, client string
		n            int
		after        time.Duration
		want         int64
		in           bool // who comes with a good token that nobody asked about before
	}{
		{"one client", "chat", 1000, 0, 100, false},
		{"the same a second later", "chat", 1000, time.Second, 10, false},
		{"another is not held up", "shop", 0, time.Second, 0, true},
		{"nor does it have more", "shop", 1000, time.Second, 100, false},
		{"a third", "mail", 1000, time.Second, 100, false},
		{"a fourth has what is left in all", "news", 1000, time.Second, 40, false},
		{"a fifth has nothing left", "blog", 1000, time.Second, 0, false},
		{"all of them get some again", "blog", 1000, 2 * time.Second, 50, false},
		{"and after a while everything", "chat", 1000, time.Minute, 100, false},
	} {
		now := w.now.Add(tt.after)
		if got := flood(tt.client, tt.n, now); got != tt.want {
			t.Errorf("%s: asked %d times, want %d", tt.name, got, tt.want)
		}
		if lets(tt.client, now) != tt.in {
			t.Errorf("%s: a good token is let in: %v", tt.name, !tt.in)
		}
	}
	if _, refused := w.Remembered(); refused > 500 {
		t.Errorf("%d refusals are remembered", refused)
	}
	// Whoever has come in stays in: that needs no question, and is not forgotten for what is made up.
	if err := w.by("chat", "good 1", w.now.Add(59*time.Second)); err != nil {
		t.Errorf("who was here before: %v", err)
	}
}

// The place of good answers is theirs: six hundred made-up tokens, from many clients, take none of it.
func TestMadeUpTokensMakeNothingForgotten(t *testing.T) {
	d, w := newDesk(t)
	if err := w.by("chat", "good", w.now); err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		if err := w.by("chat", fmt.Sprint("made up ", i), w.now.Add(time.Duration(i)*50*time.Millisecond)); err != nil && !errors.Is(err, upstream.ErrOutside) && !errors.Is(err, upstream.ErrAway) {
			t.Fatal(err)
		}
	}
	good, refused := w.Remembered()
	before := d.asked.Load()
	if err := w.by("chat", "good", w.now.Add(30*time.Second)); err != nil || d.asked.Load() != before || good != 1 || refused > 500 {
		t.Errorf("%v; %d good, %d refused, asked %d times more", err, good, refused, d.asked.Load()-before)
	}
}

// Good tokens cost nothing: as many as there are come in at once.
func TestGoodTokensAreNotCounted(t *testing.T) {
	_, w := newDesk(t)
	for i := range 400 {
		if err := w.by("chat", fmt.Sprint("good ", i), w.now); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
}

// Some tokens make something on the way drop the connection. Who has one of them keeps nobody out but those.
func TestTokensThatAreNotAnsweredKeepNobodyOut(t *testing.T) {
	d, w := newDesk(t)
	d.says(func(rw http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); {
		case strings.Contains(string(body), "poison"):
			panic(http.ErrAbortHandler)
		case strings.Contains(string(body), "good"):
			reply(rw, 200, ada())
		default:
			reply(rw, 200, claims{"active": false})
		}
	})
	rows, _ := w.store.Providers(t.Context())
	for i := range 40 {
		if err := w.by("evil", fmt.Sprint("poison ", i), w.now); !errors.Is(err, upstream.ErrAway) {
			t.Errorf("%d: %v", i, err)
		}
		if w.LeftAlone(&rows[1]) {
			t.Fatalf("after %d it is left alone", i)
		}
	}
	if err := w.by("chat", "good", w.now); err != nil {
		t.Error(err)
	}
	if n := d.asked.Load(); n > 100 {
		t.Errorf("it was asked %d times", n)
	}
}

// One client has at most half of what a connector works at, however slow its tokens are.
func TestSlowTokensOfOneClientLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealer, err := secret.NewSealer(secret.Bytes(32))
		if err != nil {
			t.Fatal(err)
		}
		var inside, most atomic.Int64
		row := upstream.Provider{ID: secret.NewID("prv"), Name: "box", Kind: "connector"}
		g, err := upstream.New(upstream.Config{Store: &memory{rows: []upstream.Provider{row}}, Sealer: sealer, StateKey: [32]byte(secret.Bytes(32)), Issuer: ours,
			Connectors: map[string]upstream.Connector{"box": tickets(func(ctx context.Context, token string) (upstream.Identity, error) {
				if !strings.HasPrefix(token, "slow") {
					return upstream.Identity{Subject: token}, nil
				}
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				<-ctx.Done()
				return upstream.Identity{}, ctx.Err()
			})}})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		var group sync.WaitGroup
		for i := range 60 {
			group.Go(func() {
				if _, _, err := g.Identify(t.Context(), upstream.Shown{Provider: "box", Client: "evil", Token: fmt.Sprint("slow ", i)}, now); !errors.Is(err, upstream.ErrAway) {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second / 2)
		if _, _, err := g.Identify(t.Context(), upstream.Shown{Provider: "box", Client: "chat", Token: "good"}, now); err != nil {
			t.Errorf("another client: %v", err)
		}
		group.Wait()
		if most.Load() != 8 {
			t.Errorf("%d at the same time", most.Load())
		}
	})
}

// What does not speak our protocol may send the token back, in places whose text is in errors.
func TestNoErrorHasTheToken(t *testing.T) {
	d, w := newDesk(t)
	const token = "good \"and\" <secret> \\ é"
	raw := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			c, _, err := rw.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, text)
		}
	}
	for _, tt := range []struct {
		name string
		say  http.HandlerFunc
	}{
		{"as its kind", raws(token, `{"active":true,"sub":"ada"}`)},
		{"as another kind", raws("text/"+token, `{}`)},
		{"instead of an answer", raw(token + "\r\n\r\n")},
		{"as the status", raw("HTTP/1.1 " + token + "\r\n\r\n")},
		{"as a header without a value", raw("HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n")},
		{"as the length", raw("HTTP/1.1 200 OK\r\nContent-Length: " + token + "\r\n\r\n")},
		{"as the coding", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + token + "\r\n\r\n")},
		{"as the address", said("email", token)},
		{"as a member", raws("application/json", `{"active":true,"sub":"ada","x":good <secret>}`)},
		{"as what active is", said("active", token)},
		{"as a limit", said("limits", claims{token: 1})},
		{"as an end", said("expires_at", token)},
		{"as another place", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "/"+token)
			rw.WriteHeader(302)
		}},
	} {
		d.says(tt.say)
		w.healed()
		err := w.by("chat", token, w.now)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if strings.Contains(d.log.String(), "secret") {
		t.Error("the log has it:", d.log)
	}
}
