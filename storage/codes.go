package storage

import (
	"context"

	"mintmark/issuer"
)

// RedeemCode implements [issuer.Store].
func (s issuing) RedeemCode(ctx context.Context, r issuer.Redemption) error {
	var generation int64
	if len(r.Seed) > 0 {
		generation = 1
	}
	verb := []statement{
		// The condition is the lock: of any number of transactions that get here with the
		// same code, one finds it unspent.
		do(`UPDATE authorizations SET code_spent_at = $3, bought = $4,
				seed = $5, generation = $6, rotated_at = $3, idle_until = $7,
				expires_at = CASE WHEN $6 > generation THEN $8 ELSE expires_at END,
				forget_at = CASE WHEN $9 > forget_at THEN $9 ELSE forget_at END
			WHERE id = $1 AND code_digest = $2 AND code_spent_at = 0 AND code_expires_at > $3
			AND revoked_at = 0
			AND EXISTS (SELECT 1 FROM accounts p WHERE p.id = account_id AND p.disabled_at = 0)
			AND EXISTS (SELECT 1 FROM clients c WHERE c.id = client_id AND c.disabled_at = 0)
			AND (offline OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = session_id AND s.ended_at = 0 AND s.expires_at > $3))`,
			r.ID, r.CodeDigest, r.Now, idOf(r.Access), r.Seed, generation, r.IdleUntil, r.ExpiresAt, r.ForgetAt),
	}
	return s.buy(ctx, verb, r.ID, r.Access)
}

// buy runs a verb whose first statement spends something, and remembers the opaque access
// token that it bought, if it did and there is one.
func (s issuing) buy(ctx context.Context, verb []statement, authorizationID string, t *issuer.AccessToken) error {
	if t != nil {
		verb = append(verb, do(`
			INSERT INTO access_tokens (id, digest, authorization_id, client_id, scopes, audience, issued_at, expires_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8
			WHERE EXISTS (SELECT 1 FROM authorizations WHERE id = $9 AND bought = $1)`,
			t.ID, t.Digest, t.AuthorizationID, t.ClientID, t.Scopes, t.Audience, t.IssuedAt, t.ExpiresAt,
			authorizationID))
	}
	return s.db.try(ctx, issuer.ErrSpent, verb...)
}

func idOf(t *issuer.AccessToken) string {
	if t == nil {
		return ""
	}
	return t.ID
}
