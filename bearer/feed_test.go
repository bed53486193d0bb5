package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/bearer"
)

const feedKey = "mm_sk_feed"

// A crier is an issuer that tells what it revokes, and can do so badly.
type crier struct {
	*issuer
	key  *signer
	url  string
	away atomic.Bool
	mute atomic.Bool // streams are opened, and nothing ever comes
	gone atomic.Bool // no place is known
	asks atomic.Int64
	typ  atomic.Pointer[string]

	mu      sync.Mutex
	told    []string // JSON
	waiting map[chan struct{}]bool
}

func newCrier(t testing.TB) *crier {
	c := &crier{issuer: newIssuer(t), waiting: map[chan struct{}]bool{}}
	c.key = newSigner(t, "ES256", "one")
	c.publish(c.key)
	typ := "revocations+jwt"
	c.typ.Store(&typ)
	server := httptest.NewServer(c)
	c.url = server.URL
	c.Prefix = server.URL
	c.issuer.URL = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return c
}

// tell tells of one more revocation.
func (c *crier) tell(kind, ref string, revoked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := json.Marshal(map[string]any{"kind": kind, "ref": ref, "until": time.Now().Add(time.Hour).Unix(), "revoked": revoked})
	if err != nil {
		c.t.Error(err)
	}
	c.told = append(c.told, string(text))
	for wait := range c.waiting {
		select {
		case wait <- struct{}{}:
		default:
		}
	}
}

// after is what was told after a place.
func (c *crier) after(since string) (items string, seq int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := 0
	fmt.Sscan(since, &from)
	return "[" + strings.Join(c.told[from:], ",") + "]", len(c.told)
}

