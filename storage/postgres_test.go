package storage_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/accounts"
	"mintmark/issuer"
	"mintmark/revocations"
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

// Between two transactions of PostgreSQL one can be half done while the other decides. What
// gives somebody something waits for what is about to take it away.
func TestNothingIsGivenWhileItIsBeingTakenAway(t *testing.T) {
	at := storagetest.Postgres(t)
	db := storagetest.Open(t, at)
	ctx, now := t.Context(), time.UnixMicro(1_000_000)
	if err := db.Registry().AddClient(ctx, issuer.Client{ID: "cli_1", CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	session := accounts.Session{AccountID: "usr_1", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	start := func(id string) error {
		s := session
		s.ID = id
		return db.Accounts().StartSession(ctx, s, accounts.Account{}, "")
	}
	answer := func() error {
		return db.Issuer().Answer(ctx, issuer.Authorization{ID: "a", ClientID: "cli_1", AccountID: "usr_1", SessionID: "ses_1", CreatedAt: now}, nil)
	}
	for _, tt := range []struct {
		name, taken string
		give        func() error
		want        error
	}{
		{"a session, the account", `UPDATE accounts SET disabled_at = 1`, func() error { return start("ses_2") }, accounts.ErrNotFound},
		{"a session, the password", `UPDATE accounts SET password_hash = 'new'`, func() error { return start("ses_2") }, accounts.ErrNotFound},
		{"a code, the consent", `DELETE FROM consents`, func() error {
			return db.Issuer().AnswerAgain(ctx, issuer.Authorization{ID: "a", ClientID: "cli_1", AccountID: "usr_1", SessionID: "ses_1", CreatedAt: now}, issuer.Consent{GrantedAt: now})
		}, issuer.ErrNotFound},
		{"a code, the account", `UPDATE accounts SET disabled_at = 1`, answer, issuer.ErrSpent},
		{"a code, the session", `UPDATE sessions SET ended_at = 1`, answer, issuer.ErrSpent},
		{"a code, the client", `DELETE FROM clients`, answer, issuer.ErrSpent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = db.Accounts().RemoveAccount(ctx, "usr_1", now) // of the case before
			if err := db.Accounts().AddAccount(ctx, accounts.Account{ID: "usr_1", EmailKey: "ada@example.com"}); err != nil {
				t.Fatal(err)
			}
			if err := start("ses_1"); err != nil {
				t.Fatal(err)
			}
			other, err := pgx.Connect(ctx, at)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Exec(ctx, `INSERT INTO consents (account_id, client_id, scopes, granted_at, updated_at) VALUES ('usr_1', 'cli_1', '', $1, 0)`, now.UnixMicro()); err != nil {
				t.Fatal(err)
			}
			defer other.Close(context.WithoutCancel(ctx))
			tx, err := other.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(ctx, tt.taken); err != nil {
				t.Fatal(err)
			}
			given := make(chan error, 1)
			go func() { given <- tt.give() }()
			for waiting := false; !waiting; time.Sleep(time.Millisecond) {
				select {
				case err := <-given:
					t.Fatalf("it did not wait, and got %v", err)
				default:
				}
				// For us, and not for somebody in another test's database.
				if err := tx.QueryRow(ctx, `
					SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`).Scan(&waiting); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if err := <-given; !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
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

// Transactions become visible in another order than they got their numbers. One that is slow is
// not skipped, is not told twice, and what was told is not read again while it is open.
func TestASlowTransactionIsNotSkipped(t *testing.T) {
	url := storagetest.Postgres(t)
	db := storagetest.Open(t, url)
	slow, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close(context.Background())
	read := func(from revocations.Place) (refs []string, to revocations.Place) {
		t.Helper()
		found, to, _, err := db.Revocations().News(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			refs = append(refs, r.Ref)
		}
		return refs, to
	}
	_, place := read(revocations.Place{})
	if _, err := slow.Exec(t.Context(), `BEGIN; INSERT INTO revocations (seq, kind, ref, until, revoked)
		VALUES (CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), 'token', 'slow', 9000000000000000, TRUE)`); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	var low int64
	for _, jti := range []string{"a", "b"} {
		if err := db.Issuer().RevokeToken(t.Context(), jti, until); err != nil {
			t.Fatal(err)
		}
		var refs []string
		if refs, place = read(place); !slices.Equal(refs, []string{jti}) {
			t.Errorf("read %v, want %s", refs, jti)
		}
		if low != 0 && place.Low != low {
			t.Errorf("low went from %d to %d past an open transaction", low, place.Low)
		}
		low = place.Low
	}
	// What a backup brought from a database with higher numbers is not news again and again.
	if _, err := slow.Exec(t.Context(), `INSERT INTO revocations VALUES (9000000000000000000, 'token', 'other', 9000000000000000, TRUE)`); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	refs, place := read(place)
	if again, _ := read(place); !slices.Equal(refs, []string{"slow"}) || len(again) != 0 || place.Low <= low {
		t.Errorf("read %v and %v, low was %d and is %d", refs, again, low, place.Low)
	}
}
