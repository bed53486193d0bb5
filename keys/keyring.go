package keys

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/internal/secret"
)

// ErrStale means that we have not seen the database for a minute, and so can't know which
// key signs and which was revoked. It passes: the answer is 503.
var ErrStale = errors.New("keys: the signing keys have not been seen in the database for too long")

// A Config says how keys come and go. Store and Sealer have no default.
type Config struct {
	Store  Store
	Sealer *secret.Sealer
	Log    *slog.Logger // the default is [slog.Default]

	MaxAge      time.Duration // for how long others may cache the JWKS. 1 hour
	Skew        time.Duration // how far apart any two clocks may be, ours and others'. 60 seconds
	RotateEvery time.Duration // how long a key signs. 90 days
	KeepFor     time.Duration // the longest life of any token that we sign. 24 hours
	Refresh     time.Duration // how often a copy looks at the database. 5 seconds
}

// A Keyring signs and verifies. It is safe for concurrent use: whoever signs or verifies
// takes a whole view with one load of a pointer and waits for nobody.
type Keyring struct {
	cfg  Config
	algs []Alg            // always Algs; a test of a thousand rotations leaves RSA out
	now  func() time.Time // always time.Now, but in tests
	view atomic.Pointer[view]

	verified *verified

	mu     sync.Mutex // held while keys are loaded, made or sealed again
	sealer *secret.Sealer
	opened map[string]*key
	named  sync.Map // from the name to a [32]byte; read without mu
}

// A view is what we know of the keys at one moment. It never changes.
type view struct {
	at      time.Time // when the database was asked
	records []Record
	rings   map[Alg]ring
	signs   map[Alg]*key
	accepts map[string]accepted // by the encoded header
	jwks    []byte
	etag    string
}

// accepted is a header that we wrote.
type accepted struct {
	key       *key
	typ       string
	published bool // or else only remembered
}

// New returns a keyring, which knows no keys until [Keyring.Start].
func New(cfg Config) *Keyring {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Hour)
	cfg.Skew = cmp.Or(cfg.Skew, time.Minute)
	cfg.RotateEvery = cmp.Or(cfg.RotateEvery, 90*24*time.Hour)
	cfg.KeepFor = cmp.Or(cfg.KeepFor, 24*time.Hour)
	cfg.Refresh = cmp.Or(cfg.Refresh, 5*time.Second)
	return &Keyring{
		cfg: cfg, algs: Algs, now: time.Now,
		sealer: cfg.Sealer, opened: map[string]*key{}, verified: newVerified(),
	}
}

// Load looks at the database once. If it fails, what was known stays in use until it is a
// minute old.
func (k *Keyring) Load(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.load(ctx)
}

func (k *Keyring) load(ctx context.Context) error {
	v := &view{at: k.now(), rings: map[Alg]ring{}, signs: map[Alg]*key{}, accepts: map[string]accepted{}}
	var err error
	v.records, err = k.cfg.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	if err := k.open(v.records); err != nil {
		return err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, alg := range k.algs {
		r := k.cfg.look(v.records, alg, v.at)
		v.rings[alg] = r
		if r.signs >= 0 {
			v.signs[alg] = k.opened[r.keys[r.signs].ID]
			// First in the set: there are verifiers that ignore the kid and take the first.
			set.Keys = append(set.Keys, v.signs[alg].public)
		}
		for _, status := range r.keys {
			published := status.State == Published || status.State == Active || status.State == Retiring
			if !published && status.State != Remembered {
				continue
			}
			one := k.opened[status.ID]
			for i, header := range one.headers {
				v.accepts[header] = accepted{key: one, typ: typs[i], published: published}
			}
			if published && status.State != Active {
				set.Keys = append(set.Keys, one.public)
			}
		}
	}
	v.jwks, err = json.Marshal(set)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(v.jwks)
	v.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	k.view.Store(v)
	return nil
}

// open unseals the keys that we have not seen before and drops the ones that are gone. A
// key that can't be opened stops everything: with the wrong master key we would otherwise
// think that there are none, and make new ones.
func (k *Keyring) open(records []Record) error {
	open, seen := maps.Clone(k.opened), map[string]bool{}
	for i := range records {
		r := &records[i]
		if !r.RevokedAt.IsZero() || !slices.Contains(k.algs, r.Alg) {
			continue
		}
		seen[r.ID] = true
		if open[r.ID] != nil {
			continue
		}
		one, err := unseal(r, k.sealer)
		if err != nil {
			return fmt.Errorf("the signing key %s can't be used (if its master key is lost, revoke it): %w", r.ID, err)
		}
		open[r.ID] = one
	}
	maps.DeleteFunc(open, func(id string, _ *key) bool { return !seen[id] })
	k.opened = open
	return nil
}

// fresh returns the view, unless it is too old to act on.
func (k *Keyring) fresh() (*view, error) {
	v := k.view.Load()
	if v == nil {
		return nil, fmt.Errorf("%w: never", ErrStale)
	}
	if age := k.now().Sub(v.at); age > staleAfter {
		return nil, fmt.Errorf("%w: last %s ago", ErrStale, age.Round(time.Second))
	}
	return v, nil
}

// Stale says whether our view of the database is too old to sign or verify with. A JWKS
// that is served then must not be cached: a newer key may be missing from it.
func (k *Keyring) Stale() bool {
	_, err := k.fresh()
	return err != nil
}

// JWKS returns the JSON Web Key Set, RFC 7517 §5, and its entity tag. The bytes are shared
// and must not be changed.
func (k *Keyring) JWKS() (body []byte, etag string) {
	if v := k.view.Load(); v != nil {
		return v.jwks, v.etag
	}
	return []byte(`{"keys":[]}`), `""`
}

// Generation changes whenever the JWKS does.
func (k *Keyring) Generation() string {
	_, etag := k.JWKS()
	return etag
}

// MaxAge is for how long the JWKS may be cached. The schedule of the keys relies on it.
func (k *Keyring) MaxAge() time.Duration { return k.cfg.MaxAge }

// List returns every key that is not forgotten, by algorithm and generation, in its state
// at a time.
func (k *Keyring) List(now time.Time) []Status {
	v := k.view.Load()
	if v == nil {
		return nil
	}
	var all []Status
	for _, alg := range k.algs {
		all = append(all, k.cfg.look(v.records, alg, now).keys...)
	}
	return slices.DeleteFunc(all, func(s Status) bool { return s.State == forgotten })
}
