package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPublic(t *testing.T) {
	for _, tt := range []struct {
		address string
		want    bool
	}{
		{"9.9.9.9", true},
		{"2606:4700::1111", true},
		{"::ffff:9.9.9.9", true},
		{"127.0.0.1", false},
		{"127.255.255.254", false},
		{"0.0.0.0", false},
		{"10.1.2.3", false},
		{"100.64.0.1", false},
		{"169.254.169.254", false},
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"172.32.0.1", true},
		{"192.0.0.8", false},
		{"192.168.1.1", false},
		{"198.19.0.1", false},
		{"224.0.0.1", false},
		{"255.255.255.255", false},
		{"::", false},
		{"::1", false},
		{"::ffff:127.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::127.0.0.1", false},
		{"64:ff9b::7f00:1", false},
		{"64:ff9b::909:909", false},
		{"2002:7f00:1::", false},
		{"2001:0:7f00:1::", false},
		{"2001:db8::1", false},
		{"fc00::1", false},
		{"fd00:ec2::254", false},
		{"fe80::1", false},
		{"fe80::1%eth0", false},
		{"ff02::1", false},
	} {
		if got := public(netip.MustParseAddr(tt.address)); got != tt.want {
			t.Errorf("%s: public is %v", tt.address, got)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address at all is public")
	}
}

// target is an https server on loopback that goes by the name keys.example.
func target(t *testing.T, answer http.HandlerFunc) (f *Fetcher, base string, log *bytes.Buffer) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	log = new(bytes.Buffer)
	f = New(Config{RootCAs: roots, Log: slog.New(slog.NewTextHandler(log, nil)), Allow: []string{"example.com"}})
	f.look = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return f, "https://example.com:" + u.Port(), log // the name in httptest's certificate
}

func TestGet(t *testing.T) {
	f, base, _ := target(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"keys":[]}`)) })
	body, err := f.Get(t.Context(), base+"/jwks.json")
	if err != nil || string(body) != `{"keys":[]}` {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestRefusals(t *testing.T) {
	f, base, log := target(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/long":
			w.Write(make([]byte, maxBytes+1))
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "https://"))
	for _, tt := range []struct{ name, address, cause string }{
		{"a redirect is not followed", base + "/redirect", "302"},
		{"one byte too long", base + "/long", "longer"},
		{"not 200", base + "/missing", "404"},
		{"the name leads to loopback", "https://elsewhere.example:" + port, "not a public address"},
		{"loopback by number", "https://127.0.0.1:" + port, "not a public address"},
		{"loopback in other clothes", "https://[::ffff:127.0.0.1]:" + port, "not a public address"},
		{"no TLS", "http://elsewhere.example:" + port, "not an https address"},
		{"another scheme", "file:///etc/passwd", "not a plain https address"},
		{"a name and password", "https://user:pw@example.com/", "not a plain https address"},
		{"no address", "https://", "not a plain https address"},
		{"not an address", "https://exa mple.com/", "invalid"},
	} {
		log.Reset()
		_, err := f.Get(t.Context(), tt.address)
		if !errors.Is(err, ErrUnavailable) || err.Error() != ErrUnavailable.Error() {
			t.Errorf("%s: got the error %v", tt.name, err)
		}
		if !strings.Contains(log.String(), tt.cause) {
			t.Errorf("%s: the log does not say %q: %s", tt.name, tt.cause, log)
		}
	}
}

func TestOneBadAddressAmongGoodOnesIsEnough(t *testing.T) {
	f := New(Config{Log: slog.New(slog.DiscardHandler)})
	f.look = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("10.0.0.1")}, nil
	}
	if _, err := f.dial(t.Context(), "keys.example:443", false); err == nil || !strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("got %v", err)
	}
}

func TestPlainHTTPOnlyToANamedLoopback(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok")) }))
	defer server.Close()
	address := netip.MustParseAddr("127.0.0.1")
	f := New(Config{Allow: []string{"localhost"}, Log: slog.New(slog.DiscardHandler)})
	f.look = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{address}, nil }
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	if _, err := f.Get(t.Context(), "http://localhost:"+port); err != nil {
		t.Errorf("a named loopback host: %v", err)
	}
	address = netip.MustParseAddr("192.168.0.1")
	if _, err := f.dial(t.Context(), "localhost:"+port, true); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("a named host elsewhere, without TLS: %v", err)
	}
}

func TestAllowedByNameAndPort(t *testing.T) {
	f := New(Config{Allow: []string{"keys.internal:8443"}})
	if !f.allowed("KEYS.internal", "8443") || f.allowed("keys.internal", "443") || f.allowed("other", "8443") {
		t.Error("the port of the list does not count")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCallersShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := New(Config{})
		f.https.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			time.Sleep(time.Second)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		})
		for range 10 {
			go func() {
				if _, err := f.Get(t.Context(), "https://keys.example"); err != nil {
					t.Errorf("one that waited: %v", err)
				}
			}()
		}
		// One that gives up does not take the others with it.
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := f.Get(ctx, "https://keys.example"); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that gave up: %v", err)
			}
		}()
		synctest.Wait()
		cancel()
		time.Sleep(2 * time.Second)
		if asked != 1 {
			t.Errorf("%d requests were sent", asked)
		}
	})
}

func TestASlowTargetIsGivenUpAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Config{Log: slog.New(slog.DiscardHandler)})
		f.https.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		if _, err := f.Get(t.Context(), "https://keys.example"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != timeout {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAtMostFourAtOncePerHost(t *testing.T) {
	f := New(Config{})
	var leave []func()
	for range atOncePerHost {
		done, err := f.enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	if _, err := f.enter(t.Context(), "a"); err == nil {
		t.Error("a fifth was let in")
	}
	if _, err := f.enter(t.Context(), "b"); err != nil {
		t.Errorf("another host: %v", err)
	}
	for _, done := range leave {
		done()
	}
	if _, err := f.enter(t.Context(), "a"); err != nil {
		t.Errorf("after they left: %v", err)
	}
}
