package accounts_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// noon is when every story begins.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	otter  = "a calm otter on a quiet river"
	badger = "a sleepy badger in a deep sett"
)

// A house is one copy of a server, as far as people go.
type house struct {
	*testing.T
	db        *storage.DB
	directory *accounts.Directory
	sessions  *accounts.Sessions
}

// story runs a story on every database. open makes another copy of the server.
func story(t *testing.T, tell func(t *testing.T, h *house, open func() *house)) {
	storagetest.Each(t, func(t *testing.T, openDB func() *storage.DB) {
		open := func() *house {
			db := openDB()
			mint := secret.NewMint([32]byte{1, 2, 3})
			return &house{
				T:  t,
				db: db,
				directory: &accounts.Directory{
					Store: db.Accounts(), Hasher: secret.NewHasher(2), Mint: mint, Name: "Acme",
					Log: slog.New(slog.DiscardHandler),
				},
				sessions: &accounts.Sessions{Store: db.Accounts(), Mint: mint, Secure: true},
			}
		}
		tell(t, open(), open)
	})
}

func (h *house) add(n accounts.New) accounts.Account {
	h.Helper()
	a, err := h.directory.Add(h.Context(), n)
	if err != nil {
		h.Fatalf("adding %s: %v", n.Email, err)
	}
	return a
}

// hashes returns how many hashes something cost.
func (h *house) hashes(f func()) int64 {
	before := h.directory.Hasher.Computed()
	f()
	return h.directory.Hasher.Computed() - before
}

func (h *house) signIn(email, password, address string, now time.Time) error {
	_, err := h.directory.SignIn(h.Context(), email, password, address, now)
	return err
}

// A browser keeps cookies, as long as it is not told otherwise.
type browser struct {
	h      *house
	cookie *http.Cookie
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequestWithContext(b.h.Context(), "GET", "/", nil)
	r.Header.Set("User-Agent", "Mosaic/1.0")
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	return r
}

func (b *browser) takes(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if b.cookie = c; c.MaxAge < 0 {
			b.cookie = nil
		}
	}
}

// begins signs a person in at the browser.
func (b *browser) begins(a accounts.Account, now time.Time) accounts.Session {
	b.h.Helper()
	w := httptest.NewRecorder()
	s, err := b.h.sessions.Begin(w, b.request(), a, []string{"pwd"}, "urn:acr:1", "192.0.2.7", now)
	if err != nil {
		b.h.Fatalf("beginning a session: %v", err)
	}
	b.takes(w)
	return s
}

// who returns the email of whoever is signed in at the browser, or "".
func (b *browser) who(now time.Time) string {
	b.h.Helper()
	_, a, ok, err := b.h.sessions.Current(b.request(), now)
	if err != nil {
		b.h.Fatalf("reading the session: %v", err)
	}
	if !ok && a.ID != "" {
		b.h.Error("nobody is signed in, and an account is returned")
	}
	return a.Email
}

func tooMany(err error) bool {
	_, ok := errors.AsType[*accounts.TooMany](err)
	return ok
}

func TestAPersonIsAddedFoundChangedAndRemoved(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		ctx := t.Context()
		added := h.add(accounts.New{
			Email: " Alice@Example.com ", Name: "Alice", Password: otter, Role: "admin",
			Claims: []byte(`{"locale":"en-GB","email_verified":true}`),
		})
		if added.Email != "Alice@Example.com" || added.EmailKey != "alice@example.com" || !added.EmailVerified {
			t.Errorf("added %+v", added)
		}
		for _, spelling := range []string{"alice@example.com", "ALICE@EXAMPLE.COM"} {
			if found, err := h.directory.ByEmail(ctx, spelling); err != nil || found.ID != added.ID {
				t.Errorf("%s: %v, %v", spelling, found.ID, err)
			}
			if list, err := h.directory.List(ctx, accounts.Page{}, spelling); err != nil || len(list) != 1 {
				t.Errorf("a list of %s has %d, %v", spelling, len(list), err)
			}
		}
		found, err := open().directory.Account(ctx, added.ID)
		if err != nil || string(found.Claims) != `{"locale":"en-GB"}` || !found.CreatedAt.Equal(added.CreatedAt) {
			t.Errorf("another copy finds %+v, %v", found, err)
		}
		if _, err := h.directory.Add(ctx, accounts.New{Email: "ALICE@example.com"}); !errors.Is(err, accounts.ErrExists) {
			t.Errorf("a second of that address: %v", err)
		}
		if _, err := h.directory.ByEmail(ctx, "not an address"); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("what is no address: %v", err)
		}

		bob := h.add(accounts.New{Email: "bob@example.com", At: noon})
		taken, name := "alice@EXAMPLE.com", "Robert"
		if _, err := h.directory.Set(ctx, bob.ID, accounts.Change{Email: &taken}); !errors.Is(err, accounts.ErrExists) {
			t.Errorf("taking an address that is taken: %v", err)
		}
		if _, err := h.directory.Set(ctx, bob.ID, accounts.Change{Name: &name, At: noon.AddDate(0, 0, 1)}); err != nil {
			t.Error(err)
		}
		if found, err := h.directory.Account(ctx, bob.ID); err != nil || found.Name != name || !found.UpdatedAt.Equal(noon.AddDate(0, 0, 1)) {
			t.Errorf("after the change: %+v, %v", found, err)
		}

		if err := h.directory.Remove(ctx, bob.ID, noon); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{
			"found":            errOf(h.directory.Account(ctx, bob.ID)),
			"changed":          errOf(h.directory.Set(ctx, bob.ID, accounts.Change{Name: &name})),
			"disabled":         h.directory.Disable(ctx, bob.ID, noon),
			"enabled":          h.directory.Enable(ctx, bob.ID, noon),
			"removed":          h.directory.Remove(ctx, bob.ID, noon),
			"given a password": h.directory.SetPassword(ctx, bob.ID, badger, noon),
		} {
			if !errors.Is(err, accounts.ErrNotFound) {
				t.Errorf("somebody who was removed is %s: %v", what, err)
			}
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

func TestWhatCannotBeAdded(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		for field, n := range map[string]accounts.New{
			"email":         {Password: otter},
			"password":      {Email: "alice@example.com", Password: "password"},
			"password_hash": {Email: "alice@example.com", PasswordHash: "$1$x$y"},
			"role":          {Email: "alice@example.com", Role: "root"},
			"claims.sub":    {Email: "alice@example.com", Claims: []byte(`{"sub":"usr_1"}`)},
			"name":          {Email: "alice@example.com", Name: "a\x00b"},
		} {
			_, err := h.directory.Add(t.Context(), n)
			if invalid, ok := errors.AsType[*accounts.Invalid](err); !ok || invalid.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		_, err := h.directory.Add(t.Context(), accounts.New{Email: "a@example.com", Password: otter, PasswordHash: bcryptOtter})
		if _, ok := errors.AsType[*accounts.Invalid](err); !ok {
			t.Errorf("a password and a hash: %v", err)
		}
		if list, err := h.directory.List(t.Context(), accounts.Page{Limit: 10}, ""); err != nil || len(list) != 0 {
			t.Errorf("%d were added, %v", len(list), err)
		}
	})
}

