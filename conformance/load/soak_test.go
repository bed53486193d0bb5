package load_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// BenchmarkSoak keeps a server at 70 % of what it can do, for as long as MINTMARK_SOAK says
// (30m, say; a second without), and looks at it ten times: what it holds must not grow. It is run
// once, with -benchtime 1x. The log says how late the answers were.
func BenchmarkSoak(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { soak(b, storagetest.SQLite(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { soak(b, durable(b)) })
}

func soak(b *testing.B, database string) {
	length := time.Second
	if text := os.Getenv("MINTMARK_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	inside.Close()
	s := start(b, database, "--admin-listen", inside.Addr().String())
	cookie := s.furnish()
	life := s.life(cookie)
	// The first fills caches and pools, the second tells the peak.
	s.walk(b, clients, newPace(0, max(length/100, time.Second)), life)
	peak := s.walk(b, clients, newPace(0, max(length/100, time.Second)), life)
	rate := 0.7 * peak
	b.Logf("%.0f requests a second at the peak of %d clients; from here on %.0f", peak, clients, rate)

	before, err := s.look(inside.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	var seen []state
	for i := range 10 {
		p := newPace(rate, length/10)
		s.walk(b, 4*clients, p, life)
		now, err := s.look(inside.Addr().String())
		if err != nil || b.Failed() {
			b.Fatalf("after %d tenths: %v", i+1, err)
		}
		lines, all, awake := p.report()
		b.Logf("tenth %2d: %v, %s; %.2f ms without what the clients overslept; of %.0f the server itself saw %.3f %% take over 10 ms", i+1, now, &all,
			float64(awake.at(.99).Microseconds())/1000, now.requests-before.requests, 100*(now.slow-before.slow)/(now.requests-before.requests))
		before = now
		if i == 9 || length < time.Minute {
			b.Log("\n" + strings.Join(lines, "\n"))
		}
		seen = append(seen, now)
		if length < time.Minute && i == 1 {
			return // to see that it works
		}
	}
	// What the third tenth has is all it needs; what it has at the end must be no more, but for what
	// the garbage collector has not looked at yet.
	for _, x := range []struct {
		what  string
		of    func(state) float64
		spare float64
	}{
		{"resident MiB", func(x state) float64 { return x.rss }, 10},
		{"goroutines", func(x state) float64 { return x.goroutines }, 10},
		{"files", func(x state) float64 { return x.files }, 10},
	} {
		middle := func(some []state) float64 {
			var all []float64
			for _, one := range some {
				all = append(all, x.of(one))
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		before, after := middle(seen[2:5]), middle(seen[7:])
		if after > before*1.1+x.spare {
			b.Errorf("%s grow from %.0f to %.0f", x.what, before, after)
		}
	}
}

// life is what a client does in turn: an application with a person, a service, and whoever reads
// the documents.
func (s *target) life(cookie string) func(*visit) error {
	post := func(id, path string, form url.Values) []byte { return s.request("POST", path, basic(id, secret), form) }
	own := post("robot-ES256", "/oauth/token", url.Values{"grant_type": {"client_credentials"}})
	jwks := s.request("GET", "/.well-known/jwks.json", "", nil)
	discovery := s.request("GET", "/.well-known/openid-configuration", "", nil)
	return func(v *visit) error {
		tokens, err := s.code(v, "web-ES256", cookie)
		if err != nil {
			return err
		}
		for range 3 {
			access := str(tokens, "access_token")
			for _, request := range [][]byte{
				jwks, own, s.request("GET", "/userinfo", "Authorization: Bearer "+access, nil),
				discovery, own, post("web-ES256", "/introspect", url.Values{"token": {access}}),
			} {
				if _, _, err := v.send(request, 200, ""); err != nil {
					return err
				}
			}
			again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(tokens, "refresh_token")}}
			if tokens, _, err = v.send(post("web-ES256", "/oauth/token", again), 200, `"id_token":"`); err != nil {
				return err
			}
			tokens = bytes.Clone(tokens)
		}
		_, _, err = v.send(post("web-ES256", "/revoke", url.Values{"token": {str(tokens, "refresh_token")}}), 200, "")
		return err
	}
}

// A state is what a server holds.
type state struct {
	rss, heap, goroutines, files float64
	requests, slow               float64 // so far, and those that took more than 10 ms by the server's own clock
}

func (x state) String() string {
	return fmt.Sprintf("%.0f MiB resident, %.0f MiB heap, %.0f goroutines, %.0f files", x.rss, x.heap, x.goroutines, x.files)
}

// look asks the system and the server what it holds.
func (s *target) look(inside string) (x state, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return x, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		return x, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		return x, err
	}
	x.rss, x.files = kib/1024, float64(len(files))
	resp, err := http.Get("http://" + inside + "/metrics")
	if err != nil {
		return x, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64)
		switch {
		case !strings.HasPrefix(name, "mintmark_http_request_duration_seconds"):
		case strings.Contains(name, "_count{"):
			x.requests += number
			x.slow += number
		case strings.Contains(name, `le="0.01"`):
			x.slow -= number
		}
		switch name {
		case "go_goroutines":
			x.goroutines = number
		case "go_memstats_heap_inuse_bytes":
			x.heap = number / (1 << 20)
		}
	}
	return x, nil
}
