package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// A quick is an OpenID provider that only signs: the code says who it is and for which nonce. It
// writes down how long each sign-in was with it.
type quick struct {
	*httptest.Server
	key   *ecdsa.PrivateKey
	with  sync.Map // the time spent here, by code
	hangs atomic.Bool
	stop  chan struct{}
}

func newQuick(b *testing.B) *quick {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	q := &quick{key: key, stop: make(chan struct{})}
	q.Server = httptest.NewServer(q)
	b.Cleanup(func() { close(q.stop); q.Close() })
	return q
}

func (q *quick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	b64 := base64.RawURLEncoding.EncodeToString
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(map[string]any{"issuer": q.URL, "authorization_endpoint": q.URL + "/authorize", "token_endpoint": q.URL + "/token", "jwks_uri": q.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}})
	case "/keys":
		raw, err := q.key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		answer(map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256", "x": b64(raw[1:33]), "y": b64(raw[33:])}}})
	case "/token":
		if q.hangs.Load() {
			select {
			case <-q.stop:
			case <-r.Context().Done():
			}
			return
		}
		code := r.PostFormValue("code")
		who, nonce, _ := strings.Cut(code, ".")
		now := time.Now().Unix()
		claims, err := json.Marshal(map[string]any{"iss": q.URL, "aud": "client", "sub": "person-" + who, "nonce": nonce, "iat": now, "exp": now + 300,
			"email": "person" + who + "@example.com", "email_verified": true, "name": "Person " + who})
		if err != nil {
			panic(err)
		}
		signed := b64([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + b64(claims)
		sum := sha256.Sum256([]byte(signed))
		x, y, err := ecdsa.Sign(rand.Reader, q.key, sum[:])
		if err != nil {
			panic(err)
		}
		sig := make([]byte, 64)
		x.FillBytes(sig[:32])
		y.FillBytes(sig[32:])
		answer(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": signed + "." + b64(sig)})
		q.with.Store(code, time.Since(begun))
	default:
		http.NotFound(w, r)
	}
}

// A runner is a browser that does what a sign-in needs, and nothing else.
type runner struct {
	http *http.Client
	op   *conformance.Server
}

func newRunner(b testing.TB, op *conformance.Server, shared http.RoundTripper) runner {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	return runner{&http.Client{Jar: jar, Transport: shared, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, op}
}

// get returns the status, where it leads and how long it took.
func (r runner) get(address string) (status int, to string, took time.Duration, err error) {
	begun := time.Now()
	resp, err := r.http.Get(address)
	if err != nil {
		return 0, "", 0, err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location"), time.Since(begun), nil
}

// begin presses the button, and returns the callback of whoever it is.
func (r runner) begin(who int) (callback, code string, took time.Duration, err error) {
	status, to, took, err := r.get(r.op.Issuer + "/login/quick?return_to=/account")
	if err != nil || status != http.StatusSeeOther {
		return "", "", 0, fmt.Errorf("begin: %d %s %v", status, to, err)
	}
	u, err := url.Parse(to)
	if err != nil {
		return "", "", 0, err
	}
	code = strconv.Itoa(who) + "." + u.Query().Get("nonce")
	return u.Query().Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {u.Query().Get("state")}}.Encode(), code, took, nil
}

func at(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

func eachLoaded(b *testing.B, run func(b *testing.B, op *conformance.Server, q *quick)) {
	for name, database := range map[string]func() string{"sqlite": func() string { return "" }, "postgres": func() string { return storagetest.Postgres(b) }} {
		b.Run(name, func(b *testing.B) {
			op := conformance.Start(b, database())
			q := newQuick(b)
			add(b, op, "quick", "oidc", "secret", "--issuer", q.URL, "--client-id", "client", "--algorithm", "ES256")
			run(b, op, q)
		})
	}
}

// Issue 5, show 4: 200 sign-ins a second through a local provider, 16 at once. What is ours of each is the time of its
// two requests without the time in the provider's handler: the network to it is in.
func BenchmarkFederatedSignIn(b *testing.B) {
	eachLoaded(b, func(b *testing.B, op *conformance.Server, q *quick) {
		const people, atOnce, rate = 200, 16, 200
		shared := &http.Transport{MaxIdleConnsPerHost: 2 * atOnce}
		login := func(who int) (time.Duration, error) {
			r := newRunner(b, op, shared)
			callback, code, first, err := r.begin(who)
			if err != nil {
				return 0, err
			}
			status, to, second, err := r.get(callback)
			if err != nil || status != http.StatusSeeOther || !strings.HasSuffix(to, "/account") {
				return 0, fmt.Errorf("callback: %d %s %v", status, to, err)
			}
			theirs, _ := q.with.LoadAndDelete(code)
			return first + second - theirs.(time.Duration), nil
		}
		for who := range people {
			if _, err := login(who); err != nil {
				b.Fatal(err)
			}
		}
		var mu sync.Mutex
		var ours []time.Duration
		var failed atomic.Int64
		turns := make(chan int)
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				for who := range turns {
					took, err := login(who % people)
					if err != nil {
						failed.Add(1)
						b.Log(err)
						continue
					}
					mu.Lock()
					ours = append(ours, took)
					mu.Unlock()
				}
			})
		}
		b.ResetTimer()
		begun := time.Now()
		for i := range b.N {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / rate)))
			turns <- i
		}
		close(turns)
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64(len(ours))/time.Since(begun).Seconds(), "logins/s")
		b.ReportMetric(float64(at(ours, .5).Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(at(ours, .99).Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(failed.Load()), "failed")
	})
}

