package server

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// After the database was away another may have taken its place: then by time, once.
func TestAFeedThatLostItsPlaceReadsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := false
		var all, places []int64
		var again []bool
		f := newFeed(nil, func(context.Context, storage.Change) {})
		f.changes = func(_ context.Context, from revocations.Place, since time.Time, a bool) ([]storage.Change, revocations.Place, bool, error) {
			if away {
				return nil, from, false, errors.New("away")
			}
			if a && time.Since(since) < feedOverlap+time.Minute {
				t.Errorf("read again since %s ago", time.Since(since))
			}
			places, again = append(places, from.Low), append(again, a)
			return nil, revocations.Place{Low: from.Low + 1}, len(places) == 4, nil
		}
		f.all = func() { all = append(all, f.place.Low) }
		for i := range 6 {
			time.Sleep(time.Minute)
			away = i == 1
			if err := f.read(t.Context()); (err != nil) != away {
				t.Fatal(err)
			}
		}
		if !slices.Equal(places, []int64{0, 1, 2, 3, 4}) || !slices.Equal(again, []bool{false, true, false, false, false}) || !slices.Equal(all, []int64{3}) {
			t.Errorf("read from %v, by time %v, forgot everything at %v", places, again, all)
		}
	})
}

func TestAJobThatFailsIsLoggedOnceAndOnceMoreWhenItIsOver(t *testing.T) {
	s, l := start(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		n := 0
		s.every(ctx, time.Second, nil, "counting", func(context.Context) error {
			if n++; n < 30 {
				return errors.New("not yet")
			}
			return nil
		})
	})
	if a, b := strings.Count(l.String(), "a background job fails"), strings.Count(l.String(), "works again"); a != 1 || b != 1 {
		t.Errorf("%d failures and %d recoveries in the log", a, b)
	}
}

// Changes are kept for an hour: who did not look for so long can't know what it missed.
func TestACopyThatMissedChangesForgetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all int
		var heard time.Time
		f := newFeed(nil, func(context.Context, storage.Change) {})
		f.all, f.heard = func() { all++ }, func(at time.Time) { heard = at }
		f.changes = func(context.Context, revocations.Place, time.Time, bool) ([]storage.Change, revocations.Place, bool, error) {
			return nil, revocations.Place{}, false, nil
		}
		for _, tt := range []struct {
			pause time.Duration
			all   int
		}{{0, 0}, {feedMissed, 0}, {feedMissed + time.Second, 1}, {time.Second, 1}} {
			time.Sleep(tt.pause)
			if err := f.read(t.Context()); err != nil || all != tt.all || !heard.Equal(time.Now()) {
				t.Errorf("after %s: %d times, heard at %s, %v", tt.pause, all, heard, err)
			}
		}
	})
}

