package storagetest

import (
	"errors"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
)

func aRequestIsAnsweredOnce(t *testing.T, w *world) {
	x := w.answered(offline)
	w.same(x.auth, w.standing(x).Authorization)
	changed := x.auth
	changed.Nonce = "another"
	w.wants(issuer.ErrAnswered, w.issuer.Answer(w.ctx, changed, nil))
	w.wants(issuer.ErrAnswered, w.issuer.Refuse(w.ctx, x.auth.ID, x.client.ID, w.now, w.now.Add(time.Hour)))
	w.same(x.auth, w.standing(x).Authorization)

	// Of any number of answers one is remembered, and its consent alone.
	y := w.request()
	answers := make([]issuer.Authorization, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		answers[i] = y.auth
		answers[i].CodeDigest = secret.Bytes(32)
		return db.Issuer().Answer(w.ctx, answers[i], &issuer.Consent{AccountID: y.account.ID, ClientID: y.client.ID,
			Scopes: []string{"of-" + secret.Random62(4)}, GrantedAt: w.now, UpdatedAt: w.now.Add(time.Duration(i) * time.Second)})
	}), issuer.ErrAnswered)
	w.same(answers[winner], w.standing(y).Authorization)
	c, err := w.issuer.Consent(w.ctx, y.account.ID, y.client.ID)
	w.must(err)
	if len(c.Scopes) != 1 || c.UpdatedAt != w.now.Add(time.Duration(winner)*time.Second) {
		t.Errorf("the winner was %d; the consent is %+v", winner, c)
	}

	// Or it is denied.
	denied := w.request()
	errs := w.race(func(db *storage.DB, i int) error {
		if i%2 == 0 {
			return db.Issuer().Refuse(w.ctx, denied.auth.ID, denied.client.ID, w.now, w.now.Add(time.Hour))
		}
		return db.Issuer().Answer(w.ctx, denied.auth, nil)
	})
	w.wantOneWinner(errs, issuer.ErrAnswered)

	refused := w.request()
	w.must(w.issuer.Refuse(w.ctx, refused.auth.ID, refused.client.ID, w.now, w.now.Add(time.Hour)))
	w.wants(issuer.ErrAnswered, w.issuer.Answer(w.ctx, refused.auth, nil))
	if st := w.standing(refused); st.RevokedAt.IsZero() || st.AccountID != "" || st.ForgetAt != w.now.Add(time.Hour) {
		t.Errorf("a denied request stands as %+v", st)
	}
	w.wants(issuer.ErrSpent, w.issuer.RedeemCode(w.ctx, issuer.Redemption{ID: refused.auth.ID, Now: w.now}))
	w.wants(issuer.ErrSpent, w.issuer.RedeemCode(w.ctx, issuer.Redemption{ID: refused.auth.ID, CodeDigest: refused.auth.CodeDigest, Now: w.now}))

	// Nobody answers for somebody who is gone, offline or not.
	for _, r := range append(w.against(), reason{"its session is somebody else's", true, nil}) {
		if r.name == "it is revoked" || r.name == "its consent is revoked" {
			continue // there is nothing to revoke yet
		}
		x := w.request()
		x.auth.Offline = true
		if r.happen != nil {
			w.must(r.happen(x))
		} else {
			x.auth.SessionID = w.session(w.account()).ID
		}
		w.wants(issuer.ErrSpent, w.issuer.Answer(w.ctx, x.auth, &issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID}))
		_, err := w.issuer.Standing(w.ctx, x.auth.ID, "", w.now)
		if _, cerr := w.issuer.Consent(w.ctx, x.account.ID, x.client.ID); !errors.Is(err, issuer.ErrNotFound) || !errors.Is(cerr, issuer.ErrNotFound) {
			t.Errorf("%v, something was remembered: %v, %v", r, err, cerr)
		}
	}
}

