package server

import (
	"context"
	"errors"
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
	"mintmark/storage"
)

func TestEveryChangeIsHandedOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type change struct {
			storage.Change
			at time.Time
		}
		var all []change
		away := false
		var forgotten []string
		f := newFeed(nil, func(_ context.Context, c storage.Change) { forgotten = append(forgotten, c.ID) })
		f.changes = func(_ context.Context, since time.Time) (some []storage.Change, err error) {
			if away {
				return nil, errors.New("away")
			}
			for _, c := range all {
				if !c.at.Before(since) {
					some = append(some, c.Change)
				}
			}
			return some, nil
		}
		read := func() {
			err := f.read(t.Context())
			if (err != nil) != away {
				t.Fatal(err)
			}
		}
		all = append(all, change{storage.Change{ID: "1"}, time.Now()})
		read()
		// Another copy's clock is a minute behind ours.
		all = append(all, change{storage.Change{ID: "2"}, time.Now().Add(-time.Minute)})
		read()
		away = true
		for range 600 {
			time.Sleep(time.Second)
			read()
			if len(all) == 2 {
				all = append(all, change{storage.Change{ID: "3"}, time.Now()})
			}
		}
		away = false
		for range 1200 {
			read()
			time.Sleep(time.Second)
		}
		if want := []string{"1", "2", "3"}; !slices.Equal(forgotten, want) {
			t.Errorf("got %v", forgotten)
		}
		if len(f.seen) != 0 {
			t.Errorf("%d changes are remembered for ever", len(f.seen))
		}
	})
}

func TestAJobThatFailsIsLoggedOnceAndOnceMoreWhenItIsOver(t *testing.T) {
	s, l := start(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		n := 0
		s.every(ctx, time.Second, "counting", func(context.Context) error {
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
		f.changes = func(context.Context, time.Time) ([]storage.Change, error) { return nil, nil }
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
