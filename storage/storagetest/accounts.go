package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/storage"
)

func peopleAreRemembered(t *testing.T, w *world) {
	a := w.account()
	got, err := w.people.Account(w.ctx, a.ID)
	w.must(err)
	w.same(a, got)
	got, err = w.people.AccountByEmail(w.ctx, a.EmailKey)
	w.must(err)
	w.same(a, got)

	_, err = w.people.Account(w.ctx, "usr_nobody")
	w.wants(accounts.ErrNotFound, err)
	_, err = w.people.AccountByEmail(w.ctx, "nobody@example.com")
	w.wants(accounts.ErrNotFound, err)

	// An address belongs to one of those who want it.
	key := "contested@example.com"
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().AddAccount(w.ctx, accounts.Account{ID: secret.NewID("usr"), Email: key, EmailKey: key, CreatedAt: w.now})
	}), accounts.ErrExists)

	bare := accounts.Account{ID: secret.NewID("usr"), EmailKey: "bare@example.com"}
	w.must(w.people.AddAccount(w.ctx, bare))
	got, err = w.people.Account(w.ctx, bare.ID)
	w.must(err)
	w.same(bare, got)

	// SetAccount replaces everything of an account but ID, CreatedAt, DisabledAt and PasswordHash.
	w.must(w.people.DisableAccount(w.ctx, a.ID, w.now))
	changed := accounts.Account{ID: a.ID, Email: "New@example.com", EmailKey: "new@example.com", Name: "Augusta", Role: "admin",
		Claims: []byte(`{}`), UpdatedAt: w.now.Add(time.Hour), PasswordHash: "ignored", CreatedAt: w.now.Add(time.Hour)}
	w.must(w.people.SetAccount(w.ctx, changed, a.UpdatedAt))
	got, err = w.people.Account(w.ctx, a.ID)
	w.must(err)
	changed.PasswordHash, changed.CreatedAt, changed.DisabledAt = a.PasswordHash, a.CreatedAt, w.now
	w.same(changed, got)

	w.wants(accounts.ErrNotFound, w.people.SetAccount(w.ctx, accounts.Account{ID: "usr_nobody", EmailKey: "x@example.com"}, time.Time{}))
	changed.EmailKey = key
	w.wants(accounts.ErrExists, w.people.SetAccount(w.ctx, changed, changed.UpdatedAt))
	got, err = w.people.Account(w.ctx, a.ID)
	w.must(err)
	w.same("new@example.com", got.EmailKey)

	// A change is of the account as it was read: of any number of changes of the same one happens.
	w.wants(accounts.ErrChanged, w.people.SetAccount(w.ctx, got, a.UpdatedAt))
	next := got
	next.UpdatedAt = got.UpdatedAt.Add(time.Second)
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().SetAccount(w.ctx, next, got.UpdatedAt)
	}), accounts.ErrChanged)

	var ids []string
	for after := ""; ; {
		page, err := w.people.Accounts(w.ctx, accounts.Page{After: after, Limit: 2}, "")
		w.must(err)
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			ids = append(ids, a.ID)
		}
		after = page[len(page)-1].ID
	}
	if len(ids) != 3 {
		t.Errorf("three accounts were listed as %v", ids)
	}
	one, err := w.people.Accounts(w.ctx, accounts.Page{Limit: 10}, "new@example.com")
	w.must(err)
	if len(one) != 1 || one[0].ID != a.ID {
		t.Errorf("the one account was listed as %v", one)
	}
	none, err := w.people.Accounts(w.ctx, accounts.Page{After: a.ID, Limit: 10}, "new@example.com")
	w.must(err)
	w.same([]accounts.Account{}, none)
}

