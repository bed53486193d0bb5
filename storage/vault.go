package storage

import (
	"context"
	"time"

	"mintmark/upstream"
)

// vault keeps the tokens of upstream providers.
type vault struct{ db *DB }

var _ upstream.VaultStore = vault{}

// Vault returns what keeps the tokens of upstream providers.
func (db *DB) Vault() upstream.VaultStore { return vault{db} }

const keptColumns = `provider_id, subject, account_id, sealed, scopes, expires_at, version, lease`

func intoKept(k *upstream.Kept) into {
	return into{&k.ProviderID, &k.Subject, &k.AccountID, &k.Sealed, &k.Scopes, &k.ExpiresAt, &k.Version, &k.Lease}
}

// Keep implements [upstream.VaultStore].
func (s vault) Keep(ctx context.Context, k upstream.Kept, now time.Time) error {
	var why string
	n, err := s.db.write(ctx,
		// Whoever unlinks, disables or removes is before this, and seen, or after, and finds the row.
		lock(`SELECT 1 FROM accounts WHERE id = $1 FOR SHARE`, k.AccountID),
		lockProvider(k.ProviderID),
		lock(`SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 FOR SHARE`, k.ProviderID, k.Subject),
		do(`INSERT INTO upstream_tokens (`+keptColumns+`, kept_at)
			SELECT $1, $2, $3, $4, $5, $6, 1, '', $7
			WHERE EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 AND account_id = $3)
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND disabled_at = 0)
			AND EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0)
			ON CONFLICT (provider_id, subject) DO UPDATE SET
				account_id = excluded.account_id, sealed = excluded.sealed, scopes = excluded.scopes,
				expires_at = excluded.expires_at, version = upstream_tokens.version + 1, lease = '', kept_at = excluded.kept_at`,
			k.ProviderID, k.Subject, k.AccountID, k.Sealed, k.Scopes, k.ExpiresAt, now),
		// Many providers have one grant for a person and a client: to revoke what was forgotten would
		// take the new tokens too.
		do(`DELETE FROM upstream_revocations WHERE provider_id = $1 AND subject = $2
			AND EXISTS (SELECT 1 FROM upstream_tokens WHERE provider_id = $1 AND subject = $2)`, k.ProviderID, k.Subject),
		ask(into{&why}, whyNotLinked, k.ProviderID, k.Subject, k.AccountID))
	switch {
	case err != nil:
		return err
	case n[3] == 1:
		return nil
	case why == "provider":
		return upstream.ErrOff
	}
	return upstream.ErrNotKept
}

// Kept implements [upstream.VaultStore].
func (s vault) Kept(ctx context.Context, providerID, accountID string) (upstream.Kept, error) {
	var k upstream.Kept
	found, err := s.db.get(ctx, intoKept(&k), `
		SELECT u.provider_id, u.subject, u.account_id, u.sealed, u.scopes, u.expires_at, u.version, u.lease
		FROM upstream_tokens u
		JOIN identities i ON i.provider_id = u.provider_id AND i.subject = u.subject AND i.account_id = u.account_id
		JOIN providers p ON p.id = u.provider_id AND p.disabled_at = 0
		JOIN accounts a ON a.id = u.account_id AND a.disabled_at = 0
		WHERE u.account_id = $2 AND u.provider_id = $1
		ORDER BY u.kept_at DESC, u.subject LIMIT 1`,
		providerID, accountID)
	switch {
	case err != nil:
		return upstream.Kept{}, err
	case !found:
		return upstream.Kept{}, upstream.ErrNotKept
	}
	return k, nil
}

// LeaseKept implements [upstream.VaultStore].
func (s vault) LeaseKept(ctx context.Context, k upstream.Kept, lease string) (bool, error) {
	n, err := s.db.write(ctx, do(`
		UPDATE upstream_tokens SET lease = $5
		WHERE provider_id = $1 AND subject = $2 AND version = $3 AND lease = $4`,
		k.ProviderID, k.Subject, k.Version, k.Lease, lease))
	return err == nil && n[0] == 1, err
}

// Refreshed implements [upstream.VaultStore].
func (s vault) Refreshed(ctx context.Context, k upstream.Kept, lease string, now time.Time) error {
	return s.db.try(ctx, upstream.ErrNotKept, do(`
		UPDATE upstream_tokens SET sealed = $5, scopes = $6, expires_at = $7, version = version + 1, lease = ''
		WHERE provider_id = $1 AND subject = $2 AND version = $3 AND lease = $4`,
		k.ProviderID, k.Subject, k.Version, lease, k.Sealed, k.Scopes, k.ExpiresAt),
		orphaned(k, now))
}

// ReleaseKept implements [upstream.VaultStore].
func (s vault) ReleaseKept(ctx context.Context, k upstream.Kept, lease string, gone bool) error {
	if gone {
		_, err := s.db.write(ctx, do(`
			DELETE FROM upstream_tokens WHERE provider_id = $1 AND subject = $2 AND version = $3 AND lease = $4`,
			k.ProviderID, k.Subject, k.Version, lease))
		return err
	}
	_, err := s.db.write(ctx, do(`
		UPDATE upstream_tokens SET lease = '' WHERE provider_id = $1 AND subject = $2 AND version = $3 AND lease = $4`,
		k.ProviderID, k.Subject, k.Version, lease))
	return err
}

// Sealed returns what is sealed of every identity after one, in order: for sealing it anew.
func (db *DB) Sealed(ctx context.Context, afterProvider, afterSubject string) ([]upstream.Kept, error) {
	return all(ctx, db, intoKept, `
		SELECT `+keptColumns+` FROM upstream_tokens
		WHERE (provider_id, subject) > ($1, $2) ORDER BY provider_id, subject LIMIT 200`,
		afterProvider, afterSubject)
}

// Reseal puts tokens that were sealed anew in the place of those that were, if those are still there.
// They are the same tokens: their version stays, so that a refresh in progress goes on.
func (db *DB) Reseal(ctx context.Context, k upstream.Kept, is []byte) (bool, error) {
	n, err := db.write(ctx, do(`
		UPDATE upstream_tokens SET sealed = $4 WHERE provider_id = $1 AND subject = $2 AND sealed = $3`,
		k.ProviderID, k.Subject, k.Sealed, is))
	return err == nil && n[0] == 1, err
}