func TestAClientDisabledOnAnotherCopyIsForgottenHere(t *testing.T) {
	s, _ := start(t)
	now := time.Now()
	client := issuer.Client{ID: "cli_0000000000000000000001", Name: "App", CreatedAt: now, UpdatedAt: now}
	if err := s.db.Registry().AddClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	var seen []storage.Change
	f := newFeed(s.db, func(ctx context.Context, c storage.Change) { seen = append(seen, c); s.forget(ctx, c) })
	if err := f.read(t.Context()); err != nil || len(seen) != 0 {
		t.Fatalf("%v, %+v", err, seen)
	}
	if err := s.db.Registry().DisableClient(t.Context(), client.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(seen, func(c storage.Change) bool { return c.Kind == "client" && c.Ref == client.ID }) {
		t.Errorf("the feed has %+v", seen)
	}
}

// A signing key that is revoked on one copy is refused on the others at the next turn of the feed,
// and what signs instead is believed.
func TestASigningKeyRevokedOnAnotherCopyIsRefusedHere(t *testing.T) {
	one, _ := start(t)
	two, _ := start(t, func(c *Config) { c.Database = one.cfg.Database })
	f := newFeed(two.db, two.forget)
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := one.keyring.Append(nil, keys.ES256, "JWT", []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.keyring.Verify(string(before), "JWT"); err != nil {
		t.Fatal(err)
	}
	for _, key := range one.keyring.List(time.Now()) {
		if key.Alg == keys.ES256 {
			if err := one.keyring.Revoke(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := one.keyring.Append(nil, keys.ES256, "JWT", []byte(`{"n":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.keyring.Verify(string(before), "JWT"); err == nil {
		t.Error("what a revoked key signed is believed")
	}
	if _, err := two.keyring.Verify(string(after), "JWT"); err != nil {
		t.Errorf("what the new key signed: %v", err)
	}

	kid, err := one.keyring.Rotate(t.Context(), keys.RS256, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range two.keyring.List(time.Now()) {
		if key.Alg == keys.RS256 && (key.State == "active") != (key.ID == kid) {
			t.Errorf("after a rotation that is immediate elsewhere %s is %s here", key.ID, key.State)
		}
	}
}

func TestOneCopyPurges(t *testing.T) {
	s, _ := start(t)
	now := time.Now()
	if mine, err := s.db.Lease(t.Context(), "purge", "another copy", now.Add(time.Hour), now); err != nil || !mine {
		t.Fatal(mine, err)
	}
	gone := now.Add(-time.Hour)
	if err := s.db.Issuer().UseAssertion(t.Context(), "cli", "jti", gone); err != nil {
		t.Fatal(err)
	}
	again := func() error { return s.db.Issuer().UseAssertion(t.Context(), "cli", "jti", gone) }
	if err := s.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := again(); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("the lease is another copy's, and this one purged: %v", err)
	}
	s.holder = "another copy"
	if err := s.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Errorf("what expired an hour ago is still there: %v", err)
	}
}

// Forgetting gets out of the way of others, and comes back.
func TestTheBatchOfForgottenRowsAdapts(t *testing.T) {
	for _, tt := range []struct {
		batch int
		took  time.Duration
		want  int
	}{
		{500, 20 * time.Millisecond, 500},
		{500, 200 * time.Millisecond, 250},
		{60, 200 * time.Millisecond, 50},
		{50, time.Minute, 50},
		{500, 5 * time.Millisecond, 1000},
		{1500, 5 * time.Millisecond, 2000},
	} {
		if got := nextBatch(tt.batch, tt.took); got != tt.want {
			t.Errorf("after %d rows in %s: %d, want %d", tt.batch, tt.took, got, tt.want)
		}
	}
}

func TestAdminKey(t *testing.T) {
	s, l := start(t)
	file := filepath.Join(t.TempDir(), "admin.key")
	read := func() string {
		t.Helper()
		if err := s.AdminKey(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info.Mode(), err)
		}
		key, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(key))
	}
	first := read()
	if !strings.HasPrefix(first, "mm_ok_") {
		t.Errorf("not a key of the kind that the admin API takes")
	}
	os.Chmod(file, 0o644)
	if read() != first {
		t.Error("a good key was replaced")
	}
	p, err := s.apiKeys.Verify(t.Context(), first, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apiKeys.Revoke(t.Context(), p.Credential, "", false, apikeys.By{}); err != nil {
		t.Fatal(err)
	}
	second := read()
	if second == first {
		t.Error("a revoked key stays")
	}
	if strings.Contains(l.String(), first) || strings.Contains(l.String(), second) {
		t.Error("a key is in the log")
	}
	if resp := ask(s, "GET", "/api/v1/users", "", "Authorization", "ApiKey "+second); resp.StatusCode != 200 {
		t.Errorf("the admin API says %d", resp.StatusCode)
	}
}

// An operator has to hear of it.
func TestADatabaseThatForgetsIsLogged(t *testing.T) {
	at, err := url.Parse(storagetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	q.Set("synchronous_commit", "off")
	at.RawQuery = q.Encode()
	s, l := start(t, func(c *Config) { c.Database = at.String() })
	said := map[string]bool{}
	s.warn(t.Context(), said)
	s.warn(t.Context(), said) // what was said once is not said again
	if said := l.String(); strings.Count(said, "synchronous_commit is off") != 1 {
		t.Errorf("the log says %s", said)
	}
}
