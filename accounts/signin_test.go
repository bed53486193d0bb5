package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/accounts"
)

// bcryptOtter is what another system remembered of the password otter.
const bcryptOtter = "$2a$05$DQZd1uKhJFnEuVWRmGx6TO2VOc3T3LKmp/4.gIHcwgL9P5pHt/xrW"

func TestSignIn(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		for _, spelling := range []string{"alice@example.com", " Alice@EXAMPLE.com"} {
			got, err := open().directory.SignIn(t.Context(), spelling, otter, "192.0.2.1", noon)
			if err != nil || got.ID != alice.ID {
				t.Errorf("%q: %q, %v", spelling, got.ID, err)
			}
		}
	})
}

// A stranger must not learn who is here: one error, and one hash, whatever is wrong.
func TestAnswersDontTellWhetherAnAccountExists(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "alice@example.com", Password: otter})
		h.add(accounts.New{Email: "import@example.com", PasswordHash: bcryptOtter})
		h.add(accounts.New{Email: "nopassword@example.com"})
		disabled := h.add(accounts.New{Email: "disabled@example.com", Password: otter})
		if err := h.directory.Disable(t.Context(), disabled.ID, noon); err != nil {
			t.Fatal(err)
		}
		for i, tt := range []struct{ name, email, password string }{
			{"wrong password", "alice@example.com", badger},
			{"the password with a space", "alice@example.com", otter + " "},
			{"the password in capitals", "alice@example.com", strings.ToUpper(otter)},
			{"no password typed", "alice@example.com", ""},
			{"a very long password", "alice@example.com", strings.Repeat(otter, 1000)},
			{"a password of bytes", "alice@example.com", "\xff\x00"},
			{"unknown address", "nobody@example.com", otter},
			{"no address", "alice", otter},
			{"nothing", "", ""},
			{"two @", "alice@example.com@example.com", otter},
			{"an account without a password", "nopassword@example.com", ""},
			{"an account without a password, guessed", "nopassword@example.com", otter},
			{"a disabled account, right password", "disabled@example.com", otter},
			{"a disabled account, wrong password", "disabled@example.com", badger},
			{"an imported hash", "import@example.com", badger},
		} {
			// From somewhere else each time, so that only the account is counted.
			address := fmt.Sprintf("192.0.2.%d", i)
			n := h.hashes(func() {
				a, err := h.directory.SignIn(t.Context(), tt.email, tt.password, address, noon)
				if err != accounts.ErrWrong || a.ID != "" {
					t.Errorf("%s: %q, %v", tt.name, a.ID, err)
				}
			})
			if n != 1 {
				t.Errorf("%s costs %d hashes", tt.name, n)
			}
		}
	})
}

// Ten guesses, and the right password does not help any more; 15 minutes later it does.
func TestAnAccountIsClosedAfterTenWrongPasswords(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		h.add(accounts.New{Email: "bob@example.com", Password: otter})
		other := open()
		disabled := h.add(accounts.New{Email: "disabled@example.com", Password: otter})
		if err := h.directory.Disable(t.Context(), disabled.ID, noon); err != nil {
			t.Fatal(err)
		}
		// Another spelling, another copy of the server and another address are no way round,
		// and an account that isn't there is closed in the same way.
		for email, spelling := range map[string]string{
			"alice@example.com": "ALICE@example.com", "nobody@example.com": "Nobody@example.com", "not an address": "not an address",
			"disabled@example.com": "disabled@EXAMPLE.com",
		} {
			password := badger
			if email == "disabled@example.com" {
				password = otter // the right one: whoever guessed it must not learn so
			}
			for i := range 10 {
				from := []*house{h, other}[i%2]
				if err := from.signIn(email, password, fmt.Sprintf("198.51.100.%d", i), noon.Add(time.Duration(i)*time.Second)); err != accounts.ErrWrong {
					t.Fatalf("%s, guess %d: %v", email, i, err)
				}
			}
			n := h.hashes(func() {
				err := h.signIn(spelling, otter, "198.51.100.99", noon.Add(time.Minute))
				closed, ok := errors.AsType[*accounts.TooMany](err)
				if !ok || closed.RetryAfter != 14*time.Minute {
					t.Errorf("%s after ten guesses: %v, %+v", email, err, closed)
				}
			})
			if n != 0 {
				t.Errorf("%s: a closed account costs %d hashes", email, n)
			}
		}
		if err := h.signIn("bob@example.com", otter, "198.51.100.99", noon.Add(time.Minute)); err != nil {
			t.Errorf("bob is closed out with alice: %v", err)
		}
		if err := h.signIn("alice@example.com", otter, "198.51.100.99", noon.Add(15*time.Minute)); err != nil {
			t.Errorf("after the window: %v", err)
		}
		_ = alice
	})
}

// ninety is a store that remembers ninety wrong passwords from every address, which are
// otherwise slow to come by.
type ninety struct{ accounts.Store }

func (s ninety) Count(ctx context.Context, key string, window time.Duration, now time.Time) (int64, time.Time, error) {
	n, resets, err := s.Store.Count(ctx, key, window, now)
	if strings.HasPrefix(key, "address:") {
		n += 90
	}
	return n, resets, err
}

