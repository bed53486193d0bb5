package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
	"mintmark/storage"
)

func changesAreAnnounced(t *testing.T, w *world) {
	db := w.copies[1]
	_, place, _, err := db.Changes(w.ctx, revocations.Place{}, w.now, false)
	w.must(err)
	news := func() (all []string) {
		changes, to, missed, err := db.Changes(w.ctx, place, w.now, false)
		w.must(err)
		if missed || to.Low < place.Low {
			t.Errorf("from %+v to %+v, missed %v", place, to, missed)
		}
		place = to
		for _, c := range changes {
			all = append(all, c.Kind+" "+c.Ref)
		}
		return all
	}
	x := w.answered()
	w.same([]string{"client " + x.client.ID}, news())
	secrets := []issuer.ClientSecret{{Hash: "sha256:new"}}
	for name, do := range map[string]func() error{
		"SetClient": func() error {
			return w.registry.SetClient(w.ctx, issuer.Client{ID: x.client.ID, UpdatedAt: w.now}, x.client.UpdatedAt)
		},
		"SetClientSecrets": func() error {
			return w.registry.SetClientSecrets(w.ctx, x.client.ID, x.client.Secrets, secrets, w.now)
		},
		"DisableClient": func() error { return w.registry.DisableClient(w.ctx, x.client.ID, w.now) },
		"EnableClient":  func() error { return w.registry.EnableClient(w.ctx, x.client.ID, w.now) },
	} {
		w.must(do())
		if got := news(); len(got) != 1 || got[0] != "client "+x.client.ID {
			t.Errorf("%s announced %v", name, got)
		}
	}
	w.must(w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, w.now))
	w.same([]string{"consent " + x.account.ID + " " + x.client.ID}, news())
	w.must(w.registry.RemoveClient(w.ctx, x.client.ID, w.now))
	w.same([]string{"client " + x.client.ID}, news())
	key := apikeys.Key{ID: secret.NewShortID(), Digest: secret.Bytes(32), CreatedAt: w.now}
	w.must(w.apiKeys.AddKey(w.ctx, key, 0, w.event("key.add", key.ID, 0)))
	w.same([]string{"api_key " + key.ID}, news())
	w.must(w.apiKeys.RevokeKey(w.ctx, key.ID, "", false, w.event("key.revoke", key.ID, 0)))
	w.same([]string{"api_key " + key.ID}, news())
	signs := keys.Record{ID: "kid", Alg: keys.ES256, Generation: 1, CreatedAt: w.now, SignsAt: w.now}
	w.must(w.keys.AddSigningKey(w.ctx, signs))
	w.same([]string{"signing_key kid"}, news())
	w.must(w.keys.RevokeSigningKey(w.ctx, signs.ID, w.now))
	w.same([]string{"signing_key kid"}, news())

	w.must(w.people.DisableAccount(w.ctx, x.account.ID, w.now))
	w.same([]string{"owner " + x.account.ID}, news())
	w.must(w.people.EnableAccount(w.ctx, x.account.ID, w.now))
	w.same([]string{"owner " + x.account.ID}, news())
	w.must(w.people.RemoveAccount(w.ctx, x.account.ID, w.now))
	w.same([]string{"owner " + x.account.ID}, news())

	// Only what is asked for, and what is not an administrator's doing is no news.
	w.same([]string(nil), news())
	w.redeemed()
	w.same(1, len(news())) // its client

	// A reader that lost its place reads by time.
	again, _, _, err := db.Changes(w.ctx, place, w.now, true)
	w.must(err)
	later, _, _, err := db.Changes(w.ctx, place, w.now.Add(time.Microsecond), true)
	w.must(err)
	if len(again) < 10 || len(later) != 0 {
		t.Errorf("again there are %d changes, and %d later", len(again), len(later))
	}
}

func aLeaseHasOneHolder(t *testing.T, w *world) {
	errLost := errors.New("somebody else has it")
	take := func(db *storage.DB, holder string, until, now time.Time) error {
		won, err := db.Lease(w.ctx, "janitor", holder, until, now)
		if err == nil && !won {
			err = errLost
		}
		return err
	}
	holders := make([]string, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		holders[i] = secret.Random62(8)
		return take(db, holders[i], w.now.Add(time.Minute), w.now)
	}), errLost)
	db := w.copies[0]
	w.must(take(db, holders[winner], w.now.Add(2*time.Minute), w.now)) // prolongs it
	w.wants(errLost, take(db, "other", w.now.Add(time.Hour), w.now.Add(time.Minute)))
	w.must(take(db, "other", w.now.Add(time.Hour), w.now.Add(2*time.Minute)))
	w.wants(errLost, take(db, holders[winner], w.now.Add(time.Hour), w.now.Add(2*time.Minute)))
}

