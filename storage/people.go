package storage

import (
	"context"
	"errors"
	"time"

	"mintmark/accounts"
	"mintmark/revocations"
)

// people keeps what package accounts remembers.
type people struct{ db *DB }

var _ accounts.Store = people{}

// AddAccount implements [accounts.Store].
func (s people) AddAccount(ctx context.Context, a accounts.Account) error {
	return s.db.try(ctx, accounts.ErrExists, do(`
		INSERT INTO accounts (id, email, email_key, email_verified, name, role, claims,
			password_hash, created_at, updated_at, disabled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT DO NOTHING`,
		a.ID, a.Email, a.EmailKey, a.EmailVerified, a.Name, a.Role, a.Claims,
		a.PasswordHash, a.CreatedAt, a.UpdatedAt, a.DisabledAt))
}

// HasAdmin implements [accounts.Store].
func (s people) HasAdmin(ctx context.Context) (bool, error) {
	return s.db.get(ctx, into{new(string)}, `SELECT id FROM accounts WHERE role = 'admin' LIMIT 1`)
}

// Account implements [accounts.Store].
func (s people) Account(ctx context.Context, id string) (accounts.Account, error) {
	var a accounts.Account
	found, err := s.db.get(ctx, accountColumns(&a), `
		SELECT id, email, email_key, email_verified, name, role, claims,
			password_hash, created_at, updated_at, disabled_at
		FROM accounts WHERE id = $1`,
		id)
	return foundAccount(a, found, err)
}

// AccountByEmail implements [accounts.Store].
func (s people) AccountByEmail(ctx context.Context, emailKey string) (accounts.Account, error) {
	var a accounts.Account
	found, err := s.db.get(ctx, accountColumns(&a), `
		SELECT id, email, email_key, email_verified, name, role, claims,
			password_hash, created_at, updated_at, disabled_at
		FROM accounts WHERE email_key = $1`,
		emailKey)
	return foundAccount(a, found, err)
}

// accountColumns is where the columns of an account go, in the order of every SELECT here.
func accountColumns(a *accounts.Account) into {
	return into{&a.ID, &a.Email, &a.EmailKey, &a.EmailVerified, &a.Name, &a.Role, &a.Claims,
		&a.PasswordHash, &a.CreatedAt, &a.UpdatedAt, &a.DisabledAt}
}

func foundAccount(a accounts.Account, found bool, err error) (accounts.Account, error) {
	switch {
	case err != nil:
		return accounts.Account{}, err
	case !found:
		return accounts.Account{}, accounts.ErrNotFound
	}
	return a, nil
}

// Accounts implements [accounts.Store].
func (s people) Accounts(ctx context.Context, p accounts.Page, emailKey string) ([]accounts.Account, error) {
	if emailKey != "" {
		return all(ctx, s.db, accountColumns, `
			SELECT id, email, email_key, email_verified, name, role, claims,
				password_hash, created_at, updated_at, disabled_at
			FROM accounts WHERE email_key = $1 AND id > $2`,
			emailKey, p.After)
	}
	return all(ctx, s.db, accountColumns, `
		SELECT id, email, email_key, email_verified, name, role, claims,
			password_hash, created_at, updated_at, disabled_at
		FROM accounts WHERE id > $1 ORDER BY id LIMIT $2`,
		p.After, limit(p.Limit))
}

// limit keeps a page between 1 and 1000 entries.
func limit(n int) int { return min(max(n, 1), 1000) }

// SetAccount implements [accounts.Store].
func (s people) SetAccount(ctx context.Context, a accounts.Account, was time.Time) error {
	var updated time.Time
	n, err := s.db.write(ctx,
		adminsTurn(),
		do(`UPDATE accounts SET email = $2, email_key = $3, email_verified = $4, name = $5, role = $6,
				claims = $7, updated_at = $8
			WHERE id = $1 AND updated_at = $9
			AND ($6 = 'admin' OR role <> 'admin' OR disabled_at <> 0
				OR EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $1))`,
			a.ID, a.Email, a.EmailKey, a.EmailVerified, a.Name, a.Role, a.Claims, a.UpdatedAt, was),
		ask(into{&updated}, `SELECT updated_at FROM accounts WHERE id = $1`, a.ID))
	switch {
	case errors.Is(err, errTaken):
		return accounts.ErrExists
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	case n[2] == 0:
		return accounts.ErrNotFound
	case micro(updated) != micro(was):
		return accounts.ErrChanged
	}
	return accounts.ErrLastAdmin
}