// Issue 5, show 4: callbacks that hang at a dead provider, a thousand at once, and what somebody notices who has a
// session here or opens the sign-in page. The password hash is left out.
func BenchmarkLocalSignInWhileAProviderHangs(b *testing.B) {
	eachLoaded(b, func(b *testing.B, op *conformance.Server, q *quick) {
		const hanging = 1000
		shared := &http.Transport{MaxIdleConnsPerHost: 2 * hanging}
		local := newRunner(b, op, &http.Transport{})
		callback, _, _, err := local.begin(1)
		if err == nil {
			_, _, _, err = local.get(callback)
		}
		if err != nil {
			b.Fatal(err)
		}
		measure := func(until func(n int) bool) (all []time.Duration) {
			for n := 0; !until(n); n++ {
				var took time.Duration
				for _, path := range []string{"/", "/login?again=1"} {
					status, _, one, err := local.get(op.Issuer + path)
					if err != nil || status != http.StatusOK {
						b.Fatalf("%s: %d %v", path, status, err)
					}
					took += one
				}
				all = append(all, took)
				time.Sleep(2 * time.Millisecond)
			}
			return all
		}
		var callbacks []string
		runners := make([]runner, hanging)
		for i := range hanging {
			runners[i] = newRunner(b, op, shared)
			to, _, _, err := runners[i].begin(i)
			if err != nil {
				b.Fatal(err)
			}
			callbacks = append(callbacks, to)
		}
		b.ResetTimer()
		usual := func() []time.Duration { return measure(func(n int) bool { return n == 1000 }) }
		before := usual()
		q.hangs.Store(true)
		var wg sync.WaitGroup
		var done atomic.Int64
		codes := make([]int, hanging)
		for i := range hanging {
			wg.Go(func() {
				codes[i], _, _, _ = runners[i].get(callbacks[i])
				done.Add(1)
			})
		}
		time.Sleep(200 * time.Millisecond) // until all have been sent
		during := measure(func(n int) bool { return done.Load() == hanging })
		wg.Wait()
		before = append(before, usual()...) // the machine may have had more to do than we gave it, before or after
		b.StopTimer()
		for _, status := range codes {
			if status < 400 || status >= 500 {
				b.Fatalf("a callback was answered with %d", status)
			}
		}
		b.ReportMetric(float64(at(before, .5).Microseconds())/1000, "before-p50-ms")
		b.ReportMetric(float64(at(during, .5).Microseconds())/1000, "during-p50-ms")
		b.ReportMetric(float64(at(during, .5))/float64(at(before, .5)), "ratio")
		b.ReportMetric(float64(len(during)), "n")
	})
}
