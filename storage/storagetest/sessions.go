package storagetest

import (
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
)

func sessionsLiveAndEnd(t *testing.T, w *world) {
	a := w.account()
	n := w.session(a)
	gotSession, gotAccount, err := w.people.Session(w.ctx, n.ID)
	w.must(err)
	w.same(n, gotSession)
	w.same(a, gotAccount)
	_, _, err = w.people.Session(w.ctx, "ses_unknown")
	w.wants(accounts.ErrNotFound, err)

	// A session ends where another begins, or neither happens.
	next := w.newSession(a)
	w.must(w.people.StartSession(w.ctx, next, a, n.ID))
	if old := w.sessionNow(n.ID); old.EndReason != "replaced" || old.EndedAt != next.CreatedAt {
		t.Errorf("the old session is %+v", old)
	}
	gone, nobody := w.account(), accounts.Account{ID: "usr_nobody"}
	w.must(w.people.DisableAccount(w.ctx, gone.ID, w.now))
	w.wants(accounts.ErrNotFound, w.people.StartSession(w.ctx, w.newSession(gone), gone, next.ID))
	w.wants(accounts.ErrNotFound, w.people.StartSession(w.ctx, w.newSession(nobody), nobody, next.ID))
	if !w.sessionNow(next.ID).EndedAt.IsZero() {
		t.Error("a session ended for one that did not begin")
	}

	// Renewing changes the cookie and what goes with it, and nothing else.
	renewed := next
	renewed.Digest, renewed.AuthTime, renewed.AMR, renewed.ACR = secret.Bytes(32), w.now.Add(time.Hour), []string{"hwk"}, "urn:example:3"
	renewed.SeenAt, renewed.ExpiresAt, renewed.Address, renewed.UserAgent = w.now.Add(time.Hour), w.now.Add(48*time.Hour), "192.0.2.1", "other"
	renewed.ProviderID, renewed.IdP, renewed.ProvedAt, renewed.Limits = "prv_2", "other", w.now.Add(time.Minute), ""
	w.must(w.people.RenewSession(w.ctx, renewed))
	w.same(renewed, w.sessionNow(next.ID))
	stranger := renewed
	stranger.AccountID = w.account().ID
	w.wants(accounts.ErrNotFound, w.people.RenewSession(w.ctx, stranger))
	ended := n
	w.wants(accounts.ErrNotFound, w.people.RenewSession(w.ctx, ended))
	w.same(renewed, w.sessionNow(next.ID))

	// SeenAt goes forward, never back.
	w.must(w.people.TouchSession(w.ctx, next.ID, w.now.Add(2*time.Hour)))
	w.must(w.people.TouchSession(w.ctx, next.ID, w.now))
	w.same(w.now.Add(2*time.Hour), w.sessionNow(next.ID).SeenAt)
	w.must(w.people.TouchSession(w.ctx, "ses_unknown", w.now))

	// Lists are of what has not ended.
	second := w.session(a)
	past := w.newSession(a)
	past.ExpiresAt = w.now
	w.must(w.people.StartSession(w.ctx, past, a, ""))
	other := w.session(w.account())
	list := func(p accounts.Page, accountID string) (ids []string) {
		found, err := w.people.Sessions(w.ctx, p, accountID, w.now)
		w.must(err)
		for _, n := range found {
			ids = append(ids, n.ID)
		}
		return ids
	}
	w.same([]string{next.ID, second.ID}, list(accounts.Page{Limit: 10}, a.ID))
	w.same([]string{second.ID}, list(accounts.Page{After: next.ID, Limit: 10}, a.ID))
	w.same([]string{next.ID, second.ID}, list(accounts.Page{Limit: 2}, ""))
	w.same([]string{other.ID}, list(accounts.Page{After: second.ID, Limit: 2}, ""))
}

func endingASessionEndsWhatItGave(t *testing.T, w *world) {
	// What stays good of a session's two authorizations, by the reason of its end.
	for reason, stays := range map[string]struct{ plain, offline bool }{
		"logout":   {plain: false, offline: true},
		"revoked":  {plain: false, offline: false},
		"expired":  {plain: true, offline: true},
		"replaced": {plain: true, offline: true},
	} {
		for _, end := range []struct {
			name string
			do   func(allowed) error
		}{
			{"EndSession", func(x allowed) error { return w.people.EndSession(w.ctx, x.session.ID, reason, w.now) }},
			{"EndSessions", func(x allowed) error { return w.people.EndSessions(w.ctx, x.account.ID, reason, w.now) }},
		} {
			plain := w.answered()
			off := plain
			off.auth.ID, off.auth.Offline = secret.NewID(""), true
			w.must(w.issuer.Answer(w.ctx, off.auth, nil))
			w.must(end.do(plain))
			if n := w.sessionNow(plain.session.ID); n.EndedAt != w.now || n.EndReason != reason {
				t.Errorf("%s %s: the session is %+v", end.name, reason, n)
			}
			for _, x := range []struct {
				allowed
				stays bool
			}{{plain, stays.plain}, {off, stays.offline}} {
				st := w.standing(x.allowed)
				if st.RevokedAt.IsZero() != x.stays || !st.SessionEnded {
					t.Errorf("%s %s, offline %v: revoked %v, session ended %v", end.name, reason, st.Offline, st.RevokedAt, st.SessionEnded)
				}
			}
		}
	}

	x := w.answered()
	w.must(w.people.EndSession(w.ctx, x.session.ID, "expired", w.now))
	w.must(w.people.EndSession(w.ctx, x.session.ID, "revoked", w.now.Add(time.Hour)))
	if n := w.sessionNow(x.session.ID); n.EndedAt != w.now || n.EndReason != "expired" {
		t.Errorf("the first reason did not stay: %+v", n)
	}
	if w.standing(x).RevokedAt.IsZero() {
		t.Error("revoking a session that had expired left its authorization")
	}
	w.wants(accounts.ErrNotFound, w.people.EndSession(w.ctx, "ses_unknown", "logout", w.now))
	w.must(w.people.EndSessions(w.ctx, "usr_nobody", "revoked", w.now))

	// Another session's and another person's authorizations are not touched.
	mine, theirs := w.answered(), w.answered()
	w.must(w.people.EndSessions(w.ctx, mine.account.ID, "revoked", w.now))
	if st := w.standing(theirs); !st.RevokedAt.IsZero() || st.SessionEnded {
		t.Errorf("somebody else's authorization stands as %+v", st)
	}
}
