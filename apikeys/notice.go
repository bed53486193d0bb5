package apikeys

import (
	"context"
	"encoding/json"
	"time"
)

// Kinds of notices.
const (
	NoticeLeaked   = "key.leaked"
	NoticeExpiring = "key.expiring"
	NoticeIdle     = "key.idle"
)

// A Notice is something about a key that an operator is told of, once.
type Notice struct {
	ID       string // the same whenever it is told, for who gets it twice
	Kind     string // [NoticeLeaked] and so on
	Ref      string // the id of the key
	Detail   string
	At       time.Time
	Attempts int64 // to tell it, with this one
}

const (
	// noticeTries is how often it is tried to tell a notice: over some ten hours.
	noticeTries = 8
	// noticeTurn is how long one try may take before another copy tries.
	noticeTurn = time.Minute
)

// NextNotice returns a notice to tell, and its text as JSON, or none if all are told.
func (r *Registry) NextNotice(ctx context.Context, now time.Time) (n Notice, body []byte, some bool, err error) {
	n, some, err = r.Store.TakeNotice(ctx, now, now.Add(noticeTurn))
	if err != nil || !some {
		return Notice{}, nil, false, err
	}
	k, err := r.Store.Key(ctx, n.Ref)
	if err != nil {
		return Notice{}, nil, false, err
	}
	body, err = json.Marshal(map[string]any{
		"id": n.ID, "type": n.Kind, "at": n.At, "detail": n.Detail,
		"key": map[string]any{
			"id": k.ID, "kind": k.Kind, "name": k.Name, "owner_type": k.OwnerType, "owner_id": k.OwnerID,
			"status": k.Status(now), "expires_at": k.ExpiresAt,
		},
	})
	return n, body, true, err
}

// Told says that a notice was told, or was not: then it is tried again, later and later, and
// given up after the eighth time.
func (r *Registry) Told(ctx context.Context, n Notice, told bool, now time.Time) error {
	if told || n.Attempts >= noticeTries {
		return r.Store.SetNotice(ctx, n.ID, time.Time{})
	}
	wait := 10 * time.Second << (2 * (n.Attempts - 1))
	return r.Store.SetNotice(ctx, n.ID, now.Add(min(wait, 6*time.Hour)))
}

// remindAt is how long before a key expires its operator is told.
var remindAt = []time.Duration{14 * 24 * time.Hour, 3 * 24 * time.Hour, 24 * time.Hour, 0}

// LookAfter disables the keys that were not used for their IdleExpiry, and makes notices of that,
// and of those that expire in 14, 3 and 1 days.
func (r *Registry) LookAfter(ctx context.Context, now time.Time) error {
	idle, err := r.Store.IdleKeys(ctx, now, 500)
	if err != nil {
		return err
	}
	for _, k := range idle {
		by := By{Actor: "server", Via: "server", At: now}
		const why = "it was not used for as long as it may be idle"
		if err := r.Store.IdleKey(ctx, k, why, by.event("key.disable", k, why)); err != nil {
			return err
		}
		r.Forget(k)
	}
	for i, before := range remindAt[:len(remindAt)-1] {
		if err := r.Store.RemindOfKeys(ctx, before, remindAt[i+1], now); err != nil {
			return err
		}
	}
	return nil
}
