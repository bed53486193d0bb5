// Package fetch gets a small document from an address that somebody else chose: the keys
// of a client that registered a jwks_uri, or what a provider of sign-in has to say.
//
// Whoever may register a client may so make this server send a request, and could use
// it to reach what only this server can reach. So the fetcher speaks https only, looks the
// name up once, refuses if it leads to an address that is not public, connects to exactly the
// address it has checked, follows no redirect, reads little and does not wait long. What
// went wrong is logged, and is not told to whoever caused it.
//
// # Reading order
//
//   - fetch.go: one request, from the address to the bytes.
//   - exchange.go: a request with a body, and what it answers.
//   - public.go: which addresses are public.
package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// The limits of one request, and of all that run at the same time.
const (
	timeout  = 5 * time.Second // from the look-up to the last byte
	maxBytes = 64 << 10        // of the document

	atOnce        = 16
	atOncePerHost = 4

	idle = 30 * time.Second // of a connection that is kept
)

// ErrUnavailable is every failure. Its text says nothing about the target: the difference
// between "refused" and "timed out" would make a port scanner of us.
var ErrUnavailable = errors.New("fetch: the document is not available")

// ErrTooLong is in the errors of [Fetcher.Do] for a document that is longer than was asked for.
var ErrTooLong = errors.New("the document is too long")

// A Config says what may be fetched. The zero value allows public https addresses only.
type Config struct {
	// Allow is a list of hosts, as "host" or "host:port", that may have an address that is not
	// public. Those that are loopback may be spoken to without TLS. For development, and for
	// clients inside of an operator's own network.
	Allow []string
	// RootCAs verify the target. The default is the system's.
	RootCAs *x509.CertPool
	// PerHost and AtOnce are how many requests may run at the same time, to one host and in all. The
	// defaults are 4 and 16.
	PerHost, AtOnce int
	// KeepAlive keeps connections for a while. It is for a fetcher that speaks to few hosts: a
	// connection goes to the address that was checked when it was made, as long as it lives.
	KeepAlive bool
	// Log gets a line for each document that could not be fetched. The default is [slog.Default].
	Log *slog.Logger
}

// A Fetcher gets documents. It is safe for concurrent use.
type Fetcher struct {
	Config
	https  *http.Client
	http   *http.Client // to loopback addresses that the operator named
	look   func(ctx context.Context, host string) ([]netip.Addr, error)
	flight singleflight.Group
	slots  chan struct{}

	mu    sync.Mutex
	hosts map[string]int // requests that run, for each host
}

// New returns a fetcher.
func New(c Config) *Fetcher {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.PerHost, c.AtOnce = cmp.Or(c.PerHost, atOncePerHost), cmp.Or(c.AtOnce, atOnce)
	f := &Fetcher{
		Config: c,
		slots:  make(chan struct{}, c.AtOnce),
		hosts:  map[string]int{},
		look: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
	f.https = f.newClient(false)
	f.http = f.newClient(true)
	return f
}

func (f *Fetcher) newClient(plain bool) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// No Proxy: HTTPS_PROXY would make the check of the address worthless.
			DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
				return f.dial(ctx, target, plain)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.RootCAs},
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
			DisableKeepAlives:      !f.KeepAlive, // the next request looks the name up and checks again
			MaxIdleConnsPerHost:    f.PerHost,
			MaxIdleConns:           f.AtOnce,
			IdleConnTimeout:        idle,
		},
	}
}

// Get returns the document at an address, or [ErrUnavailable]. Callers that ask for the same
// address at the same time share one request.
func (f *Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	shared := f.flight.DoChan(address, func() (any, error) {
		// Not the context of whoever came first: the others wait for this too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		body, err := f.get(ctx, address)
		if err != nil {
			f.Log.WarnContext(ctx, "a document could not be fetched", "url", address, "err", err)
			return nil, ErrUnavailable
		}
		return body, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-shared:
		body, _ := result.Val.([]byte)
		return body, result.Err
	}
}

func (f *Fetcher) get(ctx context.Context, address string) ([]byte, error) {
	answer, err := f.Do(ctx, Request{URL: address, Header: http.Header{"Accept": {"application/jwk-set+json, application/json"}}})
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d, not 200", answer.Status)
	}
	return answer.Body, nil
}

func (f *Fetcher) check(u *url.URL) error {
	switch {
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "":
		return errors.New("not a plain https address")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && f.allowed(u.Hostname(), cmp.Or(u.Port(), "80")):
		return nil // and only to a loopback address: see dial
	}
	return errors.New("not an https address")
}

// allowed says whether the operator named the host.
func (f *Fetcher) allowed(host, port string) bool {
	return slices.ContainsFunc(f.Allow, func(name string) bool {
		return strings.EqualFold(name, host) || strings.EqualFold(name, net.JoinHostPort(host, port))
	})
}

// enter waits for a free slot. The returned function gives it back.
func (f *Fetcher) enter(ctx context.Context, host string) (done func(), err error) {
	if !f.count(host, 1) {
		return nil, errors.New("too many requests to one host at the same time")
	}
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots; f.count(host, -1) }, nil
	case <-ctx.Done():
		f.count(host, -1)
		return nil, ctx.Err()
	}
}

// count adds to the number of requests to a host, unless that would be too many.
func (f *Fetcher) count(host string, add int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.hosts[host] + add
	switch {
	case n > f.PerHost:
		return false
	case n == 0:
		delete(f.hosts, host)
	default:
		f.hosts[host] = n
	}
	return true
}

// dial looks a name up, checks every address it has, and connects to one of those: a second
// look-up could give another answer (DNS rebinding).
func (f *Fetcher) dial(ctx context.Context, target string, plain bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	addresses, err := f.look(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, errors.New("the name has no address")
	}
	named := f.allowed(host, port)
	for _, a := range addresses {
		if !public(a) && !named {
			return nil, fmt.Errorf("%s is not a public address", a)
		}
		if plain && !a.IsLoopback() {
			return nil, fmt.Errorf("%s would be spoken to without TLS", a)
		}
	}
	var failed error
	for _, a := range addresses {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
