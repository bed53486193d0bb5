package load_test

import (
	"slices"
	"strings"
	"sync"
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

// against lets sixteen clients of each do something, 2000 times in turn, and reports the median
// of how fast s was compared with the other, and its rate.
func (s *target) against(b *testing.B, prepare func(*visit) func() error, other *target, prepareOther func(*visit) func() error) {
	b.Helper()
	var mine, others [clients]func() error
	for i := range mine {
		mine[i], others[i] = prepare(s.visit(b)), prepareOther(other.visit(b))
	}
	const turn = 2000
	run := func(do *[clients]func() error) time.Duration {
		begin := time.Now()
		var group sync.WaitGroup
		for _, do := range do {
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
		return time.Since(begin)
	}
	var ratios, rates []float64
	used, usedOther := -s.cpu(), -other.cpu()
	for b.Loop() {
		a, c := run(&mine), run(&others)
		ratios, rates = append(ratios, c.Seconds()/a.Seconds()), append(rates, turn/a.Seconds())
	}
	used, usedOther = used+s.cpu(), usedOther+other.cpu()
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[len(ratios)/2], "of-least")
	b.ReportMetric(rates[len(rates)/2], "ops/s")
	b.ReportMetric(float64(used.Microseconds())/float64(turn*len(ratios)), "server-µs/op")
	b.ReportMetric(float64(usedOther.Microseconds())/float64(turn*len(ratios)), "least-µs/op")
	b.ReportMetric(0, "ns/op")
}
