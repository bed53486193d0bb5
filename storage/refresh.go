package storage

import (
	"context"

	"mintmark/issuer"
)

// RotateRefresh implements [issuer.Store].
func (s issuing) RotateRefresh(ctx context.Context, r issuer.Rotation) error {
	verb := []statement{
		// The condition is the lock: one of any number of callers finds its generation. What
		// could stand against the family is asked in the same statement, so that nothing gets
		// in between; ending a session, disabling an account and revoking a consent write to
		// this very row.
		do(`UPDATE authorizations SET generation = generation + 1, rotated_at = $3, idle_until = $4, bought = $5
			WHERE id = $1 AND generation = $2 AND generation > 0
			AND idle_until > $3 AND expires_at > $3 AND revoked_at = 0
			AND EXISTS (SELECT 1 FROM accounts p WHERE p.id = account_id AND p.disabled_at = 0)
			AND EXISTS (SELECT 1 FROM clients c WHERE c.id = client_id AND c.disabled_at = 0)
			AND (offline OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = session_id AND s.ended_at = 0 AND s.expires_at > $3))`,
			r.ID, r.Generation, r.Now, r.IdleUntil, idOf(r.Access)),
	}
	return s.buy(ctx, verb, r.ID, r.Access)
}
