package storage

import (
	"context"
	"time"

	"mintmark/accounts"
	"mintmark/revocations"
)

// StartSession implements [accounts.Store].
func (s people) StartSession(ctx context.Context, n accounts.Session, of accounts.Account, endID string) error {
	var by string
	// Whoever disables the account or changes its password is either done before this, and
	// then we are refused, or comes after, and then ends the session.
	verb := []statement{lock(`SELECT 1 FROM accounts WHERE id = $1 FOR SHARE`, n.AccountID)}
	verb = append(verb, lockLink(n)...)
	insert := len(verb)
	verb = append(verb,
		do(`INSERT INTO sessions (id, account_id, digest, auth_time, amr, acr,
				created_at, seen_at, expires_at, address, user_agent, ended_at, end_reason,
				provider_id, subject, idp, proved_at, limits)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $19
			WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $2 AND disabled_at = 0 AND password_hash = $18)
			AND `+linked("$14", "$15", "$2"),
			n.ID, n.AccountID, n.Digest, n.AuthTime, n.AMR, n.ACR,
			n.CreatedAt, n.SeenAt, n.ExpiresAt, n.Address, n.UserAgent, n.EndedAt, n.EndReason,
			n.ProviderID, n.Subject, n.IdP, n.ProvedAt, of.PasswordHash, n.Limits))
	if n.Subject != "" {
		verb = append(verb, ask(into{&by}, whyNotLinked, n.ProviderID, n.Subject, n.AccountID))
	}
	if endID != "" {
		verb = append(verb,
			do(`UPDATE sessions SET ended_at = $2, end_reason = 'replaced'
				WHERE id = $1 AND ended_at = 0
				AND EXISTS (SELECT 1 FROM sessions WHERE id = $3)`,
				endID, n.CreatedAt, n.ID),
			s.db.revokedAuthorizations(n.CreatedAt, `session_id = $3 AND NOT offline
				AND EXISTS (SELECT 1 FROM sessions WHERE id = $3 AND ended_at = $4)`, endID, n.CreatedAt))
	}
	changed, err := s.db.write(ctx, verb...)
	switch {
	case err != nil:
		return err
	case changed[insert] == 1:
		return nil
	case by == "provider":
		return accounts.ErrProviderOff
	case by == "link":
		return accounts.ErrChanged
	}
	return accounts.ErrNotFound
}

// linked is true of a session that begins by no link, or by one that is still the account's, at a
// provider that is enabled.
func linked(provider, subject, account string) string {
	return `(` + subject + ` = '' OR EXISTS (SELECT 1 FROM identities i JOIN providers p ON p.id = i.provider_id AND p.disabled_at = 0
				WHERE i.provider_id = ` + provider + ` AND i.subject = ` + subject + ` AND i.account_id = ` + account + `))`
}

// whyNotLinked says what is missing.
const whyNotLinked = `
	SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at = 0) THEN 'provider'
		WHEN NOT EXISTS (SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 AND account_id = $3) THEN 'link'
		ELSE '' END`

// lockLink makes whoever unlinks, or disables or removes the provider, wait for a sign-in by the
// link: they are either done before it, and it is refused, or come after it, and end it.
func lockLink(n accounts.Session) []statement {
	if n.Subject == "" {
		return nil
	}
	return []statement{
		lockProvider(n.ProviderID),
		lock(`SELECT 1 FROM identities WHERE provider_id = $1 AND subject = $2 FOR SHARE`, n.ProviderID, n.Subject),
	}
}

// RenewSession implements [accounts.Store].
func (s people) RenewSession(ctx context.Context, n accounts.Session) error {
	verb := append(lockLink(n), do(`
		UPDATE sessions SET digest = $3, auth_time = $4, amr = $5, acr = $6, seen_at = $7,
			expires_at = $8, address = $9, user_agent = $10, provider_id = $11, subject = $12, idp = $13, proved_at = $14, limits = $15
		WHERE id = $1 AND account_id = $2 AND ended_at = 0 AND `+linked("$11", "$12", "$2"),
		n.ID, n.AccountID, n.Digest, n.AuthTime, n.AMR, n.ACR, n.SeenAt,
		n.ExpiresAt, n.Address, n.UserAgent, n.ProviderID, n.Subject, n.IdP, n.ProvedAt, n.Limits))
	changed, err := s.db.write(ctx, verb...)
	if err == nil && changed[len(verb)-1] == 0 {
		return accounts.ErrNotFound
	}
	return err
}

// Session implements [accounts.Store].
func (s people) Session(ctx context.Context, id string) (accounts.Session, accounts.Account, error) {
	var n accounts.Session
	var a accounts.Account
	found, err := s.db.get(ctx, append(sessionColumns(&n), accountColumns(&a)...), `
		SELECT s.id, s.account_id, s.digest, s.auth_time, s.amr, s.acr,
			s.created_at, s.seen_at, s.expires_at, s.address, s.user_agent, s.ended_at, s.end_reason,
			s.provider_id, s.subject, s.idp, s.proved_at, s.limits,
			a.id, a.email, a.email_key, a.email_verified, a.name, a.role, a.claims,
			a.password_hash, a.created_at, a.updated_at, a.disabled_at
		FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.id = $1`,
		id)
	switch {
	case err != nil:
		return accounts.Session{}, accounts.Account{}, err
	case !found:
		return accounts.Session{}, accounts.Account{}, accounts.ErrNotFound
	}
	return n, a, nil
}