func (c *crier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/v1/revocations") {
		c.issuer.ServeHTTP(w, r)
		return
	}
	c.asks.Add(1)
	since := r.URL.Query().Get("since")
	switch {
	case r.Header.Get("Authorization") != "ApiKey "+feedKey:
		w.WriteHeader(http.StatusUnauthorized)
	case c.away.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/api/v1/revocations/snapshot":
		c.gone.Store(false)
		items, seq := c.after("")
		text := fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%d,"seq":%d,"revocations":%s}`, c.url, c.url, time.Now().Add(time.Minute).Unix(), seq, items)
		fmt.Fprint(w, c.key.signText(text, map[string]any{"typ": *c.typ.Load()}))
	case c.gone.Load():
		w.WriteHeader(http.StatusGone)
	case r.Header.Get("Accept") == "text/event-stream":
		c.stream(w, r, since)
	default:
		items, seq := c.after(since)
		fmt.Fprintf(w, `{"items":%s,"seq":%d}`, items, seq)
	}
}

func (c *crier) stream(w http.ResponseWriter, r *http.Request, since string) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	wait := make(chan struct{}, 1)
	c.mu.Lock()
	c.waiting[wait] = true
	c.mu.Unlock()
	for {
		if !c.mute.Load() {
			items, seq := c.after(since)
			since = fmt.Sprint(seq)
			fmt.Fprintf(w, "event: revocations\ndata: %s\nid: %d\n\n", items, seq)
		}
		out.Flush()
		select {
		case <-wait:
			if c.away.Load() {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// hears is a feed that hears the crier.
func (c *crier) hears(change ...func(*bearer.FeedConfig)) *bearer.Feed {
	c.t.Helper()
	config := bearer.FeedConfig{Issuer: c.url, Key: feedKey, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&config)
	}
	f, err := bearer.NewFeed(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *crier) run(f *bearer.Feed) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	c.t.Cleanup(func() { cancel(); <-done })
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about: %s", what)
		}
	}
}

// shows is the principal of a token.
func (c *crier) shows(change func(*bearer.Principal)) bearer.Principal {
	p := bearer.Principal{Issuer: c.url, Method: bearer.MethodBearer, Subject: "usr_1", ClientID: "cli_1", Credential: "jti", Session: "ses_1", Authorization: "aut_1", Key: "key_1"}
	if change != nil {
		change(&p)
	}
	return p
}

func revokedBy(f *bearer.Feed, p bearer.Principal) error {
	return f.Revoked(context.Background(), p, time.Now())
}

func TestWhatTheFeedRevokes(t *testing.T) {
	c := newCrier(t)
	c.tell("token", "before", true)
	var mu sync.Mutex
	var forgotten []string
	f := c.hears(func(config *bearer.FeedConfig) {
		config.Forget = func(ids ...string) { mu.Lock(); forgotten = append(forgotten, ids...); mu.Unlock() }
	})
	if err := revokedBy(f, c.shows(nil)); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("before it heard anything: %v", err)
	}
	c.run(f)
	if err := f.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := revokedBy(f, c.shows(func(p *bearer.Principal) { p.Credential = "before" })); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("what the snapshot has: %v", err)
	}
	for kind, ref := range map[string]string{"token": "jti", "authorization": "aut_1", "session": "ses_1", "key": "key_1", "account": "usr_1", "client": "cli_1"} {
		p := c.shows(nil)
		if err := revokedBy(f, p); err != nil {
			t.Fatalf("before its %s was revoked: %v", kind, err)
		}
		c.tell(kind, ref, true)
		eventually(t, kind+" is revoked", func() bool { return errors.Is(revokedBy(f, p), bearer.ErrInvalid) })
		other := p
		other.Issuer = "https://other.example"
		if err := revokedBy(f, other); err != nil {
			t.Errorf("another issuer's %s of that name: %v", kind, err)
		}
		c.tell(kind, ref, false)
		eventually(t, kind+" is good again", func() bool { return revokedBy(f, p) == nil })
	}
	// Ids of one kind are not those of another.
	c.tell("session", "usr_1", true)
	c.tell("what is this", "jti", true)
	c.tell("key", "mm_key", true)
	eventually(t, "all is heard", func() bool { return f.State().Revoked == 3 })
	if err := revokedBy(f, c.shows(nil)); err != nil {
		t.Errorf("a session that is called like the account: %v", err)
	}
	key := bearer.Principal{Issuer: c.url, Method: bearer.MethodAPIKey, Subject: "svc_1", Credential: "mm_key", ClientID: "mm_key"}
	if err := revokedBy(f, key); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("an API key: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(forgotten, " "); strings.Count(got, "key_1") != 2 || strings.Count(got, "usr_1") != 2 || strings.Count(got, "cli_1") != 2 || strings.Contains(got, "jti") {
		t.Errorf("what is remembered was forgotten of %s", got)
	}
}

// Lost: refused after a while, or not, as the operator wants; and known when it is back.
func TestALostFeed(t *testing.T) {
	c := newCrier(t)
	closed := c.hears()
	open := c.hears(func(config *bearer.FeedConfig) { config.FailClosedAfter = bearer.GoOn })
	c.run(closed)
	c.run(open)
	eventually(t, "both hear", func() bool { return closed.State().How == "stream" && open.State().How == "stream" })
	c.away.Store(true)
	c.tell("token", "jti", true) // ends the streams
	eventually(t, "both are lost", func() bool { return closed.State().Err != nil && open.State().Err != nil })
	p := c.shows(func(p *bearer.Principal) { p.Credential = "other" })
	at := closed.State().HeardAt
	for _, tt := range []struct {
		after time.Duration
		f     *bearer.Feed
		want  error
	}{
		{29 * time.Second, closed, nil}, {31 * time.Second, closed, bearer.ErrUnavailable}, {24 * time.Hour, open, nil},
	} {
		if err := tt.f.Revoked(context.Background(), p, at.Add(tt.after)); !errors.Is(err, tt.want) {
			t.Errorf("%s later: %v", tt.after, err)
		}
	}
	c.away.Store(false)
	revoked := c.shows(nil)
	eventually(t, "what was missed is heard", func() bool {
		return errors.Is(revokedBy(closed, revoked), bearer.ErrInvalid) && errors.Is(revokedBy(open, revoked), bearer.ErrInvalid)
	})
	if s := closed.State(); s.Err != nil || s.How != "stream" {
		t.Errorf("back, it is %+v", s)
	}
}

// Somebody in between keeps what is streamed to himself.
func TestAFeedPollsWhereNothingCanBeStreamed(t *testing.T) {
	c := newCrier(t)
	c.mute.Store(true)
	f := c.hears()
	bearer.SetSilence(f, 50*time.Millisecond)
	c.run(f)
	eventually(t, "it polls", func() bool { return f.State().How == "poll" })
	c.tell("token", "jti", true)
	eventually(t, "it hears", func() bool { return errors.Is(revokedBy(f, c.shows(nil)), bearer.ErrInvalid) })
}

// A database that was restored does not know up to where somebody had read.
func TestAFeedBeginsAnew(t *testing.T) {
	c := newCrier(t)
	f := c.hears()
	c.run(f)
	eventually(t, "it is heard", func() bool { return f.State().How == "stream" })
	c.gone.Store(true)
	c.away.Store(true)
	c.tell("token", "jti", true)
	eventually(t, "it is lost", func() bool { return f.State().Err != nil })
	c.away.Store(false)
	eventually(t, "it hears", func() bool { return errors.Is(revokedBy(f, c.shows(nil)), bearer.ErrInvalid) })
}

// What is not signed as a snapshot is none: an access token that somebody else put there, say.
func TestAFeedBelievesSnapshotsOnly(t *testing.T) {
	c := newCrier(t)
	typ := "at+jwt"
	c.typ.Store(&typ)
	f := c.hears()
	c.run(f)
	eventually(t, "it is refused", func() bool { return f.State().Err != nil })
	typed := "revocations+jwt"
	c.key = newSigner(t, "ES256", "one") // a key that is not published
	c.typ.Store(&typed)
	asks := c.asks.Load()
	eventually(t, "it asked again", func() bool { return c.asks.Load() > asks+1 })
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := f.Wait(soon); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("whoever waits is told: %v", err)
	}
	if s := f.State(); s.How != "" || !s.HeardAt.IsZero() {
		t.Errorf("it believes %+v", s)
	}
}

func TestTheBoundsOfAFeed(t *testing.T) {
	c := newCrier(t)
	f := c.hears(func(config *bearer.FeedConfig) { config.Most = 2 })
	c.run(f)
	eventually(t, "it is heard", func() bool { return f.State().How == "stream" })
	soon := time.Now().Add(time.Minute)
	bearer.Apply(f, "token", "one", soon, true)
	bearer.Apply(f, "token", "one", soon.Add(time.Minute), true)
	bearer.Apply(f, "token", "two", soon, true)
	if s := f.State(); s.Full || s.Revoked != 2 {
		t.Errorf("with two it is %+v", s)
	}
	bearer.Apply(f, "token", "three", soon, true)
	if err := revokedBy(f, c.shows(nil)); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("when not all is known: %v", err)
	}
	bearer.Expire(f, soon)
	if s := f.State(); s.Revoked != 1 {
		t.Errorf("a minute later it is %+v", s)
	}
	for _, config := range []bearer.FeedConfig{
		{}, {Issuer: "https://id.example"}, {Issuer: "http://id.example", Key: feedKey},
		{Issuer: "https://id.example", Key: feedKey, FailClosedAfter: time.Second},
	} {
		if _, err := bearer.NewFeed(config); err == nil {
			t.Errorf("%+v is taken", config)
		}
	}
}

func TestAFeedReadsAnewWhatItHadNoRoomFor(t *testing.T) {
	c := newCrier(t)
	f := c.hears(func(config *bearer.FeedConfig) { config.Most = 2 })
	c.run(f)
	eventually(t, "it is heard", func() bool { return f.State().How == "stream" })
	soon := time.Now().Add(time.Minute)
	bearer.Apply(f, "token", "one", soon, true)
	bearer.Apply(f, "token", "two", soon, true)
	c.tell("token", "three", true)
	eventually(t, "there is no room", func() bool { return f.State().Full })
	bearer.Expire(f, soon)
	if !f.State().Full {
		t.Error("there is room, and what was left out is not known")
	}
	c.tell("token", "four", true)
	eventually(t, "all is known", func() bool { s := f.State(); return !s.Full && s.Revoked == 2 && s.How == "stream" })
}

// filled is a feed with many revocations, none of which is of the principal that is asked about.
func filled(t testing.TB, n int) (*bearer.Feed, bearer.Principal) {
	f, err := bearer.NewFeed(bearer.FeedConfig{Issuer: "https://id.example", Key: feedKey, FailClosedAfter: bearer.GoOn})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	for i := range n {
		for _, kind := range []string{"token", "authorization", "session", "key", "account", "client"} {
			bearer.Apply(f, kind, fmt.Sprintf("%s_%022d", kind[:3], i), until, true)
		}
	}
	return f, bearer.Principal{Issuer: "https://id.example", Method: bearer.MethodBearer, Subject: "usr_000000000000000000000x", ClientID: "cli_000000000000000000000x",
		Credential: "000000000000000000000x", Session: "ses_000000000000000000000x", Authorization: "000000000000000000000x"}
}

func TestToAskWhatIsRevokedAllocatesNothing(t *testing.T) {
	f, p := filled(t, 100)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		if err := f.Revoked(context.Background(), p, now); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkRevoked(b *testing.B) {
	for _, n := range []int{0, 1, 1000, 50_000} {
		b.Run(fmt.Sprintf("of %d", 6*n), func(b *testing.B) {
			f, p := filled(b, n)
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Revoked(context.Background(), p, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
