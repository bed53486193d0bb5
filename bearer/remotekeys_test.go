package bearer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/bearer"
)

// keyWith completes a key with its checksum.
func keyWith(secret string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s := "mm_sk_" + (secret + strings.Repeat("0", 37))[:37]
	n, tail := crc32.ChecksumIEEE([]byte(s)), [6]byte{}
	for i := range tail {
		tail[5-i] = digits[n%62]
		n /= 62
	}
	return s + string(tail[:])
}

// A registry answers about keys.
type registry struct {
	asked  atomic.Int64
	answer atomic.Pointer[string]
	status atomic.Int64
	hold   atomic.Pointer[chan struct{}]
	last   atomic.Pointer[map[string]string]
}

func newRegistry(t *testing.T) (*registry, *bearer.RemoteKeys) {
	t.Helper()
	reg := &registry{}
	reg.status.Store(200)
	s := httptest.NewServer(reg)
	t.Cleanup(s.Close)
	keys, err := bearer.NewRemoteKeys(bearer.RemoteConfig{Issuer: s.URL, Key: keyWith("service"), Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	reg.says(`{"active":true,"id":"key_1","client_id":"key_1","sub":"svc_1","scope":"a b","cache_for":5}`)
	return reg, keys
}

func (reg *registry) says(answer string) { reg.answer.Store(&answer) }

func (reg *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reg.asked.Add(1)
	if wait := reg.hold.Load(); wait != nil {
		<-*wait
	}
	var question map[string]string
	if r.URL.Path != "/api/v1/keys/verify" || r.Header.Get("Authorization") != "ApiKey "+keyWith("service") ||
		json.NewDecoder(r.Body).Decode(&question) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	reg.last.Store(&question)
	w.WriteHeader(int(reg.status.Load()))
	fmt.Fprint(w, *reg.answer.Load())
}

func TestARemoteKey(t *testing.T) {
	reg, keys := newRegistry(t)
	now := time.Now()
	c := bearer.Credential{Text: keyWith("one"), Address: netip.MustParseAddr("203.0.113.9")}
	verify := func(after time.Duration, asked int64) (bearer.Principal, error) {
		t.Helper()
		p, err := keys.Verify(t.Context(), c, now.Add(after))
		if n := reg.asked.Load(); n != asked {
			t.Errorf("after %s it was asked %d times, not %d", after, n, asked)
		}
		return p, err
	}
	p, err := verify(0, 1)
	if err != nil || p.Subject != "svc_1" || p.Credential != "key_1" || p.Method != bearer.MethodAPIKey || !slices.Equal(p.Scopes, []string{"a", "b"}) {
		t.Fatalf("%+v %v", p, err)
	}
	if q := *reg.last.Load(); q["key"] != c.Text || q["audience"] != audience || q["address"] != "203.0.113.9" {
		t.Errorf("the question was %v", q)
	}
	verify(4*time.Second, 1)
	reg.says(`{"active":false}`)
	if _, err := verify(4*time.Second, 1); err != nil {
		t.Error(err)
	}
	if _, err := verify(5*time.Second, 2); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("revoked, and the stated time is over: %v", err)
	}
	if _, err := verify(14*time.Second, 2); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("what is bad is remembered for ten seconds: %v", err)
	}
	reg.says(`{"active":true,"id":"key_1","sub":"svc_1","cache_for":86400}`)
	verify(16*time.Second, 3)
	verify(75*time.Second, 3)
	verify(77*time.Second, 4) // no longer than a minute, whatever it says
	keys.Forget("key_1")
	verify(77*time.Second, 5)
	c.Address = netip.MustParseAddr("203.0.113.10")
	verify(77*time.Second, 6) // it may not be good from there
}

func TestWhatIsSaidOfAKey(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name   string
		status int
		answer string
		want   error
	}{
		{"unknown", 200, `{"active":false}`, bearer.ErrInvalid},
		{"unknown, with a code that we don't know", 200, `{"active":false,"code":"odd"}`, bearer.ErrInvalid},
		{"expired since", 200, fmt.Sprintf(`{"active":true,"id":"k","sub":"s","exp":%d}`, now.Unix()-1), bearer.ErrInvalid},
		{"of nobody", 200, `{"active":true,"id":"k"}`, bearer.ErrInvalid},
		{"from elsewhere", 200, `{"active":false,"code":"ip_not_allowed"}`, &bearer.Error{Status: 403, Code: "ip_not_allowed"}},
		{"used up", 200, `{"active":false,"code":"rate_limited","retry_after":3}`, &bearer.Error{Status: 429, Code: "rate_limited"}},
		{"our own key is not good", 401, `{}`, bearer.ErrUnavailable},
		{"it is broken", 500, `{"active":true,"id":"k","sub":"s"}`, bearer.ErrUnavailable},
		{"not JSON", 200, `<html>`, bearer.ErrUnavailable},
		{"endless", 200, `{"active":true,"id":"k","sub":"s","x":"` + strings.Repeat("x", 70<<10) + `"}`, bearer.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg, keys := newRegistry(t)
			reg.status.Store(int64(tt.status))
			reg.says(tt.answer)
			for range 2 {
				if _, err := keys.Verify(t.Context(), shown(keyWith("one")), now); !errors.Is(err, tt.want) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestKeysThatCannotBeAreNotAskedAbout(t *testing.T) {
	reg, keys := newRegistry(t)
	good := keyWith("one")
	for _, key := range []string{"", "mm_sk_", good[:48], good + "0", good[:48] + "0", "mm_sk_" + strings.Repeat("é", 21) + "0", "a b", strings.Repeat("a", 513)} {
		if _, err := keys.Verify(t.Context(), shown(key), time.Now()); !errors.Is(err, bearer.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if n := reg.asked.Load(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestAKeyThatCannotBeAskedAboutDoesNotStandInTheWayOfOthers(t *testing.T) {
	reg, keys := newRegistry(t)
	now := time.Now()
	reg.status.Store(http.StatusUnprocessableEntity)
	if _, err := keys.Verify(t.Context(), shown("odd"), now); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	reg.status.Store(http.StatusOK)
	if _, err := keys.Verify(t.Context(), shown(keyWith("one")), now); err != nil {
		t.Errorf("the next key: %v", err)
	}
}

func TestAThousandRequestsWithOneKeyAreOneQuestion(t *testing.T) {
	reg, keys := newRegistry(t)
	now := time.Now()
	hold := make(chan struct{})
	reg.hold.Store(&hold)
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if _, err := keys.Verify(t.Context(), shown(keyWith("one")), now); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	reg.hold.Store(nil)
	close(hold)
	all.Wait()
	if n := reg.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestAnAnswerThatWasOnItsWayDuringForgetIsNotKept(t *testing.T) {
	reg, keys := newRegistry(t)
	now := time.Now()
	hold := make(chan struct{})
	reg.hold.Store(&hold)
	done := make(chan error)
	go func() {
		_, err := keys.Verify(t.Context(), shown(keyWith("one")), now)
		done <- err
	}()
	for reg.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	keys.Forget("key_1")
	reg.hold.Store(nil)
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	reg.says(`{"active":false}`)
	if _, err := keys.Verify(t.Context(), shown(keyWith("one")), now); !errors.Is(err, bearer.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
