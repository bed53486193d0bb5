package storage_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/accounts"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// A pooler in transaction mode gives each transaction another session, and what one has
// prepared the next does not know.
func TestAPoolerThatLosesPreparedStatements(t *testing.T) {
	db := storagetest.Open(t, storagetest.Postgres(t))
	ctx := t.Context()
	ask := func() {
		t.Helper()
		if _, err := db.Accounts().HasAdmin(ctx); err != nil {
			t.Error(err)
		}
		if _, _, err := db.Accounts().Count(ctx, "key", time.Minute, time.UnixMicro(1)); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		ask()
		if err := db.OnEveryConnection(ctx, `DEALLOCATE ALL`); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if n, _, err := db.Accounts().Count(ctx, "key", time.Minute, time.UnixMicro(1)); err != nil || n != 5 {
		t.Errorf("it was counted to %d, %v: something was done twice or not at all", n, err)
	}
}

func TestABrokenConnectionIsNotSuccess(t *testing.T) {
	at := storagetest.Postgres(t)
	db := storagetest.Open(t, at)
	ctx := t.Context()
	if err := db.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(ctx))
	if _, err := admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	now := time.UnixMicro(1)
	err = db.Issuer().UseAssertion(ctx, "cli", "jti", now)
	if err != nil && !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	// The next one finds a new connection, and what was said is true.
	again := db.Issuer().UseAssertion(ctx, "cli", "jti", now)
	if err == nil && !errors.Is(again, issuer.ErrReplayed) || err != nil && again != nil {
		t.Errorf("first %v, then %v", err, again)
	}
}

// Whatever isolation an operator has set, one wins and the others are told so.
func TestStrictIsolation(t *testing.T) {
	at, err := url.Parse(storagetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("default_transaction_isolation", "serializable")
	at.RawQuery = query.Encode()
	db := storagetest.Open(t, at.String())
	const racers = 16
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			key := string(rune('a'+i)) + "@example.com"
			errs[i] = db.Accounts().AddFirstAdmin(t.Context(), accounts.Account{ID: "usr_" + key, EmailKey: key})
		})
	}
	wg.Wait()
	winners := 0
	for _, err := range errs {
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, accounts.ErrExists) && !errors.Is(err, storage.ErrUnavailable):
			t.Errorf("a loser got %v", err)
		}
	}
	if winners != 1 {
		t.Errorf("%d won", winners)
	}
}

func TestNULAndBrokenTextAreErrors(t *testing.T) {
	db := storagetest.Open(t, storagetest.Postgres(t))
	for _, text := range []string{"a\x00b", "\xff"} {
		err := db.Accounts().AddAccount(t.Context(), accounts.Account{ID: "usr_1", EmailKey: text, Name: text})
		if err == nil || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := db.Accounts().AccountByEmail(t.Context(), text); err == nil || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := db.Accounts().Account(t.Context(), "usr_1"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
