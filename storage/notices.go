package storage

import (
	"context"
	"fmt"
	"time"

	"mintmark/apikeys"
)

// noticesKept is how long it is remembered what somebody was told: longer than the first reminder
// is before the end of a key.
const noticesKept = 30 * 24 * time.Hour

// notice makes a notice about a key, if its change, e, happened.
func notice(kind string, e apikeys.Event) statement {
	return do(`INSERT INTO notices (id, kind, ref, detail, at, attempts, next_at)
		SELECT $1, $2, $3, $4, $5, 0, $5 WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $3 AND event = $1)
		ON CONFLICT DO NOTHING`, e.ID, kind, e.Ref, e.Detail, e.At)
}

// TakeNotice implements [apikeys.Store].
func (s apiKeys) TakeNotice(ctx context.Context, now, again time.Time) (n apikeys.Notice, some bool, err error) {
	// Of several copies that choose the same, one finds that its time has come.
	changed, err := s.db.write(ctx, ask(into{&n.ID, &n.Kind, &n.Ref, &n.Detail, &n.At, &n.Attempts}, `
		UPDATE notices SET attempts = attempts + 1, next_at = $2
		WHERE id = (SELECT id FROM notices WHERE next_at > 0 AND next_at <= $1 ORDER BY next_at LIMIT 1) AND next_at > 0 AND next_at <= $1
		RETURNING id, kind, ref, detail, at, attempts`, now, again))
	if err != nil {
		return apikeys.Notice{}, false, err
	}
	return n, changed[0] == 1, nil
}

// SetNotice implements [apikeys.Store].
func (s apiKeys) SetNotice(ctx context.Context, id string, next time.Time) error {
	_, err := s.db.write(ctx, do(`UPDATE notices SET next_at = $2 WHERE id = $1`, id, next))
	return err
}

// idle is true of a key that is idle for too long at $1. Using it, changing it and enabling it count.
const idle = `k.idle_expiry > 0 AND k.revoked_at = 0 AND NOT k.disabled
	AND k.created_at + k.idle_expiry <= $1 AND k.updated_at + k.idle_expiry <= $1
	AND NOT EXISTS (SELECT 1 FROM api_key_usage u WHERE u.id = k.id AND u.last_used_at + k.idle_expiry > $1)`

// IdleKeys implements [apikeys.Store].
func (s apiKeys) IdleKeys(ctx context.Context, now time.Time, most int) (ids []string, err error) {
	err = s.db.list(ctx, func(r row) error {
		var id string
		err := r.into(&id)
		ids = append(ids, id)
		return err
	}, `SELECT k.id FROM api_keys k WHERE `+idle+` ORDER BY k.id LIMIT $2`, now, most)
	return ids, err
}

// IdleKey implements [apikeys.Store].
func (s apiKeys) IdleKey(ctx context.Context, id, reason string, e apikeys.Event) error {
	_, err := s.db.write(ctx,
		do(`UPDATE api_keys SET disabled = TRUE, reason = $3, updated_at = $1, event = $4, version = version + 1
			WHERE id = $2 AND EXISTS (SELECT 1 FROM api_keys k WHERE k.id = $2 AND `+idle+`)`, e.At, id, reason, e.ID),
		audited("api_keys", e),
		notice(apikeys.NoticeIdle, e),
		s.db.keyStands(id, e),
		s.db.changed(APIKeyChange, id, e.At))
	return err
}

// RemindOfKeys implements [apikeys.Store].
func (s apiKeys) RemindOfKeys(ctx context.Context, before, after time.Duration, now time.Time) error {
	// A key that was not there at the time of the reminder needs none.
	_, err := s.db.write(ctx, do(`
		INSERT INTO notices (id, kind, ref, detail, at, attempts, next_at)
		SELECT 'expires-' || CAST($2 AS BIGINT) || '-' || id || '-' || expires_at, 'key.expiring', id, CAST($4 AS TEXT), CAST($1 AS BIGINT), 0, CAST($1 AS BIGINT)
		FROM api_keys
		WHERE revoked_at = 0 AND expires_at > 0 AND expires_at > $5 AND expires_at <= $3 AND NOT disabled AND replaced_by = ''
		AND created_at <= expires_at - $2
		ON CONFLICT DO NOTHING`,
		now, before, now.Add(before), fmt.Sprintf("it expires in less than %d days", int(before.Hours()/24)+1), now.Add(after)))
	return err
}
