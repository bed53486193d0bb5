package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mintmark/issuer"
)

// Answer implements [issuer.Store].
func (s issuing) Answer(ctx context.Context, a issuer.Authorization, consent *issuer.Consent) error {
	var more []statement
	if consent != nil {
		more = remember(*consent, a)
	}
	return s.answer(ctx, a, nil, more)
}

// AnswerAgain implements [issuer.Store].
func (s issuing) AnswerAgain(ctx context.Context, a issuer.Authorization, relied issuer.Consent) error {
	return s.answer(ctx, a, &relied, nil)
}

// answer remembers an authorization, if nothing stands against it. If it relies on a consent,
// that one has to be there: it is known by when it was given, which scopes that are added later
// do not change, and revoking it deletes the row.
func (s issuing) answer(ctx context.Context, a issuer.Authorization, relied *issuer.Consent, more []statement) error {
	var there, stands int64
	verb := []statement{
		// Whoever disables the account, ends the session or removes the client is either
		// done before this, and then we are refused, or comes after, and then finds the row.
		lock(`SELECT 1 FROM accounts a, sessions s, clients c
			WHERE a.id = $1 AND s.id = $2 AND c.id = $3
			FOR SHARE OF a, s FOR KEY SHARE OF c`,
			a.AccountID, a.SessionID, a.ClientID),
	}
	given := time.Time{}
	if relied != nil {
		given = relied.GrantedAt
		// The same for whoever revokes the consent.
		verb = append(verb, lock(`SELECT 1 FROM consents WHERE account_id = $1 AND client_id = $2 FOR KEY SHARE`,
			a.AccountID, a.ClientID))
	}
	insert := len(verb)
	verb = append(verb,
		do(`INSERT INTO authorizations (id, client_id, account_id, session_id, scopes, audience, claims,
				auth_time, acr, amr, nonce, offline, created_at, redirect_uri, challenge,
				code_digest, code_expires_at, code_spent_at, seed, generation, rotated_at,
				idle_until, expires_at, revoked_at, revoke_reason, forget_at, bought, idp, provider_id, subject, limits)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
				$16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, '', $29, s.provider_id, s.subject, $30
			FROM sessions s WHERE s.id = $4 AND s.account_id = $3 AND s.ended_at = 0 AND s.expires_at > $13
			AND EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND disabled_at = 0)
			AND EXISTS (SELECT 1 FROM clients WHERE id = $2 AND disabled_at = 0)
			AND (NOT $27 OR EXISTS (SELECT 1 FROM consents WHERE account_id = $3 AND client_id = $2 AND granted_at = $28))
			ON CONFLICT (id) DO NOTHING`,
			a.ID, a.ClientID, a.AccountID, a.SessionID, a.Scopes, a.Audience, a.Claims,
			a.AuthTime, a.ACR, a.AMR, a.Nonce, a.Offline, a.CreatedAt, a.RedirectURI, a.Challenge,
			a.CodeDigest, a.CodeExpiresAt, a.CodeSpentAt, a.Seed, a.Generation, a.RotatedAt,
			a.IdleUntil, a.ExpiresAt, a.RevokedAt, a.RevokeReason, a.ForgetAt,
			relied != nil, given, a.IdP, a.Limits),
		// Which of the conditions it was, if it was one.
		ask(into{&there}, `SELECT 1 FROM authorizations WHERE id = $1`, a.ID))
	if relied != nil {
		verb = append(verb, ask(into{&stands}, `SELECT 1 FROM consents WHERE account_id = $1 AND client_id = $2 AND granted_at = $3`,
			a.AccountID, a.ClientID, given))
	}
	n, err := s.db.write(ctx, append(verb, more...)...)
	switch {
	case err != nil:
		return err
	case n[insert] == 1:
		return nil
	case n[insert+1] == 1:
		return issuer.ErrAnswered
	case relied != nil && n[insert+2] == 0:
		return issuer.ErrNotFound
	}
	return issuer.ErrSpent
}

