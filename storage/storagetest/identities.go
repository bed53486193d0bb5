package storagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/storage"
	"mintmark/upstream"
)

// provider adds an enabled provider.
func (w *world) provider() upstream.Provider {
	w.t.Helper()
	id := secret.NewID("prv")
	p := upstream.Provider{
		ID: id, Name: "corp-" + strings.ToLower(id[len(id)-8:]), Title: "Corp", Kind: "oidc", Issuer: "https://corp.example", ClientID: "mintmark",
		SealedSecret: []byte{1, 2, 3}, Scopes: []string{"openid"}, Mapping: map[string]string{"email": "mail"}, LinkBy: upstream.LinkVerifiedEmail,
		Authoritative: []string{"corp.example"}, Roles: []upstream.RoleRule{{Claim: "groups", Value: "ops", Role: "admin"}},
		CreatedAt: w.now, UpdatedAt: w.now,
	}
	w.must(w.upstream.AddProvider(w.ctx, p, w.event("provider.add", p.ID, 0)))
	return p
}

func (w *world) disable(p upstream.Provider) upstream.Provider {
	w.t.Helper()
	off := p
	off.DisabledAt, off.UpdatedAt = w.now, p.UpdatedAt.Add(time.Second)
	w.must(w.upstream.SetProvider(w.ctx, off, p, w.event("provider.disable", p.ID, 0)))
	return off
}

func (w *world) linkOf(p upstream.Provider, subject, account string) accounts.Link {
	return accounts.Link{ProviderID: p.ID, Subject: subject, AccountID: account, Email: subject + "@corp.example", LinkedAt: w.now, LastUsedAt: w.now}
}

// bare is an account that nobody can sign in to yet.
func (w *world) bare() accounts.Account {
	id := secret.NewID("usr")
	return accounts.Account{ID: id, Email: id + "@corp.example", EmailKey: id + "@corp.example", Claims: []byte(`{}`), CreatedAt: w.now, UpdatedAt: w.now}
}

func providersAreRemembered(t *testing.T, w *world) {
	p := w.provider()
	got, err := w.upstream.Providers(w.ctx)
	w.must(err)
	w.same([]upstream.Provider{p}, got)

	twin := p
	twin.ID = secret.NewID("prv")
	w.wants(upstream.ErrExists, w.upstream.AddProvider(w.ctx, twin, w.event("provider.add", twin.ID, 0)))
	other := w.provider()
	taken := other
	taken.Name, taken.UpdatedAt = p.Name, w.now.Add(time.Minute)
	w.wants(upstream.ErrExists, w.upstream.SetProvider(w.ctx, taken, other, w.event("provider.set", other.ID, 0)))

	// A change is of the provider as it was read: of any number of changes of the same one happens.
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		next := p
		next.Title, next.UpdatedAt = "Corporation", w.now.Add(time.Duration(i+1)*time.Minute)
		return db.Upstream().SetProvider(w.ctx, next, p, w.event("provider.set", p.ID, 0))
	}), upstream.ErrChanged)

	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Upstream().RemoveProvider(w.ctx, p.ID, w.event("provider.remove", p.ID, 0))
	}), upstream.ErrNotFound)
	w.wants(upstream.ErrNotFound, w.upstream.SetProvider(w.ctx, p, p, w.event("provider.set", p.ID, 0)))
	got, err = w.upstream.Providers(w.ctx)
	w.must(err)
	w.same([]upstream.Provider{other}, got)

	// The audit log has what happened, and nothing of what did not.
	did := w.actions(p.ID)
	slices.Sort(did) // they are of the same moment
	w.same([]string{"provider.add", "provider.remove", "provider.set"}, did)
	w.same(0, len(w.actions(twin.ID)))
}

func aSecretIsSealedAnew(t *testing.T, w *world) {
	p := w.provider()
	reseals := func(is, was []byte) bool {
		done, err := w.upstream.ResealProvider(w.ctx, p.ID, is, was, w.now)
		w.must(err)
		return done
	}
	w.same(true, reseals([]byte{9}, p.SealedSecret))
	w.same(false, reseals([]byte{8}, p.SealedSecret)) // it is another by now
	got, err := w.upstream.Providers(w.ctx)
	w.must(err)
	want := p
	want.SealedSecret = []byte{9}
	w.same([]upstream.Provider{want}, got)

	// Whoever read the provider before would put the old one back.
	next := p
	next.Title, next.UpdatedAt = "Corporation", w.now.Add(time.Minute)
	w.wants(upstream.ErrChanged, w.upstream.SetProvider(w.ctx, next, p, w.event("provider.set", p.ID, 0)))
	next.SealedSecret = want.SealedSecret
	w.must(w.upstream.SetProvider(w.ctx, next, want, w.event("provider.set", p.ID, 0)))
}

func aStateIsSpentOnce(t *testing.T, w *world) {
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Upstream().SpendState(w.ctx, "state", w.now.Add(10*time.Minute))
	}), upstream.ErrSpent)
	w.must(w.upstream.SpendState(w.ctx, "another", w.now.Add(10*time.Minute)))
}

