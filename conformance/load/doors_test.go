package load_test

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// doors is what services and proxies ask about API keys.
func (s *target) doors() []operation {
	s.run("", "services", "add", "robot")
	key := func(name string, flags ...string) string {
		out := s.run("", append([]string{"keys", "add", name, "--owner", "robot", "--output", "json"}, flags...)...)
		return str([]byte(strings.ReplaceAll(string(out), `": "`, `":"`)), "key")
	}
	asker, reader := key("asker", "--scope", "keys:verify"), key("reader", "--scope", "docs:read", "--audience", "https://docs.example")
	const apiKey = "Authorization: ApiKey "
	same := func(request []byte, holds string) func(*visit) func() error {
		return func(v *visit) func() error { return v.again(request, holds) }
	}
	return []operation{
		{"API key/verify", same(s.post("/api/v1/keys/verify", apiKey+asker, `{"key":"`+reader+`","scope":"docs:read"}`), `"active":true`)},
		{"forward auth/API key", same(s.request("GET", "/auth/verify?scope=docs:read", apiKey+reader, nil), "")},
		{"forward auth/API key, with a token", same(s.request("GET", "/auth/verify?scope=docs:read&audience=https://docs.example", apiKey+reader, nil), "")},
	}
}

// BenchmarkAgainstTheLeast measures the documents, and what is asked about API keys, against the
// least that a server could do, in turn, so that what else the machine does counts for both.
func BenchmarkAgainstTheLeast(b *testing.B) {
	least := startLeast(b)
	s := start(b, "sqlite:"+b.TempDir()+"/mintmark.db")
	documents := []operation{
		{"JWKS", s.get("/.well-known/jwks.json")},
		{"discovery", s.get("/.well-known/openid-configuration")},
	}
	for _, one := range append(documents, s.doors()...) {
		b.Run(one.name, func(b *testing.B) { s.against(b, one.prepare, least, least.get("/document")) })
	}
}

// against lets sixteen clients of each do something, 2000 times in turn, and reports how fast s was
// compared with the other: by the clock, the median of all turns, and by the processor time that the
// server and its clients took together. The two are the same where nothing else runs; the second
// says less about what else did.
func (s *target) against(b *testing.B, prepare func(*visit) func() error, other *target, prepareOther func(*visit) func() error) {
	b.Helper()
	mine, others := &side{target: s}, &side{target: other}
	for i := range clients {
		mine.do[i], others.do[i] = prepare(s.visit(b)), prepareOther(other.visit(b))
	}
	var ratios, rates []float64
	for b.Loop() {
		a, c := mine.turn(b), others.turn(b)
		ratios, rates = append(ratios, c.Seconds()/a.Seconds()), append(rates, turn/a.Seconds())
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	all := float64(turn * len(ratios))
	b.ReportMetric(ratios[len(ratios)/2], "of-least")
	b.ReportMetric((others.server+others.clients).Seconds()/(mine.server+mine.clients).Seconds(), "of-least-by-CPU")
	b.ReportMetric(rates[len(rates)/2], "ops/s")
	b.ReportMetric(float64(mine.server.Microseconds())/all, "server-µs/op")
	b.ReportMetric(float64(others.server.Microseconds())/all, "least-µs/op")
	b.ReportMetric(0, "ns/op")
}

// turn is how often one side does something before the other does.
const turn = 2000

// A side is a server, what its clients do, and the processor time of both.
type side struct {
	*target
	do              [clients]func() error
	server, clients time.Duration
}

// turn does everything once, and returns how long it took.
func (s *side) turn(b *testing.B) time.Duration {
	begin, server, self := time.Now(), s.cpu(), own(b)
	var group sync.WaitGroup
	for _, do := range s.do {
		group.Go(func() {
			for range turn / clients {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	s.server += s.cpu() - server
	s.clients += own(b) - self
	return took
}

// own is the processor time of this process.
func own(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
