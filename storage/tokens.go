package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"mintmark/issuer"
)

// SaveAccessToken implements [issuer.Store].
func (s issuing) SaveAccessToken(ctx context.Context, t issuer.AccessToken) error {
	_, err := s.db.write(ctx, do(`
		INSERT INTO access_tokens (id, digest, authorization_id, client_id, scopes, audience, issued_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.ID, t.Digest, t.AuthorizationID, t.ClientID, t.Scopes, t.Audience, t.IssuedAt, t.ExpiresAt))
	return err
}

// AccessToken implements [issuer.Store].
func (s issuing) AccessToken(ctx context.Context, id string, now time.Time) (issuer.AccessToken, issuer.Standing, error) {
	var t issuer.AccessToken
	var st standing
	columns := into{&t.ID, &t.Digest, &t.AuthorizationID, &t.ClientID, &t.Scopes, &t.Audience, &t.IssuedAt, &t.ExpiresAt}
	// Its client is the token's, not the authorization's: one of a client on its own behalf has
	// no authorization.
	found, err := s.db.get(ctx, append(columns, st.columns()...), `
		SELECT t.id, t.digest, t.authorization_id, t.client_id, t.scopes, t.audience, t.issued_at, t.expires_at,
			COALESCE(a.id, ''), COALESCE(a.client_id, ''), COALESCE(a.account_id, ''), COALESCE(a.session_id, ''),
			COALESCE(a.scopes, ''), COALESCE(a.audience, ''), COALESCE(a.claims, ''),
			COALESCE(a.auth_time, 0), COALESCE(a.acr, ''), COALESCE(a.amr, ''), COALESCE(a.nonce, ''),
			COALESCE(a.offline, FALSE), COALESCE(a.created_at, 0), COALESCE(a.redirect_uri, ''), COALESCE(a.challenge, ''),
			COALESCE(a.code_digest, $3), COALESCE(a.code_expires_at, 0), COALESCE(a.code_spent_at, 0),
			COALESCE(a.seed, $3), COALESCE(a.generation, 0), COALESCE(a.rotated_at, 0),
			COALESCE(a.idle_until, 0), COALESCE(a.expires_at, 0), COALESCE(a.revoked_at, 0),
			COALESCE(a.revoke_reason, ''), COALESCE(a.forget_at, 0), COALESCE(a.idp, ''), COALESCE(a.limits, ''),
			COALESCE(p.id, ''), COALESCE(p.email, ''), COALESCE(p.email_verified, FALSE), COALESCE(p.name, ''),
			COALESCE(p.claims, ''), COALESCE(p.updated_at, 0),
			c.id IS NULL OR c.disabled_at <> 0,
			t.authorization_id <> '' AND (p.id IS NULL OR p.disabled_at <> 0),
			t.authorization_id <> '' AND (s.id IS NULL OR s.ended_at <> 0 OR s.expires_at <= $2),
			r.jti IS NOT NULL
		FROM access_tokens t
		LEFT JOIN clients c ON c.id = t.client_id
		LEFT JOIN revoked_tokens r ON r.jti = t.id
		LEFT JOIN authorizations a ON a.id = t.authorization_id
		LEFT JOIN accounts p ON p.id = a.account_id
		LEFT JOIN sessions s ON s.id = a.session_id
		WHERE t.id = $1`,
		id, now, []byte{})
	switch {
	case err != nil:
		return issuer.AccessToken{}, issuer.Standing{}, err
	case !found:
		return issuer.AccessToken{}, issuer.Standing{}, issuer.ErrNotFound
	}
	full, err := st.read()
	return t, full, err
}

// ClientTokenStanding implements [issuer.Store].
func (s issuing) ClientTokenStanding(ctx context.Context, clientID, jti string) (issuer.Standing, error) {
	var st issuer.Standing
	_, err := s.db.get(ctx, into{&st.ClientGone, &st.TokenRevoked}, `
		SELECT NOT EXISTS (SELECT 1 FROM clients WHERE id = $1 AND disabled_at = 0),
			EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $2)`,
		clientID, jti)
	if err != nil {
		return issuer.Standing{}, err
	}
	return st, nil
}

// RevokeToken implements [issuer.Store].
func (s issuing) RevokeToken(ctx context.Context, jti string, until time.Time) error {
	_, err := s.db.write(ctx,
		// Once: whoever has a token can revoke it as often as they want.
		do(`INSERT INTO revocations (seq, kind, ref, until, revoked)
			SELECT `+s.db.numbered("revocations")+`, 'token', $1, CAST($2 AS BIGINT), TRUE
			WHERE NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $1)`,
			jti, until),
		do(`INSERT INTO revoked_tokens (jti, expires_at) VALUES ($1, $2)
			ON CONFLICT (jti) DO UPDATE SET expires_at = excluded.expires_at
			WHERE excluded.expires_at > revoked_tokens.expires_at`,
			jti, until))
	return err
}

// UseAssertion implements [issuer.Store]. The jti is stored as its SHA-256: it comes from
// outside, of any length.
func (s issuing) UseAssertion(ctx context.Context, clientID, jti string, until time.Time) error {
	sum := sha256.Sum256([]byte(jti))
	return s.db.try(ctx, issuer.ErrReplayed, do(`
		INSERT INTO assertions (client_id, jti, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (client_id, jti) DO NOTHING`,
		clientID, hex.EncodeToString(sum[:]), until))
}
