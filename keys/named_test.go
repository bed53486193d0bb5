package keys_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"mintmark/internal/secret"
	"mintmark/keys"
)

func TestNamedKeys(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		const copies = 8
		got := make([][32]byte, copies)
		together(copies, func(i int) {
			var err error
			if got[i], err = copyOf(t, open()).Named(context.Background(), "refresh"); err != nil {
				t.Error(err)
			}
		})
		for _, key := range got {
			if key != got[0] || key == [32]byte{} {
				t.Fatalf("copies have different keys: %x", got)
			}
		}
		k := copyOf(t, open())
		other, err := k.Named(t.Context(), "tags")
		if err != nil || other == got[0] {
			t.Errorf("two names have one key, or %v", err)
		}

		// A named key is bound to its name.
		store := open()
		all, err := store.NamedKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Reseal(t.Context(), nil, map[string][]byte{"tags": all["refresh"]}); err != nil {
			t.Fatal(err)
		}
		if _, err := copyOf(t, store).Named(t.Context(), "tags"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("one key was put in the place of another: %v", err)
		}
	})
}

func TestTheMasterKeyIsReplacedWhileCopiesRun(t *testing.T) {
	each(t, func(t *testing.T, open func() keys.Store) {
		newMaster := bytes.Repeat([]byte{9}, 32)
		with := func(s *secret.Sealer) *keys.Keyring {
			return keys.New(keys.Config{Store: open(), Sealer: s, Log: slog.New(slog.DiscardHandler)})
		}
		start := func(k *keys.Keyring) *keys.Keyring {
			t.Helper()
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return k
		}
		running := start(with(sealer(t, master)))
		token := sign(t, running, keys.ES256, "JWT", "{}")
		name, err := running.Named(t.Context(), "refresh")
		if err != nil {
			t.Fatal(err)
		}
		both := start(with(sealer(t, newMaster, master)))
		if err := both.Rewrap(t.Context(), sealer(t, newMaster)); err != nil {
			t.Fatal(err)
		}
		after := start(with(sealer(t, newMaster)))
		if _, err := after.Verify(token, "JWT"); err != nil {
			t.Errorf("with the new master key alone: %v", err)
		}
		if again, err := after.Named(t.Context(), "refresh"); err != nil || again != name {
			t.Errorf("the named key is another: %v", err)
		}
		if err := with(sealer(t, master)).Start(t.Context()); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("the old master key still opens it: %v", err)
		}
		if _, err := both.Rotate(t.Context(), keys.ES256, true); err != nil {
			t.Fatal(err)
		}
		refresh(t, after) // and the new key was sealed with the new master key
		if err := with(sealer(t, master)).Rewrap(t.Context(), sealer(t, master)); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("it was sealed again by somebody who can't open it: %v", err)
		}
	})
}