func aCodeIsRedeemedOnce(t *testing.T, w *world) {
	x := w.answered()
	all := make([]issuer.Redemption, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		all[i] = w.redemption(x) // all at the same microsecond
		return db.Issuer().RedeemCode(w.ctx, all[i])
	}), issuer.ErrSpent)
	won := all[winner]
	want := x.auth
	want.CodeSpentAt, want.RotatedAt, want.Generation = won.Now, won.Now, 1
	want.Seed, want.IdleUntil, want.ExpiresAt, want.ForgetAt = won.Seed, won.IdleUntil, won.ExpiresAt, won.ForgetAt
	w.same(want, w.standing(x).Authorization)
	for i, r := range all {
		token, st, err := w.issuer.AccessToken(w.ctx, r.Access.ID, w.now)
		switch {
		case i != winner:
			w.wants(issuer.ErrNotFound, err)
		default:
			w.must(err)
			w.same(*r.Access, token)
			w.same(want, st.Authorization)
		}
	}
	w.wants(issuer.ErrSpent, w.issuer.RedeemCode(w.ctx, w.redemption(x)))

	// Without a refresh token the authorization keeps its times.
	y := w.answered()
	r := w.redemption(y)
	r.Seed, r.Access, r.IdleUntil, r.ExpiresAt, r.ForgetAt = nil, nil, time.Time{}, time.Time{}, time.Time{}
	w.must(w.issuer.RedeemCode(w.ctx, r))
	want = y.auth
	want.CodeSpentAt, want.RotatedAt = r.Now, r.Now
	w.same(want, w.standing(y).Authorization)
	w.wants(issuer.ErrSpent, w.issuer.RotateRefresh(w.ctx, w.rotation(y, 0)))
	timed := w.answered()
	r = w.redemption(timed)
	r.Seed = nil
	w.must(w.issuer.RedeemCode(w.ctx, r))
	w.wants(issuer.ErrSpent, w.issuer.RotateRefresh(w.ctx, w.rotation(timed, 0)))

	refused := func(why string, x allowed, r issuer.Redemption) {
		t.Helper()
		before := w.standing(x).Authorization
		if err := w.issuer.RedeemCode(w.ctx, r); !errors.Is(err, issuer.ErrSpent) {
			t.Errorf("%s: %v", why, err)
		}
		w.same(before, w.standing(x).Authorization)
		_, _, err := w.issuer.AccessToken(w.ctx, r.Access.ID, w.now)
		w.wants(issuer.ErrNotFound, err)
	}
	z := w.answered()
	r = w.redemption(z)
	r.CodeDigest = secret.Bytes(32)
	refused("with another digest", z, r)
	r = w.redemption(z)
	r.CodeDigest = nil
	refused("without a digest", z, r)
	r = w.redemption(z)
	r.Now = z.auth.CodeExpiresAt
	refused("when it has expired", z, r)
	w.wants(issuer.ErrSpent, w.issuer.RedeemCode(w.ctx, issuer.Redemption{ID: "unknown", CodeDigest: z.auth.CodeDigest, Now: w.now}))
	for _, why := range w.against() {
		x := w.answered()
		w.must(why.happen(x))
		refused(why.String(), x, w.redemption(x))
		x = w.answered(offline)
		w.must(why.happen(x))
		if why.offline {
			refused(why.String()+", offline", x, w.redemption(x))
		} else if err := w.issuer.RedeemCode(w.ctx, w.redemption(x)); err != nil {
			t.Errorf("%v, offline: %v", why, err)
		}
	}
}