// sessionColumns is where the columns of a session go, in the order of every SELECT here.
func sessionColumns(n *accounts.Session) into {
	return into{&n.ID, &n.AccountID, &n.Digest, &n.AuthTime, &n.AMR, &n.ACR,
		&n.CreatedAt, &n.SeenAt, &n.ExpiresAt, &n.Address, &n.UserAgent, &n.EndedAt, &n.EndReason,
		&n.ProviderID, &n.Subject, &n.IdP, &n.ProvedAt, &n.Limits}
}

// TouchSession implements [accounts.Store].
func (s people) TouchSession(ctx context.Context, id string, now time.Time) error {
	_, err := s.db.write(ctx, do(`UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2`, id, now))
	return err
}

// EndSession implements [accounts.Store].
func (s people) EndSession(ctx context.Context, id, reason string, now time.Time) error {
	verb := []statement{
		do(`UPDATE sessions SET
				end_reason = CASE WHEN ended_at = 0 THEN $2 ELSE end_reason END,
				ended_at = CASE WHEN ended_at = 0 THEN $3 ELSE ended_at END
			WHERE id = $1`,
			id, reason, now),
	}
	switch reason {
	case "revoked":
		verb = append(verb, do(`
			UPDATE authorizations SET revoked_at = $2, revoke_reason = 'session revoked'
			WHERE session_id = $1 AND revoked_at = 0`,
			id, now),
			s.db.standsIn("sessions", revocations.Session, id, `TRUE`, `ended_at = $3`, now, now),
			s.db.revokedAuthorizations(now, `session_id = $3 AND revoked_at = $4`, id, now))
	case "logout":
		// OpenID Connect Core §11: offline access is for "when the End-User is not present".
		verb = append(verb, do(`
			UPDATE authorizations SET revoked_at = $2, revoke_reason = 'signed out'
			WHERE session_id = $1 AND revoked_at = 0 AND NOT offline`,
			id, now))
	}
	if reason != "revoked" {
		// Not the session: what offline access gave carries its id too, and goes on.
		verb = append(verb, s.db.revokedAuthorizations(now, `session_id = $3 AND NOT offline
			AND EXISTS (SELECT 1 FROM sessions WHERE id = $3 AND ended_at = $4)`, id, now))
	}
	return s.db.try(ctx, accounts.ErrNotFound, verb...)
}

// EndSessions implements [accounts.Store].
func (s people) EndSessions(ctx context.Context, accountID, reason string, now time.Time) error {
	verb := []statement{
		// No session of this account is begun while its sessions are being ended.
		lock(`SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE`, accountID),
		do(`UPDATE sessions SET ended_at = $3, end_reason = $2
			WHERE account_id = $1 AND ended_at = 0`,
			accountID, reason, now),
	}
	switch reason {
	case "revoked":
		verb = append(verb, do(`
			UPDATE authorizations SET revoked_at = $2, revoke_reason = 'session revoked'
			WHERE account_id = $1 AND revoked_at = 0`,
			accountID, now), s.db.revokedAuthorizations(now, `account_id = $3 AND revoked_at = $4`, accountID, now))
	case "logout":
		verb = append(verb, do(`
			UPDATE authorizations SET revoked_at = $2, revoke_reason = 'signed out'
			WHERE account_id = $1 AND revoked_at = 0 AND NOT offline`,
			accountID, now))
	}
	if reason != "revoked" {
		verb = append(verb, s.db.revokedAuthorizations(now, `account_id = $3 AND NOT offline
			AND EXISTS (SELECT 1 FROM sessions WHERE id = session_id AND ended_at = $4)`, accountID, now))
	}
	_, err := s.db.write(ctx, verb...)
	return err
}

// Sessions implements [accounts.Store].
func (s people) Sessions(ctx context.Context, p accounts.Page, accountID string, now time.Time) ([]accounts.Session, error) {
	if accountID != "" {
		return all(ctx, s.db, sessionColumns, `
			SELECT id, account_id, digest, auth_time, amr, acr,
				created_at, seen_at, expires_at, address, user_agent, ended_at, end_reason,
				provider_id, subject, idp, proved_at, limits
			FROM sessions
			WHERE account_id = $1 AND id > $2 AND ended_at = 0 AND expires_at > $3
			ORDER BY id LIMIT $4`,
			accountID, p.After, now, limit(p.Limit))
	}
	return all(ctx, s.db, sessionColumns, `
		SELECT id, account_id, digest, auth_time, amr, acr,
			created_at, seen_at, expires_at, address, user_agent, ended_at, end_reason,
			provider_id, subject, idp, proved_at, limits
		FROM sessions
		WHERE id > $1 AND ended_at = 0 AND expires_at > $2
		ORDER BY id LIMIT $3`,
		p.After, now, limit(p.Limit))
}
