//go:build linux

package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// promptly is within what time a request is refused when the database does not answer. The
// promise is two seconds; the rest is for a machine that is busy with other tests.
const promptly = 2*time.Second + time.Second

// notNow says that an answer is 503, in time and with Retry-After, and never success.
func notNow(t *testing.T, what string, got reply) {
	t.Helper()
	if got.Status != http.StatusServiceUnavailable || got.Retry == "" {
		t.Errorf("%s: %d %s %.200s, Retry-After %q", what, got.Status, got.Broken, got.body, got.Retry)
	}
	if got.took > promptly {
		t.Errorf("%s: refused after %s", what, got.took.Round(time.Millisecond))
	}
}

// The answer to a commit is lost, or the commit never got there: the server does not know, says
// so in time, and whoever asks again gets what they should.
func TestTheOutcomeIsUnknown(t *testing.T) {
	length(t, 0)
	number := seed(t)
	for _, fate := range []struct {
		name      string
		fate      Fate
		committed bool
	}{
		{"the commit is held back and never arrives", Hold, false},
		{"the commit arrives late, after the server has given up", HoldOn, true},
		{"the answer to the commit is lost", Lose, true},
		{"the connection breaks before the commit", Cut, false},
		{"the connection breaks after the commit", CutOff, true},
	} {
		t.Run(fate.name, func(t *testing.T) {
			t.Parallel()
			proxy := NewProxy(t, storagetest.Postgres(t))
			nodes := Dev(t, proxy.URL())
			StartAll(t, nodes)
			w := NewWorld(t, nodes, number)
			workers := w.NewWorkers(1)
			x := workers[0]
			serial := 0

			// family begins a family of its own.
			family := func() *family {
				x.redeem(x.authorize(nil), false)
				return x.families[len(x.families)-1]
			}
			// lose makes a request of which the outcome is unknown.
			lose := func(t *testing.T, of string, c call) {
				t.Helper()
				proxy.Set(Rule{Sync: fate.fate, Of: of, Times: 1})
				notNow(t, c.op, x.send(c))
				proxy.Set(Rule{})
			}
			t.Run("refresh", func(t *testing.T) {
				f := family()
				lose(t, "SET generation = generation + 1", x.refreshing(f.newest()))
				got := x.settle(x.refreshing(f.newest()))
				if !got.ok() {
					t.Fatalf("the client asked again and got %d %s", got.Status, got.body)
				}
				if again := x.settle(x.refreshing(got.Got)); !again.ok() {
					t.Errorf("what it got is not good: %d %s", again.Status, again.body)
				}
			})
			t.Run("code", func(t *testing.T) {
				code := x.authorize(nil)
				lose(t, "code_spent_at = $3", x.redemption(code))
				// A code is good once. If it was spent, it looks stolen the second time: the person
				// signs in again, which costs a redirect.
				got := x.settle(x.redemption(code))
				if want := map[bool]string{true: "invalid_grant", false: ""}[fate.committed]; got.Error != want {
					t.Errorf("the client asked again and got %d %s", got.Status, got.body)
				}
			})
			t.Run("revocation", func(t *testing.T) {
				f := family()
				revoke := call{op: opRevoke, on: f.newest(), method: "POST", path: "/revoke", as: &x.app, form: url.Values{"token": {f.newest()}}}
				lose(t, "revoke_reason", revoke)
				if got := x.settle(revoke); !got.ok() {
					t.Errorf("the client asked again and got %d %s", got.Status, got.body)
				}
				if got := x.settle(x.refreshing(f.newest())); got.ok() {
					t.Error("and then it was refreshed")
				}
			})
			t.Run("a new person", func(t *testing.T) {
				serial++
				add := x.addingUser(fmt.Sprintf("unknown%d@example.com", serial), "")
				lose(t, "INSERT INTO accounts", add)
				got := x.settle(add)
				if want := map[bool]string{true: "exists", false: ""}[fate.committed]; got.Error != want {
					t.Errorf("the operator asked again and got %d %s", got.Status, got.body)
				}
			})
			t.Run("assertion", func(t *testing.T) {
				serial++
				jti := fmt.Sprint("unknown", serial)
				text, err := w.robot.assertion(w.Issuer, jti)
				if err != nil {
					t.Fatal(err)
				}
				lose(t, "INSERT INTO assertions", x.asserting(jti, text))
				got := x.settle(x.asserting(jti, text))
				if want := map[bool]string{true: "invalid_client", false: ""}[fate.committed]; got.Error != want {
					t.Errorf("the service asked again and got %d %s", got.Status, got.body)
				}
			})
			judge(t, w, workers, proxy.to.String())
		})
	}
}
