package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"mintmark/internal/secret"
)

// A Config says what a registry needs. Store, Sealer, StateKey and Issuer have no default.
type Config struct {
	Store  Store
	Sealer *secret.Sealer
	// Vault remembers the tokens of providers that say KeepTokens. Nil: none are kept.
	Vault VaultStore
	// StateKey seals what a sign-in's cookie holds. All copies of the server have the same: the
	// keyring's key named "upstream".
	StateKey [32]byte
	// Issuer is ours. The redirect URI is Issuer + "/login/" + name + "/callback".
	Issuer string
	// Allow is a list of hosts, as "host" or "host:port", that may have an address that is not
	// public and still be a provider's. Those that are loopback may be spoken to without TLS.
	Allow []string
	// RootCAs verify the providers. The default is the system's.
	RootCAs *x509.CertPool
	// Timeout is how long one callback may speak to its provider, with everything that it asks. The
	// default, and the most, is 5 s.
	Timeout time.Duration
	// Connectors are those of the program itself, by the name of their provider's row.
	Connectors map[string]Connector
	// Log gets a line when a provider is found to be away, and when it is back. What a sign-in is
	// refused for is in the error, for the caller's log. The default is [slog.Default].
	Log *slog.Logger
}

// A Registry knows the providers and signs people in with them. It is safe for concurrent use.
type Registry struct {
	Config
	secure bool // we are https

	flight singleflight.Group
	// refreshes are of kept tokens, by provider and subject.
	refreshes singleflight.Group
	leaseTime time.Duration // of who refreshes; tests have a shorter one
	mu        sync.Mutex
	list      []Provider // by name; nil: not read yet
	shown     []Provider // the last that was read, for a page that can't wait
	at        time.Time  // when it was read
	heard     time.Time  // until when every change was forgotten
	age       uint64     // grows with Forget, so that what was being read meanwhile is not kept
	// connections are by the id of the provider.
	connections map[string]*connection
	// running is over with [Registry.Close].
	running       context.Context
	stop          context.CancelFunc
	introductions *introductions
}

// listAge is how old the list may be that the sign-in page shows and that Begin goes by. Finish reads
// it anew.
const listAge = time.Second

const mostTimeout = 5 * time.Second

// New returns a registry. It asks nobody yet.
func New(c Config) (*Registry, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Timeout <= 0 || c.Timeout > mostTimeout {
		c.Timeout = mostTimeout
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" {
		return nil, errors.New("upstream: the issuer is not a URL")
	}
	if c.Store == nil || c.Sealer == nil || c.StateKey == [32]byte{} {
		return nil, errors.New("upstream: Store, Sealer and StateKey have no default")
	}
	introductions, err := newIntroductions()
	if err != nil {
		return nil, err
	}
	g := &Registry{Config: c, leaseTime: leaseTime, secure: u.Scheme == "https", connections: map[string]*connection{}, introductions: introductions}
	g.running, g.stop = context.WithCancel(context.Background())
	return g, nil
}

// pagePatience is how long a page waits for the database before it shows what it showed last.
const pagePatience = 250 * time.Millisecond

// Enabled returns the providers to show to people who sign in, by name. What it returns may be
// a second old, or as old as the database is away: a page is always there. It is not to be changed.
func (g *Registry) Enabled(ctx context.Context, now time.Time) ([]Provider, error) {
	all, err := g.enabled(ctx, now)
	return slices.DeleteFunc(all, func(p Provider) bool { return p.TokensOnly() }), err
}

// enabled is Enabled with those with whom nobody signs in.
func (g *Registry) enabled(ctx context.Context, now time.Time) ([]Provider, error) {
	short, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	all, err := g.all(short, now)
	if err != nil {
		g.mu.Lock()
		all = g.shown
		g.mu.Unlock()
		if all == nil {
			all, err = g.all(ctx, now)
			if err != nil {
				return nil, err
			}
		}
	}
	enabled := make([]Provider, 0, len(all))
	for _, p := range all {
		if p.Enabled() && kinds[p.Kind] != nil {
			enabled = append(enabled, p)
		}
	}
	return enabled, nil
}

// ByName returns an enabled provider to sign in with, or [ErrUnknown]. It may be a second old.
func (g *Registry) ByName(ctx context.Context, name string, now time.Time) (Provider, error) {
	all, err := g.all(ctx, now)
	if err != nil {
		return Provider{}, err
	}
	p, err := byName(all, name)
	if err != nil || !p.Enabled() {
		return Provider{}, ErrUnknown
	}
	return p, nil
}

// anyByName returns a provider, whether it is enabled or not. It may be a second old.
func (g *Registry) anyByName(ctx context.Context, name string, now time.Time) (Provider, error) {
	all, err := g.all(ctx, now)
	if err != nil {
		return Provider{}, err
	}
	return byName(all, name)
}

// readByName reads a provider anew, whether it is enabled or not.
func (g *Registry) readByName(ctx context.Context, name string, now time.Time) (Provider, error) {
	all, err := g.read(ctx, now)
	if err != nil {
		return Provider{}, err
	}
	return byName(all, name)
}

// byName returns one that people can sign in with.
func byName(all []Provider, name string) (Provider, error) {
	p, ok := pick(all, name)
	if !ok || p.TokensOnly() {
		return Provider{}, ErrUnknown
	}
	return p, nil
}

func pick(all []Provider, name string) (Provider, bool) {
	i, ok := slices.BinarySearchFunc(all, name, func(p Provider, name string) int { return strings.Compare(p.Name, name) })
	if !ok || kinds[all[i].Kind] == nil { // a kind of a newer copy of the server
		return Provider{}, false
	}
	return all[i], true
}

// all returns the list, which may be a second old.
func (g *Registry) all(ctx context.Context, now time.Time) ([]Provider, error) {
	g.mu.Lock()
	list, at, heard := g.list, g.at, g.heard
	g.mu.Unlock()
	if list != nil && (now.Sub(at) < listAge || now.Sub(heard) < listAge) {
		return list, nil
	}
	read := g.flight.DoChan("", func() (any, error) { return g.read(context.WithoutCancel(ctx), now) })
	select {
	case r := <-read:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]Provider), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads the list and keeps it.
func (g *Registry) read(ctx context.Context, now time.Time) ([]Provider, error) {
	g.mu.Lock()
	age := g.age
	g.mu.Unlock()
	list, err := g.Store.Providers(ctx)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []Provider{}
	}
	slices.SortFunc(list, func(a, b Provider) int { return strings.Compare(a.Name, b.Name) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if age == g.age && !now.Before(g.at) {
		g.list, g.at = list, now
		g.shown = list
	}
	g.drop(list)
	return list, nil
}

// drop forgets the connections of providers that are not there any more.
func (g *Registry) drop(list []Provider) {
	for id, c := range g.connections {
		if !slices.ContainsFunc(list, func(p Provider) bool { return p.ID == id }) {
			c.fetch.CloseIdle()
			delete(g.connections, id)
		}
	}
}

// Forget makes the next look at the providers read them anew, on this copy of the server. Whoever
// changes one calls it afterwards.
func (g *Registry) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = nil
	g.age++
}

// Heard says that [Registry.Forget] was called for every change that was visible at a time. Until a
// second after the last call, the list need not be read again.
func (g *Registry) Heard(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = at
}

// Close closes the connections that are kept. Nobody may be signing in any more.
func (g *Registry) Close() {
	g.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.connections {
		c.fetch.CloseIdle()
	}
}
