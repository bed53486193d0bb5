package storage

import (
	"time"

	"mintmark/apikeys"
	"mintmark/revocations"
)

// Every verb that takes something back, or gives it back, has one of these among its statements:
// those who verify elsewhere are told of it in the same transaction. Each says how things
// stand after the statements before it, and not what was wanted: who enables a key that was
// revoked meanwhile must not be heard to have enabled it.

// standsIn tells how a row stands: whether it is revoked, if it is there and which is true of it.
// The id is $1, and the arguments of revoked and which begin at $3.
func (db *DB) standsIn(table, kind, id, revoked, which string, now time.Time, args ...any) statement {
	return do(`INSERT INTO revocations (seq, kind, ref, until, revoked)
		SELECT `+db.numbered("revocations")+`, '`+kind+`', id, CAST($2 AS BIGINT), `+revoked+`
		FROM `+table+` WHERE id = $1 AND `+which+`
		ON CONFLICT DO NOTHING`,
		append([]any{id, now.Add(db.tokenLife)}, args...)...)
}

// goneFrom tells that something is good no longer that was removed, if it was.
func (db *DB) goneFrom(table, kind, id string, now time.Time) statement {
	return do(`INSERT INTO revocations (seq, kind, ref, until, revoked)
		SELECT `+db.numbered("revocations")+`, '`+kind+`', CAST($1 AS TEXT), CAST($2 AS BIGINT), TRUE
		WHERE NOT EXISTS (SELECT 1 FROM `+table+` WHERE id = $1)`,
		id, now.Add(db.tokenLife))
}

// keyStands tells how a key stands after a change, if that happened.
func (db *DB) keyStands(id string, e apikeys.Event) statement {
	return db.standsIn("api_keys", revocations.Key, id,
		`disabled OR revoked_at <> 0 OR replaced_by <> '' AND grace_until <= $4`, `event = $3`, e.At, e.ID, e.At)
}

// serviceStands does so for a service account.
func (db *DB) serviceStands(id string, e apikeys.Event) statement {
	return db.standsIn("service_accounts", revocations.Account, id, `disabled_at <> 0 OR removed_at <> 0`, `event = $3`, e.At, e.ID)
}

// revokedAuthorizations tells of the authorizations that which finds, of those from which a
// token may still be alive. Its own arguments begin at $3.
func (db *DB) revokedAuthorizations(now time.Time, which string, args ...any) statement {
	return do(`INSERT INTO revocations (seq, kind, ref, until, revoked)
		SELECT `+db.numbered("revocations")+`, 'authorization', id, CAST($1 AS BIGINT), TRUE
		FROM authorizations WHERE rotated_at > $2 AND `+which+`
		ON CONFLICT DO NOTHING`,
		append([]any{now.Add(db.tokenLife), now.Add(-db.tokenLife)}, args...)...)
}
