package storagetest

import (
	"errors"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/upstream"
)

// by is somebody who is signed in by a link, and what they allowed a client: with and without offline
// access, both with tokens.
func (w *world) by(p upstream.Provider, subject string, a accounts.Account) (x, off allowed) {
	w.t.Helper()
	x = w.request()
	x.account = a
	n := w.newSession(a)
	n.ProviderID, n.Subject, n.IdP = p.ID, subject, p.Name
	if p.ID == "" {
		n.ProvedAt = time.Time{}
	}
	w.must(w.people.StartSession(w.ctx, n, a, ""))
	x.session, x.auth.AccountID, x.auth.SessionID = n, a.ID, n.ID
	off = x
	off.auth.ID, off.auth.CodeDigest, off.auth.Offline = secret.NewID(""), secret.Bytes(32), true
	for _, one := range []allowed{x, off} {
		w.must(w.issuer.Answer(w.ctx, one.auth, nil))
		w.must(w.issuer.RedeemCode(w.ctx, w.redemption(one)))
	}
	return x, off
}

// over says whether a session and everything that was allowed in it are over, or nothing of it is.
func (w *world) over(x, off allowed) bool {
	w.t.Helper()
	ended := !w.sessionNow(x.session.ID).EndedAt.IsZero()
	for _, one := range []allowed{x, off} {
		if revoked := !w.standing(one).Authorization.RevokedAt.IsZero(); revoked != ended {
			w.t.Errorf("the session has ended: %v; what was allowed, offline %v, is revoked: %v", ended, one.auth.Offline, revoked)
		}
	}
	return ended
}

func lines(all ...allowed) (told []string) {
	for _, x := range all {
		told = append(told, "authorization "+x.auth.ID)
	}
	return told
}

func unlinkingEndsWhatTheLinkBegan(t *testing.T, w *world) {
	p, other, a := w.provider(), w.provider(), w.account()
	link := func(q upstream.Provider, subject string) {
		w.must(w.people.AddLink(w.ctx, w.linkOf(q, subject, a.ID), 20, false))
	}
	link(p, "ada")
	link(p, "ada's other self")
	link(other, "ada")
	x, xOff := w.by(p, "ada", a)
	same, sameOff := w.by(p, "ada's other self", a)
	elsewhere, elsewhereOff := w.by(other, "ada", a)
	here, hereOff := w.by(upstream.Provider{}, "", a)
	old, oldOff := w.by(p, "", a) // of an older program: nobody knows by which

	h := w.hears(w.copies[1])
	at := w.now.Add(time.Minute)
	w.must(w.people.RemoveLink(w.ctx, a.ID, p.ID, "ada", at))
	w.same([]bool{true, false, false, false, true},
		[]bool{w.over(x, xOff), w.over(same, sameOff), w.over(elsewhere, elsewhereOff), w.over(here, hereOff), w.over(old, oldOff)})
	w.same("revoked", w.sessionNow(x.session.ID).EndReason)
	h.wants("RemoveLink", lines(x, xOff, old, oldOff)...)

	// Nobody begins one any more, and no other session becomes one.
	n := w.newSession(a)
	n.ProviderID, n.Subject = p.ID, "ada"
	w.wants(accounts.ErrChanged, w.people.StartSession(w.ctx, n, a, here.session.ID))
	renewed := here.session
	renewed.ProviderID, renewed.Subject = p.ID, "ada"
	w.wants(accounts.ErrNotFound, w.people.RenewSession(w.ctx, renewed))
	w.same(false, w.over(here, hereOff))

	// A link that stays ends nothing: the last one, somebody else's, one that is not there.
	b := w.bare()
	w.must(w.people.AddLinked(w.ctx, b, w.linkOf(p, "bob", b.ID)))
	bob, bobOff := w.by(p, "bob", b)
	later := at.Add(time.Second)
	w.wants(accounts.ErrLastWay, w.people.RemoveLink(w.ctx, b.ID, p.ID, "bob", later))
	w.wants(accounts.ErrNotFound, w.people.RemoveLink(w.ctx, a.ID, p.ID, "bob", later))
	w.wants(accounts.ErrNotFound, w.people.RemoveLink(w.ctx, b.ID, p.ID, "ada", later))
	w.same(false, w.over(bob, bobOff))
	h.wants("what was refused")

	// Who is signed in again by their password is so by the password.
	renewed = same.session
	renewed.ProviderID, renewed.Subject, renewed.IdP = "", "", ""
	w.must(w.people.RenewSession(w.ctx, renewed))
	w.must(w.people.RemoveLink(w.ctx, a.ID, p.ID, "ada's other self", at))
	w.same(true, w.sessionNow(same.session.ID).EndedAt.IsZero())
}