func anIdentityIsOnePerson(t *testing.T, w *world) {
	p := w.provider()
	_, _, err := w.people.Linked(w.ctx, p.ID, "ada", "ada@corp.example", w.now)
	w.wants(accounts.ErrNotFound, err)

	// 64 callbacks of somebody new make one account.
	made := make([]accounts.Account, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		made[i] = w.bare()
		return db.Accounts().AddLinked(w.ctx, made[i], w.linkOf(p, "ada", made[i].ID))
	}), accounts.ErrLinked)
	for i, a := range made {
		_, err := w.people.Account(w.ctx, a.ID)
		if i == winner {
			w.must(err)
		} else {
			w.wants(accounts.ErrNotFound, err)
		}
	}
	later := w.now.Add(time.Hour)
	a, l, err := w.people.Linked(w.ctx, p.ID, "ada", "new@corp.example", later)
	w.must(err)
	w.same(made[winner], a)
	want := w.linkOf(p, "ada", a.ID)
	want.Email, want.LastUsedAt = "new@corp.example", later
	w.same(want, l)

	// An address is one account's, whoever brings it, and a link comes only with its account.
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		b := w.bare()
		b.EmailKey = "contested@corp.example"
		return db.Accounts().AddLinked(w.ctx, b, w.linkOf(p, b.ID, b.ID))
	}), accounts.ErrExists)

	// The same subject at another provider is somebody else.
	other := w.provider()
	_, _, err = w.people.Linked(w.ctx, other.ID, "ada", "", w.now)
	w.wants(accounts.ErrNotFound, err)

	// A provider that is disabled or gone brings nobody.
	off := w.disable(other)
	b := w.bare()
	w.wants(accounts.ErrProviderOff, w.people.AddLinked(w.ctx, b, w.linkOf(off, "bob", b.ID)))
	w.wants(accounts.ErrProviderOff, w.people.AddLink(w.ctx, w.linkOf(off, "bob", a.ID), 20, false))
	_, err = w.people.Account(w.ctx, b.ID)
	w.wants(accounts.ErrNotFound, err)

	// Who is removed leaves nothing behind, and so does a provider, but for those whose only way it was:
	// their account is not one that waits for somebody.
	w.must(w.people.RemoveAccount(w.ctx, a.ID, w.now))
	_, _, err = w.people.Linked(w.ctx, p.ID, "ada", "", w.now)
	w.wants(accounts.ErrNotFound, err)
	w.must(w.people.AddLinked(w.ctx, b, w.linkOf(p, "bob", b.ID)))
	w.must(w.upstream.RemoveProvider(w.ctx, p.ID, w.event("provider.remove", p.ID, 0)))
	links, err := w.people.Links(w.ctx, b.ID)
	w.must(err)
	w.same([]accounts.Link{w.linkOf(p, "bob", b.ID)}, links)
	_, _, err = w.people.Linked(w.ctx, p.ID, "bob", "", w.now)
	w.wants(accounts.ErrProviderOff, err)
	third := w.provider()
	w.wants(accounts.ErrNotFound, w.people.AddLink(w.ctx, w.linkOf(third, "bob", b.ID), 20, true))
	known := w.account()
	w.must(w.people.AddLink(w.ctx, w.linkOf(third, "known", known.ID), 20, false))
	w.must(w.people.AddLink(w.ctx, w.linkOf(third, "bob", b.ID), 20, false))
	w.must(w.upstream.RemoveProvider(w.ctx, third.ID, w.event("provider.remove", third.ID, 0)))
	for _, gone := range []string{"known", "bob"} {
		_, _, err = w.people.Linked(w.ctx, third.ID, gone, "", w.now)
		w.wants(accounts.ErrNotFound, err)
	}
}

func linksAreAdded(t *testing.T, w *world) {
	p, a := w.provider(), w.account()
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().AddLink(w.ctx, w.linkOf(p, "ada", a.ID), 20, false)
	}), accounts.ErrLinked)
	w.wants(accounts.ErrLinked, w.people.AddLink(w.ctx, w.linkOf(p, "ada", w.account().ID), 20, false))

	// However many come at once, an account has no more than it may.
	won := 0
	for _, err := range w.race(func(db *storage.DB, i int) error {
		return db.Accounts().AddLink(w.ctx, w.linkOf(p, secret.NewID("sub"), a.ID), 5, false)
	}) {
		if err == nil {
			won++
		} else {
			w.wants(accounts.ErrTooManyLinks, err)
		}
	}
	w.same(4, won)

	// An account that waits for its person is taken by one, and not by another besides.
	waiting := w.bare()
	w.must(w.people.AddAccount(w.ctx, waiting))
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().AddLink(w.ctx, w.linkOf(p, secret.NewID("sub"), waiting.ID), 20, true)
	}), accounts.ErrNotFound)
	w.wants(accounts.ErrNotFound, w.people.AddLink(w.ctx, w.linkOf(p, "who", w.account().ID), 20, true)) // it has a password

	gone := w.account()
	w.must(w.people.DisableAccount(w.ctx, gone.ID, w.now))
	w.wants(accounts.ErrNotFound, w.people.AddLink(w.ctx, w.linkOf(p, "gone", gone.ID), 20, false))
	w.wants(accounts.ErrNotFound, w.people.AddLink(w.ctx, w.linkOf(p, "gone", "usr_nobody"), 20, false))
}

