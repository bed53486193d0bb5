package storagetest

import (
	"fmt"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
)

// quota makes a key with a quota.
func (w *world) quota(amount int64, period time.Duration) apikeys.Key {
	w.t.Helper()
	return w.key(func(k *apikeys.Key) {
		k.Quota = apikeys.Quota{ID: secret.NewID("quo"), Amount: amount, Period: period, Since: w.now}
	})
}

func aQuotaIsLentOnce(t *testing.T, w *world) {
	k := w.quota(100, time.Hour)
	w.isKept(k)
	q, err := w.apiKeys.Quota(w.ctx, k.Quota.ID)
	w.must(err)
	w.same(k.Quota, q)
	_, err = w.apiKeys.Quota(w.ctx, "quo_unknown")
	w.wants(apikeys.ErrNotFound, err)
	_, err = w.apiKeys.LeaseQuota(w.ctx, "quo_unknown", 1, 1, w.now)
	w.wants(apikeys.ErrNotFound, err)

	lease := func(least, most int64, later time.Duration) apikeys.Lease {
		t.Helper()
		l, err := w.apiKeys.LeaseQuota(w.ctx, k.Quota.ID, least, most, w.now.Add(later))
		w.must(err)
		return l
	}
	first := apikeys.Lease{Since: w.now, Until: w.now.Add(time.Hour), Total: 100}
	want := func(l apikeys.Lease, lent, left int64) {
		t.Helper()
		first.Lent, first.Left = lent, left
		w.same(first, l)
	}
	want(lease(1, 1, 0), 1, 99)
	want(lease(1, 1000, 0), 24, 75)  // a quarter of 99
	want(lease(40, 1000, 0), 40, 35) // no less than is needed
	want(lease(36, 1000, 0), 0, 35)  // nobody gets what is not there
	want(lease(1, 5, time.Minute), 5, 30)
	w.must(w.copies[0].Serving(w.ctx, "copy_1", w.now.Add(time.Minute)))
	w.must(w.copies[0].Serving(w.ctx, "copy_2", w.now.Add(time.Minute)))
	w.must(w.copies[0].Serving(w.ctx, "copy_3", w.now))
	want(lease(1, 1000, 0), 3, 27) // an eighth of 30: there are two copies
	w.must(w.apiKeys.ReturnQuota(w.ctx, []apikeys.Rest{{ID: k.Quota.ID, Since: w.now, N: 20}, {ID: "quo_unknown", Since: w.now, N: 1}}))
	want(lease(47, 1000, 0), 47, 0)
	want(lease(1, 1, time.Hour-time.Microsecond), 0, 0)

	// It fills when its period is over, by itself, and what is from before does not come back.
	first.Since, first.Until = w.now.Add(2*time.Hour), w.now.Add(3*time.Hour)
	want(lease(1, 10, 2*time.Hour+time.Minute), 10, 90)
	w.must(w.apiKeys.ReturnQuota(w.ctx, []apikeys.Rest{{ID: k.Quota.ID, Since: w.now, N: 5}}))
	want(lease(90, 90, 2*time.Hour+time.Minute), 90, 0)

	// Of a quota that was changed, what is spent stays spent.
	set := k
	set.Quota.Amount, set.Quota.Period = 150, 2*time.Hour
	w.must(w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, time.Second)))
	q, err = w.apiKeys.Quota(w.ctx, k.Quota.ID)
	w.must(err)
	w.same(apikeys.Quota{ID: k.Quota.ID, Amount: 150, Period: 2 * time.Hour, Since: w.now.Add(2 * time.Hour), Spent: 100}, q)
	set.Version, set.Quota = 8, apikeys.Quota{ID: k.Quota.ID}
	w.must(w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, 2*time.Second))) // as it is
	again, err := w.apiKeys.Quota(w.ctx, k.Quota.ID)
	w.must(err)
	w.same(q, again)
	// Another key has the same.
	other := w.key(func(o *apikeys.Key) { o.Quota = q })
	w.isKept(other)
	set.Version, set.Quota = 9, apikeys.Quota{}
	w.must(w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, 3*time.Second)))
	got, err := w.apiKeys.Key(w.ctx, k.ID)
	w.must(err)
	w.same(apikeys.Quota{}, got.Quota)
	w.isKept(other)
}

// Whatever happens at the same time, no more is lent than there is, and all of it is.
func noMoreIsLentThanThereIs(t *testing.T, w *world) {
	k := w.quota(1000, time.Hour)
	lent := make([]int64, racers)
	for round := range 10 {
		now := w.now.Add(time.Duration(round/5) * time.Hour) // the second period begins in the sixth
		for _, err := range w.race(func(db *storage.DB, i int) error {
			l, err := db.APIKeys().LeaseQuota(w.ctx, k.Quota.ID, int64(1+i%3), 50, now)
			lent[i] += l.Lent
			if err == nil && i%8 == 0 && l.Lent > 0 {
				lent[i] -= l.Lent
				err = db.APIKeys().ReturnQuota(w.ctx, []apikeys.Rest{{ID: k.Quota.ID, Since: l.Since, N: l.Lent}})
			}
			return err
		}) {
			w.must(err)
		}
		sum := total(lent)
		q, err := w.apiKeys.Quota(w.ctx, k.Quota.ID)
		w.must(err)
		if most := 1000 * int64(1+round/5); sum > most || q.Spent > 1000 || sum != q.Spent+1000*int64(round/5) {
			t.Fatalf("round %d: lent %d, of which the database knows %d", round, sum, q.Spent)
		}
		if round%5 == 4 {
			for { // what is left, one by one
				l, err := w.apiKeys.LeaseQuota(w.ctx, k.Quota.ID, 1, 1, now)
				w.must(err)
				if l.Lent == 0 {
					break
				}
				lent[0] += l.Lent
			}
		}
	}
	if sum := total(lent); sum != 2000 {
		t.Errorf("in two periods %d of 2000 were lent", sum)
	}
}

func total(all []int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

func anOwnerHasSoManyKeys(t *testing.T, w *world) {
	person := w.account()
	make := func(db *storage.DB, i int, life time.Duration) error {
		k := w.newKey()
		k.OwnerType, k.OwnerID, k.ExpiresAt, k.Name = "account", person.ID, w.now.Add(life), fmt.Sprint(i)
		return db.APIKeys().AddKey(w.ctx, k, 10, w.event("key.add", k.ID, 0))
	}
	added := 0
	for _, err := range w.race(func(db *storage.DB, i int) error { return make(db, i, time.Hour) }) {
		if err == nil {
			added++
		} else {
			w.wants(apikeys.ErrFull, err)
		}
	}
	if added != 10 {
		t.Errorf("there are %d of 10 keys", added)
	}
	// Making and revoking does not go round it, and it is over when they are a day old.
	mine, err := w.apiKeys.Keys(w.ctx, apikeys.Page{Limit: 100}, person.ID)
	w.must(err)
	w.must(w.apiKeys.RevokeKey(w.ctx, mine[0].ID, "", false, w.event("key.revoke", mine[0].ID, 0)))
	w.wants(apikeys.ErrFull, make(w.copies[0], 0, time.Hour))
	w.now = w.now.Add(25 * time.Hour)
	w.must(make(w.copies[0], 0, time.Hour))
}
