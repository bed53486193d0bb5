package storage_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

var benchNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// eachEngine runs a benchmark on both databases, with one goroutine and with 64.
func eachEngine(b *testing.B, run func(b *testing.B, db *storage.DB, goroutines int)) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", storagetest.SQLite}, {"postgres", storagetest.Postgres}} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine.name, goroutines), func(b *testing.B) {
				db := openBench(b, engine.url(b))
				if err := db.Accounts().AddAccount(b.Context(), accounts.Account{ID: "usr_1", EmailKey: "ada@example.com"}); err != nil {
					b.Fatal(err)
				}
				if err := db.Registry().AddClient(b.Context(), issuer.Client{ID: "cli_1", CreatedAt: benchNow}); err != nil {
					b.Fatal(err)
				}
				s := accounts.Session{ID: "ses_1", AccountID: "usr_1", CreatedAt: benchNow, ExpiresAt: benchNow.Add(time.Hour)}
				if err := db.Accounts().StartSession(b.Context(), s, accounts.Account{}, ""); err != nil {
					b.Fatal(err)
				}
				run(b, db, goroutines)
			})
		}
	}
}

func openBench(b *testing.B, url string) *storage.DB {
	db, err := storage.Open(b.Context(), url, storage.Options{Log: quiet, Migrate: true, MaxConns: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	return db
}

// spread does something n times in so many goroutines.
func spread(b *testing.B, goroutines, n int, do func(goroutine, i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(g, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func answer(b *testing.B, db *storage.DB, id string) error {
	return db.Issuer().Answer(b.Context(), issuer.Authorization{
		ID: id, ClientID: "cli_1", AccountID: "usr_1", SessionID: "ses_1", Scopes: []string{"openid"},
		CreatedAt: benchNow, CodeDigest: []byte(id), CodeExpiresAt: benchNow.Add(time.Minute), ForgetAt: benchNow.Add(time.Hour),
	}, nil)
}

func redeem(b *testing.B, db *storage.DB, id string) error {
	return db.Issuer().RedeemCode(b.Context(), issuer.Redemption{
		ID: id, CodeDigest: []byte(id), Now: benchNow, Seed: []byte("0123456789abcdef0123456789abcdef"),
		IdleUntil: benchNow.Add(time.Hour), ExpiresAt: benchNow.Add(time.Hour), ForgetAt: benchNow.Add(2 * time.Hour),
	})
}

func BenchmarkRedeemCode(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *storage.DB, goroutines int) {
		ids := make([]string, b.N)
		for i := range ids {
			ids[i] = secret.NewID("")
		}
		spread(b, 64, b.N, func(_, i int) error { return answer(b, db, ids[i]) })
		b.ResetTimer()
		spread(b, goroutines, b.N, func(_, i int) error { return redeem(b, db, ids[i]) })
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verbs/s")
	})
}

func BenchmarkRotateRefresh(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *storage.DB, goroutines int) {
		ids, generations := make([]string, goroutines), make([]int64, goroutines)
		for i := range ids {
			ids[i] = secret.NewID("")
			if err := answer(b, db, ids[i]); err != nil {
				b.Fatal(err)
			}
			if err := redeem(b, db, ids[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.ResetTimer()
		spread(b, goroutines, b.N, func(g, _ int) error {
			generations[g]++
			return db.Issuer().RotateRefresh(b.Context(), issuer.Rotation{
				ID: ids[g], Generation: generations[g], Now: benchNow, IdleUntil: benchNow.Add(time.Hour)})
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verbs/s")
	})
}

func BenchmarkStanding(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *storage.DB, goroutines int) {
		id := secret.NewID("")
		if err := answer(b, db, id); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		spread(b, goroutines, b.N, func(_, _ int) error {
			_, err := db.Issuer().Standing(b.Context(), id, "jti", benchNow)
			return err
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}
