package storagetest

import (
	"slices"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/storage"
)

// notices takes every notice whose time has come, and says what they are about.
func (w *world) notices(at time.Time) (all []string) {
	w.t.Helper()
	for {
		n, some, err := w.apiKeys.TakeNotice(w.ctx, at, at.Add(time.Minute))
		w.must(err)
		if !some {
			slices.Sort(all)
			return all
		}
		all = append(all, n.Kind+" "+n.Ref)
		w.must(w.apiKeys.SetNotice(w.ctx, n.ID, time.Time{}))
	}
}

func noticesAreToldOnce(t *testing.T, w *world) {
	k := w.key()
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "", false, w.event("key.revoke", k.ID, 0)))
	w.same([]string{}, append([]string{}, w.notices(w.now)...))
	e := w.event("key.leak", k.ID, time.Second)
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "found", true, e))
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "found", true, w.event("key.leak", k.ID, 2*time.Second)))
	taken := make([]apikeys.Notice, racers)
	took := 0
	for i, err := range w.race(func(db *storage.DB, i int) (err error) {
		taken[i], _, err = db.APIKeys().TakeNotice(w.ctx, e.At, e.At.Add(time.Minute))
		return err
	}) {
		w.must(err)
		if taken[i].ID != "" {
			took++
			w.same(apikeys.Notice{ID: e.ID, Kind: apikeys.NoticeLeaked, Ref: k.ID, Detail: e.Detail, At: e.At, Attempts: 1}, taken[i])
		}
	}
	if took != 1 {
		t.Errorf("%d copies took one notice", took)
	}
	// Whoever took it may have died.
	w.same([]string{}, append([]string{}, w.notices(e.At.Add(time.Minute-1))...))
	w.same([]string{"key.leaked " + k.ID}, w.notices(e.At.Add(time.Minute)))
	w.same([]string{}, append([]string{}, w.notices(e.At.Add(time.Hour))...))

	const day = 24 * time.Hour
	soon := w.key(func(k *apikeys.Key) { k.CreatedAt, k.ExpiresAt = w.now.Add(-30*day), w.now.Add(10*day) })
	w.key(func(k *apikeys.Key) { k.ExpiresAt = w.now.Add(10 * day) })                                // it has just been made
	w.key(func(k *apikeys.Key) { k.CreatedAt, k.ExpiresAt = w.now.Add(-30*day), w.now.Add(20*day) }) // later
	w.key(func(k *apikeys.Key) { k.CreatedAt, k.ExpiresAt = w.now.Add(-30*day), w.now.Add(2*day) })  // it is another's turn
	w.key(func(k *apikeys.Key) { k.CreatedAt, k.ExpiresAt = w.now.Add(-30*day), w.now.Add(-day) })   // too late
	w.key(func(k *apikeys.Key) {
		k.CreatedAt, k.ExpiresAt, k.Disabled = w.now.Add(-30*day), w.now.Add(10*day), true
	})
	for range 2 {
		w.must(w.apiKeys.RemindOfKeys(w.ctx, 14*day, 3*day, w.now))
	}
	w.same([]string{"key.expiring " + soon.ID}, w.notices(w.now))
	w.must(w.apiKeys.RemindOfKeys(w.ctx, 14*day, 3*day, w.now))
	w.same([]string{}, append([]string{}, w.notices(w.now.Add(time.Hour))...))
}

func idleKeysAreDisabled(t *testing.T, w *world) {
	const day = 24 * time.Hour
	old := func(k *apikeys.Key) {
		k.CreatedAt, k.UpdatedAt, k.IdleExpiry = w.now.Add(-100*day), w.now.Add(-100*day), 90*day
	}
	never, used, lately := w.key(old), w.key(old), w.key(old)
	w.key(old, func(k *apikeys.Key) { k.IdleExpiry = 0 })
	w.key(old, func(k *apikeys.Key) { k.UpdatedAt = w.now.Add(-time.Hour) })
	w.must(w.apiKeys.UseKeys(w.ctx, []apikeys.Use{{ID: used.ID, At: w.now.Add(-90 * day), Uses: 1}, {ID: lately.ID, At: w.now.Add(-89 * day), Uses: 1}}))
	ids, err := w.apiKeys.IdleKeys(w.ctx, w.now, 10)
	w.must(err)
	want := []string{never.ID, used.ID}
	slices.Sort(want)
	w.same(want, ids)
	w.must(w.apiKeys.IdleKey(w.ctx, lately.ID, "idle", w.event("key.disable", lately.ID, 0)))
	w.must(w.apiKeys.IdleKey(w.ctx, never.ID, "idle", w.event("key.disable", never.ID, time.Second)))
	for id, disabled := range map[string]bool{lately.ID: false, never.ID: true} {
		k, err := w.apiKeys.Key(w.ctx, id)
		w.must(err)
		if k.Disabled != disabled || disabled && k.Reason != "idle" {
			t.Errorf("%s: %v, %s", id, k.Disabled, k.Reason)
		}
	}
	w.same([]string{"key.add"}, w.actions(lately.ID))
	w.same([]string{"key.add", "key.disable"}, w.actions(never.ID))
	w.same([]string{"key.idle " + never.ID}, w.notices(w.now.Add(time.Second)))
	// Whoever enables it gives it another time.
	w.must(w.apiKeys.EnableKey(w.ctx, never.ID, w.event("key.enable", never.ID, 2*time.Second)))
	ids, err = w.apiKeys.IdleKeys(w.ctx, w.now, 10)
	w.must(err)
	w.same([]string{used.ID}, ids)
}