func aProviderEndsWhatItBegan(t *testing.T, w *world) {
	p, other := w.provider(), w.provider()
	a, b := w.bare(), w.account()
	w.must(w.people.AddLinked(w.ctx, a, w.linkOf(p, "ada", a.ID)))
	w.must(w.people.AddLink(w.ctx, w.linkOf(p, "bob", b.ID), 20, false))
	w.must(w.people.AddLink(w.ctx, w.linkOf(other, "bob", b.ID), 20, false))
	ada, adaOff := w.by(p, "ada", a)
	bob, bobOff := w.by(p, "bob", b)
	elsewhere, elsewhereOff := w.by(other, "bob", b)
	here, hereOff := w.by(upstream.Provider{}, "", b)
	h := w.hears(w.copies[1])

	// That the configuration of one copy has it no more signs nobody out. That nobody gets in by it is
	// another matter.
	gone := p
	gone.Managed, gone.DisabledAt, gone.UpdatedAt = upstream.ManagedNoLonger, w.now, w.now.Add(time.Second)
	w.must(w.upstream.SetProvider(w.ctx, gone, p, w.event("provider.disable", p.ID, 0)))
	w.same([]bool{false, false}, []bool{w.over(ada, adaOff), w.over(bob, bobOff)})
	h.wants("withdrawing")
	n := w.newSession(a)
	n.ProviderID, n.Subject = p.ID, "ada"
	w.wants(accounts.ErrProviderOff, w.people.StartSession(w.ctx, n, a, ""))
	_, _, err := w.people.Linked(w.ctx, p.ID, "ada", "new@corp.example", w.now)
	w.wants(accounts.ErrProviderOff, err)
	links, err := w.people.Links(w.ctx, a.ID)
	w.must(err)
	w.same("ada@corp.example", links[0].Email) // whoever was refused left nothing behind

	off := gone
	off.UpdatedAt = gone.UpdatedAt.Add(time.Second)
	w.must(w.upstream.SetProvider(w.ctx, off, gone, w.event("provider.disable", p.ID, time.Minute)))
	w.same([]bool{true, true, false, false}, []bool{w.over(ada, adaOff), w.over(bob, bobOff), w.over(elsewhere, elsewhereOff), w.over(here, hereOff)})
	h.wants("disabling", lines(ada, adaOff, bob, bobOff)...)

	// A change that is refused ends nothing, nor does one that leaves it enabled.
	stale := other
	stale.DisabledAt, stale.UpdatedAt = w.now, w.now.Add(time.Hour)
	was := other
	was.UpdatedAt = was.UpdatedAt.Add(-time.Second)
	w.wants(upstream.ErrChanged, w.upstream.SetProvider(w.ctx, stale, was, w.event("provider.disable", other.ID, 0)))
	next := other
	next.Title, next.UpdatedAt = "Corporation", other.UpdatedAt.Add(time.Second)
	w.must(w.upstream.SetProvider(w.ctx, next, other, w.event("provider.set", other.ID, 0)))
	w.same(false, w.over(elsewhere, elsewhereOff))

	w.must(w.upstream.RemoveProvider(w.ctx, other.ID, w.event("provider.remove", other.ID, time.Minute)))
	w.same([]bool{true, false}, []bool{w.over(elsewhere, elsewhereOff), w.over(here, hereOff)})
	h.wants("removing", lines(elsewhere, elsewhereOff)...)
	w.wants(upstream.ErrNotFound, w.upstream.RemoveProvider(w.ctx, other.ID, w.event("provider.remove", other.ID, 0)))
}

