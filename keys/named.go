package keys

import (
	"context"
	"errors"
	"fmt"

	"mintmark/internal/secret"
)

// Named returns the symmetric key of a name, which is made when somebody asks for it
// first. Every copy of the server gets the same one. A name is for one purpose.
func (k *Keyring) Named(ctx context.Context, name string) ([32]byte, error) {
	if key, ok := k.named.Load(name); ok {
		return key.([32]byte), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	candidate := k.sealer.Seal(secret.Bytes(32), naming(name))
	sealed, err := k.cfg.Store.NamedKey(ctx, name, candidate, k.now())
	if err != nil {
		return [32]byte{}, fmt.Errorf("reading the key %q: %w", name, err)
	}
	plain, err := k.sealer.Open(sealed, naming(name))
	if err != nil {
		return [32]byte{}, fmt.Errorf("the key %q can't be used: %w", name, err)
	}
	if len(plain) != 32 {
		return [32]byte{}, errors.New("keys: a named key does not have 32 bytes")
	}
	key := [32]byte(plain)
	k.named.Store(name, key)
	return key, nil
}

// Rewrap seals every key, signing and named, with another sealer, and uses that from then
// on. It is how a master key is replaced: first give the new one to every copy of the
// server, as the current one, with the old one behind it; then rewrap; then take the old
// one away. A key that another copy makes meanwhile with the old master key is still
// sealed with that: rewrapping again is safe, and finds it.
//
// Everything is sealed again or nothing. Revoked keys that can't be opened are left alone.
func (k *Keyring) Rewrap(ctx context.Context, to *secret.Sealer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	records, err := k.cfg.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	symmetric, err := k.cfg.Store.NamedKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the named keys: %w", err)
	}
	signers, named := map[string][]byte{}, map[string][]byte{}
	for _, r := range records {
		plain, err := k.sealer.Open(r.Sealed, signing(r.ID))
		if err != nil && !r.RevokedAt.IsZero() {
			continue
		}
		if err != nil {
			return fmt.Errorf("the signing key %s can't be sealed again: %w", r.ID, err)
		}
		signers[r.ID] = to.Seal(plain, signing(r.ID))
	}
	for name, sealed := range symmetric {
		plain, err := k.sealer.Open(sealed, naming(name))
		if err != nil {
			return fmt.Errorf("the key %q can't be sealed again: %w", name, err)
		}
		named[name] = to.Seal(plain, naming(name))
	}
	if err := k.cfg.Store.Reseal(ctx, signers, named); err != nil {
		return fmt.Errorf("remembering the sealed keys: %w", err)
	}
	k.sealer = to
	return nil
}

// naming is the associated data of a sealed symmetric key.
func naming(name string) string { return "named:" + name }