func aGenerationIsRotatedOnce(t *testing.T, w *world) {
	x := w.redeemed()
	for generation := int64(1); generation <= 3; generation++ {
		before := w.standing(x).Authorization
		all := make([]issuer.Rotation, racers)
		winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
			all[i] = w.rotation(x, generation)
			return db.Issuer().RotateRefresh(w.ctx, all[i])
		}), issuer.ErrSpent)
		want := before
		want.Generation, want.RotatedAt, want.IdleUntil = generation+1, all[winner].Now, all[winner].IdleUntil
		w.same(want, w.standing(x).Authorization)
		for i, r := range all {
			_, _, err := w.issuer.AccessToken(w.ctx, r.Access.ID, w.now)
			if found := err == nil; found != (i == winner) {
				t.Errorf("generation %d: the token of %d: %v; the winner was %d", generation, i, err, winner)
			}
		}
	}

	refused := func(why string, x allowed, r issuer.Rotation) {
		t.Helper()
		before := w.standing(x).Authorization
		if err := w.issuer.RotateRefresh(w.ctx, r); !errors.Is(err, issuer.ErrSpent) {
			t.Errorf("%s: %v", why, err)
		}
		w.same(before, w.standing(x).Authorization)
		_, _, err := w.issuer.AccessToken(w.ctx, r.Access.ID, w.now)
		w.wants(issuer.ErrNotFound, err)
	}
	refused("with an old generation", x, w.rotation(x, 1))
	refused("with a future generation", x, w.rotation(x, 5))
	w.wants(issuer.ErrSpent, w.issuer.RotateRefresh(w.ctx, issuer.Rotation{ID: "unknown", Generation: 1, Now: w.now}))
	unspent := w.answered()
	refused("before its code is spent", unspent, w.rotation(unspent, 0))
	idle := w.redeemed(offline)
	r := w.rotation(idle, 1)
	r.Now = w.standing(idle).IdleUntil
	refused("when it was not used for too long", idle, r)
	old := w.redeemed(offline)
	r = w.rotation(old, 1)
	r.Now, r.IdleUntil = old.auth.CreatedAt.Add(29*24*time.Hour), w.now.Add(1000*24*time.Hour)
	w.must(w.issuer.RotateRefresh(w.ctx, r))
	r = w.rotation(old, 2)
	r.Now = w.standing(old).ExpiresAt
	refused("past its absolute end", old, r)

	for _, why := range w.against() {
		x := w.redeemed()
		w.must(why.happen(x))
		refused(why.String(), x, w.rotation(x, 1))
		x = w.redeemed(offline)
		w.must(why.happen(x))
		if why.offline {
			refused(why.String()+", offline", x, w.rotation(x, 1))
		} else if err := w.issuer.RotateRefresh(w.ctx, w.rotation(x, 1)); err != nil {
			t.Errorf("%v, offline: %v", why, err)
		}
	}

	// A rotation that races a revocation happened before it, or not at all: nothing comes after.
	y := w.redeemed()
	w.race(func(db *storage.DB, i int) error {
		if i == racers/2 {
			return db.Accounts().EndSession(w.ctx, y.session.ID, "revoked", w.now)
		}
		return db.Issuer().RotateRefresh(w.ctx, w.rotation(y, int64(i%3+1)))
	})
	st := w.standing(y)
	if st.RevokedAt.IsZero() {
		t.Error("the revocation was lost")
	}
	refused("after the race", y, w.rotation(y, st.Generation))
}

func standingTellsEverything(t *testing.T, w *world) {
	x := w.redeemed()
	st := w.standing(x)
	w.same(issuer.Person{ID: x.account.ID, Email: x.account.Email, EmailVerified: true, Name: x.account.Name,
		Claims: map[string]any{"given_name": "Ada", "zoneinfo": "Europe/London"}, UpdatedAt: x.account.UpdatedAt}, st.Person)
	if st.ClientGone || st.PersonGone || st.SessionEnded || st.TokenRevoked || !st.RevokedAt.IsZero() {
		t.Errorf("something stands against it: %+v", st)
	}
	_, err := w.issuer.Standing(w.ctx, "unknown", "", w.now)
	w.wants(issuer.ErrNotFound, err)
	if st, err = w.issuer.Standing(w.ctx, x.auth.ID, "", x.session.ExpiresAt); err != nil || !st.SessionEnded {
		t.Errorf("past its absolute end the session stands as %v, %v", st.SessionEnded, err)
	}

	w.must(w.issuer.RevokeToken(w.ctx, "jti-1", w.now.Add(time.Hour)))
	w.must(w.issuer.RevokeToken(w.ctx, "jti-1", w.now.Add(time.Minute)))
	for jti, revoked := range map[string]bool{"jti-1": true, "jti-2": false, "": false} {
		if st, err := w.issuer.Standing(w.ctx, x.auth.ID, jti, w.now); err != nil || st.TokenRevoked != revoked {
			t.Errorf("jti %q: revoked %v, %v", jti, st.TokenRevoked, err)
		}
	}

	for _, tt := range []struct {
		why           string
		client        bool
		person        bool
		session       bool
		authorization bool
	}{
		{"its account is disabled", false, true, true, true},
		{"its account is removed", false, true, true, true},
		{"its client is disabled", true, false, false, false},
		{"its client is removed", true, false, false, true},
		{"it is revoked", false, false, false, true},
		{"its consent is revoked", false, false, false, true},
		{"its session is revoked", false, false, true, true},
		{"its session signed out", false, false, true, true},
		{"its session expired", false, false, true, false},
		{"its session is past its end", false, false, true, false},
	} {
		for _, r := range w.against() {
			if r.name != tt.why {
				continue
			}
			x := w.redeemed()
			w.must(r.happen(x))
			st := w.standing(x)
			if st.ClientGone != tt.client || st.PersonGone != tt.person || st.SessionEnded != tt.session || st.RevokedAt.IsZero() == tt.authorization {
				t.Errorf("%v it stands as %+v", r, st)
			}
		}
	}

	// The first reason stays, and an unknown id changes nothing.
	w.must(w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "code reused", w.now))
	w.must(w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "another", w.now.Add(time.Hour)))
	if st := w.standing(x); st.RevokedAt != w.now || st.RevokeReason != "code reused" {
		t.Errorf("revoked at %v because %q", st.RevokedAt, st.RevokeReason)
	}
	w.must(w.issuer.RevokeAuthorization(w.ctx, "unknown", "x", w.now))

	// A session that was forgotten has ended.
	y := w.redeemed(offline)
	y.session.ExpiresAt = w.now
	w.must(w.people.RenewSession(w.ctx, y.session))
	_, err = w.copies[0].Purge(w.ctx, w.now, 100)
	w.must(err)
	_, _, err = w.people.Session(w.ctx, y.session.ID)
	w.wants(accounts.ErrNotFound, err)
	if !w.standing(y).SessionEnded {
		t.Error("a session that was forgotten stands as alive")
	}
}

