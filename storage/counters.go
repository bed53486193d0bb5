package storage

import (
	"context"
	"time"
)

// Count implements [accounts.Store].
func (s people) Count(ctx context.Context, key string, window time.Duration, now time.Time) (n int64, resets time.Time, err error) {
	_, err = s.db.write(ctx, ask(into{&n, &resets}, `
		INSERT INTO counters (key, n, resets_at) VALUES ($1, 1, $2)
		ON CONFLICT (key) DO UPDATE SET
			n = CASE WHEN counters.resets_at <= $3 THEN 1 ELSE counters.n + 1 END,
			resets_at = CASE WHEN counters.resets_at <= $3 THEN excluded.resets_at ELSE counters.resets_at END
		RETURNING n, resets_at`,
		key, now.Add(window), now))
	if err != nil {
		return 0, time.Time{}, err
	}
	return n, resets, nil
}

// Uncount implements [accounts.Store].
func (s people) Uncount(ctx context.Context, key string) error {
	_, err := s.db.write(ctx, do(`UPDATE counters SET n = n - 1 WHERE key = $1 AND n > 0`, key))
	return err
}

// ResetCount implements [accounts.Store].
func (s people) ResetCount(ctx context.Context, key string) error {
	_, err := s.db.write(ctx, do(`DELETE FROM counters WHERE key = $1`, key))
	return err
}
