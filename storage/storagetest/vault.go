package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/storage"
	"mintmark/upstream"
)

// keeps links somebody new to a provider and keeps tokens for them.
func (w *world) keeps(p upstream.Provider, subject string) (accounts.Account, upstream.Kept) {
	w.t.Helper()
	a := w.bare()
	w.must(w.people.AddLinked(w.ctx, a, w.linkOf(p, subject, a.ID)))
	k := upstream.Kept{ProviderID: p.ID, Subject: subject, AccountID: a.ID, Sealed: []byte{1}, Scopes: []string{"repo", "user"}, ExpiresAt: w.now.Add(time.Hour)}
	w.must(w.copies[0].Vault().Keep(w.ctx, k, w.now))
	k.Version = 1
	return a, k
}

func keptTokensGoWithWhatTheyRestOn(t *testing.T, w *world) {
	p := w.provider()
	a, k := w.keeps(p, "ada")
	kept := func(k upstream.Kept) error {
		_, err := w.copies[0].Vault().Kept(w.ctx, k.ProviderID, k.AccountID)
		return err
	}
	got, err := w.copies[0].Vault().Kept(w.ctx, p.ID, a.ID)
	w.must(err)
	w.same(k, got)
	_, err = w.copies[0].Vault().Kept(w.ctx, "another", a.ID)
	w.wants(upstream.ErrNotKept, err)

	// Nobody's tokens are kept for an account that the identity is not linked to.
	stolen := k
	stolen.AccountID = w.account().ID
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Keep(w.ctx, stolen, w.now))
	w.wants(upstream.ErrNotKept, kept(stolen))
	w.must(kept(k))

	// Unlinking takes them, and linking again does not bring them back.
	w.must(w.people.SetPassword(w.ctx, a.ID, "", "hash", false, w.now))
	w.must(w.people.RemoveLink(w.ctx, a.ID, p.ID, "ada", w.now))
	w.wants(upstream.ErrNotKept, kept(k))
	w.must(w.people.AddLink(w.ctx, w.linkOf(p, "ada", a.ID), 20, false))
	w.wants(upstream.ErrNotKept, kept(k))

	// So does disabling the account; enabling it does not bring them back.
	b, l := w.keeps(p, "bob")
	w.must(w.people.DisableAccount(w.ctx, b.ID, w.now))
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Keep(w.ctx, l, w.now))
	w.must(w.people.EnableAccount(w.ctx, b.ID, w.now))
	w.wants(upstream.ErrNotKept, kept(l))

	c, m := w.keeps(p, "cy")
	w.must(w.people.RemoveAccount(w.ctx, c.ID, w.now))
	w.wants(upstream.ErrNotKept, kept(m))

	// A disabled provider's are not had; a removed one's are gone.
	_, n := w.keeps(p, "di")
	off := w.disable(p)
	w.wants(upstream.ErrNotKept, kept(n))
	w.wants(upstream.ErrOff, w.copies[0].Vault().Keep(w.ctx, n, w.now))
	on := off
	on.DisabledAt, on.UpdatedAt = time.Time{}, off.UpdatedAt.Add(time.Second)
	w.must(w.upstream.SetProvider(w.ctx, on, off, w.event("provider.enable", p.ID, 0)))
	w.must(kept(n))
	w.must(w.upstream.RemoveProvider(w.ctx, p.ID, w.event("provider.remove", p.ID, 0)))
	left, err := w.copies[0].Sealed(w.ctx, p.ID, "")
	w.must(err)
	w.same(false, slices.ContainsFunc(left, func(k upstream.Kept) bool { return k.ProviderID == p.ID }))
}

func oneRefreshesKeptTokens(t *testing.T, w *world) {
	_, k := w.keeps(w.provider(), "ada")
	// Of any number who find them unleased, one gets the lease.
	won := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		ok, err := db.Vault().LeaseKept(w.ctx, k, fmt.Sprint("copy-", i))
		if err == nil && !ok {
			err = upstream.ErrNotKept
		}
		return err
	}), upstream.ErrNotKept)
	mine := fmt.Sprint("copy-", won)
	next := k
	next.Sealed, next.ExpiresAt = []byte{2}, w.now.Add(2*time.Hour)
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Refreshed(w.ctx, next, "somebody else", w.now))
	w.must(w.copies[0].Vault().ReleaseKept(w.ctx, k, "somebody else", true))
	w.must(w.copies[0].Vault().Refreshed(w.ctx, next, mine, w.now))
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Refreshed(w.ctx, next, mine, w.now)) // once
	got, err := w.copies[0].Vault().Kept(w.ctx, k.ProviderID, k.AccountID)
	w.must(err)
	next.Version = 2
	w.same(next, got)

	// A lease that stays is taken over by whoever has seen it; whoever had it is late then.
	w.lease(got, "", "gone", true)
	w.lease(got, "", "mine", false)
	w.lease(got, "gone", "mine", true)
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Refreshed(w.ctx, got, "gone", w.now))

	// Signing in again is later than every refresh.
	w.must(w.copies[0].Vault().Keep(w.ctx, k, w.now.Add(time.Minute)))
	w.wants(upstream.ErrNotKept, w.copies[0].Vault().Refreshed(w.ctx, got, "mine", w.now))

	// What is sealed anew is the same tokens.
	done, err := w.copies[0].Reseal(w.ctx, got, []byte{9})
	w.must(err)
	w.same(false, done)
	done, err = w.copies[0].Reseal(w.ctx, k, []byte{9})
	w.must(err)
	w.same(true, done)
	got, err = w.copies[0].Vault().Kept(w.ctx, k.ProviderID, k.AccountID)
	w.must(err)
	w.same(int64(3), got.Version)

	// A refresh token that is refused is worth nothing.
	w.lease(got, "", "mine", true)
	w.must(w.copies[0].Vault().ReleaseKept(w.ctx, got, "mine", true))
	_, err = w.copies[0].Vault().Kept(w.ctx, k.ProviderID, k.AccountID)
	w.wants(upstream.ErrNotKept, err)
}

func (w *world) lease(k upstream.Kept, seen, lease string, want bool) {
	w.t.Helper()
	k.Lease = seen
	ok, err := w.copies[0].Vault().LeaseKept(w.ctx, k, lease)
	w.must(err)
	w.same(want, ok)
}