// SetPassword implements [accounts.Store].
func (s people) SetPassword(ctx context.Context, id, was, hash string, endSessions bool, now time.Time) error {
	verb := []statement{
		do(`UPDATE accounts SET password_hash = $2
			WHERE id = $1 AND ($3 = '' OR password_hash = $3)`,
			id, hash, was),
	}
	if endSessions {
		// Hashes are salted: the new one is there only if it was stored just now.
		verb = append(verb,
			do(`UPDATE sessions SET ended_at = $3, end_reason = 'revoked'
				WHERE account_id = $1 AND ended_at = 0
				AND EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND password_hash = $2)`,
				id, hash, now),
			do(`UPDATE authorizations SET revoked_at = $3, revoke_reason = 'password changed'
				WHERE account_id = $1 AND revoked_at = 0
				AND EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND password_hash = $2)`,
				id, hash, now),
			// Not the account: whoever signs in again, in the same second too, gets good tokens.
			s.db.revokedAuthorizations(now, `account_id = $3 AND revoked_at = $4`, id, now))
	}
	return s.db.try(ctx, accounts.ErrNotFound, verb...)
}

// DisableAccount implements [accounts.Store].
func (s people) DisableAccount(ctx context.Context, id string, now time.Time) error {
	var there int64
	verb := []statement{
		adminsTurn(),
		// Before the rest, and every verb that gives this person something locks the same row: it
		// is either before us, and then ended below, or after us, and then refused.
		do(`UPDATE accounts SET disabled_at = CASE WHEN disabled_at = 0 THEN $2 ELSE disabled_at END
			WHERE id = $1
			AND (role <> 'admin' OR disabled_at <> 0
				OR EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $1))`,
			id, now),
		do(`UPDATE sessions SET ended_at = $2, end_reason = 'revoked'
			WHERE account_id = $1 AND ended_at = 0
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND disabled_at <> 0)`,
			id, now),
		do(`UPDATE authorizations SET revoked_at = $2, revoke_reason = 'account disabled'
			WHERE account_id = $1 AND revoked_at = 0
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND disabled_at <> 0)`,
			id, now),
		ask(into{&there}, `SELECT 1 FROM accounts WHERE id = $1`, id),
		// The account too, because of its API keys. What it had been given stays revoked when the
		// account is enabled again.
		s.db.revokedAuthorizations(now, `account_id = $3 AND revoked_at = $4`, id, now),
		s.db.standsIn("accounts", revocations.Account, id, `TRUE`, `disabled_at <> 0`, now),
		s.db.changed(OwnerChange, id, now),
	}
	n, err := s.db.write(ctx, append(verb, forgetTokensOf(id, now)...)...)
	switch {
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	case n[4] == 1:
		return accounts.ErrLastAdmin
	}
	return accounts.ErrNotFound
}

// EnableAccount implements [accounts.Store].
func (s people) EnableAccount(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, accounts.ErrNotFound,
		do(`UPDATE accounts SET disabled_at = 0 WHERE id = $1`, id),
		s.db.standsIn("accounts", revocations.Account, id, `disabled_at <> 0`, `TRUE`, now),
		s.db.changed(OwnerChange, id, now))
}

// RemoveAccount implements [accounts.Store].
func (s people) RemoveAccount(ctx context.Context, id string, now time.Time) error {
	var there int64
	verb := []statement{
		adminsTurn(),
		do(`DELETE FROM accounts
			WHERE id = $1
			AND (role <> 'admin' OR disabled_at <> 0
				OR EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $1))`,
			id),
		do(`DELETE FROM sessions
			WHERE account_id = $1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE id = $1)`,
			id),
		do(`DELETE FROM identities
			WHERE account_id = $1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE id = $1)`,
			id),
		do(`DELETE FROM consents
			WHERE account_id = $1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE id = $1)`,
			id),
		unhurried(do(`UPDATE authorizations SET revoked_at = $2, revoke_reason = 'account removed'
			WHERE account_id = $1 AND revoked_at = 0
			AND NOT EXISTS (SELECT 1 FROM accounts WHERE id = $1)`,
			id, now)),
		ask(into{&there}, `SELECT 1 FROM accounts WHERE id = $1`, id),
		s.db.goneFrom("accounts", revocations.Account, id, now),
		s.db.changed(OwnerChange, id, now),
	}
	n, err := s.db.write(ctx, append(verb, forgetTokensOf(id, now)...)...)
	switch {
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	case n[6] == 1:
		return accounts.ErrLastAdmin
	}
	return accounts.ErrNotFound
}