func purgeTakesOnlyTheDead(t *testing.T, w *world) {
	db := w.copies[0]
	live := w.redeemed()
	liveToken := *w.token(live)
	w.must(w.issuer.SaveAccessToken(w.ctx, liveToken))
	end := w.now.Add(-time.Hour) // of everything that is dead
	const dead = 3
	for i := range dead {
		x := w.answered(func(a *issuer.Authorization) { a.ForgetAt = end })
		token := *w.token(x)
		token.ExpiresAt = end
		w.must(w.issuer.SaveAccessToken(w.ctx, token))
		w.must(w.issuer.RevokeToken(w.ctx, token.ID, end))
		w.must(w.issuer.UseAssertion(w.ctx, "cli", token.ID, end))
		n := w.newSession(x.account)
		n.ExpiresAt = end
		w.must(w.people.StartSession(w.ctx, n, x.account, ""))
		_, _, err := w.people.Count(w.ctx, secret.Random62(8), 0, end)
		w.must(err)
		if i == 0 {
			w.must(w.people.PutSetupCode(w.ctx, secret.Bytes(32), end))
		}
	}
	w.must(w.issuer.RevokeToken(w.ctx, "live", w.now.Add(time.Hour)))
	w.must(w.issuer.UseAssertion(w.ctx, "cli", "live", w.now.Add(time.Hour)))
	never := w.answered(func(a *issuer.Authorization) { a.ForgetAt = time.Time{} })

	// Six kinds and a set-up code, two rows of a kind at a time; and the revocation of each dead token.
	var rounds []int64
	for {
		n, err := db.Purge(w.ctx, w.now, 2)
		w.must(err)
		if n == 0 {
			break
		}
		rounds = append(rounds, n)
	}
	w.same([]int64{7*2 + 1, 7}, rounds)

	for _, x := range []allowed{live, never} {
		if st := w.standing(x); st.SessionEnded || st.PersonGone {
			t.Errorf("something of the living is gone: %+v", st)
		}
	}
	_, _, err := w.issuer.AccessToken(w.ctx, liveToken.ID, w.now)
	w.must(err)
	st, err := w.issuer.ClientTokenStanding(w.ctx, live.client.ID, "live")
	w.must(err)
	w.same(issuer.Standing{TokenRevoked: true}, st)
	w.wants(issuer.ErrReplayed, w.issuer.UseAssertion(w.ctx, "cli", "live", w.now.Add(time.Hour)))

	// Announcements are kept for an hour.
	all := func() int {
		changes, _, _, err := db.Changes(w.ctx, revocations.Place{}, time.Time{}, true)
		w.must(err)
		return len(changes)
	}
	before := all()
	_, err = db.Purge(w.ctx, w.now.Add(time.Hour), 1000)
	w.must(err)
	// The newest stays: it has the highest number.
	if after := all(); before < 3 || after != 1 {
		t.Errorf("there were %d announcements, and are %d", before, after)
	}
}

