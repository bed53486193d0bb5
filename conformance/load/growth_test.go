package load_test

import (
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// few is how many people, applications, sessions and authorizations there are in a small database.
const few = 1000

// A round is how long an operation is measured on one of two servers, before it is the other's turn. There
// are so many rounds of each: the middle one counts, whatever else the machine does meanwhile.
const rounds = 5

// round is a moment without MINTMARK_GROWTH, to see that it works.
func round() time.Duration {
	if os.Getenv("MINTMARK_GROWTH") == "" {
		return 20 * time.Millisecond
	}
	return time.Second
}

// BenchmarkGrowth measures what an operation costs among a thousand people, applications, sessions and
// authorizations, and among MINTMARK_GROWTH of each (1000000, say), on two servers in turn. The metric
// "ratio" is the processor time of the second, its database's included, over that of the first. It is run
// once, with -benchtime 1x.
func BenchmarkGrowth(b *testing.B) {
	for _, engine := range []struct {
		name, driver string
		make         func(*testing.B) string
	}{
		{"SQLite", "sqlite", func(b *testing.B) string { return storagetest.SQLite(b) }},
		{"PostgreSQL", "pgx", durable},
	} {
		b.Run(engine.name, func(b *testing.B) {
			var of [2]*crowded
			for i, size := range []int{few, crowdSize(b, few+1)} {
				of[i] = startCrowded(b, engine.driver, engine.make(b), size)
			}
			for _, one := range of[0].growing() {
				b.Run(one.name, func(b *testing.B) { inTurn(b, of, one.name) })
			}
		})
	}
}

// crowdSize is MINTMARK_GROWTH, or very few without.
func crowdSize(b *testing.B, least int) int {
	b.Helper()
	text := os.Getenv("MINTMARK_GROWTH")
	if text == "" {
		return least
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		b.Fatalf("MINTMARK_GROWTH is %q, and not a number from %d", text, least)
	}
	return n
}

// A crowded is a server among whose rows there are very many of others.
type crowded struct {
	*target
	db     *crowd
	cookie string
}

func startCrowded(b *testing.B, driver, database string, size int) *crowded {
	b.Helper()
	s := start(b, database)
	cookie := s.furnish()
	if _, err := s.code(s.visit(b), "web-ES256", cookie); err != nil {
		b.Fatal(err)
	}
	db := openCrowd(b, driver, database)
	begin := time.Now()
	db.grow(b, size, nil)
	b.Logf("%d of each were there after %s", size, time.Since(begin).Round(time.Millisecond))
	return &crowded{s, db, cookie}
}

// growing is every operation that looks for rows. What a client holds is spread over the tables: it takes
// the next of many families, tokens or people each time.
func (s *crowded) growing() []operation {
	form := func(id, path string, form url.Values) []byte { return s.request("POST", path, basic(id, secret), form) }
	one := func(id string, next func(v *visit, tokens []byte) ([]byte, error)) func(*visit) func() error {
		return func(v *visit) func() error {
			var held [64][]byte
			for i := range held {
				tokens, err := s.code(v, id, s.cookie)
				if err != nil {
					return func() error { return err }
				}
				held[i] = tokens
			}
			i := 0
			return func() (err error) {
				i = (i + 1) % len(held)
				held[i], err = next(v, held[i])
				return err
			}
		}
	}
	asks := func(id, path string) func(*visit) func() error {
		return one(id, func(v *visit, tokens []byte) ([]byte, error) {
			access := str(tokens, "access_token")
			request := s.request("GET", path, "Authorization: Bearer "+access, nil)
			if path == "/introspect" {
				request = form(id, path, url.Values{"token": {access}})
			}
			_, _, err := v.send(request, 200, `"sub":"`)
			return tokens, err
		})
	}
	return []operation{
		{"client_credentials, opaque", s.own("robot-opaque", secret)},
		{"code flow", s.flow("web-ES256", s.cookie)},
		{"refresh", one("web-ES256", func(v *visit, tokens []byte) ([]byte, error) {
			again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(tokens, "refresh_token")}}
			tokens, _, err := v.send(form("web-ES256", "/oauth/token", again), 200, `"id_token":"`)
			return tokens, err
		})},
		{"introspection, opaque", asks("web-ES256", "/introspect")},
		{"introspection, JWT", asks("web-jwt", "/introspect")},
		{"userinfo, opaque", asks("web-ES256", "/userinfo")},
		{"userinfo, JWT", asks("web-jwt", "/userinfo")},
		{"code flow and revocation", func(v *visit) func() error {
			return func() error {
				tokens, err := s.code(v, "web-ES256", s.cookie)
				if err != nil {
					return err
				}
				_, _, err = v.send(form("web-ES256", "/revoke", url.Values{"token": {str(tokens, "refresh_token")}}), 200, "")
				return err
			}
		}},
	}
}

// inTurn measures one operation on both servers.
func inTurn(b *testing.B, of [2]*crowded, name string) {
	var do [2][clients]func() error
	for i, s := range of {
		all := s.growing()
		at := slices.IndexFunc(all, func(one operation) bool { return one.name == name })
		var group sync.WaitGroup
		for j := range do[i] {
			v := s.visit(b)
			group.Go(func() { do[i][j] = all[at].prepare(v) })
		}
		group.Wait()
	}
	var cost, rate [2][]float64
	b.ResetTimer()
	for range rounds {
		for i, s := range of {
			n, cpu := s.spend(b, do[i])
			cost[i] = append(cost[i], float64(cpu.Microseconds())/n)
			rate[i] = append(rate[i], n/round().Seconds())
		}
	}
	b.StopTimer()
	for i := range of {
		slices.Sort(cost[i])
		slices.Sort(rate[i])
	}
	b.ReportMetric(cost[0][rounds/2], "few-µs/op")
	b.ReportMetric(cost[1][rounds/2], "many-µs/op")
	b.ReportMetric(cost[1][rounds/2]/cost[0][rounds/2], "ratio")
	b.ReportMetric(rate[1][rounds/2]/rate[0][rounds/2], "rate-ratio")
	b.ReportMetric(0, "ns/op")
}

// spend lets the clients do something for a round, and returns how often, and the processor time of the
// server and its database.
func (s *crowded) spend(b *testing.B, do [clients]func() error) (n float64, cpu time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	before := s.cpu() + s.db.cpu(b)
	end := time.Now().Add(round())
	for _, do := range do {
		group.Go(func() {
			own := 0.0
			for time.Now().Before(end) {
				if err := do(); err != nil {
					b.Error(err)
					break
				}
				own++
			}
			mu.Lock()
			n += own
			mu.Unlock()
		})
	}
	group.Wait()
	if b.Failed() || n == 0 {
		b.FailNow()
	}
	return n, s.cpu() + s.db.cpu(b) - before
}
