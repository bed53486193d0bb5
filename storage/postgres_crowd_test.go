package storage_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// PostgreSQL answers nobody: whoever asks is refused in time, and from then on nearly all of them at once, so
// that a flood does not pile up. When it answers again, so do we.
func TestAFloodDoesNotWaitForADatabaseThatHangs(t *testing.T) {
	url := storagetest.Postgres(t)
	db := storagetest.Open(t, url)
	hand, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer hand.Close(t.Context())
	lock, err := hand.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	flood := func() (refused int64, took time.Duration) {
		var n atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for range 500 {
			wg.Go(func() {
				_, err := db.Accounts().HasAdmin(t.Context())
				if !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if storage.Crowded(err) {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return n.Load(), time.Since(begin)
	}
	if _, took := flood(); took > 5*time.Second {
		t.Errorf("the last of the first flood was refused after %s", took)
	}
	if n, _ := flood(); n < 400 {
		t.Errorf("of the second flood only %d were refused at once", n)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = db.Accounts().HasAdmin(t.Context()); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not work again: %v", err)
		}
	}
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if _, err := db.Accounts().HasAdmin(t.Context()); err != nil && !storage.Crowded(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range 100 { // by now everybody knows
		wg.Go(func() {
			if _, err := db.Accounts().HasAdmin(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