func TestAnAddressIsClosedAfterAHundredWrongPasswords(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "alice@example.com", Password: otter})
		h.directory.Store = ninety{h.db.Accounts()}
		// One guess at each of many accounts, from all over one /64.
		guess := func(i int) error {
			return h.signIn(fmt.Sprintf("victim%d@example.com", i), badger, fmt.Sprintf("2001:db8::%x", i), noon)
		}
		for i := range 10 {
			if err := guess(90 + i); err != accounts.ErrWrong {
				t.Fatalf("guess %d: %v", 90+i, err)
			}
		}
		if n := h.hashes(func() {
			if err := guess(100); !tooMany(err) {
				t.Errorf("guess 100: %v", err)
			}
		}); n != 0 {
			t.Errorf("a closed address costs %d hashes", n)
		}
		if err := h.signIn("alice@example.com", otter, "2001:db8::ffff", noon); !tooMany(err) {
			t.Errorf("the right password from the closed network: %v", err)
		}
		if err := h.signIn("alice@example.com", otter, "2001:db8:0:1::1", noon); err != nil {
			t.Errorf("the next network is closed, too: %v", err)
		}
	})
}

// Somebody who goes on hitting a closed account does not close the address of the office.
func TestGuessesThatAreNotReadAreNotHeldAgainstTheAddress(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "bob@example.com", Password: otter})
		for range 150 {
			_ = h.signIn("alice@example.com", badger, "192.0.2.1", noon)
		}
		if err := h.signIn("bob@example.com", otter, "192.0.2.1", noon); err != nil {
			t.Errorf("bob, in the same office: %v", err)
		}
	})
}

// CVE-2024-4629, CVE-2023-47111: guesses that race must not pass the limit.
func TestParallelGuessesDontPassTheLimit(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		h.add(accounts.New{Email: "alice@example.com", Password: otter})
		houses := []*house{h, open()}
		before := houses[0].directory.Hasher.Computed() + houses[1].directory.Hasher.Computed()
		wrong, closed := 0, 0
		for _, err := range together(64, func(i int) error {
			return houses[i%2].signIn("alice@example.com", badger, "192.0.2.1", noon)
		}) {
			switch {
			case err == accounts.ErrWrong:
				wrong++
			case tooMany(err):
				closed++
			default:
				t.Errorf("a guess: %v", err)
			}
		}
		hashed := houses[0].directory.Hasher.Computed() + houses[1].directory.Hasher.Computed() - before
		if wrong != 10 || closed != 54 || hashed != 10 {
			t.Errorf("of 64 parallel guesses %d were checked with %d hashes, and %d refused", wrong, hashed, closed)
		}
	})
}

// together calls f n times at the same moment.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// Right passwords are not counted: neither one after the other nor all at once.
func TestRightPasswordsNeverCloseAnything(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "alice@example.com", Password: otter})
		h.directory.Store = ninety{h.db.Accounts()}
		for range 2 {
			for i, err := range together(24, func(int) error {
				return h.signIn("alice@example.com", otter, "192.0.2.1", noon)
			}) {
				if err != nil {
					t.Fatalf("sign-in %d: %v", i, err)
				}
			}
		}
		// And nothing is left over: ten guesses are checked, as always.
		h.directory.Store = h.db.Accounts()
		for i := range 10 {
			if err := h.signIn("alice@example.com", badger, "192.0.2.1", noon); err != accounts.ErrWrong {
				t.Fatalf("guess %d: %v", i, err)
			}
		}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); !tooMany(err) {
			t.Errorf("the eleventh: %v", err)
		}
	})
}

// A right password does not forgive the wrong ones before it.
func TestARightPasswordGivesBackOnlyItsOwnAttempt(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "alice@example.com", Password: otter})
		for range 9 {
			_ = h.signIn("alice@example.com", badger, "192.0.2.1", noon)
		}
		for range 3 {
			if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.signIn("alice@example.com", badger, "192.0.2.1", noon); err != accounts.ErrWrong {
			t.Errorf("the tenth guess: %v", err)
		}
		if err := h.signIn("alice@example.com", badger, "192.0.2.1", noon); !tooMany(err) {
			t.Errorf("the eleventh guess: %v", err)
		}
	})
}

func TestAnImportedHashIsReplacedAtSignIn(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", PasswordHash: bcryptOtter})
		browser := &browser{h: h}
		browser.begins(alice, noon)
		signedIn, err := h.directory.SignIn(t.Context(), "alice@example.com", otter, "192.0.2.1", noon)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := h.directory.Account(t.Context(), alice.ID)
		if err != nil || !strings.HasPrefix(kept.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") || signedIn.PasswordHash != kept.PasswordHash {
			t.Errorf("the hash is %s, %v", kept.PasswordHash, err)
		}
		if browser.who(noon) != "alice@example.com" {
			t.Error("a rehash ended the sessions")
		}
		if n := h.hashes(func() { err = h.signIn("alice@example.com", otter, "192.0.2.1", noon) }); err != nil || n != 1 {
			t.Errorf("the next sign-in costs %d hashes, %v", n, err)
		}
	})
}