// Whoever signs in by a link while it goes, or its provider, is refused or signed out.
func whoUnlinksIsSeenByWhoSignsIn(t *testing.T, w *world) {
	for round := range 4 {
		p, a := w.provider(), w.account()
		w.must(w.people.AddLink(w.ctx, w.linkOf(p, "ada", a.ID), 20, false))
		renewed, _ := w.by(upstream.Provider{}, "", a)
		w.race(func(db *storage.DB, i int) error {
			n := w.newSession(a)
			n.ProviderID, n.Subject = p.ID, "ada"
			switch {
			case i == racers/2 && round%2 == 0:
				return db.Accounts().RemoveLink(w.ctx, a.ID, p.ID, "ada", w.now)
			case i == racers/2:
				off := p
				off.DisabledAt, off.UpdatedAt = w.now, p.UpdatedAt.Add(time.Second)
				return db.Upstream().SetProvider(w.ctx, off, p, w.event("provider.disable", p.ID, 0))
			case i%4 == 1:
				n.ID = renewed.session.ID
				return db.Accounts().RenewSession(w.ctx, n)
			}
			err := db.Accounts().StartSession(w.ctx, n, a, "")
			if err == nil { // and at once something is allowed in it
				x := w.request()
				x.auth.AccountID, x.auth.SessionID, x.auth.ID = a.ID, n.ID, secret.NewID("")
				if err = db.Issuer().Answer(w.ctx, x.auth, nil); errors.Is(err, issuer.ErrSpent) {
					err = nil
				}
			}
			if err != nil && !errors.Is(err, accounts.ErrChanged) && !errors.Is(err, accounts.ErrProviderOff) {
				w.t.Errorf("got %v", err)
			}
			return err
		})
		left, err := w.people.Sessions(w.ctx, accounts.Page{Limit: 1000}, a.ID, w.now)
		w.must(err)
		for _, n := range left {
			if n.ProviderID == p.ID {
				w.t.Errorf("round %d: a session by a link that is gone goes on", round)
			}
		}
	}
}

func (w *world) due(at time.Time) (all []upstream.Revocation) {
	w.t.Helper()
	for {
		r, some, err := w.copies[0].Vault().NextRevocation(w.ctx, at, at.Add(time.Hour))
		w.must(err)
		if !some {
			return all
		}
		all = append(all, r)
	}
}

func whatWasKeptIsToBeRevoked(t *testing.T, w *world) {
	v := w.copies[0].Vault()
	p := w.provider()
	// Whatever takes the tokens leaves them to be revoked, once.
	ways := map[string]func(k upstream.Kept) error{
		"unlinking": func(k upstream.Kept) error {
			w.must(w.people.SetPassword(w.ctx, k.AccountID, "", "hash", false, w.now))
			return w.people.RemoveLink(w.ctx, k.AccountID, p.ID, k.Subject, w.now)
		},
		"disabling": func(k upstream.Kept) error { return w.people.DisableAccount(w.ctx, k.AccountID, w.now) },
		"removing":  func(k upstream.Kept) error { return w.people.RemoveAccount(w.ctx, k.AccountID, w.now) },
		"the provider": func(k upstream.Kept) error {
			err := w.upstream.RemoveProvider(w.ctx, p.ID, w.event("provider.remove", p.ID, 0))
			p2, err2 := v.RemovedProvider(w.ctx, p.ID)
			w.must(err2)
			w.same(p.SealedSecret, p2.SealedSecret)
			w.same(p.Issuer+p.Name+p.ID, p2.Issuer+p2.Name+p2.ID)
			return err
		},
	}
	for _, name := range []string{"unlinking", "disabling", "removing", "the provider"} {
		_, k := w.keeps(p, "by "+name)
		k.Sealed = []byte(name)
		w.must(v.Keep(w.ctx, k, w.now))
		w.same(0, len(w.due(w.now)))
		w.must(ways[name](k))
		got := w.due(w.now)
		w.same(1, len(got))
		w.same(upstream.Revocation{ID: got[0].ID, ProviderID: p.ID, Subject: k.Subject, AccountID: k.AccountID, Sealed: []byte(name), At: w.now, Attempts: 1}, got[0])
		if name != "the provider" {
			w.must(v.ForgetRevocation(w.ctx, got[0].ID))
		}
	}
	// A provider that is gone is remembered as long as there is something to be revoked there.
	_, err := w.copies[0].Purge(w.ctx, w.now, 100)
	w.must(err)
	_, err = v.RemovedProvider(w.ctx, p.ID)
	w.must(err)
	last := w.due(w.now.Add(time.Hour))
	w.same([]int64{2}, []int64{last[0].Attempts})
	w.must(v.ForgetRevocation(w.ctx, last[0].ID))
	// And for an hour: a refresh that was under way may still bring something.
	for _, later := range []struct {
		by   time.Duration
		want error
	}{{time.Hour - time.Second, nil}, {time.Hour, upstream.ErrNotFound}} {
		_, err = w.copies[0].Purge(w.ctx, w.now.Add(later.by), 100)
		w.must(err)
		_, err = v.RemovedProvider(w.ctx, p.ID)
		w.wants(later.want, err)
	}
	// Nothing is remembered of one that there is nothing to be revoked at.
	bare := w.provider()
	w.must(w.upstream.RemoveProvider(w.ctx, bare.ID, w.event("provider.remove", bare.ID, 0)))
	_, err = v.RemovedProvider(w.ctx, bare.ID)
	w.wants(upstream.ErrNotFound, err)

	// Of any number of copies one gets each.
	q := w.provider()
	lose := func(subject string) upstream.Kept {
		_, k := w.keeps(q, subject)
		w.must(w.people.DisableAccount(w.ctx, k.AccountID, w.now))
		return k
	}
	lose("ada")
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		_, some, err := db.Vault().NextRevocation(w.ctx, w.now, w.now.Add(time.Minute))
		if err == nil && !some {
			err = upstream.ErrNotFound
		}
		return err
	}), upstream.ErrNotFound)

	// One that is put off takes the others of its provider along, if it is told to, and of no other.
	z := w.provider()
	_, k := w.keeps(z, "zoe")
	w.must(w.people.DisableAccount(w.ctx, k.AccountID, w.now))
	lose("bob")
	lose("cy")
	first, some, err := v.NextRevocation(w.ctx, w.now, w.now.Add(time.Minute))
	w.must(err)
	w.same(true, some)
	if first.ProviderID == z.ID {
		w.must(v.PutOffRevocation(w.ctx, first, w.now, time.Time{}, w.now)) // due again, behind nobody in particular
		first = upstream.Revocation{ID: "none", ProviderID: q.ID}
	}
	w.must(v.PutOffRevocation(w.ctx, first, w.now.Add(2*time.Hour), w.now.Add(time.Hour), w.now))
	left := w.due(w.now)
	w.same(1, len(left))
	w.same(z.ID, left[0].ProviderID)

	// Tokens that are got for a link that is gone are to be revoked too; not if there are newer ones.
	u := w.provider()
	b, fresh := w.keeps(u, "di")
	fresh.Sealed = []byte("fresh")
	w.lease(fresh, "", "mine", true)
	w.must(w.people.SetPassword(w.ctx, b.ID, "", "hash", false, w.now))
	w.must(w.people.RemoveLink(w.ctx, b.ID, u.ID, "di", w.now))
	w.wants(upstream.ErrNotKept, v.Refreshed(w.ctx, fresh, "mine", w.now.Add(time.Second)))
	sealed := map[string]bool{}
	for _, r := range w.due(w.now.Add(time.Second)) {
		if r.ProviderID == u.ID {
			sealed[string(r.Sealed)] = true
		}
	}
	w.same(map[string]bool{"\x01": true, "fresh": true}, sealed)
	w.must(w.people.AddLink(w.ctx, w.linkOf(u, "di", b.ID), 20, false))
	w.must(v.Keep(w.ctx, fresh, w.now))
	w.wants(upstream.ErrNotKept, v.Refreshed(w.ctx, fresh, "late", w.now.Add(2*time.Second)))
	// And what was still to be revoked of them is not: it may be the same grant.
	for _, r := range w.due(w.now.Add(24 * time.Hour)) {
		if r.ProviderID == u.ID {
			w.t.Errorf("%q is to be revoked", r.Sealed)
		}
	}

	// Nobody tries for ever.
	_, err = w.copies[0].Purge(w.ctx, w.now.Add(100*time.Hour), 100)
	w.must(err)
	w.same(0, len(w.due(w.now.Add(200*time.Hour))))
}

