package apikeys_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// A rotated key works until its grace is over, and the new one from the start.
func TestRotation(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		old, oldKey := made(t, r, apikeys.New{Name: "ci", Scopes: []string{"users:read"}, ExpiresAt: noon.Add(48 * time.Hour)})
		later := noon.Add(time.Hour)
		next, token, err := r.Rotate(t.Context(), old.ID, time.Hour, apikeys.By{At: later})
		if err != nil {
			t.Fatal(err)
		}
		if next.ID == old.ID || next.Replaces != old.ID || !slices.Equal(next.Scopes, old.Scopes) || !next.ExpiresAt.Equal(later.Add(48*time.Hour)) {
			t.Errorf("the new one is %+v", next)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), later); err != nil {
			t.Errorf("the new one: %v", err)
		}
		if p, err := r.Verify(t.Context(), oldKey, later.Add(time.Hour-time.Microsecond)); err != nil || !p.ExpiresAt.Equal(later.Add(time.Hour)) {
			t.Errorf("the old one within its grace: %s, %v", p.ExpiresAt, err)
		}
		if _, err := r.Verify(t.Context(), oldKey, later.Add(time.Hour)); err != apikeys.ErrInvalid {
			t.Errorf("the old one after its grace: %v", err)
		}
		if _, _, err := r.Rotate(t.Context(), old.ID, 0, apikeys.By{At: later}); !errors.Is(err, apikeys.ErrConflict) {
			t.Errorf("the old one again: %v", err)
		}
		if _, _, err := r.Rotate(t.Context(), next.ID, 0, apikeys.By{At: later}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), later); err != apikeys.ErrInvalid {
			t.Errorf("after a leak there is no grace: %v", err)
		}
		var invalid *apikeys.Invalid
		if _, _, err := r.Rotate(t.Context(), next.ID, apikeys.MaxGrace+1, apikeys.By{At: later}); !errors.As(err, &invalid) {
			t.Errorf("a grace of more than 30 days: %v", err)
		}
	})
}

// Who replaces a key that is not good yet gets none that is.
func TestARotatedKeyDoesNotBeginEarlier(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		begins := noon.Add(time.Hour)
		old, _ := made(t, r, apikeys.New{Name: "ci", NotBefore: begins})
		_, token, err := r.Rotate(t.Context(), old.ID, 0, apikeys.By{At: noon})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), begins.Add(-1)); err != apikeys.ErrInvalid {
			t.Errorf("too early: %v", err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), begins); err != nil {
			t.Errorf("in time: %v", err)
		}
	})
}

// An address is in a network however it is written.
func TestNoSpellingOfAnAddressGetsRoundANetwork(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci", Deny: []string{"fe80::/10", "::ffff:192.0.2.0/120"}})
		for from, denied := range map[string]bool{
			"fe80::1": true, "fe80::1%eth0": true, "192.0.2.9": true, "::ffff:192.0.2.9": true, "::ffff:192.0.2.9%eth0": true,
			"192.0.3.9": false, "2001:db8::1%eth0": false,
		} {
			_, err := r.Check(t.Context(), apikeys.Ask{Key: key, Address: netip.MustParseAddr(from)}, noon)
			if (err != nil) != denied {
				t.Errorf("from %s: %v", from, err)
			}
		}
		var invalid *apikeys.Invalid
		if _, _, err := r.Make(t.Context(), apikeys.New{Name: "x", Deny: []string{"::ffff:0:0/64"}}, apikeys.By{At: noon}); !errors.As(err, &invalid) {
			t.Errorf("a network that holds no address: %v", err)
		}
	})
}

func TestWhatAKeyIsGoodFor(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{
			Name: "ci", OwnerType: "service", OwnerID: serviceOf(t, r), Scopes: []string{"orders:read", "orders:write"},
			Audience: []string{"https://api.example"}, NotBefore: noon.Add(time.Minute),
			Allow: []string{"192.0.2.0/24", "2001:db8::/32"}, Deny: []string{"192.0.2.66"},
		})
		for _, tt := range []struct {
			scope, audience, from, code string
		}{
			{"", "", "192.0.2.1", ""},
			{"orders:read orders:write", "https://api.example", "2001:db8:1::1", ""},
			{"orders:read  ", "", "::ffff:192.0.2.1", ""},
			{"", "", "192.0.2.66", "ip_not_allowed"},
			{"", "", "198.51.100.1", "ip_not_allowed"},
			{"", "", "2001:db9::1", "ip_not_allowed"},
			{"", "", "", "ip_not_allowed"},
			{"", "https://other.example", "192.0.2.1", "wrong_audience"},
			{"orders:read users:read", "", "192.0.2.1", "insufficient_scope"},
			{"orders", "", "192.0.2.1", "insufficient_scope"},
		} {
			from, _ := netip.ParseAddr(tt.from)
			_, err := r.Check(t.Context(), apikeys.Ask{Key: key, Scope: tt.scope, Audience: tt.audience, Address: from.Unmap()}, noon.Add(time.Minute))
			denied, _ := errors.AsType[*apikeys.Denied](err)
			if tt.code == "" && err != nil || tt.code != "" && (denied == nil || denied.Code != tt.code) {
				t.Errorf("%+v: %v", tt, err)
			}
		}
		if _, err := r.Verify(t.Context(), key, noon.Add(time.Minute-1)); err != apikeys.ErrInvalid {
			t.Errorf("before its time: %v", err)
		}
		open, none := []string{}, []string{"orders:read"}
		at := noon.Add(time.Hour)
		changed, err := r.Change(t.Context(), k.ID, apikeys.Change{Allow: &open, Deny: &open, Scopes: &none}, apikeys.By{Actor: "ada", At: at})
		if err != nil || len(changed.Allow) != 0 || changed.Name != "ci" || changed.Version != 2 {
			t.Errorf("changed to %+v, %v", changed, err)
		}
		if p, err := r.Verify(t.Context(), key, at); err != nil || !slices.Equal(p.Scopes, none) {
			t.Errorf("after the change: %v, %v", p.Scopes, err)
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		used, err := r.Get(t.Context(), k.ID)
		if err != nil || used.Uses != 4 || !used.LastUsedAt.Equal(at) {
			t.Errorf("used %d times, last at %s, %v", used.Uses, used.LastUsedAt, err)
		}
		events, err := r.Events(t.Context(), apikeys.Page{Limit: 1}, k.ID, false)
		if err != nil || len(events) != 1 || events[0].Actor != "ada" || events[0].Action != "key.set" || events[0].Detail != "scopes allow deny" {
			t.Errorf("the audit log ends with %+v, %v", events, err)
		}
	})
}

