package storage

import (
	"context"
	"errors"
	"time"

	"mintmark/accounts"
)

const linkColumns = `provider_id, subject, account_id, email, role, linked_at, used_at`

func intoLink(l *accounts.Link) into {
	return into{&l.ProviderID, &l.Subject, &l.AccountID, &l.Email, &l.Role, &l.LinkedAt, &l.LastUsedAt}
}

// lockProvider makes whoever disables or removes a provider wait for this verb, or be seen by it.
func lockProvider(id string) statement {
	return lock(`SELECT 1 FROM providers WHERE id = $1 FOR SHARE`, id)
}

// Linked implements [accounts.Links].
func (s people) Linked(ctx context.Context, providerID, subject, email string, now time.Time) (accounts.Account, accounts.Link, error) {
	var a accounts.Account
	var l accounts.Link
	n, err := s.db.write(ctx,
		do(`UPDATE identities SET email = $3, used_at = $4 WHERE provider_id = $1 AND subject = $2`,
			providerID, subject, email, now),
		ask(append(accountColumns(&a), intoLink(&l)...), `
			SELECT a.id, a.email, a.email_key, a.email_verified, a.name, a.role, a.claims,
				a.password_hash, a.created_at, a.updated_at, a.disabled_at,
				i.provider_id, i.subject, i.account_id, i.email, i.role, i.linked_at, i.used_at
			FROM identities i JOIN accounts a ON a.id = i.account_id
			WHERE i.provider_id = $1 AND i.subject = $2`,
			providerID, subject))
	switch {
	case err != nil:
		return accounts.Account{}, accounts.Link{}, err
	case n[1] == 0:
		return accounts.Account{}, accounts.Link{}, accounts.ErrNotFound
	}
	return a, l, nil
}

// AddLinked implements [accounts.Links].
func (s people) AddLinked(ctx context.Context, a accounts.Account, l accounts.Link) error {
	var there int64
	n, err := s.db.write(ctx,
		lockProvider(l.ProviderID),
		do(`INSERT INTO identities (`+linkColumns+`)
			SELECT $1, $2, $3, $4, $5, $6, $7
			WHERE EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0)
			ON CONFLICT DO NOTHING`,
			l.ProviderID, l.Subject, a.ID, l.Email, l.Role, l.LinkedAt, l.LastUsedAt),
		// If the address is taken this undoes the link as well.
		do(`INSERT INTO accounts (id, email, email_key, email_verified, name, role, claims,
				password_hash, created_at, updated_at, disabled_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
			WHERE EXISTS (SELECT 1 FROM identities WHERE account_id = $1)`,
			a.ID, a.Email, a.EmailKey, a.EmailVerified, a.Name, a.Role, a.Claims,
			a.PasswordHash, a.CreatedAt, a.UpdatedAt, a.DisabledAt),
		ask(into{&there}, `SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2`, l.ProviderID, l.Subject))
	switch {
	case errors.Is(err, errTaken):
		return accounts.ErrExists
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	case n[3] == 1:
		return accounts.ErrLinked
	}
	return accounts.ErrNotFound
}

// AddLink implements [accounts.Links].
func (s people) AddLink(ctx context.Context, l accounts.Link, most int, untouched bool) error {
	var there int64
	n, err := s.db.write(ctx,
		// Not FOR SHARE: of those who count the links of an account, one goes after the other.
		lock(`SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE`, l.AccountID),
		lockProvider(l.ProviderID),
		do(`INSERT INTO identities (`+linkColumns+`)
			SELECT $1, $2, $3, $4, $5, $6, $7
			WHERE EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0)
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND disabled_at = 0 AND (NOT $9 OR password_hash = ''))
			AND (SELECT COUNT(*) FROM identities WHERE account_id = $3) < CASE WHEN $9 THEN 1 ELSE $8 END
			ON CONFLICT DO NOTHING`,
			l.ProviderID, l.Subject, l.AccountID, l.Email, l.Role, l.LinkedAt, l.LastUsedAt, most, untouched),
		ask(into{&there}, `SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2`, l.ProviderID, l.Subject))
	switch {
	case err != nil:
		return err
	case n[2] == 1:
		return nil
	case n[3] == 1:
		return accounts.ErrLinked
	}
	return accounts.ErrNotFound
}

// Links implements [accounts.Links].
func (s people) Links(ctx context.Context, accountID string) ([]accounts.Link, error) {
	return all(ctx, s.db, intoLink, `
		SELECT `+linkColumns+` FROM identities WHERE account_id = $1 ORDER BY linked_at, provider_id, subject`,
		accountID)
}

// RemoveLink implements [accounts.Links].
func (s people) RemoveLink(ctx context.Context, accountID, providerID, subject string) error {
	const another = `(EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND password_hash <> '')
				OR EXISTS (SELECT 1 FROM identities o JOIN providers p ON p.id = o.provider_id
					WHERE o.account_id = $1 AND p.disabled_at = 0 AND NOT (o.provider_id = $2 AND o.subject = $3)))`
	var there int64
	n, err := s.db.write(ctx,
		adminsTurn(),
		// Of those who take ways away from an account, one goes after the other.
		lock(`SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE`, accountID),
		// What the provider's rules gave goes with it, except that the last administrator stays one.
		do(`UPDATE accounts SET updated_at = updated_at + 1, role = ''
			WHERE id = $1 AND role = 'admin'
			AND EXISTS (SELECT 1 FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1 AND role = 'admin')
			AND EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $1)
			AND `+another,
			accountID, providerID, subject),
		do(`DELETE FROM identities
			WHERE provider_id = $2 AND subject = $3 AND account_id = $1
			AND `+another,
			accountID, providerID, subject),
		forgetTokens(`provider_id = $1 AND subject = $2
			AND NOT EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2)`, providerID, subject),
		ask(into{&there}, `SELECT 1 FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1`,
			accountID, providerID, subject))
	switch {
	case err != nil:
		return err
	case n[3] == 1:
		return nil
	case n[5] == 1:
		return accounts.ErrLastWay
	}
	return accounts.ErrNotFound
}

// SetLinkRole implements [accounts.Links].
func (s people) SetLinkRole(ctx context.Context, l accounts.Link, role string, now time.Time) error {
	var admin int64
	n, err := s.db.write(ctx,
		adminsTurn(),
		// Only what the rules gave is taken: a role that is another by now was given by somebody.
		do(`UPDATE accounts SET updated_at = CASE WHEN updated_at < $5 THEN $5 ELSE updated_at + 1 END, role = $4
			WHERE id = $3
			AND EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 AND account_id = $3 AND role = $6)
			AND ($4 = 'admin' OR role <> 'admin' OR disabled_at <> 0
				OR EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $3))`,
			l.ProviderID, l.Subject, l.AccountID, role, now, l.Role),
		do(`UPDATE identities SET role = $4
			WHERE provider_id = $1 AND subject = $2 AND account_id = $3 AND role = $5
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND role = $4)`,
			l.ProviderID, l.Subject, l.AccountID, role, l.Role),
		ask(into{&admin}, `SELECT 1 FROM accounts a JOIN identities i ON i.account_id = a.id
			WHERE a.id = $3 AND a.role = 'admin' AND i.provider_id = $1 AND i.subject = $2 AND i.role = $4`,
			l.ProviderID, l.Subject, l.AccountID, l.Role))
	switch {
	case err != nil:
		return err
	case n[1] == 1 && n[2] == 1:
		return nil
	case n[3] == 1 && role != "admin":
		return accounts.ErrLastAdmin
	}
	return accounts.ErrChanged
}
