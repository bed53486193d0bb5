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
	var enabled int64
	n, err := s.db.write(ctx,
		do(`UPDATE identities SET email = $3, used_at = $4 WHERE provider_id = $1 AND subject = $2
			AND EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0)`,
			providerID, subject, email, now),
		// A link that came between the two statements was used by who made it: it is one all the same.
		ask(append(append(accountColumns(&a), intoLink(&l)...), &enabled), `
			SELECT a.id, a.email, a.email_key, a.email_verified, a.name, a.role, a.claims,
				a.password_hash, a.created_at, a.updated_at, a.disabled_at,
				i.provider_id, i.subject, i.account_id, i.email, i.role, i.linked_at, i.used_at,
				(SELECT COUNT(*) FROM providers WHERE id = $1 AND disabled_at = 0)
			FROM identities i JOIN accounts a ON a.id = i.account_id
			WHERE i.provider_id = $1 AND i.subject = $2`,
			providerID, subject))
	switch {
	case err != nil:
		return accounts.Account{}, accounts.Link{}, err
	case n[1] == 0:
		return accounts.Account{}, accounts.Link{}, accounts.ErrNotFound
	case enabled == 0:
		return accounts.Account{}, accounts.Link{}, accounts.ErrProviderOff
	}
	return a, l, nil
}

// AddLinked implements [accounts.Links].
func (s people) AddLinked(ctx context.Context, a accounts.Account, l accounts.Link) error {
	var why string
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
		ask(into{&why}, whyNotAdded, l.ProviderID, l.Subject, l.AccountID))
	switch {
	case errors.Is(err, errTaken):
		return accounts.ErrExists
	case err != nil:
		return err
	case n[1] == 1:
		return nil
	}
	return notAdded[why]
}

// whyNotAdded says what is in the way of a link: what comes first, if it is more than one thing.
const whyNotAdded = `
	SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0) THEN 'provider'
		WHEN EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2) THEN 'linked'
		WHEN NOT EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND disabled_at = 0) THEN 'account'
		ELSE 'full' END`

var notAdded = map[string]error{
	"provider": accounts.ErrProviderOff,
	"linked":   accounts.ErrLinked,
	"account":  accounts.ErrNotFound,
	"full":     accounts.ErrTooManyLinks,
}

// AddLink implements [accounts.Links].
func (s people) AddLink(ctx context.Context, l accounts.Link, most int, untouched bool) error {
	var why string
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
		ask(into{&why}, whyNotAdded, l.ProviderID, l.Subject, l.AccountID))
	switch {
	case err != nil:
		return err
	case n[2] == 1:
		return nil
	case why == "full" && untouched:
		return accounts.ErrNotFound // it is not as it must be
	}
	return notAdded[why]
}

// Links implements [accounts.Links].
func (s people) Links(ctx context.Context, accountID string) ([]accounts.Link, error) {
	return all(ctx, s.db, intoLink, `
		SELECT `+linkColumns+` FROM identities WHERE account_id = $1 ORDER BY linked_at, provider_id, subject`,
		accountID)
}

// RemoveLink implements [accounts.Links].
func (s people) RemoveLink(ctx context.Context, accountID, providerID, subject string, now time.Time) error {
	// The link is there, and another way in.
	const may = `EXISTS (SELECT 1 FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1)
			AND (EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND password_hash <> '')
				OR EXISTS (SELECT 1 FROM identities o JOIN providers p ON p.id = o.provider_id
					WHERE o.account_id = $1 AND p.disabled_at = 0 AND NOT (o.provider_id = $2 AND o.subject = $3)))`
	var there int64
	verb := []statement{
		adminsTurn(),
		// Of those who take ways away from an account, one goes after the other.
		lock(`SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE`, accountID),
		// Whoever signs in by the link is done before this, and found below, or refused after it.
		lock(`SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 FOR UPDATE`, providerID, subject),
		// What the provider's rules gave goes with it, except that the last administrator stays one.
		do(`UPDATE accounts SET updated_at = updated_at + 1, role = ''
			WHERE id = $1 AND role = 'admin'
			AND EXISTS (SELECT 1 FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1 AND role = 'admin')
			AND EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0 AND id <> $1)
			AND `+may,
			accountID, providerID, subject),
		// Sessions of an older program don't say by which of the person's identities there they began.
		do(`UPDATE sessions SET ended_at = $4, end_reason = 'revoked'
			WHERE account_id = $1 AND provider_id = $2 AND (subject = $3 OR subject = '') AND ended_at = 0 AND `+may,
			accountID, providerID, subject, now),
		do(`UPDATE authorizations SET revoked_at = $4, revoke_reason = 'unlinked'
			WHERE account_id = $1 AND provider_id = $2 AND (subject = $3 OR subject = '') AND revoked_at = 0 AND `+may,
			accountID, providerID, subject, now),
		s.db.revokedAuthorizations(now, `account_id = $3 AND provider_id = $4 AND revoked_at = $5`, accountID, providerID, now),
	}
	remove := len(verb)
	verb = append(verb, do(`DELETE FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1 AND `+may,
		accountID, providerID, subject))
	verb = append(verb, forgetTokens(now, `provider_id = $1 AND subject = $2
		AND NOT EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2)`, providerID, subject)...)
	verb = append(verb, ask(into{&there}, `SELECT 1 FROM identities WHERE provider_id = $2 AND subject = $3 AND account_id = $1`,
		accountID, providerID, subject))
	n, err := s.db.write(ctx, verb...)
	switch {
	case err != nil:
		return err
	case n[remove] == 1:
		return nil
	case n[len(verb)-1] == 1:
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
