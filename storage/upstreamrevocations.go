package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"mintmark/upstream"
)

// forgetTokens takes tokens away that nobody may have any more, and has them revoked at their provider:
// statements of the verb that takes away what they rest on. where has its arguments from $1 on.
func forgetTokens(now time.Time, where string, args ...any) []statement {
	at := "CAST($" + strconv.Itoa(len(args)+1) + " AS BIGINT)"
	with := append(args[:len(args):len(args)], now)
	return []statement{
		// Whoever is just refreshing them is done before this, and it is the new ones that are
		// revoked; or finds them gone.
		lock(`SELECT 1 FROM upstream_tokens WHERE `+where+` FOR UPDATE`, append([]any(nil), args...)...),
		do(`INSERT INTO upstream_revocations (id, provider_id, subject, account_id, sealed, at, attempts, next_at)
			SELECT provider_id || ' ' || subject || ' ' || version || ' ' || `+at+`, provider_id, subject, account_id, sealed, `+at+`, 0, `+at+`
			FROM upstream_tokens WHERE `+where+` ON CONFLICT DO NOTHING`, with...),
		do(`DELETE FROM upstream_tokens WHERE `+where, append([]any(nil), args...)...),
	}
}

// forgetTokensOf does so for an account that is disabled or gone.
func forgetTokensOf(accountID string, now time.Time) []statement {
	return forgetTokens(now, `account_id = $1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND disabled_at = 0)`, accountID)
}

// orphaned has tokens revoked that somebody has just got for a link that is gone.
func orphaned(k upstream.Kept, now time.Time) statement {
	return do(`INSERT INTO upstream_revocations (id, provider_id, subject, account_id, sealed, at, attempts, next_at)
		SELECT CAST($1 AS TEXT) || ' ' || $2 || ' orphan ' || CAST($5 AS BIGINT), $1, $2, $3, $4, CAST($5 AS BIGINT), 0, CAST($5 AS BIGINT)
		WHERE NOT EXISTS (SELECT 1 FROM upstream_tokens WHERE provider_id = $1 AND subject = $2)
		ON CONFLICT DO NOTHING`,
		k.ProviderID, k.Subject, k.AccountID, k.Sealed, now)
}

const revocationColumns = `id, provider_id, subject, account_id, sealed, at, attempts`

func intoRevocation(r *upstream.Revocation) into {
	return into{&r.ID, &r.ProviderID, &r.Subject, &r.AccountID, &r.Sealed, &r.At, &r.Attempts}
}

// NextRevocation implements [upstream.RevocationStore].
func (s vault) NextRevocation(ctx context.Context, now, again time.Time) (r upstream.Revocation, some bool, err error) {
	// There is nearly always none: that is for a read to find out.
	var id string
	found, err := s.db.get(ctx, into{&id}, `SELECT id FROM upstream_revocations WHERE next_at <= $1 ORDER BY next_at LIMIT 1`, now)
	if err != nil || !found {
		return upstream.Revocation{}, false, err
	}
	// Of several copies that chose the same, one finds that its time has come.
	n, err := s.db.write(ctx, ask(intoRevocation(&r), `
		UPDATE upstream_revocations SET attempts = attempts + 1, next_at = $3
		WHERE id = $1 AND next_at <= $2
		RETURNING `+revocationColumns, id, now, again))
	if err != nil {
		return upstream.Revocation{}, false, err
	}
	return r, n[0] == 1, nil
}

// PutOffRevocation implements [upstream.RevocationStore].
func (s vault) PutOffRevocation(ctx context.Context, r upstream.Revocation, next, others, now time.Time) error {
	verb := []statement{do(`UPDATE upstream_revocations SET next_at = $2 WHERE id = $1`, r.ID, next)}
	if !others.IsZero() {
		verb = append(verb, unhurried(do(`UPDATE upstream_revocations SET next_at = $2 WHERE provider_id = $1 AND next_at <= $3`, r.ProviderID, others, now)))
	}
	_, err := s.db.write(ctx, verb...)
	return err
}

// ForgetRevocation implements [upstream.RevocationStore].
func (s vault) ForgetRevocation(ctx context.Context, id string) error {
	_, err := s.db.write(ctx, do(`DELETE FROM upstream_revocations WHERE id = $1`, id))
	return err
}

// RemovedProvider implements [upstream.RevocationStore].
func (s vault) RemovedProvider(ctx context.Context, id string) (upstream.Provider, error) {
	var p upstream.Provider
	var name, config string
	var sealed []byte
	found, err := s.db.get(ctx, into{&name, &config, &sealed}, `SELECT name, config, sealed FROM removed_providers WHERE id = $1`, id)
	switch {
	case err != nil:
		return upstream.Provider{}, err
	case !found:
		return upstream.Provider{}, upstream.ErrNotFound
	}
	if err := json.Unmarshal([]byte(config), &p); err != nil {
		return upstream.Provider{}, fmt.Errorf("storage: reading the removed provider %s: %w", id, err)
	}
	p.ID, p.Name = id, name
	if len(sealed) > 0 {
		p.SealedSecret = sealed
	}
	return p, nil
}

// SealedRevocations returns what is to be revoked after an id, in order: for sealing it anew.
func (db *DB) SealedRevocations(ctx context.Context, after string) ([]upstream.Revocation, error) {
	return all(ctx, db, intoRevocation, `
		SELECT `+revocationColumns+` FROM upstream_revocations WHERE id > $1 ORDER BY id LIMIT 200`, after)
}

// ResealRevocation puts tokens that were sealed anew in the place of those that were, if they are still
// there.
func (db *DB) ResealRevocation(ctx context.Context, r upstream.Revocation, is []byte) error {
	_, err := db.write(ctx, do(`UPDATE upstream_revocations SET sealed = $3 WHERE id = $1 AND sealed = $2`, r.ID, r.Sealed, is))
	return err
}

// RemovedProviders returns those that are gone, with nothing but their id and their sealed secret: for
// sealing it anew.
func (db *DB) RemovedProviders(ctx context.Context) ([]upstream.Provider, error) {
	return all(ctx, db, func(p *upstream.Provider) into { return into{&p.ID, &p.Name, &p.SealedSecret} },
		`SELECT id, name, sealed FROM removed_providers ORDER BY id`)
}

// ResealRemoved is [Providers.ResealProvider] for one that is gone.
func (db *DB) ResealRemoved(ctx context.Context, id string, is, was []byte) error {
	_, err := db.write(ctx, do(`UPDATE removed_providers SET sealed = $2 WHERE id = $1 AND sealed = $3`, id, is, was))
	return err
}
