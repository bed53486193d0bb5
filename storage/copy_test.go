package storage_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// From SQLite to PostgreSQL and back, more than one page of rows, every kind of column.
func TestCopyTo(t *testing.T) {
	first := storagetest.Open(t, storagetest.SQLite(t))
	now := time.UnixMicro(1764072000123456).UTC()
	for i := range 450 {
		a := accounts.Account{
			ID: fmt.Sprintf("usr_%022d", i), Email: fmt.Sprintf("P%d@example.com", i), EmailKey: fmt.Sprintf("p%d@example.com", i),
			EmailVerified: i%2 == 0, Name: "Zoë \"Q\" O'Hara", CreatedAt: now, UpdatedAt: now,
		}
		if i%3 == 0 {
			a.Claims = []byte(`{"zoneinfo":"Europe/Paris"}`)
		}
		if err := first.Accounts().AddAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	key := apikeys.Key{ID: "01234567890", Kind: "ok", OwnerType: "instance", Name: "k", Digest: []byte{0, 1, 255}, Scopes: []string{"a", "b"},
		CreatedAt: now, Disabled: true, Version: 1}
	if err := first.APIKeys().AddKey(t.Context(), key, 0, apikeys.Event{ID: "1", At: now, Ref: key.ID}); err != nil {
		t.Fatal(err)
	}
	if err := first.Registry().AddClient(t.Context(), issuer.Client{ID: "cli_1", Name: "App", CreatedAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	second := storagetest.Open(t, storagetest.Postgres(t))
	third := storagetest.Open(t, storagetest.SQLite(t))
	for _, step := range []struct{ from, to *storage.DB }{{first, second}, {second, third}} {
		rows, err := step.from.CopyTo(t.Context(), step.to)
		if err != nil || rows != 453 {
			t.Fatalf("%d rows, %v", rows, err)
		}
		all := func(db *storage.DB) []accounts.Account {
			list, err := db.Accounts().Accounts(t.Context(), accounts.Page{Limit: 1000}, "")
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if diff := cmp.Diff(all(step.from), all(step.to)); diff != "" {
			t.Errorf("people differ: %s", diff)
		}
		got, err := step.to.APIKeys().Key(t.Context(), key.ID)
		if err != nil {
			t.Fatal(err)
		}
		was, err := step.from.APIKeys().Key(t.Context(), key.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, got); diff != "" {
			t.Errorf("the key differs: %s", diff)
		}
	}
	if _, err := first.CopyTo(t.Context(), third); !errors.Is(err, storage.ErrNotEmpty) {
		t.Errorf("into a database that is not empty: %v", err)
	}
}

// Numbers are of one database. What comes from another gets those of the one that it is in, or it would be
// new there when its numbers come up.
func TestACopyHasNumbersOfItsOwn(t *testing.T) {
	old := storagetest.Open(t, storagetest.Postgres(t))
	now := time.Now()
	for i := range 250 {
		if err := old.Issuer().RevokeToken(t.Context(), fmt.Sprint("token-", i), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	key := apikeys.Key{ID: "01234567890", Kind: "ok", OwnerType: "instance", Name: "k", Digest: []byte{1}, CreatedAt: now, Version: 1}
	event := func(n string) apikeys.Event { return apikeys.Event{ID: n, At: now, Ref: key.ID} }
	for _, err := range []error{
		old.APIKeys().AddKey(t.Context(), key, 0, event("1")),
		old.APIKeys().DisableKey(t.Context(), key.ID, "", event("2")),
		old.APIKeys().EnableKey(t.Context(), key.ID, event("3")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// As of a database that has lived for long.
	if err := old.OnEveryConnection(t.Context(), `UPDATE revocations SET seq = seq + 4000000000000000`); err != nil {
		t.Fatal(err)
	}
	for _, to := range []*storage.DB{storagetest.Open(t, storagetest.Postgres(t)), storagetest.Open(t, storagetest.SQLite(t))} {
		if _, err := old.CopyTo(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		_, place, _, err := to.Revocations().News(t.Context(), revocations.Place{})
		if err != nil {
			t.Fatal(err)
		}
		found, at, here, err := to.Revocations().Live(t.Context(), revocations.At{}, 1000, now)
		if err != nil {
			t.Fatal(err)
		}
		tokens, good := 0, false
		for i, r := range found {
			if at[i].Seq >= place.Low {
				t.Errorf("%s %s has the number %d, and is new there after %d", r.Kind, r.Ref, at[i].Seq, place.Low)
			}
			if r.Kind == revocations.Key {
				good = !r.Revoked // the last word about it
			} else {
				tokens++
			}
		}
		if tokens != 250 || !good || here.Epoch != place.Epoch || here.Epoch == "" {
			t.Errorf("%d tokens, the key is good: %v, at %+v and %+v", tokens, good, here, place)
		}
	}
}
