package apikeys_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// noon is when every story begins.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func story(t *testing.T, tell func(t *testing.T, r *apikeys.Registry)) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		tell(t, &apikeys.Registry{Store: open().APIKeys(), Mint: secret.NewMint([32]byte{1})})
	})
}

func made(t *testing.T, r *apikeys.Registry, n apikeys.New) (apikeys.Key, string) {
	t.Helper()
	n.At = noon
	k, token, err := r.Make(t.Context(), n, apikeys.By{Actor: "story"})
	if err != nil {
		t.Fatal(err)
	}
	return k, token.Reveal()
}

func TestAKeySaysWhoIsCalling(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "admin", Scopes: []string{"users:read", "audit:read"}, Forever: true})
		if !strings.HasPrefix(key, "mm_ok_"+k.ID) {
			t.Errorf("the key is not of the format: %.17s…", key)
		}
		p, err := r.Verify(t.Context(), key, noon.AddDate(50, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if p.Subject != "instance" || p.ClientID != k.ID || p.Credential != k.ID || p.Method != bearer.MethodAPIKey ||
			!p.May("users:read") || p.May("users:write") || !p.ExpiresAt.IsZero() {
			t.Errorf("the caller is %+v", p)
		}
		kept, err := r.Store.Key(t.Context(), k.ID)
		if err != nil || len(kept.Digest) != 32 || strings.Contains(string(kept.Digest), key[21:]) {
			t.Errorf("kept as %d bytes, %v", len(kept.Digest), err)
		}
	})
}

// One error, whatever is wrong: nobody learns that a key was once good.
func TestEveryBadKeyIsRefusedAlike(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		good, key := made(t, r, apikeys.New{Name: "good", Scopes: apikeys.AdminScopes()})
		short, expired := made(t, r, apikeys.New{Name: "short", ExpiresAt: noon.Add(time.Hour)})
		gone, revoked := made(t, r, apikeys.New{Name: "gone"})
		if err := r.Revoke(t.Context(), gone.ID, "", false, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		service := serviceOf(t, r)
		_, orphan := made(t, r, apikeys.New{Name: "of somebody", OwnerType: "service", OwnerID: service})
		if err := r.RemoveService(t.Context(), service, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if p, err := r.Verify(t.Context(), expired, noon.Add(time.Hour-time.Microsecond)); err != nil || !p.ExpiresAt.Equal(short.ExpiresAt) {
			t.Fatalf("just before it expires: %v", err)
		}
		for name, presented := range map[string]string{
			"junk":                       "not a key",
			"never made":                 r.Mint.Issue(secret.KindOrganizationKey, secret.NewShortID()).Reveal(),
			"the right id, not the rest": r.Mint.Issue(secret.KindOrganizationKey, good.ID).Reveal(),
			"the right id, another kind": r.Mint.Issue(secret.KindTestKey, good.ID).Reveal(),
			"expired":                    expired,
			"revoked":                    revoked,
			"of an owner who is gone":    orphan,
		} {
			p, err := r.Verify(t.Context(), presented, noon.Add(time.Hour))
			if err != apikeys.ErrInvalid || p.Subject != "" || p.Scopes != nil {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		}
		if _, err := r.Verify(t.Context(), key, noon.Add(time.Hour)); err != nil {
			t.Errorf("the good one: %v", err)
		}
		if _, err := r.Verify(t.Context(), key, good.ExpiresAt); err != apikeys.ErrInvalid {
			t.Errorf("the good one after 90 days: %v", err)
		}
		if err := r.Revoke(t.Context(), "00000000000", "", false, apikeys.By{At: noon}); !errors.Is(err, apikeys.ErrNotFound) {
			t.Errorf("revoking a key that isn't there: %v", err)
		}
	})
}

// Disabling is refused like revoking, and can be undone.
func TestADisabledKey(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{Name: "first"})
		for _, step := range []struct {
			do   func() error
			want error
		}{
			{func() error { return nil }, nil},
			{func() error { return r.Disable(t.Context(), k.ID, "holiday", apikeys.By{At: noon}) }, apikeys.ErrInvalid},
			{func() error { return r.Enable(t.Context(), k.ID, apikeys.By{At: noon}) }, nil},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Verify(t.Context(), key, noon); err != step.want {
				t.Errorf("%v, want %v", err, step.want)
			}
		}
	})
}

func serviceOf(t *testing.T, r *apikeys.Registry) string {
	t.Helper()
	s, err := r.AddService(t.Context(), "worker", "", apikeys.By{At: noon})
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

// A key can do no more than the one it acts for, from the next request on.
func TestAKeyOfSomebodyWhoMayNotActIsRefused(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		service := serviceOf(t, r)
		_, key := made(t, r, apikeys.New{Name: "mine", OwnerType: "service", OwnerID: service, Scopes: []string{"orders:read"}})
		if p, err := r.Verify(t.Context(), key, noon); err != nil || p.Subject != service || !slices.Equal(p.Scopes, []string{"orders:read"}) {
			t.Errorf("%+v, %v", p, err)
		}
		if err := r.DisableService(t.Context(), service, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), key, noon); err != apikeys.ErrInvalid {
			t.Errorf("the owner was disabled: %v", err)
		}
		if err := r.EnableService(t.Context(), service, apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), key, noon); err != nil {
			t.Errorf("the owner was enabled: %v", err)
		}
		_, _, err := r.Make(t.Context(), apikeys.New{Name: "no", OwnerType: "account", OwnerID: "usr_nobody"}, apikeys.By{At: noon})
		if invalid, ok := errors.AsType[*apikeys.Invalid](err); !ok || invalid.Field != "owner_id" {
			t.Errorf("for nobody: %v", err)
		}
	})
}

// A fault of ours is not the caller's bad key: they must not throw it away.
func TestAFaultIsNotABadKey(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		_, key := made(t, r, apikeys.New{Name: "good"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p, err := r.Verify(ctx, key, noon)
		if err == nil || errors.Is(err, apikeys.ErrInvalid) || p.Subject != "" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// crowded is a store in which the first id is taken.
type crowded struct {
	apikeys.Store
	asked *int
}

func (s crowded) AddKey(ctx context.Context, k apikeys.Key, most int, e apikeys.Event) error {
	if *s.asked++; *s.asked == 1 {
		return apikeys.ErrExists
	}
	return s.Store.AddKey(ctx, k, most, e)
}

func TestAnIDThatIsTakenIsNotTakenAgain(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		asked := 0
		r.Store = crowded{r.Store, &asked}
		_, key := made(t, r, apikeys.New{Name: "second try"})
		if _, err := r.Verify(t.Context(), key, noon); err != nil || asked != 2 {
			t.Errorf("asked %d times, %v", asked, err)
		}
	})
}
