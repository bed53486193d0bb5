package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
)

// rotating makes the op's token endpoint rotate refresh tokens and refuse one that was used: RFC 9700
// §4.14.2. It counts both.
type rotating struct {
	*op
	mu      sync.Mutex
	current string
	life    int
	slow    time.Duration
	away    atomic.Bool
	granted atomic.Int64
	reused  atomic.Int64
}

func rotate(o *op) *rotating {
	x := &rotating{op: o, current: "rt", life: 3600}
	o.answer = func(a claims) { a["expires_in"] = 1 } // over at once
	o.mu.Lock()
	defer o.mu.Unlock()
	o.routes["/token"] = func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "refresh_token" {
			o.token(w, r)
			return
		}
		if x.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		time.Sleep(x.slow)
		x.mu.Lock()
		defer x.mu.Unlock()
		if r.PostFormValue("refresh_token") != x.current {
			x.reused.Add(1)
			reply(w, 400, claims{"error": "invalid_grant"})
			return
		}
		n := x.granted.Add(1)
		x.current = fmt.Sprint("rt-", n)
		reply(w, 200, claims{"access_token": fmt.Sprint("at-", n), "token_type": "Bearer", "expires_in": x.life, "refresh_token": x.current})
	}
	return x
}

// A safe is three copies of our side on one database, and somebody whose tokens they keep.
type safe struct {
	*rotating
	t       *testing.T
	copies  []*upstream.Registry
	dbs     []*storage.DB
	account accounts.Account
}

func inSafe(t *testing.T, f func(t *testing.T, s *safe)) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		w := newWorld(t)
		w.set(func(p *upstream.Provider) { p.KeepTokens = true; p.Scopes = []string{"openid", "repo"} })
		s := &safe{rotating: rotate(w.op), t: t}
		p := w.store.rows[0]
		p.CreatedAt, p.UpdatedAt = w.now.Truncate(time.Microsecond), w.now.Truncate(time.Microsecond)
		for range 3 {
			db := open()
			g, err := upstream.New(upstream.Config{Store: db.Upstream(), Vault: db.Vault(), Sealer: w.sealer, StateKey: [32]byte(secret.Bytes(32)), Issuer: ours})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(g.Close)
			s.copies, s.dbs = append(s.copies, g), append(s.dbs, db)
		}
		if err := s.dbs[0].Upstream().AddProvider(t.Context(), p, apikeys.Event{ID: secret.NewID("evt"), At: w.now}); err != nil {
			t.Fatal(err)
		}
		who, err := w.signsIn("op")
		if err != nil {
			t.Fatal(err)
		}
		people := accounts.Directory{Store: s.dbs[0].Accounts()}
		if s.account, _, err = people.Arrive(t.Context(), p, who, w.now); err != nil {
			t.Fatal(err)
		}
		if err := s.copies[0].Keep(t.Context(), s.account.ID, who, w.now); err != nil {
			t.Fatal(err)
		}
		f(t, s)
	})
}

func (s *safe) hand(copy int) (upstream.Held, error) {
	return s.copies[copy].Hand(s.t.Context(), "op", s.account.ID, time.Now())
}

// RFC 6749 §6, RFC 9700 §4.14.2: of 64 who ask at once on three copies, one refreshes.
func TestKeptTokensAreRefreshedOnceHoweverManyAsk(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.slow = 50 * time.Millisecond
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				held, err := s.hand(i % 3)
				if err != nil || held.Access.Reveal() != "at-1" {
					t.Errorf("got %v and %q", err, held.Access.Reveal())
				}
			})
		}
		all.Wait()
		if s.granted.Load() != 1 || s.reused.Load() != 0 {
			t.Errorf("%d refreshes, and %d of a token that was used", s.granted.Load(), s.reused.Load())
		}
	})
}

func TestKeptTokensWhileTheProviderIsAwayAndAfterItRefuses(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.away.Store(true)
		if _, err := s.hand(0); !errors.Is(err, upstream.ErrAway) {
			t.Errorf("away: %v", err)
		}
		s.away.Store(false)
		held, err := s.hand(1) // nothing was lost, and the lease is free
		if err != nil || held.Access.Reveal() != "at-1" || strings.Join(held.Scopes, " ") != "openid email" {
			t.Errorf("back: %v %v", held, err)
		}
		before := s.dbs[0].Trips()
		if _, err := s.hand(0); err != nil || s.dbs[0].Trips() != before+1 {
			t.Errorf("a fresh token: %v, %d round trips", err, s.dbs[0].Trips()-before)
		}
		if _, err := s.copies[0].Hand(t.Context(), "op", "usr_another", time.Now()); !errors.Is(err, upstream.ErrNotKept) {
			t.Errorf("another person: %v", err)
		}

		// What the provider has taken back is gone here too.
		s.mu.Lock()
		s.current = "revoked"
		s.mu.Unlock()
		late := time.Now().Add(2 * time.Hour)
		for range 2 {
			if _, err := s.copies[2].Hand(t.Context(), "op", s.account.ID, late); !errors.Is(err, upstream.ErrNotKept) {
				t.Errorf("refused: %v", err)
			}
		}
		if s.reused.Load() != 1 {
			t.Errorf("it was asked %d times", s.reused.Load())
		}
	})
}

