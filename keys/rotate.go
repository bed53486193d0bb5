package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Start loads the keys and makes the first ones. The keyring signs when it returns.
func (k *Keyring) Start(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return err
	}
	if err := k.tend(ctx); err != nil {
		return err
	}
	for _, alg := range k.algs {
		if k.view.Load().signs[alg] == nil {
			return fmt.Errorf("keys: there is no key that signs with %s", alg)
		}
	}
	return nil
}

// Run looks at the database every few seconds, makes the keys that are due and forgets
// the ones that are over, until ctx ends. Every copy of the server runs it.
func (k *Keyring) Run(ctx context.Context) {
	tick := time.NewTicker(k.cfg.Refresh)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := k.round(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			k.cfg.Log.WarnContext(ctx, "signing keys: refresh failed; signing stops when this lasts for a minute", "err", err)
		case err == nil && failing:
			k.cfg.Log.InfoContext(ctx, "signing keys: refresh works again")
		}
		failing = err != nil
	}
}

// round is one turn of Run.
func (k *Keyring) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, staleAfter/4)
	defer cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return err
	}
	return k.tend(ctx)
}

// tend makes what is due and forgets what is over, as the view says. Copies that do so at
// the same time agree by the generation: one adds the key, the others find it.
func (k *Keyring) tend(ctx context.Context) error {
	made := false
	for _, alg := range k.algs {
		now := k.now()
		r := k.view.Load().rings[alg]
		signsAt, due := k.cfg.due(&r, now)
		if !due {
			continue
		}
		_, err := k.add(ctx, alg, r.next(), now, signsAt)
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		made = true
	}
	if made {
		if err := k.load(ctx); err != nil {
			return err
		}
	}
	var over []string
	for _, r := range k.view.Load().rings {
		for _, status := range r.keys {
			if status.State == forgotten {
				over = append(over, status.ID)
			}
		}
	}
	if len(over) == 0 {
		return nil
	}
	return k.cfg.Store.ForgetSigningKeys(ctx, over)
}

// add makes a key and remembers it.
func (k *Keyring) add(ctx context.Context, alg Alg, generation int64, now, signsAt time.Time) (kid string, err error) {
	r, err := generate(alg, generation, k.sealer, now, signsAt)
	if err != nil {
		return "", fmt.Errorf("making a signing key for %s: %w", alg, err)
	}
	if err := k.cfg.Store.AddSigningKey(ctx, r); err != nil {
		return "", fmt.Errorf("remembering a signing key for %s: %w", alg, err)
	}
	k.cfg.Log.InfoContext(ctx, "signing key made", "kid", r.ID, "alg", alg, "generation", generation, "signs_at", signsAt)
	return r.ID, nil
}

// Rotate makes the next key of an algorithm and returns its kid. The key is published now
// and signs when every cache knows it; if such a key is announced already, it is that one.
//
// With immediately, a new key signs at once, and the old one stays published while its
// tokens live. A verifier that has cached the JWKS must then fetch it again when it meets
// the unknown kid.
//
// Copies that rotate at the same time make one key.
func (k *Keyring) Rotate(ctx context.Context, alg Alg, immediately bool) (kid string, err error) {
	if !slices.Contains(k.algs, alg) {
		return "", fmt.Errorf("keys: there is no ring for %q", alg)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return "", err
	}
	for {
		kid, err := k.rotate(ctx, alg, immediately)
		if kid != "" || !errors.Is(err, ErrConflict) {
			return kid, err
		}
		// Another copy was faster with a key that signs later than ours should. Now there is
		// one more, so this ends.
	}
}

// rotate is one attempt. It returns [ErrConflict] if another copy was faster, and its key
// does not do.
func (k *Keyring) rotate(ctx context.Context, alg Alg, immediately bool) (kid string, err error) {
	r := k.view.Load().rings[alg]
	if next, ok := r.announced(); ok && !immediately {
		return next.ID, nil
	}
	now := k.now()
	signsAt := now
	if !immediately && r.signs >= 0 {
		signsAt = now.Add(k.cfg.lead())
	}
	kid, conflict := k.add(ctx, alg, r.next(), now, signsAt)
	if conflict != nil && !errors.Is(conflict, ErrConflict) {
		return "", conflict
	}
	if err := k.load(ctx); err != nil {
		return kid, err
	}
	if conflict == nil {
		return kid, nil
	}
	r = k.view.Load().rings[alg]
	if len(r.keys) == 0 {
		return "", errors.New("keys: the database has a key of this generation, and does not show it")
	}
	newest := r.keys[len(r.keys)-1]
	if newest.RevokedAt.IsZero() && !newest.SignsAt.After(signsAt.Add(k.cfg.Skew)) {
		return newest.ID, nil // it signs when ours would have
	}
	return "", conflict
}

// Revoke takes a key out of the JWKS and refuses every token that it signed: at once here,
// and within one Refresh in the other copies, or as soon as they are told to [Keyring.Load]. If it was the key that signs, another signs
// at once. It returns [ErrNotFound] if there is no such key. Revoking it again changes
// nothing.
func (k *Keyring) Revoke(ctx context.Context, kid string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.cfg.Store.RevokeSigningKey(ctx, kid, k.now()); err != nil {
		return err
	}
	k.cfg.Log.WarnContext(ctx, "signing key revoked", "kid", kid)
	if err := k.load(ctx); err != nil {
		return err
	}
	return k.tend(ctx)
}
