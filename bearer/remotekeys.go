package bearer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// RemoteConfig says whom to ask about API keys, and how.
type RemoteConfig struct {
	// Issuer is the URL of the issuer that made the keys. It has no default.
	Issuer string
	// Key is the API key with which this service asks. It has no default.
	Key string
	// Audience is the name of this service. A key that is bound to other services is refused.
	// Empty: keys that are bound to services are not asked which.
	Audience string
	// MostAge is the longest that an answer is believed, whatever the issuer says; so long does a
	// revoked key live here at most. The default is one minute.
	MostAge time.Duration
	// Client asks. The default follows no redirects, which would take the key elsewhere.
	Client *http.Client
}

// The bounds of asking.
const (
	asksAtOnce  = 16
	longestKey  = 512 // the longest that the issuer would look at
	goodAnswers = 8192
	badAnswers  = 8192 // apart: a flood of forged keys does not drive out the good ones
	badAge      = 10 * time.Second
	restAge     = time.Second // after the issuer could not be asked
)

// RemoteKeys asks the issuer who holds an API key, and remembers the answer as long as
// the issuer says. It is a [Verifier].
type RemoteKeys struct {
	RemoteConfig
	address string
	good    *lru.Cache[digest, *answered]
	bad     *lru.Cache[digest, *answered]
	flight  singleflight.Group
	slots   chan struct{}
	rest    atomic.Int64 // until when the issuer is not asked, in Unix nanoseconds
	forgets atomic.Int64 // so that an answer that was on its way during Forget is not kept
}

// answered is what the issuer said about a key.
type answered struct {
	principal Principal
	err       error
	until     time.Time
}

// NewRemoteKeys returns a verifier, or an error that says in one sentence what is wrong. It
// asks nothing yet.
func NewRemoteKeys(c RemoteConfig) (*RemoteKeys, error) {
	if err := checkAddress(c.Issuer); err != nil {
		return nil, fmt.Errorf("bearer: the issuer %q: %w", c.Issuer, err)
	}
	if !token68(c.Key) {
		return nil, errors.New("bearer: RemoteKeys needs the API key of this service")
	}
	c.MostAge = cmp.Or(c.MostAge, time.Minute)
	if c.Client == nil {
		c.Client = plainClient()
	}
	k := &RemoteKeys{RemoteConfig: c, slots: make(chan struct{}, asksAtOnce)}
	k.address = strings.TrimSuffix(c.Issuer, "/") + "/api/v1/keys/verify"
	var err error
	if k.good, err = lru.New[digest, *answered](goodAnswers); err != nil {
		return nil, err
	}
	k.bad, err = lru.New[digest, *answered](badAnswers)
	return k, err
}

// Verify says who shows an API key. What can't be a key is refused without asking.
func (k *RemoteKeys) Verify(ctx context.Context, c Credential, now time.Time) (Principal, error) {
	if strings.HasPrefix(c.Text, brand) && !wellFormed(c.Text) || len(c.Text) > longestKey || !token68(c.Text) {
		return Principal{}, ErrInvalid
	}
	sum := digestOf(c)
	for _, cache := range []*lru.Cache[digest, *answered]{k.good, k.bad} {
		if a, ok := cache.Get(sum); ok && now.Before(a.until) {
			return a.principal, a.err
		}
	}
	if now.UnixNano() < k.rest.Load() {
		return Principal{}, ErrUnavailable
	}
	return k.fetch(ctx, sum, c, now)
}