// late is a store in which something happens just before a hash is replaced.
type late struct {
	accounts.Store
	before func() error
}

func (s late) SetPassword(ctx context.Context, id, was, hash string, end bool, now time.Time) error {
	if err := s.before(); err != nil {
		return err
	}
	return s.Store.SetPassword(ctx, id, was, hash, end, now)
}

// The rehash of the old password must not undo a change that came in between, and what it opened
// is closed.
func TestARehashDoesNotUndoAChange(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", PasswordHash: bcryptOtter})
		other := open()
		other.directory.Store = late{other.db.Accounts(), func() error {
			return h.directory.SetPassword(t.Context(), alice.ID, badger, noon)
		}}
		if err := other.signIn("alice@example.com", otter, "192.0.2.1", noon); err != accounts.ErrWrong {
			t.Errorf("the password was changed meanwhile: %v", err)
		}
		if err := h.signIn("alice@example.com", badger, "192.0.2.1", noon); err != nil {
			t.Errorf("the new password: %v", err)
		}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != accounts.ErrWrong {
			t.Errorf("the old password: %v", err)
		}
	})
}

// Somebody whose hash was imported signs in at two browsers at once: both replace the hash, and
// both are signed in.
func TestTwoSignInsThatRehash(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", PasswordHash: bcryptOtter})
		other := open()
		other.directory.Store = late{other.db.Accounts(), func() error {
			return h.signIn("alice@example.com", otter, "192.0.2.1", noon)
		}}
		a, err := other.directory.SignIn(t.Context(), "alice@example.com", otter, "192.0.2.1", noon)
		if err != nil || a.ID != alice.ID {
			t.Fatalf("the race cost the sign-in: %v", err)
		}
		chrome := &browser{h: other}
		if chrome.begins(a, noon); chrome.who(noon) != "alice@example.com" {
			t.Error("the session did not begin")
		}
	})
}

// Between the check of a password and the session there is time for the password to change.
func TestASessionNeedsThePasswordThatWasChecked(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		home := &browser{h: h}
		home.begins(alice, noon)
		for _, at := range []*browser{home, {h: h}} { // where she is signed in, and where not
			a, err := h.directory.SignIn(t.Context(), "alice@example.com", otter, "192.0.2.1", noon)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.directory.SetPassword(t.Context(), alice.ID, badger, noon); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if _, err := h.sessions.Begin(w, at.request(), a, []string{"pwd"}, "", "", noon); !errors.Is(err, accounts.ErrNotFound) {
				t.Errorf("the old password began a session: %v", err)
			}
			if at.takes(w); at.who(noon) != "" {
				t.Error("the old password opened a session")
			}
			if err := h.directory.SetPassword(t.Context(), alice.ID, otter, noon); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestARehashThatFailsDoesNotCostTheSignIn(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		h.add(accounts.New{Email: "alice@example.com", PasswordHash: bcryptOtter})
		h.directory.Store = late{h.db.Accounts(), func() error { return errors.New("the disk is full") }}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != nil {
			t.Error(err)
		}
	})
}

func TestANewPasswordPutsEverybodyOut(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		alice := h.add(accounts.New{Email: "alice@example.com", Password: otter})
		thief := &browser{h: h}
		thief.begins(alice, noon)
		if err := h.directory.SetPassword(t.Context(), alice.ID, "alice", noon); err == nil {
			t.Error("a weak password is taken")
		}
		if thief.who(noon) == "" {
			t.Error("a refused password ended the sessions")
		}
		if err := h.directory.SetPassword(t.Context(), alice.ID, badger, noon); err != nil {
			t.Fatal(err)
		}
		if thief.who(noon) != "" {
			t.Error("whoever knew the old password is still signed in")
		}
		if err := h.signIn("alice@example.com", otter, "192.0.2.1", noon); err != accounts.ErrWrong {
			t.Errorf("the old password: %v", err)
		}
		if err := h.signIn("alice@example.com", badger, "192.0.2.1", noon); err != nil {
			t.Errorf("the new password: %v", err)
		}
	})
}

// A table of counters that somebody steals must not be a list of people.
func TestCountersDontTellWhoTried(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		keys := &spy{Store: h.db.Accounts()}
		h.directory.Store = keys
		_ = h.signIn("alice@example.com", badger, "192.0.2.1", noon)
		if len(keys.counted) != 2 {
			t.Fatalf("counted %v", keys.counted)
		}
		for _, key := range keys.counted {
			if strings.Contains(key, "alice") || strings.Contains(key, "192") || len(key) > 60 {
				t.Errorf("a counter is called %s", key)
			}
		}
	})
}

type spy struct {
	accounts.Store
	counted []string
}

func (s *spy) Count(ctx context.Context, key string, window time.Duration, now time.Time) (int64, time.Time, error) {
	s.counted = append(s.counted, key)
	return s.Store.Count(ctx, key, window, now)
}