// Refuse implements [issuer.Store].
func (s issuing) Refuse(ctx context.Context, id, clientID string, now, forgetAt time.Time) error {
	return s.db.try(ctx, issuer.ErrAnswered, do(`
		INSERT INTO authorizations (id, client_id, account_id, session_id, scopes, audience, claims,
			auth_time, acr, amr, nonce, offline, created_at, redirect_uri, challenge,
			code_digest, code_expires_at, code_spent_at, seed, generation, rotated_at,
			idle_until, expires_at, revoked_at, revoke_reason, forget_at, bought)
		VALUES ($1, $2, '', '', '', '', '', 0, '', '', '', FALSE, $3, '', '',
			$4, 0, 0, $4, 0, 0, 0, 0, $3, 'denied', $5, '')
		ON CONFLICT (id) DO NOTHING`,
		id, clientID, now, []byte{}, forgetAt))
}

// Standing implements [issuer.Store].
func (s issuing) Standing(ctx context.Context, id, jti string, now time.Time) (issuer.Standing, error) {
	var st standing
	found, err := s.db.get(ctx, st.columns(), `
		SELECT a.id, a.client_id, a.account_id, a.session_id, a.scopes, a.audience, a.claims,
			a.auth_time, a.acr, a.amr, a.nonce, a.offline, a.created_at, a.redirect_uri, a.challenge,
			a.code_digest, a.code_expires_at, a.code_spent_at, a.seed, a.generation, a.rotated_at,
			a.idle_until, a.expires_at, a.revoked_at, a.revoke_reason, a.forget_at, a.idp, a.limits,
			COALESCE(p.id, ''), COALESCE(p.email, ''), COALESCE(p.email_verified, FALSE), COALESCE(p.name, ''),
			COALESCE(p.claims, ''), COALESCE(p.updated_at, 0),
			c.id IS NULL OR c.disabled_at <> 0,
			p.id IS NULL OR p.disabled_at <> 0,
			s.id IS NULL OR s.ended_at <> 0 OR s.expires_at <= $3,
			r.jti IS NOT NULL
		FROM authorizations a
		LEFT JOIN accounts p ON p.id = a.account_id
		LEFT JOIN clients c ON c.id = a.client_id
		LEFT JOIN sessions s ON s.id = a.session_id
		LEFT JOIN revoked_tokens r ON r.jti = $2
		WHERE a.id = $1`,
		id, jti, now)
	switch {
	case err != nil:
		return issuer.Standing{}, err
	case !found:
		return issuer.Standing{}, issuer.ErrNotFound
	}
	return st.read()
}

// A standing is a row that tells how an authorization stands.
type standing struct {
	issuer.Standing
	claims json.RawMessage
}

// columns is where the columns go, in the order of both SELECTs that ask for a standing.
func (st *standing) columns() into {
	a, p := &st.Authorization, &st.Person
	return into{&a.ID, &a.ClientID, &a.AccountID, &a.SessionID, &a.Scopes, &a.Audience, &a.Claims,
		&a.AuthTime, &a.ACR, &a.AMR, &a.Nonce, &a.Offline, &a.CreatedAt, &a.RedirectURI, &a.Challenge,
		&a.CodeDigest, &a.CodeExpiresAt, &a.CodeSpentAt, &a.Seed, &a.Generation, &a.RotatedAt,
		&a.IdleUntil, &a.ExpiresAt, &a.RevokedAt, &a.RevokeReason, &a.ForgetAt, &a.IdP, &a.Limits,
		&p.ID, &p.Email, &p.EmailVerified, &p.Name, &st.claims, &p.UpdatedAt,
		&st.ClientGone, &st.PersonGone, &st.SessionEnded, &st.TokenRevoked}
}

func (st *standing) read() (issuer.Standing, error) {
	if len(st.claims) > 0 {
		if err := json.Unmarshal(st.claims, &st.Person.Claims); err != nil {
			return issuer.Standing{}, fmt.Errorf("storage: the claims of account %s: %w", st.Person.ID, err)
		}
	}
	return st.Standing, nil
}

// RevokeAuthorization implements [issuer.Store].
func (s issuing) RevokeAuthorization(ctx context.Context, id, reason string, now time.Time) error {
	_, err := s.db.write(ctx,
		do(`UPDATE authorizations SET revoked_at = $3, revoke_reason = $2
			WHERE id = $1 AND revoked_at = 0`,
			id, reason, now),
		s.db.revokedAuthorizations(now, `id = $3 AND revoked_at = $4`, id, now))
	return err
}