func TestSetupIsForWhoHasTheCode(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		ctx := t.Context()
		eve := accounts.New{Email: "eve@example.com", Password: otter}
		alice := accounts.New{Email: "alice@example.com", Password: badger}
		if needed, err := h.directory.NeedsSetup(ctx); !needed || err != nil {
			t.Fatalf("a new house needs no set-up: %v", err)
		}
		first, err := h.directory.NewSetupCode(ctx, noon)
		if err != nil {
			t.Fatal(err)
		}
		code, err := h.directory.NewSetupCode(ctx, noon)
		if err != nil {
			t.Fatal(err)
		}
		foreign := secret.NewMint([32]byte{9}).Issue(secret.KindSetup, secret.NewShortID())
		for _, tt := range []struct {
			name, code string
			now        time.Time
		}{
			{"none", "", noon},
			{"a guess", "123456", noon},
			{"one of another server", foreign.Reveal(), noon},
			{"one of ours that was never given out", h.directory.Mint.Issue(secret.KindSetup, secret.NewShortID()).Reveal(), noon},
			{"the one before", first.Reveal(), noon},
			{"after 30 minutes", code.Reveal(), noon.Add(30 * time.Minute)},
		} {
			if _, err := h.directory.CompleteSetup(ctx, tt.code, eve, tt.now); !errors.Is(err, accounts.ErrSetupCode) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if n := h.hashes(func() { _, _ = h.directory.CompleteSetup(ctx, foreign.Reveal(), eve, noon) }); n != 0 {
			t.Error("a forged code costs a hash")
		}

		// A refused password does not cost the code.
		weak := alice
		weak.Password = "password"
		if _, ok := errors.AsType[*accounts.Invalid](errOf(h.directory.CompleteSetup(ctx, code.Reveal(), weak, noon))); !ok {
			t.Error("a weak password is taken for the first administrator")
		}
		none := alice
		none.Password = ""
		if _, ok := errors.AsType[*accounts.Invalid](errOf(h.directory.CompleteSetup(ctx, code.Reveal(), none, noon))); !ok {
			t.Error("no password is taken for the first administrator")
		}

		// Of all who have it, one wins.
		const many = 8
		results := make(chan error, many)
		houses := []*house{h, open()}
		for i := range many {
			go func() {
				n := alice
				n.Email = string(rune('a'+i)) + "@example.com"
				results <- errOf(houses[i%2].directory.CompleteSetup(ctx, code.Reveal(), n, noon.Add(29*time.Minute)))
			}()
		}
		won := 0
		for range many {
			switch err := <-results; {
			case err == nil:
				won++
			case !errors.Is(err, accounts.ErrSetupCode) && !errors.Is(err, accounts.ErrSetupDone):
				t.Errorf("one of the others: %v", err)
			}
		}
		list, err := h.directory.List(ctx, accounts.Page{Limit: 100}, "")
		if won != 1 || len(list) != 1 || list[0].Role != accounts.RoleAdmin || err != nil {
			t.Errorf("%d won, %d were added, %v", won, len(list), err)
		}
		if _, err := h.directory.NewSetupCode(ctx, noon); !errors.Is(err, accounts.ErrSetupDone) {
			t.Errorf("a code for a house that is set up: %v", err)
		}
	})
}

func TestPagesOfPeople(t *testing.T) {
	story(t, func(t *testing.T, h *house, _ func() *house) {
		var want, got []string
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			want = append(want, h.add(accounts.New{Email: name + "@example.com"}).ID)
		}
		for after := ""; ; after = got[len(got)-1] {
			page, err := h.directory.List(context.WithoutCancel(t.Context()), accounts.Page{After: after, Limit: 2}, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				got = append(got, a.ID)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("pages of two: %v, not %v", got, want)
		}
	})
}