// Whoever keeps tokens while the link goes either is before that, and they are to be revoked, or
// after it, and keeps nothing.
func nothingIsKeptOfALinkThatIsGone(t *testing.T, w *world) {
	for range 4 {
		p, a := w.provider(), w.account()
		w.must(w.people.AddLink(w.ctx, w.linkOf(p, "ada", a.ID), 20, false))
		k := upstream.Kept{ProviderID: p.ID, Subject: "ada", AccountID: a.ID, Sealed: []byte{7}}
		errs := w.race(func(db *storage.DB, i int) error {
			if i == racers/2 {
				return db.Accounts().RemoveLink(w.ctx, a.ID, p.ID, "ada", w.now)
			}
			err := db.Vault().Keep(w.ctx, k, w.now)
			if err != nil && !errors.Is(err, upstream.ErrNotKept) {
				w.t.Errorf("got %v", err)
			}
			return err
		})
		w.must(errs[racers/2])
		kept := 0
		for i, err := range errs {
			if i != racers/2 && err == nil {
				kept++
			}
		}
		w.must(w.people.AddLink(w.ctx, w.linkOf(p, "ada", a.ID), 20, false)) // who would make them visible again
		_, err := w.copies[0].Vault().Kept(w.ctx, p.ID, a.ID)
		w.wants(upstream.ErrNotKept, err)
		due := w.due(w.now)
		w.same(kept > 0, len(due) == 1)
		for _, r := range due {
			w.must(w.copies[0].Vault().ForgetRevocation(w.ctx, r.ID))
		}
	}
}
