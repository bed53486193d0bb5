package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// GoOn, as [FeedConfig.FailClosedAfter], has a guard go on with what it knew when the issuer can't
// be heard. What is revoked then is good here until it expires.
const GoOn time.Duration = -1

// FeedConfig says whose revocations to hear. Issuer and Key have no default.
type FeedConfig struct {
	// Issuer is the URL of the issuer.
	Issuer string
	// Key is an API key of this service that has the scope revocations:read.
	Key string
	// FailClosedAfter is how long after the last word of the issuer its tokens are believed; then,
	// and before it was heard for the first time, they are refused with [ErrUnavailable]. The
	// default is 30 seconds, the least 10; [GoOn] means that they are believed whatever happens.
	FailClosedAfter time.Duration
	// Forget is called with the ids of keys, accounts and clients that were revoked or changed, as
	// [RemoteKeys.Forget] or [Guard.Forget]: what is remembered of them is not true any more.
	Forget func(ids ...string)
	// Most is how many revocations are kept, some 100 bytes each. The default is 500,000. If there are more, it
	// is as if the issuer was not heard.
	Most int
	// Algorithms are those of the issuer's signatures under snapshots, and JWKSURL is where its keys
	// are. The defaults are ES256, and discovery.
	Algorithms []string
	JWKSURL    string
	// Client asks. The default follows no redirects, which would take the key elsewhere. Its
	// Timeout is not used.
	Client *http.Client
	// Log gets a line when the issuer is lost, and when it is back. The default is [slog.Default].
	Log *slog.Logger
}

// How the issuer is listened to.
const (
	feedSilence    = 15 * time.Second // three beats: nobody is there, or somebody in between keeps the words
	feedFirstPause = 100 * time.Millisecond
	feedMostPause  = 5 * time.Second
	feedPollEvery  = 500 * time.Millisecond
	feedPollFor    = 5 * time.Minute // before a stream is tried again
	feedExpire     = 10 * time.Second
	feedDefault    = 30 * time.Second
	feedLeast      = 10 * time.Second // two beats
	feedMost       = 500_000
)

// A Feed hears what an issuer revokes, within a second, so that a token whose signature was
// good when it was made is refused all the same. [Feed.Revoked] goes into [Config.Revoked], and
// [Feed.Run] has to run. It is safe for concurrent use.
//
// It begins with a signed snapshot of everything that is revoked. Then it holds a connection
// over which the issuer tells what comes, or at least that there is nothing, every 5 seconds.
// Where no such connection can be had, because somebody in between keeps the words for
// himself, it asks twice a second.
type Feed struct {
	FeedConfig
	address string
	keys    *keySource
	denied  *denySet
	heard   atomic.Int64 // when the issuer was last heard, in Unix nanoseconds; 0: never
	silence time.Duration

	mu    sync.Mutex
	state FeedState
	first chan struct{} // closed when the issuer was heard for the first time
	once  sync.Once
}

// A FeedState is how well an issuer is heard.
type FeedState struct {
	How     string    // "stream", "poll", or "" while it is not heard
	HeardAt time.Time // when everything that was revoked until then was known; zero: never
	Since   string    // up to where, in the words of the issuer
	Revoked int       // how many revocations are kept
	Full    bool      // there were more than can be kept
	Err     error     // why it is not heard
}