func thereIsOneFirstAdmin(t *testing.T, w *world) {
	has := func() bool {
		yes, err := w.people.HasAdmin(w.ctx)
		w.must(err)
		return yes
	}
	admin := func(i int) accounts.Account {
		key := fmt.Sprintf("admin%d@example.com", i)
		return accounts.Account{ID: secret.NewID("usr"), Email: key, EmailKey: key, Role: "admin", CreatedAt: w.now}
	}
	person := w.account()
	if has() {
		t.Error("a person is not an admin")
	}
	taken := admin(0)
	taken.EmailKey = person.EmailKey
	w.wants(accounts.ErrExists, w.people.AddFirstAdmin(w.ctx, taken))

	made := make([]accounts.Account, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		made[i] = admin(i)
		return db.Accounts().AddFirstAdmin(w.ctx, made[i])
	}), accounts.ErrExists)
	if !has() {
		t.Error("there is an admin now")
	}
	got, err := w.people.Account(w.ctx, made[winner].ID)
	w.must(err)
	w.same(made[winner], got)

	// Only while there is none, and that it never is again.
	w.wants(accounts.ErrExists, w.people.AddFirstAdmin(w.ctx, admin(100)))
	w.wants(accounts.ErrLastAdmin, w.people.RemoveAccount(w.ctx, made[winner].ID, w.now))
}

func theSetupCodeWorksOnce(t *testing.T, w *world) {
	digest := secret.Bytes(32)
	expires := w.now.Add(30 * time.Minute)
	admin := func(i int) accounts.Account {
		key := fmt.Sprintf("setup%d@example.com", i)
		return accounts.Account{ID: secret.NewID("usr"), Email: key, EmailKey: key, Role: "admin", CreatedAt: w.now}
	}
	w.wants(accounts.ErrNotFound, w.people.SetupWithCode(w.ctx, digest, admin(0), w.now))
	w.must(w.people.PutSetupCode(w.ctx, secret.Bytes(32), expires))
	w.must(w.people.PutSetupCode(w.ctx, digest, expires)) // in place of the older one
	w.wants(accounts.ErrNotFound, w.people.SetupWithCode(w.ctx, secret.Bytes(32), admin(0), w.now))
	w.wants(accounts.ErrNotFound, w.people.SetupWithCode(w.ctx, digest, admin(0), expires))

	// Both or neither: an address that is taken does not spend the code.
	taken := admin(0)
	taken.EmailKey = w.account().EmailKey
	w.wants(accounts.ErrExists, w.people.SetupWithCode(w.ctx, digest, taken, w.now))

	errs := w.race(func(db *storage.DB, i int) error {
		return db.Accounts().SetupWithCode(w.ctx, digest, admin(i), w.now)
	})
	w.wantOneWinner(errs, accounts.ErrNotFound)

	// With an admin, even a good code makes no other.
	w.must(w.people.PutSetupCode(w.ctx, digest, expires))
	w.wants(accounts.ErrExists, w.people.SetupWithCode(w.ctx, digest, admin(200), w.now))
	all, err := w.people.Accounts(w.ctx, accounts.Page{Limit: 1000}, "")
	w.must(err)
	if len(all) != 2 {
		t.Errorf("%d accounts, want the person and one admin", len(all))
	}
}

func passwordsAreReplaced(t *testing.T, w *world) {
	x := w.answered(offline)
	hash := func() string {
		a, err := w.people.Account(w.ctx, x.account.ID)
		w.must(err)
		return a.PasswordHash
	}
	w.must(w.people.SetPassword(w.ctx, x.account.ID, x.account.PasswordHash, "rehashed", false, w.now))
	w.same("rehashed", hash())

	// A rehash at sign-in does not undo a change, nor end anything.
	w.wants(accounts.ErrNotFound, w.people.SetPassword(w.ctx, x.account.ID, x.account.PasswordHash, "late", true, w.now))
	w.same("rehashed", hash())
	if !w.sessionNow(x.session.ID).EndedAt.IsZero() || !w.standing(x).RevokedAt.IsZero() {
		t.Error("a change that did not happen ended something")
	}
	w.wants(accounts.ErrNotFound, w.people.SetPassword(w.ctx, "usr_nobody", "", "x", false, w.now))

	w.must(w.people.SetPassword(w.ctx, x.account.ID, "", "changed", true, w.now))
	w.same("changed", hash())
	if n := w.sessionNow(x.session.ID); n.EndedAt != w.now || n.EndReason != "revoked" {
		t.Errorf("the session goes on: %+v", n)
	}
	if w.standing(x).RevokedAt != w.now {
		t.Error("the authorization is still good")
	}

	// Of any number of rehashes of the same hash one happens.
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().SetPassword(w.ctx, x.account.ID, "changed", fmt.Sprint("hash", i), false, w.now)
	}), accounts.ErrNotFound)
}