func oneWayInStays(t *testing.T, w *world) {
	p, other := w.provider(), w.provider()
	b := w.bare()
	w.must(w.people.AddLinked(w.ctx, b, w.linkOf(p, "b", b.ID)))
	w.wants(accounts.ErrLastWay, w.people.RemoveLink(w.ctx, b.ID, p.ID, "b", w.now))
	w.wants(accounts.ErrNotFound, w.people.RemoveLink(w.ctx, b.ID, p.ID, "nobody", w.now))
	w.wants(accounts.ErrNotFound, w.people.RemoveLink(w.ctx, w.account().ID, p.ID, "b", w.now)) // not theirs

	// Whoever takes both ways away at once, one stays.
	w.must(w.people.AddLink(w.ctx, w.linkOf(other, "b", b.ID), 20, false))
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		at := p.ID
		if i%2 == 1 {
			at = other.ID
		}
		err := db.Accounts().RemoveLink(w.ctx, b.ID, at, "b", w.now)
		if err == accounts.ErrNotFound { // the same one, taken a moment ago
			return accounts.ErrLastWay
		}
		return err
	}), accounts.ErrLastWay)
	links, err := w.people.Links(w.ctx, b.ID)
	w.must(err)
	w.same(1, len(links))

	// A provider that is disabled is no way in.
	c := w.bare()
	w.must(w.people.AddLinked(w.ctx, c, w.linkOf(p, "c", c.ID)))
	w.must(w.people.AddLink(w.ctx, w.linkOf(other, "c", c.ID), 20, false))
	w.disable(other)
	w.wants(accounts.ErrLastWay, w.people.RemoveLink(w.ctx, c.ID, p.ID, "c", w.now))
	w.must(w.people.RemoveLink(w.ctx, c.ID, other.ID, "c", w.now))

	// With a password the last link may go.
	a := w.account()
	w.must(w.people.AddLink(w.ctx, w.linkOf(p, "a", a.ID), 20, false))
	w.must(w.people.RemoveLink(w.ctx, a.ID, p.ID, "a", w.now))
}

func rolesOfRulesComeAndGo(t *testing.T, w *world) {
	p, b := w.provider(), w.bare()
	l := w.linkOf(p, "b", b.ID)
	w.must(w.people.AddLinked(w.ctx, b, l))
	w.must(w.people.SetLinkRole(w.ctx, l, "admin", w.now))
	w.wants(accounts.ErrChanged, w.people.SetLinkRole(w.ctx, l, "admin", w.now)) // it has it already
	l.Role = "admin"
	w.wants(accounts.ErrLastAdmin, w.people.SetLinkRole(w.ctx, l, "", w.now))
	is, _, err := w.people.Linked(w.ctx, p.ID, "b", "", w.now)
	w.must(err)
	w.same("admin", is.Role)

	other := w.bare()
	other.Role = "admin"
	w.must(w.people.AddAccount(w.ctx, other))
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Accounts().SetLinkRole(w.ctx, l, "", w.now)
	}), accounts.ErrChanged)
	is, now, err := w.people.Linked(w.ctx, p.ID, "b", "", w.now)
	w.must(err)
	w.same("", is.Role)
	w.same("", now.Role)

	// Whoever takes the link away, or the provider, takes the role with it, and no other.
	gone := func(take func(p upstream.Provider, a accounts.Account)) string {
		q, a := w.provider(), w.account()
		by := w.linkOf(q, "x", a.ID)
		w.must(w.people.AddLink(w.ctx, by, 20, false))
		w.must(w.people.SetLinkRole(w.ctx, by, "admin", w.now))
		take(q, a)
		left, err := w.people.Account(w.ctx, a.ID)
		w.must(err)
		return left.Role
	}
	w.same("", gone(func(q upstream.Provider, a accounts.Account) {
		w.must(w.people.RemoveLink(w.ctx, a.ID, q.ID, "x", w.now))
	}))
	removes := func(q upstream.Provider, a accounts.Account) {
		w.must(w.upstream.RemoveProvider(w.ctx, q.ID, w.event("provider.remove", q.ID, 0)))
	}
	w.same("", gone(removes))
	still, err := w.people.Account(w.ctx, other.ID)
	w.must(err)
	w.same("admin", still.Role)
	w.must(w.people.RemoveAccount(w.ctx, b.ID, w.now))
	w.same("admin", gone(func(q upstream.Provider, a accounts.Account) {
		w.must(w.people.RemoveAccount(w.ctx, other.ID, w.now)) // the last one stays
		removes(q, a)
	}))
}