func everyVerbIsOneTrip(t *testing.T, w *world) {
	x := w.answered()
	y := w.request()
	db := w.copies[0]
	for _, tt := range []struct {
		name       string
		statements int64
		do         func() error
	}{
		{"Client", 1, func() error { _, err := w.issuer.Client(w.ctx, x.client.ID); return err }},
		{"Standing", 1, func() error { _, err := w.issuer.Standing(w.ctx, x.auth.ID, "jti", w.now); return err }},
		{"RedeemCode", 2, func() error { return w.issuer.RedeemCode(w.ctx, w.redemption(x)) }},
		{"RotateRefresh", 2, func() error { return w.issuer.RotateRefresh(w.ctx, w.rotation(x, 1)) }},
		{"RotateRefresh for a JWT", 1, func() error {
			r := w.rotation(x, 2)
			r.Access = nil
			return w.issuer.RotateRefresh(w.ctx, r)
		}},
		{"AccessToken", 1, func() error {
			if _, _, err := w.issuer.AccessToken(w.ctx, "unknown", w.now); !errors.Is(err, issuer.ErrNotFound) {
				return err
			}
			return nil
		}},
		{"ClientTokenStanding", 1, func() error { _, err := w.issuer.ClientTokenStanding(w.ctx, x.client.ID, "jti"); return err }},
		{"Answer", 3, func() error { return w.issuer.Answer(w.ctx, y.auth, nil) }},
		{"AnswerAgain", 5, func() error {
			if err := w.issuer.AnswerAgain(w.ctx, y.auth, issuer.Consent{}); !errors.Is(err, issuer.ErrAnswered) {
				return fmt.Errorf("got %v", err)
			}
			return nil
		}},
		{"UseAssertion", 1, func() error { return w.issuer.UseAssertion(w.ctx, "c", "j", w.now) }},
		{"Count", 1, func() error { _, _, err := w.people.Count(w.ctx, "k", time.Minute, w.now); return err }},
		{"Session", 1, func() error { _, _, err := w.people.Session(w.ctx, x.session.ID); return err }},
		{"EndSession", 3, func() error { return w.people.EndSession(w.ctx, x.session.ID, "logout", w.now) }},
		{"DisableAccount", 11, func() error { return w.people.DisableAccount(w.ctx, x.account.ID, w.now) }},
	} {
		trips, statements := db.Trips(), db.Statements()
		w.must(tt.do())
		if n := db.Trips() - trips; n != 1 {
			t.Errorf("%s took %d trips", tt.name, n)
		}
		if n := db.Statements() - statements; n != tt.statements {
			t.Errorf("%s took %d statements, want %d", tt.name, n, tt.statements)
		}
	}
}

func aDeadContextChangesNothing(t *testing.T, w *world) {
	x := w.answered()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	w.wants(context.Canceled, w.issuer.RedeemCode(ctx, w.redemption(x)))
	w.wants(context.Canceled, w.people.EndSession(ctx, x.session.ID, "revoked", w.now))
	_, err := w.issuer.Standing(ctx, x.auth.ID, "", w.now)
	w.wants(context.Canceled, err)
	_, err = w.people.Accounts(ctx, accounts.Page{Limit: 10}, "")
	w.wants(context.Canceled, err)
	w.same(x.auth, w.standing(x).Authorization)

	// Callers that give up at any moment get the truth: an error of their context means
	// that nothing has happened.
	errs := w.race(func(db *storage.DB, i int) error {
		ctx, cancel := context.WithCancel(w.ctx)
		go cancel()
		return db.Issuer().UseAssertion(ctx, "cli", string(rune('A'+i)), w.now)
	})
	for i, got := range errs {
		again := w.issuer.UseAssertion(w.ctx, "cli", string(rune('A'+i)), w.now)
		switch {
		case got == nil:
			w.wants(issuer.ErrReplayed, again)
		case errors.Is(got, context.Canceled):
			w.wants(nil, again)
		default:
			t.Errorf("got %v", got)
		}
	}
}

func afterCloseNothingHappens(t *testing.T, w *world) {
	x := w.answered()
	db := w.copies[0]
	db.Close()
	db.Close()
	w.wants(storage.ErrUnavailable, w.issuer.RedeemCode(w.ctx, w.redemption(x)))
	_, err := w.issuer.Standing(w.ctx, x.auth.ID, "", w.now)
	w.wants(storage.ErrUnavailable, err)
	w.wants(storage.ErrUnavailable, db.Ping(w.ctx))
	w.must(w.copies[1].Ping(w.ctx))
	st, err := w.copies[1].Issuer().Standing(w.ctx, x.auth.ID, "", w.now)
	w.must(err)
	w.same(x.auth, st.Authorization)

	// Whoever was waiting when it closed was answered truly.
	db = w.copies[2]
	errs := make([]error, racers)
	done := make(chan struct{})
	go func() {
		defer close(done)
		copies := w.copies
		w.copies = copies[2:]
		errs = w.race(func(db *storage.DB, i int) error {
			return db.Issuer().UseAssertion(w.ctx, "cli", string(rune('A'+i)), w.now)
		})
		w.copies = copies
	}()
	db.Close()
	<-done
	for i, got := range errs {
		again := w.copies[1].Issuer().UseAssertion(w.ctx, "cli", string(rune('A'+i)), w.now)
		switch {
		case got == nil:
			w.wants(issuer.ErrReplayed, again)
		case errors.Is(got, storage.ErrUnavailable):
			w.wants(nil, again)
		default:
			t.Errorf("got %v", got)
		}
	}
}
