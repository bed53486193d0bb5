package storage

import (
	"context"
	"time"

	"mintmark/accounts"
)

// adminsTurn makes those wait for each other who decide by which administrators there are: who
// want to be the first, or to take somebody's powers away. That there is no other is said by the
// absence of a row, and what is absent can't be locked. Locking the administrators themselves
// would be no better: whoever waits for one that then is none has it locked all the same, and out
// of order.
func adminsTurn() statement {
	return lock(`
		INSERT INTO leases (name, holder, until) VALUES ('admins', '', 0)
		ON CONFLICT (name) DO UPDATE SET until = 0`)
}

// AddFirstAdmin implements [accounts.Store].
func (s people) AddFirstAdmin(ctx context.Context, a accounts.Account) error {
	n, err := s.db.write(ctx,
		adminsTurn(),
		do(`INSERT INTO accounts (id, email, email_key, email_verified, name, role, claims,
				password_hash, created_at, updated_at, disabled_at)
			SELECT $1, $2, $3, $4, $5, 'admin', $6, $7, $8, $9, $10
			WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE role = 'admin')
			ON CONFLICT DO NOTHING`,
			a.ID, a.Email, a.EmailKey, a.EmailVerified, a.Name, a.Claims,
			a.PasswordHash, a.CreatedAt, a.UpdatedAt, a.DisabledAt))
	switch {
	case err != nil:
		return err
	case n[1] == 0:
		return accounts.ErrExists
	}
	return nil
}

// PutSetupCode implements [accounts.Store].
func (s people) PutSetupCode(ctx context.Context, digest []byte, expires time.Time) error {
	_, err := s.db.write(ctx, do(`
		INSERT INTO setup_codes (id, digest, expires_at) VALUES (1, $1, $2)
		ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at`,
		digest, expires))
	return err
}

// SetupWithCode implements [accounts.Store].
func (s people) SetupWithCode(ctx context.Context, digest []byte, a accounts.Account, now time.Time) error {
	var good int64
	n, err := s.db.write(ctx,
		adminsTurn(),
		do(`INSERT INTO accounts (id, email, email_key, email_verified, name, role, claims,
				password_hash, created_at, updated_at, disabled_at)
			SELECT $1, $2, $3, $4, $5, 'admin', $6, $7, $8, $9, $10
			WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE role = 'admin')
			AND EXISTS (SELECT 1 FROM setup_codes WHERE digest = $11 AND expires_at > $12)
			ON CONFLICT DO NOTHING`,
			a.ID, a.Email, a.EmailKey, a.EmailVerified, a.Name, a.Claims,
			a.PasswordHash, a.CreatedAt, a.UpdatedAt, a.DisabledAt,
			digest, now),
		// Which of the conditions it was, if it was one.
		ask(into{&good}, `SELECT 1 FROM setup_codes WHERE digest = $1 AND expires_at > $2`, digest, now),
		do(`DELETE FROM setup_codes WHERE digest = $1
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $2 AND email_key = $3)`,
			digest, a.ID, a.EmailKey))
	switch {
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	case n[2] == 0:
		return accounts.ErrNotFound
	}
	return accounts.ErrExists
}
