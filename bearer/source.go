package bearer

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// The limits of fetching.
const (
	fetchTimeout = 5 * time.Second
	maxDocument  = 64 << 10
	retryAfter   = 5 * time.Second  // until the next try after one that failed
	unknownEvery = 30 * time.Second // between two that an unknown kid causes
	defaultAge   = 5 * time.Minute  // of keys without a max-age
	leastAge     = 30 * time.Second
	mostAge      = 24 * time.Hour
)

// A keySource has an issuer's keys.
//
// They are fetched when they are first needed, and again before their max-age is over, in
// the background and only while somebody uses them. A token with a kid that they don't have
// causes one more fetch, at most twice a minute, so that a flood of such tokens is no flood
// for the issuer. All who wait for keys wait for the same request.
type keySource struct {
	static   bool
	issuer   string
	stale    time.Duration
	get      getter
	location string // of the JWKS; empty: by discovery

	set       atomic.Pointer[keySet]
	flight    singleflight.Group
	refreshes atomic.Bool // one in the background

	// The flight's own: only one runs.
	mu         sync.Mutex
	found      string    // by discovery
	retryAt    time.Time // after a failure
	unknownAt  time.Time // when an unknown kid may cause the next fetch
	failed     error
	generation uint64
}

// A getter gets a document of at most 64 KiB.
type getter = func(ctx context.Context, address string) (body []byte, header http.Header, err error)

func newKeySource(i *Issuer, symmetric bool) (*keySource, error) {
	s := &keySource{issuer: i.URL, stale: i.StaleFor, location: i.JWKSURL}
	ways := 0
	for _, there := range []bool{i.JWKSURL != "", i.JWKS != nil, i.PEM != nil, i.Secret != nil} {
		if there {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("there is more than one of JWKSURL, JWKS, PEM and Secret")
	}
	var keys []key
	var err error
	switch {
	case i.JWKS != nil:
		keys, err = parseJWKS(i.JWKS, symmetric)
	case i.PEM != nil:
		keys, err = parsePEM(i.PEM)
	case i.Secret != nil:
		keys = []key{{key: slices.Clone(i.Secret)}}
	case symmetric:
		return nil, errors.New("a shared secret is not fetched: set Secret or JWKS")
	default:
		client := i.Client
		if client == nil {
			client = plainClient()
		}
		s.get = func(ctx context.Context, address string) ([]byte, http.Header, error) {
			return get(ctx, client, address)
		}
		for _, address := range []string{i.URL, i.JWKSURL} {
			if address == i.JWKSURL && address == "" || address == i.URL && i.JWKSURL != "" {
				continue
			}
			if err := checkAddress(address); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	for _, alg := range i.Algorithms {
		if !slices.ContainsFunc(keys, func(k key) bool { return k.fits(alg) }) {
			return nil, fmt.Errorf("none of the keys is for %s, or it is too short", alg)
		}
	}
	s.static = true
	s.set.Store(&keySet{keys: keys})
	return s, nil
}

// plainClient follows no redirects: whoever is asked answers.
func plainClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkAddress allows https, and http on this machine: keys that came in clear text could be
// anybody's.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("its address is not a URL")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("its address does not start with https://")
	}
	return nil
}

// current returns keys that may be used now. On the hot path it reads one pointer.
func (s *keySource) current(ctx context.Context, now time.Time) (*keySet, error) {
	set := s.set.Load()
	switch {
	case s.static || set != nil && now.Before(set.refreshAt):
		return set, nil
	case set != nil && now.Before(set.expiresAt):
		s.refreshSoon(now)
		return set, nil
	}
	err := s.refresh(ctx, now, false)
	set = s.set.Load()
	if set != nil && now.Before(set.expiresAt.Add(max(s.stale, 0))) {
		return set, nil
	}
	if ctx.Err() != nil {
		return nil, ErrUnavailable.because(ctx.Err())
	}
	return nil, ErrUnavailable.because(fmt.Errorf("there are no keys of %s: %w", s.issuer, err))
}

// verify checks a token's signature and returns the generation of the keys that were used.
func (s *keySource) verify(ctx context.Context, j *jws, now time.Time) (uint64, error) {
	set, err := s.current(ctx, now)
	if err != nil {
		return 0, err
	}
	known, ok := set.verify(j.header.Kid, j.header.Alg, j.signed, j.signature)
	if !known && !s.static {
		// The issuer may have a new key. If it can't be asked, the token is not good, as far as we know.
		s.refresh(ctx, now, true)
		if fresh := s.set.Load(); fresh != set {
			set = fresh
			_, ok = set.verify(j.header.Kid, j.header.Alg, j.signed, j.signature)
		}
	}
	if !ok {
		return 0, ErrInvalid.because(errSignature)
	}
	return set.generation, nil
}

var errSignature = errors.New("no key of its issuer made its signature")

// refreshSoon refreshes in the background, once.
func (s *keySource) refreshSoon(now time.Time) {
	if !s.refreshes.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer s.refreshes.Store(false)
		s.refresh(context.Background(), now, false)
	}()
}