func opaqueTokensAreRemembered(t *testing.T, w *world) {
	x := w.redeemed()
	with := *w.token(x)
	w.must(w.issuer.SaveAccessToken(w.ctx, with))
	got, st, err := w.issuer.AccessToken(w.ctx, with.ID, w.now)
	w.must(err)
	w.same(with, got)
	w.same(w.standing(x), st)
	_, _, err = w.issuer.AccessToken(w.ctx, "unknown", w.now)
	w.wants(issuer.ErrNotFound, err)
	for _, r := range w.against() {
		x := w.redeemed()
		token := *w.token(x)
		w.must(w.issuer.SaveAccessToken(w.ctx, token))
		w.must(r.happen(x))
		_, st, err := w.issuer.AccessToken(w.ctx, token.ID, w.now)
		w.must(err)
		w.same(w.standing(x), st)
	}

	// One that a client got for itself has no authorization.
	c := w.client()
	alone := *w.token(allowed{client: c})
	w.must(w.issuer.SaveAccessToken(w.ctx, alone))
	got, st, err = w.issuer.AccessToken(w.ctx, alone.ID, w.now)
	w.must(err)
	w.same(alone, got)
	w.same(issuer.Standing{}, st)
	w.must(w.issuer.RevokeToken(w.ctx, alone.ID, w.now.Add(time.Hour)))
	w.must(w.registry.DisableClient(w.ctx, c.ID, w.now))
	_, st, err = w.issuer.AccessToken(w.ctx, alone.ID, w.now)
	w.must(err)
	w.same(issuer.Standing{ClientGone: true, TokenRevoked: true}, st)

	// If the authorization was forgotten there is nobody it could speak for.
	gone := w.answered(func(a *issuer.Authorization) { a.ForgetAt = w.now })
	orphan := *w.token(gone)
	w.must(w.issuer.SaveAccessToken(w.ctx, orphan))
	_, err = w.copies[0].Purge(w.ctx, w.now, 100)
	w.must(err)
	_, st, err = w.issuer.AccessToken(w.ctx, orphan.ID, w.now)
	w.must(err)
	w.same(issuer.Standing{PersonGone: true, SessionEnded: true}, st)

	// The same for a JWT, of which nothing is stored.
	standing := func(clientID, jti string) issuer.Standing {
		st, err := w.issuer.ClientTokenStanding(w.ctx, clientID, jti)
		w.must(err)
		return st
	}
	w.same(issuer.Standing{}, standing(x.client.ID, "jti"))
	w.same(issuer.Standing{TokenRevoked: true}, standing(x.client.ID, alone.ID))
	w.same(issuer.Standing{ClientGone: true}, standing(c.ID, "jti"))
	w.same(issuer.Standing{ClientGone: true}, standing("unknown", ""))
}

func anAssertionIsUsedOnce(t *testing.T, w *world) {
	until := w.now.Add(time.Minute)
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Issuer().UseAssertion(w.ctx, "cli_a", "jti", until)
	}), issuer.ErrReplayed)
	w.must(w.issuer.UseAssertion(w.ctx, "cli_b", "jti", until))
	w.must(w.issuer.UseAssertion(w.ctx, "cli_a", "JTI", until))
	// It comes from outside, of any length and with anything in it.
	long := string(make([]byte, 100_000))
	w.must(w.issuer.UseAssertion(w.ctx, "cli_a", long, until))
	w.wants(issuer.ErrReplayed, w.issuer.UseAssertion(w.ctx, "cli_a", long, until))
}
