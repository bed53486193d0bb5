package storage

import (
	"context"
	"time"
)

// changesKept is how long a change can still be read: longer than any copy of the server
// goes without reading them.
const changesKept = time.Hour

// revocationsKept is how long nobody tries to revoke tokens of a provider, until they are forgotten.
const revocationsKept = 48 * time.Hour

// Purge deletes what nobody can use any more: at most batch rows of each kind, each kind in
// a short transaction of its own. It returns how many rows there were; a caller goes on, in
// its own time, until there are none.
func (db *DB) Purge(ctx context.Context, now time.Time, batch int) (deleted int64, err error) {
	for _, s := range []statement{
		do(`DELETE FROM access_tokens WHERE id IN (
				SELECT id FROM access_tokens WHERE expires_at <= $1 LIMIT $2)`, now, batch),
		do(`DELETE FROM revoked_tokens WHERE jti IN (
				SELECT jti FROM revoked_tokens WHERE expires_at <= $1 LIMIT $2)`, now, batch),
		do(`DELETE FROM assertions WHERE (client_id, jti) IN (
				SELECT client_id, jti FROM assertions WHERE expires_at <= $1 LIMIT $2)`, now, batch),
		// 0 would mean that the caller forgot to say: better kept than lost.
		do(`DELETE FROM authorizations WHERE id IN (
				SELECT id FROM authorizations WHERE forget_at > 0 AND forget_at <= $1 LIMIT $2)`, now, batch),
		do(`DELETE FROM sessions WHERE id IN (
				SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2)`, now, batch),
		do(`DELETE FROM counters WHERE key IN (
				SELECT key FROM counters WHERE resets_at <= $1 LIMIT $2)`, now, batch),
		do(`DELETE FROM spent_states WHERE id IN (
				SELECT id FROM spent_states WHERE expires_at <= $1 LIMIT $2)`, now, batch),
		// Whoever revokes at providers gives up long before this, and says so.
		do(`DELETE FROM upstream_revocations WHERE id IN (
				SELECT id FROM upstream_revocations WHERE next_at > 0 AND next_at <= $1 LIMIT $2)`, now.Add(-revocationsKept), batch),
		// A refresh that was under way when it was removed may bring tokens yet that are to be revoked.
		do(`DELETE FROM removed_providers WHERE removed_at <= $1
				AND NOT EXISTS (SELECT 1 FROM upstream_revocations r WHERE r.provider_id = removed_providers.id)`, now.Add(-time.Hour)),
		do(`DELETE FROM notices WHERE id IN (
				SELECT id FROM notices WHERE at <= $1 LIMIT $2)`, now.Add(-noticesKept), batch),
		do(`DELETE FROM setup_codes WHERE expires_at <= $1`, now),
		// The newest of these two stay: on SQLite the next takes its number from it.
		do(`DELETE FROM changes WHERE id IN (
				SELECT id FROM changes WHERE at <= $1 AND seq < (SELECT MAX(seq) FROM changes) LIMIT $2)`, now.Add(-changesKept), batch),
		do(`DELETE FROM revocations WHERE (seq, kind, ref) IN (
				SELECT seq, kind, ref FROM revocations WHERE until <= $1 AND seq < (SELECT MAX(seq) FROM revocations) LIMIT $2)`, now, batch),
		do(`DELETE FROM confirmations WHERE (change_id, copy_id) IN (
				SELECT change_id, copy_id FROM confirmations WHERE at <= $1 LIMIT $2)`, now.Add(-confirmationsKept), batch),
		do(`DELETE FROM copies WHERE expires <= $1`, now),
	} {
		n, err := db.write(ctx, unhurried(s))
		if err != nil {
			return deleted, err
		}
		deleted += n[0]
	}
	return deleted, nil
}
