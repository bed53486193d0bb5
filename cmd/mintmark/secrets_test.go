package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/upstream"
)

// What is still to be revoked at a provider that is gone can be read with the new master key alone.
func TestRotatingSealsWhatIsStillToBeRevoked(t *testing.T) {
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	database := "sqlite:" + filepath.Join(t.TempDir(), "mintmark.db")
	db, err := storage.Open(ctx, database, storage.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = db.Migrate(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old, current := secret.Bytes(32), secret.Bytes(32)
	before, err := secret.NewSealer(old)
	if err != nil {
		t.Fatal(err)
	}

	p := upstream.Provider{ID: secret.NewID("prv"), Name: "hub", Title: "Hub", Kind: "oidc", Issuer: "https://hub.example", ClientID: "mintmark", CreatedAt: now, UpdatedAt: now}
	p.SealedSecret = before.Seal([]byte("our secret"), upstream.SecretAAD(p.ID))
	a := accounts.Account{ID: secret.NewID("usr"), Email: "ada@hub.example", EmailKey: "ada@hub.example", Claims: []byte(`{}`), CreatedAt: now, UpdatedAt: now}
	aad := upstream.KeptAAD(p.ID, a.ID, "ada")
	kept := upstream.Kept{ProviderID: p.ID, Subject: "ada", AccountID: a.ID, Sealed: before.Seal([]byte("their tokens"), aad), ExpiresAt: now.Add(time.Hour)}
	by := apikeys.By{Via: "server", At: now}
	for _, err := range []error{
		db.Upstream().AddProvider(ctx, p, by.Event("provider.add", p.ID, "")),
		db.Accounts().AddLinked(ctx, a, accounts.Link{ProviderID: p.ID, Subject: "ada", AccountID: a.ID, LinkedAt: now, LastUsedAt: now}),
		db.Vault().Keep(ctx, kept, now),
		db.Upstream().RemoveProvider(ctx, p.ID, by.Event("provider.remove", p.ID, "")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	s := &setting{}
	s.Database, s.MasterKeys, s.Log = database, [][]byte{current, old}, slog.New(slog.DiscardHandler)
	if err := rewrap(ctx, s); err != nil {
		t.Fatal(err)
	}
	after, err := secret.NewSealer(current)
	if err != nil {
		t.Fatal(err)
	}
	due, err := db.SealedRevocations(ctx, "")
	if err != nil || len(due) != 1 {
		t.Fatalf("%d to be revoked: %v", len(due), err)
	}
	if plain, err := after.Open(due[0].Sealed, aad); string(plain) != "their tokens" {
		t.Errorf("the tokens: %v", err)
	}
	gone, err := db.RemovedProviders(ctx)
	if err != nil || len(gone) != 1 {
		t.Fatalf("%d providers are gone: %v", len(gone), err)
	}
	if plain, err := after.Open(gone[0].SealedSecret, upstream.SecretAAD(p.ID)); string(plain) != "our secret" {
		t.Errorf("the provider's secret: %v", err)
	}
}