// NewFeed returns a feed, or an error that says in one sentence what is wrong. It asks nothing yet.
func NewFeed(c FeedConfig) (*Feed, error) {
	if err := checkAddress(c.Issuer); err != nil {
		return nil, fmt.Errorf("bearer: the issuer %q: %w", c.Issuer, err)
	}
	if !token68(c.Key) {
		return nil, errors.New("bearer: a Feed needs an API key of this service")
	}
	c.FailClosedAfter = cmp.Or(c.FailClosedAfter, feedDefault)
	if c.FailClosedAfter != GoOn && c.FailClosedAfter < feedLeast {
		return nil, errors.New("bearer: FailClosedAfter is less than 10 s: the issuer says every 5 s that there is nothing new")
	}
	c.Most = cmp.Or(c.Most, feedMost)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"ES256"}
	}
	if c.Forget == nil {
		c.Forget = func(...string) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	f := &Feed{FeedConfig: c, address: strings.TrimSuffix(c.Issuer, "/") + "/api/v1/revocations", denied: newDenySet(c.Most), silence: feedSilence, first: make(chan struct{})}
	var err error
	f.keys, err = newKeySource(&Issuer{URL: c.Issuer, JWKSURL: c.JWKSURL, Algorithms: c.Algorithms, Client: c.Client, StaleFor: time.Hour}, false)
	if err != nil {
		return nil, fmt.Errorf("bearer: the issuer %q: %w", c.Issuer, err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.Client != nil {
		client = *c.Client
	}
	client.Timeout = 0 // it would end a stream; each request has its own
	f.Client = &client
	return f, nil
}

// Revoked says whether a principal of the issuer was revoked: [ErrInvalid]; [ErrUnavailable] if
// that can't be known. A principal of another Issuer, or of none, is not looked at. It is fit
// for [Config.Revoked]: it takes no lock and allocates nothing.
func (f *Feed) Revoked(_ context.Context, p Principal, now time.Time) error {
	if p.Issuer != f.Issuer {
		return nil
	}
	if f.FailClosedAfter != GoOn {
		heard := f.heard.Load()
		if heard == 0 || now.UnixNano()-heard > int64(f.FailClosedAfter) || f.denied.full.Load() {
			return errUnheard
		}
	}
	if f.denies(&p) {
		return errRevoked
	}
	return nil
}

// Made once: to refuse must cost no more than to let in.
var (
	errUnheard = ErrUnavailable.because(errors.New("the issuer's revocations can't be heard"))
	errRevoked = ErrInvalid.because(errors.New("it was revoked"))
)

func (f *Feed) denies(p *Principal) bool {
	d := f.denied
	if p.Method == MethodAPIKey {
		return d.has(kindKey, p.Credential) || d.has(kindAccount, p.Subject)
	}
	return p.Method == MethodBearer && d.has(kindToken, p.Credential) || d.has(kindAuthorization, p.Authorization) ||
		d.has(kindSession, p.Session) || d.has(kindKey, p.Key) || d.has(kindAccount, p.Subject) || d.has(kindClient, p.ClientID)
}

// Wait waits until the issuer was heard for the first time, so that a service can say that it is
// ready. It returns why that did not happen if ctx ends before.
func (f *Feed) Wait(ctx context.Context) error {
	select {
	case <-f.first:
		return nil
	case <-ctx.Done():
		if err := f.State().Err; err != nil {
			return fmt.Errorf("bearer: the revocations of %s are not heard: %w", f.Issuer, err)
		}
		return ctx.Err()
	}
}

// State says how well the issuer is heard.
func (f *Feed) State() FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	if heard := f.heard.Load(); heard != 0 {
		s.HeardAt = time.Unix(0, heard)
	}
	s.Revoked, s.Full = f.denied.size(), f.denied.full.Load()
	return s
}

// since is up to where everything is known.
func (f *Feed) since() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Since
}

// knows notes that everything is known up to a place. Whoever only goes on from there (how is not
// empty) knows nothing if the place was forgotten meanwhile: there is a gap before.
func (f *Feed) knows(since, how string) {
	f.mu.Lock()
	if how != "" && f.state.Since == "" {
		f.mu.Unlock()
		return
	}
	back := f.state.Err != nil
	f.state.Since, f.state.How, f.state.Err = since, how, nil
	f.mu.Unlock()
	f.heard.Store(time.Now().UnixNano())
	f.once.Do(func() { close(f.first) })
	if back {
		f.Log.Info("the issuer's revocations are heard again", "issuer", f.Issuer, "how", how)
	}
}

// loses notes that the issuer is not heard.
func (f *Feed) loses(err error) {
	f.mu.Lock()
	first := f.state.Err == nil
	f.state.How, f.state.Err = "", err
	f.mu.Unlock()
	if first {
		f.Log.Warn("the issuer's revocations are not heard", "issuer", f.Issuer, "err", err)
	}
}

// A revocation is one, as the issuer writes it.
type revocation struct {
	Kind    string `json:"kind"`
	Ref     string `json:"ref"`
	Until   int64  `json:"until"`
	Revoked bool   `json:"revoked"`
}

// apply believes revocations, and says whether there was room for all. A kind that we don't know is
// of something that we don't look at.
func (f *Feed) apply(all []revocation) (room bool) {
	room = true
	var forget []string
	for _, r := range all {
		k, known := kinds[r.Kind]
		if !known || r.Ref == "" || len(r.Ref) > maxRef {
			continue
		}
		room = f.denied.set(k, r.Ref, r.Until, r.Revoked) && room
		if k == kindKey || k == kindAccount || k == kindClient {
			forget = append(forget, r.Ref)
		}
	}
	if len(forget) > 0 {
		f.Forget(forget...)
	}
	return room
}

// maxRef is longer than any id of the issuer's.
const maxRef = 300
