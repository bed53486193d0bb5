package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mintmark/internal/secret"
	"mintmark/keys"
	"mintmark/storage"
	"mintmark/upstream"
)

func secretsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "secrets",
		Short: "Look after the master key, which seals what is secret in the database",
	}
	c.AddCommand(secretsNewCommand(), secretsRotateCommand())
	return c
}

func secretsNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new",
		Short: "Print a new master key, for secrets.encryption_key",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), secret.NewMasterKey())
			return err
		},
	}
}

func secretsRotateCommand() *cobra.Command {
	var oldFile, newFile string
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Seal everything anew under another master key",
		Long: `Seal everything anew under another master key.

With --data, for a local server that does not run: a new key is made and put in the place of the old.

Otherwise, while the servers run:
  1. make a key (mintmark secrets new); make it secrets.encryption_key and the one before it
     secrets.previous_encryption_keys; restart every copy of the server
  2. mintmark secrets rotate, with that configuration
  3. take the old key out of the configuration and destroy it

--old-key-file and --new-key-file name the two keys without touching the configuration.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := loadLocal(c)
			if err != nil {
				return err
			}
			dir, err := c.Flags().GetString("data")
			switch {
			case err != nil:
				return err
			case (oldFile == "") != (newFile == ""):
				return usageError("--old-key-file and --new-key-file go together")
			case oldFile != "":
				s.MasterKeys, err = readMasterKeys(newFile, oldFile)
			case dir != "":
				return rotateIn(c.Context(), folder(dir), s)
			case len(s.MasterKeys) < 2:
				err = usageError("there is nothing to rotate: put the new key into secrets.encryption_key and the old one into secrets.previous_encryption_keys first, see --help")
			}
			if err != nil {
				return err
			}
			if err := rewrap(c.Context(), s); err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), "Everything is sealed under the new master key. Take the old one out of the configuration and destroy it.")
			return nil
		},
	}
	addLocalFlags(c)
	c.Flags().StringVar(&oldFile, "old-key-file", "", "the file of the key that seals now")
	c.Flags().StringVar(&newFile, "new-key-file", "", "the file of the key that shall seal")
	return c
}

func readMasterKeys(names ...string) ([][]byte, error) {
	var all [][]byte
	for _, name := range names {
		k, err := readMasterKey(name)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func readMasterKey(name string) ([]byte, error) {
	text, err := readValue(name)
	if err != nil {
		return nil, fmt.Errorf("the master key can not be read: %w", err)
	}
	k, err := secret.ParseMasterKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// rotateIn makes a new key for a data folder. The new key is on the disk before anything is
// sealed with it, and the old one until everything is: `dev` and `serve` open with both, so
// a crash in between loses nothing.
func rotateIn(ctx context.Context, f folder, s *setting) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := writeNew(f.nextKey(), secret.NewMasterKey()+"\n"); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the new master key can not be written: %w", err)
	}
	if s.MasterKeys, err = readMasterKeys(f.nextKey(), f.masterKey()); err != nil {
		return err
	}
	if err := rewrap(ctx, s); err != nil {
		return err
	}
	return os.Rename(f.nextKey(), f.masterKey())
}

// rewrap seals everything under the first of the master keys.
func rewrap(ctx context.Context, s *setting) error {
	if s.Database == "" {
		return errWhichDatabase
	}
	sealer, err := secret.NewSealer(s.MasterKeys[0], s.MasterKeys[1:]...)
	if err != nil {
		return err
	}
	db, err := storage.Open(ctx, s.Database, storage.Options{Log: s.Log})
	if err != nil {
		return explain(err)
	}
	defer db.Close()
	ring := keys.New(keys.Config{Store: db.Keys(), Sealer: sealer, Log: s.Log})
	if err := ring.Load(ctx); err != nil {
		return err
	}
	if err := rewrapProviders(ctx, db.Upstream(), sealer); err != nil {
		return err
	}
	if err := rewrapVault(ctx, db, sealer); err != nil {
		return err
	}
	if err := rewrapRevocations(ctx, db, sealer); err != nil {
		return err
	}
	return ring.Rewrap(ctx, sealer)
}

// rewrapVault seals what is kept of upstream providers for people, a page at a time. What a server
// replaces meanwhile it seals itself, with the new key.
func rewrapVault(ctx context.Context, db *storage.DB, sealer *secret.Sealer) error {
	for provider, subject := "", ""; ; {
		page, err := db.Sealed(ctx, provider, subject)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, k := range page {
			provider, subject = k.ProviderID, k.Subject
			if sealer.Current(k.Sealed) {
				continue
			}
			aad := upstream.KeptAAD(k.ProviderID, k.AccountID, k.Subject)
			plain, err := sealer.Open(k.Sealed, aad)
			if err != nil {
				return fmt.Errorf("the tokens of %s at the provider %s can't be sealed again (unlink it): %w", k.AccountID, k.ProviderID, err)
			}
			if _, err := db.Reseal(ctx, k, sealer.Seal(plain, aad)); err != nil {
				return err
			}
		}
	}
}

// rewrapRevocations seals what is still to be revoked at upstream providers, and the secrets of those that
// are gone. What can't be opened can't be revoked either, and is forgotten in time.
func rewrapRevocations(ctx context.Context, db *storage.DB, sealer *secret.Sealer) error {
	gone, err := db.RemovedProviders(ctx)
	if err != nil {
		return err
	}
	for _, p := range gone {
		if plain, err := sealer.Open(p.SealedSecret, upstream.SecretAAD(p.ID)); err == nil {
			if err := db.ResealRemoved(ctx, p.ID, sealer.Seal(plain, upstream.SecretAAD(p.ID)), p.SealedSecret); err != nil {
				return err
			}
		}
	}
	for after := ""; ; {
		page, err := db.SealedRevocations(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.ID
			aad := upstream.KeptAAD(r.ProviderID, r.AccountID, r.Subject)
			if plain, err := sealer.Open(r.Sealed, aad); err == nil {
				if err := db.ResealRevocation(ctx, r, sealer.Seal(plain, aad)); err != nil {
					return err
				}
			}
		}
	}
}

// rewrapProviders seals the client secrets of the upstream providers. Each is bound to its row, and
// only a secret that is still the one that was read is replaced: to do it again is safe.
func rewrapProviders(ctx context.Context, rows storage.Providers, sealer *secret.Sealer) error {
	all, err := rows.Providers(ctx)
	if err != nil {
		return err
	}
	sealed := map[string][]byte{}
	for _, p := range all {
		if len(p.SealedSecret) == 0 {
			continue
		}
		plain, err := sealer.Open(p.SealedSecret, upstream.SecretAAD(p.ID))
		if err != nil {
			return fmt.Errorf("the secret of the provider %s can't be sealed again (give it a new one, or remove it): %w", p.Name, err)
		}
		sealed[p.ID] = sealer.Seal(plain, upstream.SecretAAD(p.ID))
	}
	for _, p := range all {
		if is, ok := sealed[p.ID]; ok {
			if _, err := rows.ResealProvider(ctx, p.ID, is, p.SealedSecret, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}
