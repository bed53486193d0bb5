package conformance_test

import (
	"net/url"
	"sync"
	"testing"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

const racers = 64

// race runs f in many goroutines that start together.
func race[T any](f func(i int) T) []T {
	results := make([]T, racers)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-begin
			results[i] = f(i)
		})
	}
	close(begin)
	all.Wait()
	return results
}

// copies tells a story to one server on SQLite, and to three that share one PostgreSQL.
func copies(t *testing.T, tell func(*testing.T, []*conformance.Server)) {
	t.Run("sqlite", func(t *testing.T) { tell(t, []*conformance.Server{conformance.Start(t, "")}) })
	t.Run("postgres, three copies", func(t *testing.T) {
		database := storagetest.Postgres(t)
		first := conformance.Start(t, database)
		tell(t, []*conformance.Server{first, first.Copy(t, database), first.Copy(t, database)})
	})
}

// through is the application, talking to another copy.
func (a app) through(op *conformance.Server) app {
	a.op = op
	return a
}

func TestOneCodeIsRedeemedOnce(t *testing.T) {
	copies(t, func(t *testing.T, ops []*conformance.Server) {
		web := newApp(t, ops[0], "web")
		p, _ := newPerson(t, ops[0])
		code := web.code(p, "scope", "openid offline_access", "prompt", "consent")
		var winner answer
		won := 0
		for _, got := range race(func(i int) answer { return web.through(ops[i%len(ops)]).redeem(code) }) {
			switch got.what() {
			case "ok":
				won++
				winner = got
			case "invalid_grant":
			default:
				t.Errorf("a loser got %s", got.what())
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d redeemed one code", won, racers)
		}
		// The losers were replays: RFC 6749 4.1.2.
		if got := web.refresh(winner.str("refresh_token")); got.what() != "invalid_grant" {
			t.Errorf("what it bought survived the replay: %s", got.what())
		}
	})
}

func TestOneRefreshTokenHasOneSuccessor(t *testing.T) {
	copies(t, func(t *testing.T, ops []*conformance.Server) {
		web := newApp(t, ops[0], "web")
		p, _ := newPerson(t, ops[0])
		first := web.tokens(p, "scope", "openid offline_access", "prompt", "consent").str("refresh_token")
		successors := map[string]int{}
		for _, got := range race(func(i int) answer { return web.through(ops[i%len(ops)]).refresh(first) }) {
			if got.what() != "ok" {
				t.Errorf("in the grace: %s", got.Body)
				continue
			}
			successors[got.str("refresh_token")]++
		}
		if len(successors) != 1 {
			t.Fatalf("one refresh token has %d successors", len(successors))
		}
		for second := range successors {
			third := web.refresh(second)
			if third.what() != "ok" {
				t.Fatalf("the successor: %s", third.Body)
			}
			if got := web.refresh(first); got.what() != "invalid_grant" {
				t.Errorf("reuse after its successor was used: %s", got.what())
			}
			if got := web.refresh(third.str("refresh_token")); got.what() != "invalid_grant" {
				t.Errorf("the family after the reuse: %s", got.what())
			}
		}
	})
}

func TestOneRequestIsAnsweredOnce(t *testing.T) {
	copies(t, func(t *testing.T, ops []*conformance.Server) {
		op := ops[0]
		web := newApp(t, op, "web")
		p, _ := newPerson(t, op)
		page := p.Submit(p.Visit(web.request()), "login-submit", "username", p.Email, "password", conformance.Password)
		if !page.Has("consent-approve") {
			t.Fatalf("no consent page: %.300s", page.Body)
		}
		codes := 0
		for _, got := range race(func(i int) conformance.Page {
			// The same browser, in front of another copy.
			return p.On(ops[i%len(ops)]).Submit(page, "consent-approve")
		}) {
			if got.URL.Query().Has("code") {
				codes++
			} else if !got.Has("error") {
				t.Errorf("a loser is at %s", got.URL)
			}
		}
		if codes != 1 {
			t.Errorf("one request was answered %d times", codes)
		}
	})
}

func TestOneAssertionIsUsedOnce(t *testing.T) {
	copies(t, func(t *testing.T, ops []*conformance.Server) {
		key, flags := newAssertionKey(t)
		robot := newApp(t, ops[0], "service", append(flags, "--scope", "a")...)
		assertion := key.assertion(t, robot.ID, ops[0].Issuer, "one-jti")
		won := 0
		for _, got := range race(func(i int) answer {
			return post(t, ops[i%len(ops)].Address+"/oauth/token", url.Values{"grant_type": {"client_credentials"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}})
		}) {
			if got.what() == "ok" {
				won++
			} else if got.what() != "invalid_client" {
				t.Errorf("a loser got %s", got.Body)
			}
		}
		if won != 1 {
			t.Errorf("RFC 7523 3: one assertion was used %d times", won)
		}
	})
}