// fetch asks, and keeps the answer.
func (k *RemoteKeys) fetch(ctx context.Context, sum digest, c Credential, now time.Time) (Principal, error) {
	// All who show the same key at the same time wait for one answer, which does not end with the
	// first one's patience.
	shared := k.flight.DoChan(string(sum[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		forgets, began := k.forgets.Load(), time.Now()
		a, err := k.ask(ctx, c, now)
		if errors.Is(err, errQuestion) {
			// This key can't be asked about. It must not keep us from asking about others.
			return nil, ErrInvalid.because(err)
		}
		if err != nil {
			k.rest.Store(now.Add(time.Since(began) + restAge).UnixNano())
			return nil, ErrUnavailable.because(err)
		}
		if now.Before(a.until) && forgets == k.forgets.Load() {
			k.keep(sum, a)
		}
		return a, nil
	})
	select {
	case <-ctx.Done():
		return Principal{}, ErrUnavailable.because(ctx.Err())
	case result := <-shared:
		if result.Err != nil {
			return Principal{}, result.Err
		}
		a := result.Val.(*answered)
		return a.principal, a.err
	}
}

// digestOf is what an answer is remembered by: it holds for a key, and for where it came from.
func digestOf(c Credential) digest {
	var room [longestKey + 24]byte
	b := append(room[:0], c.Text...)
	if c.Address.IsValid() {
		from := c.Address.As16()
		b = append(append(b, 0), from[:]...)
	}
	return sha256.Sum256(b)
}

func (k *RemoteKeys) keep(sum digest, a *answered) {
	if a.err == nil {
		k.good.Add(sum, a)
		k.bad.Remove(sum)
		return
	}
	k.bad.Add(sum, a)
	k.good.Remove(sum)
}

// Forget forgets the answers about these: ids of keys or of their owners. What was refused is
// forgotten too: a key may have been enabled.
func (k *RemoteKeys) Forget(ids ...string) {
	k.forgets.Add(1)
	k.bad.Purge()
	for _, sum := range k.good.Keys() {
		if a, ok := k.good.Peek(sum); ok && a.principal.goesBy(ids) {
			k.good.Remove(sum)
		}
	}
}

// A question is the body of a request to /api/v1/keys/verify.
type question struct {
	Key      string `json:"key"`
	Audience string `json:"audience,omitempty"`
	Address  string `json:"address,omitempty"`
}

// An answer is what comes back. A key that is not active has nothing but a code, if that.
type answer struct {
	Active       bool     `json:"active"`
	Code         string   `json:"code"`
	RetryAfter   seconds  `json:"retry_after"`
	CacheFor     *seconds `json:"cache_for"`
	ID           string   `json:"id"`
	Subject      string   `json:"sub"`
	ClientID     string   `json:"client_id"`
	Organization string   `json:"org_id"`
	Scope        words    `json:"scope"`
	Expires      *seconds `json:"exp"`
}

// ask asks the issuer. An error is the issuer's or the network's; what it says of the key
// is in the answer.
func (k *RemoteKeys) ask(ctx context.Context, c Credential, now time.Time) (*answered, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	body, err := json.Marshal(question{c.Text, k.Audience, addressText(c.Address)})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "ApiKey "+k.Key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	resp, err := k.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	var a answer
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return nil, errQuestion
	default:
		// Ours: the service's own key, or the question, is not good. Not the caller's.
		return nil, fmt.Errorf("%s answers %s", k.address, resp.Status)
	}
	if err := json.Unmarshal(text, &a); err != nil || len(text) > maxDocument {
		return nil, fmt.Errorf("%s answers what can't be read", k.address)
	}
	return a.believe(k.Issuer, k.age(&a, resp.Header), now), nil
}

var errQuestion = errors.New("the issuer does not take the question")

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// age is how long an answer may be kept: as long as it says, in its body or in Cache-Control.
func (k *RemoteKeys) age(a *answer, h http.Header) time.Duration {
	most := k.MostAge
	if !a.Active {
		most = min(most, badAge)
	}
	if a.CacheFor != nil {
		return min(time.Duration(*a.CacheFor*seconds(time.Second)), most)
	}
	if age, stated := statedAge(h); stated {
		return min(age, most)
	}
	if !a.Active {
		return most
	}
	return 0
}

// believe turns an answer into a principal or a refusal.
func (a *answer) believe(issuer string, age time.Duration, now time.Time) *answered {
	until := now.Add(age)
	if !a.Active {
		return &answered{err: a.refusal(), until: until}
	}
	p := Principal{
		Subject: a.Subject, Organization: a.Organization, ClientID: cmp.Or(a.ClientID, a.ID), Method: MethodAPIKey,
		Credential: cmp.Or(a.ID, a.ClientID), Scopes: a.Scope, Issuer: issuer,
	}
	if p.Subject == "" || p.Credential == "" {
		return &answered{err: ErrInvalid.because(errors.New("the issuer does not say whose key it is")), until: now}
	}
	if a.Expires != nil {
		p.ExpiresAt = a.Expires.time()
		if !now.Before(p.ExpiresAt) {
			return &answered{err: ErrInvalid, until: now}
		}
		if p.ExpiresAt.Before(until) {
			until = p.ExpiresAt
		}
	}
	return &answered{principal: p, until: until}
}

// refusals is what a good key can be refused with. Every other code means that it is not good.
var refusals = map[string]Error{
	"ip_not_allowed":     {Status: http.StatusForbidden, Detail: "The key is not for use from this address."},
	"wrong_audience":     {Status: http.StatusForbidden, Detail: "The key is not for this service."},
	"exchange_required":  {Status: http.StatusForbidden, Detail: "The key is to be exchanged for a token first."},
	"insufficient_scope": {Status: http.StatusForbidden, Detail: ErrScope.Detail},
	"rate_limited":       {Status: http.StatusTooManyRequests, Detail: "The key's rate limit is used up."},
	"quota_exceeded":     {Status: http.StatusTooManyRequests, Detail: "The key's quota is used up."},
}

func (a *answer) refusal() error {
	e, ok := refusals[a.Code]
	if !ok {
		return ErrInvalid
	}
	e.Code = a.Code
	e.RetryAfter = time.Duration(a.RetryAfter * seconds(time.Second))
	return &e
}

// The form of our keys, which scanners for leaked ones know too: mm_ kind _ 43 characters, the
// last six of which are a checksum.
const (
	brand   = "mm_"
	bodyLen = 43
	sumLen  = 6
	digits  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// wellFormed says whether s has the form of a key of ours and was not mistyped.
func wellFormed(s string) bool {
	head := len(brand) + len("sk_")
	if len(s) != head+bodyLen || !strings.HasPrefix(s, brand) || s[head-1] != '_' {
		return false
	}
	at := len(s) - sumLen
	var n uint64
	for i := head; i < len(s); i++ {
		d := strings.IndexByte(digits, s[i])
		if d < 0 {
			return false
		}
		if i >= at {
			n = n*62 + uint64(d)
		}
	}
	return n == uint64(crc32.ChecksumIEEE([]byte(s[:at])))
}