// refresh fetches the keys, unless that is not yet due again. Callers at the same time share
// one request; it does not end with the first caller's patience.
func (s *keySource) refresh(ctx context.Context, now time.Time, unknown bool) error {
	shared := s.flight.DoChan("", func() (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if now.Before(s.retryAt) {
			return nil, s.failed
		}
		if unknown {
			if now.Before(s.unknownAt) {
				return nil, nil
			}
			s.unknownAt = now.Add(unknownEvery)
		} else if set := s.set.Load(); set != nil && now.Before(set.refreshAt) {
			return nil, nil // Somebody else was faster.
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		err := s.fetch(ctx, now)
		s.failed, s.retryAt = err, time.Time{}
		if err != nil {
			s.found = "" // It may have moved.
			s.retryAt = now.Add(time.Since(began) + retryAfter)
		}
		return nil, err
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case result := <-shared:
		return result.Err
	}
}

// fetch gets the keys and keeps them.
func (s *keySource) fetch(ctx context.Context, now time.Time) error {
	address := s.location
	if address == "" {
		if s.found == "" {
			found, err := s.discover(ctx)
			if err != nil {
				return err
			}
			s.found = found
		}
		address = s.found
	}
	body, header, err := s.get(ctx, address)
	if err != nil {
		return err
	}
	keys, err := parseJWKS(body, false)
	if err != nil {
		return err
	}
	old := s.set.Load()
	if old == nil || !slices.EqualFunc(old.keys, keys, sameKey) {
		s.generation++
	}
	age := maxAge(header)
	s.set.Store(&keySet{keys: keys, generation: s.generation, refreshAt: now.Add(age * 3 / 4), expiresAt: now.Add(age)})
	return nil
}

// discover finds the JWKS, OpenID Connect Discovery §4.
func (s *keySource) discover(ctx context.Context) (string, error) {
	body, _, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return "", fmt.Errorf("reading the metadata: %w", err)
	}
	if metadata.Issuer != s.issuer {
		// §4.3: "MUST be identical to the Issuer URL that was used as the prefix".
		return "", fmt.Errorf("the metadata is of the issuer %q", metadata.Issuer)
	}
	if err := checkAddress(metadata.JWKS); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return metadata.JWKS, nil
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %s", address, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxDocument {
		return nil, nil, fmt.Errorf("%s is longer than %d bytes", address, maxDocument)
	}
	return body, resp.Header, nil
}

// maxAge is how long keys may be kept, within reason: not so short that every request would
// fetch, not so long that a revoked key lives on.
func maxAge(h http.Header) time.Duration {
	age, stated := statedAge(h)
	if !stated {
		return defaultAge
	}
	return min(max(age, leastAge), mostAge)
}

// statedAge is how long an answer says it may be kept, RFC 9111 §5.2.2.1, if it says.
func statedAge(h http.Header) (age time.Duration, stated bool) {
	for directive := range strings.SplitSeq(strings.Join(h["Cache-Control"], ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch {
		case strings.EqualFold(name, "no-store"):
			return 0, true
		case strings.EqualFold(name, "max-age"):
			n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil {
				age, stated = time.Duration(n)*time.Second, true
			}
		}
	}
	return age, stated
}

// sameKey says whether two keys are one. Public keys of every type compare themselves.
func sameKey(a, b key) bool {
	type comparer interface{ Equal(x crypto.PublicKey) bool }
	k, ok := a.key.(comparer)
	return ok && a.id == b.id && a.alg == b.alg && k.Equal(b.key)
}
