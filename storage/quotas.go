package storage

import (
	"context"
	"time"

	"mintmark/apikeys"
)

// Quota implements [apikeys.Store].
func (s apiKeys) Quota(ctx context.Context, id string) (apikeys.Quota, error) {
	q := apikeys.Quota{ID: id}
	found, err := s.db.get(ctx, into{&q.Amount, &q.Period, &q.Since, &q.Spent},
		`SELECT amount, period, period_start, spent FROM quotas WHERE id = $1`, id)
	switch {
	case err != nil:
		return apikeys.Quota{}, err
	case !found:
		return apikeys.Quota{}, apikeys.ErrNotFound
	}
	return q, nil
}

// Parts of the statement that lends. $2 is now, $3 the least and $4 the most that is wanted.
const (
	// spentNow is what is spent of the period that now is in.
	spentNow = `CASE WHEN $2 >= period_start + period THEN 0 ELSE spent END`
	// share is a quarter of what each copy of the server could have of the rest.
	share = `(amount - ` + spentNow + `) / (4 * c.n)`
	// lends is how much is lent: not more than the rest, because neither the share nor the least is.
	lends = `CASE WHEN ` + share + ` > $4 THEN $4 WHEN ` + share + ` < $3 THEN $3 ELSE ` + share + ` END`
)

// LeaseQuota implements [apikeys.Store].
func (s apiKeys) LeaseQuota(ctx context.Context, id string, least, most int64, now time.Time) (apikeys.Lease, error) {
	var l apikeys.Lease
	var period time.Duration
	var spent int64
	// The condition is the lock: of any number of copies that get here at the same time, each sees
	// what those before it have taken.
	n, err := s.db.write(ctx,
		ask(into{&l.Lent}, `
			UPDATE quotas SET lent = `+lends+`, spent = `+spentNow+` + `+lends+`,
				period_start = CASE WHEN $2 >= period_start + period THEN period_start + ($2 - period_start) / period * period ELSE period_start END
			FROM (SELECT COALESCE(NULLIF(COUNT(*), 0), 1) AS n FROM copies WHERE expires > $2) c
			WHERE id = $1 AND amount - `+spentNow+` >= $3
			RETURNING lent`,
			id, now, least, most),
		ask(into{&l.Total, &period, &l.Since, &spent}, `SELECT amount, period, period_start, spent FROM quotas WHERE id = $1`, id))
	switch {
	case err != nil:
		return apikeys.Lease{}, err
	case n[1] == 0:
		return apikeys.Lease{}, apikeys.ErrNotFound
	case n[0] == 0:
		l.Lent = 0
	}
	l.Until = l.Since.Add(period)
	l.Left = max(l.Total-spent, 0)
	return l, nil
}

// ReturnQuota implements [apikeys.Store].
func (s apiKeys) ReturnQuota(ctx context.Context, rests []apikeys.Rest) error {
	var verb []statement
	for _, r := range rests {
		verb = append(verb, do(`UPDATE quotas SET spent = spent - $3 WHERE id = $1 AND period_start = $2 AND spent >= $3`, r.ID, r.Since, r.N))
	}
	if len(verb) == 0 {
		return nil
	}
	_, err := s.db.write(ctx, verb...)
	return err
}

// addsQuota makes the quota of a key whose making, e, happened, if it is a new one.
func addsQuota(k apikeys.Key, e apikeys.Event) statement {
	return do(`INSERT INTO quotas (id, amount, period, period_start, spent, lent)
		SELECT $1, $2, $3, $4, 0, 0 WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $5 AND event = $6)
		ON CONFLICT (id) DO NOTHING`,
		k.Quota.ID, k.Quota.Amount, k.Quota.Period, k.Quota.Since, k.ID, e.ID)
}

// setsQuota makes or changes the quota of a key whose change, e, happened.
func setsQuota(k apikeys.Key, e apikeys.Event) statement {
	return do(`INSERT INTO quotas (id, amount, period, period_start, spent, lent)
		SELECT $1, $2, $3, $4, 0, 0 WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $5 AND event = $6)
		ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, period = excluded.period`,
		k.Quota.ID, k.Quota.Amount, k.Quota.Period, k.Quota.Since, k.ID, e.ID)
}
