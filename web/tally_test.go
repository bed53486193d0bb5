package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/upstream"
)

func TestATallyForgetsABitAtATime(t *testing.T) {
	l, now := newTally(mostFailed), time.Unix(1e9, 0)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 3 * mostFailed {
		all.Go(func() {
			if l.take("192.0.2.1", now) == 0 {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != mostFailed {
		t.Errorf("%d at once, and not %d", taken.Load(), mostFailed)
	}
	each := tallyTime / mostFailed
	for _, step := range []struct {
		after time.Duration
		wait  time.Duration
	}{{0, each}, {each - 1, 1}, {each, 0}, {each, each}, {2 * each, 0}, {2*each + 1, each - 1}} {
		if wait := l.take("192.0.2.1", now.Add(step.after)); wait != step.wait {
			t.Errorf("%s later: wait %s, and not %s", step.after, wait, step.wait)
		}
	}
	if l.take("192.0.2.2", now) != 0 {
		t.Error("a neighbour has to wait") // one time in 65,536 they share a place
	}
	l.giveBack("192.0.2.1")
	if l.take("192.0.2.1", now.Add(2*each)) != 0 {
		t.Error("what was given back is gone")
	}
	if wait := l.take("192.0.2.1", now.Add(2*each+tallyTime)); wait != 0 {
		t.Errorf("when all is forgotten: wait %s", wait)
	}
}

// counted counts the states that are spent.
type counted struct {
	upstream.Store
	spent atomic.Int64
}

func (c *counted) SpendState(ctx context.Context, id string, until time.Time) error {
	c.spent.Add(1)
	return c.Store.SpendState(ctx, id, until)
}

// callback begins with a provider and returns where the provider would send the browser back to, with
// a code of nobody.
func (v *visitor) callback(name string) (address string, answer view) {
	v.t.Helper()
	r, err := http.NewRequest("GET", v.h.issuer+"/login/"+name+"?mode=json", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	answer = v.do(r)
	var got struct {
		AuthorizationURL string `json:"authorization_url"`
	}
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil {
		v.t.Fatalf("%v: %d %s", err, answer.status, answer.body)
	}
	state := got.AuthorizationURL[strings.Index(got.AuthorizationURL, "state=")+len("state="):][:44]
	return v.h.issuer + "/login/" + name + "/callback?" + url.Values{"state": {state}, "code": {"guess"}, "iss": {v.h.upstreamIssuer(name)}}.Encode(), answer
}

// upstreamIssuer is what a provider says that it is.
func (h *house) upstreamIssuer(name string) string {
	h.t.Helper()
	p, err := h.upstream.ByName(h.t.Context(), name, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return p.Issuer
}

// security.md 2.2: "no row for an unauthenticated request unless quota-bounded". What a stranger can
// cause is begun with a real cookie and finished with a code of nobody: a row and a question each.
func TestAStrangersFailuresAreLimited(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		store := &counted{Store: h.upstream.Store}
		h.upstream.Store = store
		stranger := h.visitor(t)
		for i := range mostFailed {
			stranger.from = fmt.Sprintf("2001:db8::%x", i) // one network
			address, _ := stranger.callback("corp")
			if seen := stranger.open(address); seen.status != 400 || !strings.Contains(seen.body, "bad_token_answer") {
				t.Fatalf("the %d. time: %d %s", i, seen.status, seen.body)
			}
		}
		address, _ := stranger.callback("corp")
		seen := stranger.open(address)
		wait, err := strconv.Atoi(seen.header.Get("Retry-After"))
		if seen.status != 429 || err != nil || wait < 1 || wait > 9 {
			t.Errorf("%d, wait %d %v: %s", seen.status, wait, err, seen.body)
		}
		seen.says(t, "Too many attempts", "too_many_attempts", "Wait a minute, then load this page again", "another-way")
		if n := store.spent.Load(); n != mostFailed {
			t.Errorf("%d states were spent", n)
		}
		// What never was begun costs nothing, and is not counted: otherwise any page could close the
		// network of who looks at it.
		neighbour := h.visitor(t)
		neighbour.from = "192.0.2.7"
		for range 2 * mostFailed {
			junk := neighbour.open(h.issuer + "/login/corp/callback?state=" + strings.Repeat("a", 44) + "&code=x")
			if junk.status != 400 {
				t.Fatalf("%d %s", junk.status, junk.body)
			}
		}
		// Everybody else signs in, also with the same provider: it was not found to be away.
		bob := corp.addPerson("Bob")
		neighbour.signIn(neighbour.open(h.issuer+"/login/corp"), bob).says(t, "You are signed in")
		// And who signs in has not used anything up.
		if wait := h.site.failed.take("192.0.2.7", time.Now()); wait != 0 || h.site.begun.of("192.0.2.7").Load() > time.Now().UnixNano() {
			t.Errorf("who signed in is counted: %s", wait)
		}
	})
}

func TestSignInsThatAreOnlyBegunAreLimited(t *testing.T) {
	withProvider(t, func(t *testing.T, h, corp *house) {
		v := h.visitor(t)
		v.from = "192.0.2.9"
		for h.site.begun.take("192.0.2.9", time.Now()) == 0 {
		}
		for _, headers := range []string{"application/json", "text/html"} {
			r, err := http.NewRequest("GET", h.issuer+"/login/corp", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", headers)
			if seen := v.do(r); seen.status != 429 || seen.header.Get("Set-Cookie") != "" || !strings.Contains(seen.body, "too_many_attempts") {
				t.Errorf("%s: %d %s", headers, seen.status, seen.body)
			}
		}
		// The sign-in page is there, and so is a password.
		ada := h.addPerson("Ada")
		v.signIn(v.open(h.issuer+"/login"), ada).says(t, "You are signed in")
		// A page of another site does not begin anything for whoever looks at it, in a frame neither.
		for _, into := range []string{"iframe", "frame", "embed", "object", "image"} {
			r, err := http.NewRequest("GET", h.issuer+"/login/corp", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			r.Header.Set("Sec-Fetch-Dest", into)
			if seen := h.visitor(t).do(r); seen.status != 403 || seen.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %s", into, seen.status, seen.header.Get("Set-Cookie"))
			}
		}
	})
}
