package apikeys_test

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage/storagetest"
)

// inMemory is a store that answers at once: these are benchmarks of what happens without one.
type inMemory struct {
	apikeys.Store
	keys map[string]apikeys.Key
}

func (s inMemory) Standing(_ context.Context, id string) (apikeys.Key, bool, error) {
	k, ok := s.keys[id]
	if !ok {
		return k, false, apikeys.ErrNotFound
	}
	return k, true, nil
}

func (inMemory) LeaseQuota(_ context.Context, _ string, _, most int64, now time.Time) (apikeys.Lease, error) {
	return apikeys.Lease{Lent: most, Since: noon, Until: noon.Add(time.Hour), Total: 1 << 50, Left: 1 << 49}, nil
}

// crowd is so many keys, all of them remembered.
func crowd(b *testing.B, n int, change ...func(*apikeys.Key)) (*apikeys.Registry, []string) {
	b.Helper()
	store := inMemory{keys: map[string]apikeys.Key{}}
	r := &apikeys.Registry{Store: store, Mint: mint, CacheSize: 4 * n}
	keys := make([]string, n)
	for i := range keys {
		id := secret.NewShortID()
		keys[i] = mint.Issue(secret.KindServiceKey, id).Reveal()
		digest := sha256.Sum256([]byte(keys[i]))
		k := apikeys.Key{
			ID: id, Kind: secret.KindServiceKey, OwnerType: "service", OwnerID: "svc_1", Digest: digest[:], Scopes: []string{"orders:read"},
		}
		for _, c := range change {
			c(&k)
		}
		store.keys[id] = k
		if _, err := r.Verify(b.Context(), keys[i], noon); err != nil {
			b.Fatal(err)
		}
	}
	return r, keys
}

func BenchmarkVerify(b *testing.B) {
	for _, bm := range []struct {
		name string
		keys int
		next func(n int) func() int
	}{
		{"hot1k", 1000, func(n int) func() int { return func() int { return rand.IntN(n) } }},
		{"zipf100k", 100_000, func(n int) func() int {
			z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(n-1))
			order := make([]int, 1<<16) // drawing costs more than verifying
			for i := range order {
				order[i] = int(z.Uint64())
			}
			i := 0
			return func() int { i++; return order[i%len(order)] }
		}},
		{"uniform100k", 100_000, func(n int) func() int { return func() int { return rand.IntN(n) } }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r, keys := crowd(b, bm.keys)
			next := bm.next(bm.keys)
			ask := apikeys.Ask{Scope: "orders:read"}
			b.ReportAllocs()
			for b.Loop() {
				ask.Key = keys[next()]
				if _, err := r.Check(b.Context(), ask, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkQuota is verifying keys with a quota: each its own, and all the same.
func BenchmarkQuota(b *testing.B) {
	for _, bm := range []struct {
		name string
		id   func(k *apikeys.Key) string
	}{
		{"own", func(k *apikeys.Key) string { return k.ID }},
		{"shared", func(*apikeys.Key) string { return "quo_1" }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r, keys := crowd(b, 1000, func(k *apikeys.Key) {
				k.Quota = apikeys.Quota{ID: bm.id(k), Amount: 1 << 50, Period: time.Hour, Since: noon}
			})
			ask := apikeys.Ask{Scope: "orders:read"}
			for i := range 20_000 { // until the leases are as large as the rate wants them
				ask.Key = keys[i%1000]
				if _, err := r.Check(b.Context(), ask, noon); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				ask.Key = keys[rand.IntN(1000)]
				if _, err := r.Check(b.Context(), ask, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkForged(b *testing.B) {
	r, _ := crowd(b, 1000)
	forger := secret.NewMint([32]byte{2})
	forged := make([]string, 1000)
	for i := range forged {
		forged[i] = forger.Issue(secret.KindServiceKey, secret.NewShortID()).Reveal()
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, err := r.Verify(b.Context(), forged[i%1000], noon); err != apikeys.ErrInvalid {
			b.Fatal(err)
		}
	}
}

// BenchmarkMiss is what one key costs that is not remembered, on SQLite.
func BenchmarkMiss(b *testing.B) {
	r := &apikeys.Registry{Store: storagetest.Open(b, storagetest.SQLite(b)).APIKeys(), Mint: mint}
	k, token, err := r.Make(b.Context(), apikeys.New{Name: "bench"}, apikeys.By{At: noon})
	if err != nil {
		b.Fatal(err)
	}
	key := token.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		r.Forget(k.ID)
		if _, err := r.Verify(b.Context(), key, noon); err != nil {
			b.Fatal(err)
		}
	}
}