// A limit lets so many pass at once, and then as many as come back with time.
func TestRateLimits(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "ci", Limits: []string{"60/m", "daily:100/d"}})
		ask := func(at time.Time) (apikeys.Answer, error) {
			return r.Check(t.Context(), apikeys.Ask{Key: key}, at)
		}
		for i := range 60 {
			a, err := ask(noon)
			if err != nil || a.Left.Left != int64(59-i) || a.Left.Name != "default" {
				t.Fatalf("use %d: %+v, %v", i, a.Left, err)
			}
			if i == 0 && (a.Policy != `"daily";q=100;w=86400, "default";q=60;w=60` || a.Left.Header() != `"default";r=59;t=1`) {
				t.Errorf("%s %s", a.Policy, a.Left.Header())
			}
		}
		_, err := ask(noon)
		if many, ok := errors.AsType[*apikeys.TooMany](err); !ok || many.Limit != "default" || many.RetryAfter != time.Second {
			t.Errorf("the 61st: %v", err)
		}
		if _, err := ask(noon.Add(time.Second)); err != nil {
			t.Errorf("a second later: %v", err)
		}
		if _, err := ask(noon.Add(time.Second)); err == nil {
			t.Error("two, a second later")
		}
		passed := 61
		for i := range 100 {
			if _, err := ask(noon.Add(time.Minute + time.Duration(i)*time.Second)); err == nil {
				passed++
			}
		}
		if passed != 100 {
			t.Errorf("%d passed in a day", passed)
		}
	})
}

// Whoever finds a key somewhere can ask which it is, and stop it.
func TestAFoundKey(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "ci"})
		digest := sha256.Sum256([]byte(key))
		for _, what := range []string{k.ID, key, hex.EncodeToString(digest[:]), " " + key + "\n"} {
			found, err := r.Find(t.Context(), what)
			if err != nil || found.ID != k.ID {
				t.Errorf("%.6s…: %v, %v", what, found.ID, err)
			}
		}
		if _, err := r.Find(t.Context(), "what?"); !errors.Is(err, apikeys.ErrNotFound) {
			t.Errorf("nothing: %v", err)
		}
		if err := r.Revoke(t.Context(), k.ID, "in a public repository", true, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), key, noon); err != apikeys.ErrInvalid {
			t.Errorf("after it leaked: %v", err)
		}
	})
}

// Keys that another system made go on working: we know their SHA-256 and nothing else.
func TestImportedKeys(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		const theirs = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
		service := serviceOf(t, r)
		if _, err := r.Verify(t.Context(), theirs, noon); err != apikeys.ErrInvalid {
			t.Errorf("before: %v", err)
		}
		digest := sha256.Sum256([]byte(theirs))
		k, token, err := r.Make(t.Context(), apikeys.New{Name: "old", OwnerType: "service", OwnerID: service, SHA256: digest[:]}, apikeys.By{At: noon})
		if err != nil || !token.IsZero() {
			t.Fatalf("%v", err)
		}
		if p, err := r.Verify(t.Context(), theirs, noon); err != nil || p.Credential != k.ID || p.Subject != service {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := r.Verify(t.Context(), theirs+"x", noon); err != apikeys.ErrInvalid {
			t.Errorf("another: %v", err)
		}
		next, token, err := r.Rotate(t.Context(), k.ID, 0, apikeys.By{At: noon})
		if err != nil || next.Kind != secret.KindServiceKey {
			t.Fatalf("%+v, %v", next, err)
		}
		if _, err := r.Verify(t.Context(), theirs, noon); err != apikeys.ErrInvalid {
			t.Errorf("replaced: %v", err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), noon); err != nil {
			t.Errorf("its successor: %v", err)
		}
	})
}

// Once Revoke has returned, no Check of the same copy lets the key pass, however many there
// are under way.
func TestRevokeAgainstVerify(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		r := &apikeys.Registry{Store: open().APIKeys(), Mint: secret.NewMint([32]byte{1})}
		for range 20 {
			k, key := made(t, r, apikeys.New{Name: "ci"})
			var wg sync.WaitGroup
			revoked := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					for {
						var over bool
						select {
						case <-revoked:
							over = true
						default:
						}
						_, err := r.Verify(t.Context(), key, noon)
						if over && err != apikeys.ErrInvalid {
							t.Errorf("after the revocation: %v", err)
						}
						if over {
							return
						}
					}
				})
			}
			if err := r.Revoke(t.Context(), k.ID, "", false, apikeys.By{At: noon}); err != nil {
				t.Error(err)
			}
			close(revoked)
			wg.Wait()
		}
	})
}