func oneAdminStays(t *testing.T, w *world) {
	admin := func() accounts.Account {
		id := secret.NewID("usr")
		a := accounts.Account{ID: id, EmailKey: id, Role: "admin", CreatedAt: w.now, UpdatedAt: w.now}
		w.must(w.people.AddAccount(w.ctx, a))
		return a
	}
	demote := func(db *storage.DB, a accounts.Account) error {
		was := a.UpdatedAt
		a.Role, a.UpdatedAt = "", was.Add(time.Second)
		return db.Accounts().SetAccount(w.ctx, a, was)
	}
	now := func(id string) accounts.Account {
		a, err := w.people.Account(w.ctx, id)
		w.must(err)
		return a
	}
	w.account()
	off := admin()
	last := admin()
	session := w.session(last)
	w.must(w.people.DisableAccount(w.ctx, off.ID, w.now)) // is one no more
	for _, err := range []error{
		w.people.DisableAccount(w.ctx, last.ID, w.now),
		w.people.RemoveAccount(w.ctx, last.ID, w.now),
		demote(w.copies[0], last),
	} {
		w.wants(accounts.ErrLastAdmin, err)
	}
	w.same(last, now(last.ID))
	if !w.sessionNow(session.ID).EndedAt.IsZero() {
		t.Error("a refusal ended a session")
	}
	// What does not take the powers away is not refused.
	renamed := last
	renamed.Name, renamed.UpdatedAt = "Root", last.UpdatedAt.Add(time.Second)
	w.must(w.people.SetAccount(w.ctx, renamed, last.UpdatedAt))
	w.must(w.people.SetPassword(w.ctx, last.ID, "", "new", true, w.now))
	w.must(demote(w.copies[0], now(off.ID)))
	w.must(w.people.RemoveAccount(w.ctx, off.ID, w.now))

	// Each administrator takes the powers of the next away, in one way or another: one is left.
	for range 4 {
		admins := []accounts.Account{now(last.ID)}
		for range 8 {
			admins = append(admins, admin())
		}
		for i, err := range w.race(func(db *storage.DB, i int) error {
			next := admins[(i+1)%len(admins)]
			switch i % 3 {
			case 0:
				return db.Accounts().DisableAccount(w.ctx, next.ID, w.now)
			case 1:
				return db.Accounts().RemoveAccount(w.ctx, next.ID, w.now)
			}
			return demote(db, next)
		}) {
			if err != nil && !errors.Is(err, accounts.ErrLastAdmin) && !errors.Is(err, accounts.ErrNotFound) && !errors.Is(err, accounts.ErrChanged) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		all, err := w.people.Accounts(w.ctx, accounts.Page{Limit: 1000}, "")
		w.must(err)
		var left []accounts.Account
		for _, a := range all {
			if a.Role == "admin" && a.DisabledAt.IsZero() {
				left = append(left, a)
			}
		}
		if len(left) != 1 {
			t.Fatalf("%d administrators are left, want one", len(left))
		}
		last = left[0]
	}
}

func whoKnewTheOldPasswordIsOut(t *testing.T, w *world) {
	// A session begins only while the password that was checked is the password.
	a := w.account()
	w.must(w.people.SetPassword(w.ctx, a.ID, "", "new", true, w.now))
	old := w.session(w.account())
	w.wants(accounts.ErrNotFound, w.people.StartSession(w.ctx, w.newSession(a), a, old.ID))
	if !w.sessionNow(old.ID).EndedAt.IsZero() {
		t.Error("a session ended for one that did not begin")
	}

	// Whoever signs in with the old password while it is changed is either refused or put out,
	// also where they were signed in already.
	x := w.request()
	var mine []accounts.Session
	for range racers {
		mine = append(mine, w.session(x.account))
	}
	w.race(func(db *storage.DB, i int) error {
		switch {
		case i == racers/2:
			return db.Accounts().SetPassword(w.ctx, x.account.ID, "", "changed", true, w.now)
		case i%2 == 0:
			return db.Accounts().RenewSession(w.ctx, mine[i])
		}
		return db.Accounts().StartSession(w.ctx, w.newSession(x.account), x.account, "")
	})
	left, err := w.people.Sessions(w.ctx, accounts.Page{Limit: 1000}, x.account.ID, w.now)
	w.must(err)
	if len(left) != 0 {
		t.Errorf("%d sessions of the old password outlived it", len(left))
	}
}

func whoIsGoneHasNothing(t *testing.T, w *world) {
	x := w.answered(offline)
	w.must(w.people.DisableAccount(w.ctx, x.account.ID, w.now))
	w.must(w.people.DisableAccount(w.ctx, x.account.ID, w.now.Add(time.Hour)))
	a, err := w.people.Account(w.ctx, x.account.ID)
	w.must(err)
	w.same(w.now, a.DisabledAt)
	w.must(w.people.EnableAccount(w.ctx, x.account.ID, w.now))
	if w.sessionNow(x.session.ID).EndedAt != w.now || w.standing(x).RevokedAt != w.now {
		t.Error("what was ended stays ended")
	}
	w.wants(accounts.ErrNotFound, w.people.DisableAccount(w.ctx, "usr_nobody", w.now))
	w.wants(accounts.ErrNotFound, w.people.EnableAccount(w.ctx, "usr_nobody", w.now))

	y := w.answered()
	w.must(w.people.RemoveAccount(w.ctx, y.account.ID, w.now))
	_, err = w.people.Account(w.ctx, y.account.ID)
	w.wants(accounts.ErrNotFound, err)
	_, _, err = w.people.Session(w.ctx, y.session.ID)
	w.wants(accounts.ErrNotFound, err)
	if st := w.standing(y); st.RevokedAt != w.now || !st.PersonGone || !st.SessionEnded || st.Person.ID != "" {
		t.Errorf("somebody who was removed stands as %+v", st)
	}
	w.wants(accounts.ErrNotFound, w.people.RemoveAccount(w.ctx, y.account.ID, w.now))

	// Whatever somebody is given at the same moment is either refused or taken back.
	z := w.request()
	w.race(func(db *storage.DB, i int) error {
		switch {
		case i == racers/2:
			return db.Accounts().DisableAccount(w.ctx, z.account.ID, w.now)
		case i%2 == 0:
			return db.Accounts().StartSession(w.ctx, w.newSession(z.account), z.account, "")
		}
		a := z.auth
		a.ID, a.Offline = secret.NewID(""), true
		return db.Issuer().Answer(w.ctx, a, nil)
	})
	w.must(w.people.EnableAccount(w.ctx, z.account.ID, w.now))
	left, err := w.people.Sessions(w.ctx, accounts.Page{Limit: 1000}, z.account.ID, w.now)
	w.must(err)
	if len(left) != 0 {
		t.Errorf("%d sessions outlived the account's disabling", len(left))
	}
	// RevokeConsent finds neither a consent nor a good authorization.
	if err := w.registry.RevokeConsent(w.ctx, z.account.ID, z.client.ID, w.now); err == nil {
		t.Error("an authorization outlived the account's disabling")
	}
}

func countersGiveDistinctNumbers(t *testing.T, w *world) {
	numbers := make([]int64, racers)
	for _, err := range w.race(func(db *storage.DB, i int) error {
		n, resets, err := db.Accounts().Count(w.ctx, "address", time.Minute, w.now)
		if err == nil && resets != w.now.Add(time.Minute) {
			err = fmt.Errorf("the window ends %v", resets)
		}
		numbers[i] = n
		return err
	}) {
		w.must(err)
	}
	seen := map[int64]bool{}
	for _, n := range numbers {
		if n < 1 || n > racers || seen[n] {
			t.Fatalf("the numbers are %v", numbers)
		}
		seen[n] = true
	}

	count := func(at time.Time) int64 {
		n, _, err := w.people.Count(w.ctx, "account", time.Minute, at)
		w.must(err)
		return n
	}
	w.same(int64(1), count(w.now))
	w.same(int64(2), count(w.now.Add(time.Minute-time.Microsecond)))
	w.must(w.people.Uncount(w.ctx, "account"))
	w.same(int64(2), count(w.now))
	for range 5 {
		w.must(w.people.Uncount(w.ctx, "account"))
	}
	w.same(int64(1), count(w.now))
	w.same(int64(1), count(w.now.Add(time.Minute))) // the window is over
	w.same(int64(2), count(w.now.Add(time.Minute)))
	w.must(w.people.ResetCount(w.ctx, "account"))
	w.same(int64(1), count(w.now))
	w.must(errors.Join(w.people.Uncount(w.ctx, "unknown"), w.people.ResetCount(w.ctx, "unknown")))
}
