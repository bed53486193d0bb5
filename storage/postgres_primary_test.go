//go:build linux

package storage_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// A server that only reads may not know what was revoked since: nothing that it says is believed, and
// not by a connection that is there already.
func TestAServerThatOnlyReadsIsNotBelieved(t *testing.T) {
	cluster := storagetest.StartCluster(t)
	db := storagetest.Open(t, cluster.URL())
	set := func(to string) {
		t.Helper()
		cluster.Exec(t, `ALTER SYSTEM SET default_transaction_read_only = `+to)
		cluster.Exec(t, `SELECT pg_reload_conf()`)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	set("on")
	eventually(t, func() bool { return errors.Is(db.Ping(t.Context()), storage.ErrUnavailable) })
	for range 3 {
		if _, err := db.Accounts().HasAdmin(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("it was believed: %v", err)
		}
	}
	if err := db.Issuer().UseAssertion(t.Context(), "cli", "jti", time.UnixMicro(1)); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("it was written to: %v", err)
	}
	set("off")
	eventually(t, func() bool { return db.Ping(t.Context()) == nil })
}

// The primary dies, its standby takes its place, and then the primary comes back as what it was: it
// does not know that it was left behind. Who has seen the other does not believe it.
func TestAPrimaryThatWasLeftBehindIsNotBelieved(t *testing.T) {
	primary := storagetest.StartCluster(t)
	db := storagetest.Open(t, primary.URL())
	standby := primary.AddStandby(t)
	db.Close()
	db, err := storage.Open(t.Context(), storagetest.Either(standby, primary), storage.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	until := time.Now().Add(time.Hour)
	use := func(jti string) error { return db.Issuer().UseAssertion(t.Context(), "cli", jti, until) }
	if err := use("before"); err != nil {
		t.Fatal(err)
	}
	primary.Kill(t)
	if err := use("while there is none"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a standby was written to: %v", err)
	}
	if _, err := db.Accounts().HasAdmin(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a standby was believed: %v", err)
	}
	standby.Promote(t)
	eventually(t, func() bool { return !errors.Is(db.Ping(t.Context()), storage.ErrUnavailable) })
	if err := use("before"); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("what was acknowledged is lost: %v", err)
	}
	if err := use("after"); err != nil {
		t.Error(err)
	}

	primary.Start(t)
	standby.Stop(t) // and with it every connection
	for range 3 {
		if _, err := db.Accounts().HasAdmin(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a primary of the past was believed: %v", err)
		}
	}
	standby.Start(t)
	eventually(t, func() bool { return errors.Is(use("after"), issuer.ErrReplayed) })
}

// The numbers of transactions that were undone may not have reached the standby: it gives them again, to
// others. Whoever goes on from a number of before would not find them among the new ones.
func TestAfterAFailoverNumbersAreGivenAgain(t *testing.T) {
	primary := storagetest.StartCluster(t)
	db := storagetest.Open(t, primary.URL())
	standby := primary.AddStandby(t)
	db.Close()
	db, err := storage.Open(t.Context(), storagetest.Either(standby, primary), storage.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	until := time.Now().Add(time.Hour)
	news := func(from revocations.Place) (found []revocations.Revocation, to revocations.Place, more bool) {
		t.Helper()
		found, to, more, err := db.Revocations().News(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		return found, to, more
	}
	// where is the number of a revocation, and from where on there are new ones.
	where := func(ref string) (seq, next int64) {
		t.Helper()
		found, at, here, err := db.Revocations().Live(t.Context(), revocations.At{}, 100, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range found {
			if r.Ref == ref {
				seq = at[i].Seq
			}
		}
		return seq, here.Low
	}
	if err := db.Issuer().RevokeToken(t.Context(), "before", until); err != nil {
		t.Fatal(err)
	}
	standby.Stop(t)
	primary.Exec(t, strings.Repeat(`BEGIN; SELECT pg_current_xact_id(); ROLLBACK;`, 20))
	_, place, _ := news(revocations.Place{})
	if found, _, more := news(place); len(found) > 0 || more {
		t.Errorf("when nothing is new: %v, more %v", found, more)
	}
	_, next := where("before")

	primary.Kill(t)
	standby.Start(t)
	standby.Promote(t)
	eventually(t, func() bool { return db.Issuer().RevokeToken(t.Context(), "after", until) == nil })
	if seq, _ := where("after"); seq == 0 || seq >= next {
		t.Fatalf("the number %d was not given before: the next was %d", seq, next)
	}
	_, to, more := news(place)
	if !more {
		t.Error("whoever goes on from before the failover is not told that they missed something")
	}
	if _, _, missed, err := db.Changes(t.Context(), place, time.Now(), false); err != nil || !missed {
		t.Errorf("nor is a copy of the server: %v, %v", missed, err)
	}
	if _, _, more := news(to); more {
		t.Error("the same once more")
	}
	// And when a server recovers from a crash.
	standby.Kill(t)
	standby.Start(t)
	eventually(t, func() bool { return db.Ping(t.Context()) == nil })
	if _, _, more := news(to); !more {
		t.Error("whoever goes on from before a crash is not told that they missed something")
	}
}

// Somebody cancels the wait for the synchronous standby. The commit is there, and would be lost with
// its server: PostgreSQL calls that success, with a warning.
func TestACommitThatTheStandbyHasNotConfirmedIsNotSuccess(t *testing.T) {
	cluster := storagetest.StartCluster(t)
	db := storagetest.Open(t, cluster.URL())
	cluster.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	cluster.Exec(t, `SELECT pg_reload_conf()`)
	admin, err := pgx.Connect(t.Context(), cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	eventually(t, func() bool { // the first may not have to wait yet
		said := make(chan error, 1)
		go func() {
			said <- db.Issuer().UseAssertion(t.Context(), "cli", secret.NewShortID(), time.UnixMicro(1))
		}()
		for {
			select {
			case err := <-said:
				if err != nil {
					t.Errorf("nobody was waited for: %v", err)
				}
				return false
			case <-time.After(time.Millisecond):
			}
			var cancelled int
			if err := admin.QueryRow(t.Context(), `
				SELECT COUNT(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&cancelled); err != nil {
				t.Fatal(err)
			}
			if cancelled > 0 {
				if err := <-said; !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("a commit that was not confirmed: %v", err)
				}
				return true
			}
		}
	})
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("what only reads waits for a standby: %v", err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}
