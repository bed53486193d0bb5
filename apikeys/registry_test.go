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
	k, token, err := r.Make(t.Context(), n)
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
		if err := r.Revoke(t.Context(), gone.ID, noon); err != nil {
			t.Fatal(err)
		}
		_, orphan := made(t, r, apikeys.New{Name: "a person's", Kind: secret.KindUserKey, OwnerType: "account", OwnerID: "usr_1"})
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
			"of an owner nobody can ask": orphan,
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
		if err := r.Revoke(t.Context(), "00000000000", noon); !errors.Is(err, apikeys.ErrNotFound) {
			t.Errorf("revoking a key that isn't there: %v", err)
		}
	})
}

// A disabled key is refused like a revoked one.
func TestADisabledKey(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, _ := made(t, r, apikeys.New{Name: "first"})
		token := r.Mint.Issue(k.Kind, "0123456789A")
		digest := token.Digest()
		k.ID, k.Digest, k.Disabled = "0123456789A", digest[:], true
		if err := r.Store.AddKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), token.Reveal(), noon); err != apikeys.ErrInvalid {
			t.Errorf("a disabled key: %v", err)
		}
	})
}

// A key can do no more than the one it acts for.
func TestAKeyOfSomebodyWhoMayNotActIsRefused(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		enabled := true
		r.OwnerMay = func(_ context.Context, ownerType, ownerID string) (bool, error) {
			return enabled && ownerType == "account" && ownerID == "usr_1", nil
		}
		_, key := made(t, r, apikeys.New{Name: "mine", Kind: secret.KindUserKey, OwnerType: "account", OwnerID: "usr_1", Scopes: []string{"orders:read"}})
		if p, err := r.Verify(t.Context(), key, noon); err != nil || p.Subject != "usr_1" || !slices.Equal(p.Scopes, []string{"orders:read"}) {
			t.Errorf("%+v, %v", p, err)
		}
		enabled = false
		if _, err := r.Verify(t.Context(), key, noon); err != apikeys.ErrInvalid {
			t.Errorf("the owner was disabled: %v", err)
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

func (s crowded) AddKey(ctx context.Context, k apikeys.Key) error {
	if *s.asked++; *s.asked == 1 {
		return apikeys.ErrExists
	}
	return s.Store.AddKey(ctx, k)
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

func BenchmarkVerify(b *testing.B) {
	r := &apikeys.Registry{
		Store: storagetest.Open(b, storagetest.SQLite(b)).APIKeys(), Mint: secret.NewMint([32]byte{1}),
	}
	_, token, err := r.Make(b.Context(), apikeys.New{Name: "bench", At: noon})
	if err != nil {
		b.Fatal(err)
	}
	key := token.Reveal()
	for b.Loop() {
		if _, err := r.Verify(b.Context(), key, noon); err != nil {
			b.Fatal(err)
		}
	}
}