// A copy that dies while it refreshes leaves its lease behind: the others wait, and then one of them takes
// it over. If the dead one was only slow, it is too late.
func TestTheLeaseOfACopyThatIsGoneIsTakenOver(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		const alone = 300 * time.Millisecond
		vault := s.dbs[0].Vault()
		k, err := vault.Kept(t.Context(), s.providerID(), s.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		if won, err := vault.LeaseKept(t.Context(), k, "the dead one"); err != nil || !won {
			t.Fatal(won, err)
		}
		for _, g := range s.copies {
			g.SetLeaseTime(alone)
		}
		began := time.Now()
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				held, err := s.hand(1 + i%2)
				if err != nil || held.Access.Reveal() != "at-1" {
					t.Errorf("got %v and %q", err, held.Access.Reveal())
				}
			})
		}
		all.Wait()
		if time.Since(began) < alone {
			t.Error("it was not left alone")
		}
		if s.granted.Load() != 1 || s.reused.Load() != 0 {
			t.Errorf("%d refreshes, and %d of a token that was used", s.granted.Load(), s.reused.Load())
		}
		if err := vault.Refreshed(t.Context(), k, "the dead one", time.Now()); !errors.Is(err, upstream.ErrNotKept) {
			t.Errorf("the dead one comes back: %v", err)
		}
		if held, err := s.hand(0); err != nil || held.Access.Reveal() != "at-1" {
			t.Errorf("after it came back: %v", err)
		}
	})
}

// Whatever a provider answers to a refresh but RFC 6749 §5.2 invalid_grant, nothing is lost by it, and
// nobody has to wait for a lease.
func TestAHostileProviderAtRefresh(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.mu.Lock()
		good := s.rotating.op.routes["/token"]
		s.mu.Unlock()
		answers := func(f http.HandlerFunc) {
			s.rotating.op.mu.Lock()
			defer s.rotating.op.mu.Unlock()
			s.rotating.op.routes["/token"] = f
		}
		text := func(status int, kind, body string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(status)
				w.Write([]byte(body))
			}
		}
		const json = "application/json"
		for name, f := range map[string]http.HandlerFunc{
			"huge":                      text(200, json, `{"access_token":"`+strings.Repeat("a", 2<<20)+`"}`),
			"a page":                    text(200, "text/html", "<html>invalid_grant</html>"),
			"a page that is JSON":       text(200, "text/html", `{"error":"invalid_grant"}`),
			"nothing":                   text(200, json, ""),
			"no token":                  text(200, json, `{"token_type":"Bearer"}`),
			"a token that is an object": text(200, json, `{"access_token":{},"token_type":"Bearer"}`),
			"a token with a line break": text(200, json, `{"access_token":"a\r\nb","token_type":"Bearer"}`),
			"401":                       text(401, json, `{"error":"invalid_client"}`),
			"401, a page":               text(401, "text/html", "who are you"),
			"429":                       text(429, json, `{"error":"slow_down"}`),
			"500":                       text(500, "text/html", "oops"),
			"500 with a token":          text(500, json, `{"access_token":"stolen","token_type":"Bearer"}`),
			"a redirect inside": func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
			},
			"closing early": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "100")
				w.Write([]byte(`{"access`))
			},
		} {
			answers(f)
			// A copy of its own: the breaker of another is open by now.
			g := s.another(300 * time.Millisecond)
			if _, err := g.Hand(t.Context(), "op", s.account.ID, time.Now()); !errors.Is(err, upstream.ErrAway) {
				t.Errorf("%s: %v", name, err)
			}
			k, err := s.dbs[0].Vault().Kept(t.Context(), s.providerID(), s.account.ID)
			if err != nil || k.Lease != "" || k.Version != 1 {
				t.Errorf("%s: lease %q, version %d, %v", name, k.Lease, k.Version, err)
			}
		}
		hang := make(chan struct{})
		answers(func(w http.ResponseWriter, r *http.Request) { <-hang })
		if _, err := s.another(300*time.Millisecond).Hand(t.Context(), "op", s.account.ID, time.Now()); !errors.Is(err, upstream.ErrAway) {
			t.Errorf("slow: %v", err)
		}
		close(hang)
		answers(good)
		if held, err := s.hand(0); err != nil || held.Access.Reveal() != "at-1" {
			t.Errorf("good again: %v", err)
		}
	})
}

// another is one more copy, with a time for each sign-in and refresh.
func (s *safe) another(timeout time.Duration) *upstream.Registry {
	c := s.copies[0].Config
	c.Timeout = timeout
	g, err := upstream.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(g.Close)
	return g
}

// Sealed bytes are bound to their row: whoever can write to the database can't give one person the
// tokens of another.
func TestKeptTokensAreNobodyElses(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		k, err := s.dbs[0].Vault().Kept(t.Context(), s.providerID(), s.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(k.Sealed), "rt") && strings.Contains(string(k.Sealed), `"r"`) {
			t.Error("they are not sealed")
		}
		k.AccountID = "usr_thief"
		if _, err := s.copies[0].Held(k); err == nil {
			t.Error("they open in another row")
		}
	})
}

func (s *safe) providerID() string {
	all, err := s.dbs[0].Upstream().Providers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all[0].ID
}
