package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/revocations"
	"mintmark/storage"
)

// A hearer is somebody who is told of revocations.
type hearer struct {
	w     *world
	db    *storage.DB
	place revocations.Place
}

// hears begins to listen on a copy.
func (w *world) hears(db *storage.DB) *hearer {
	h := &hearer{w: w, db: db}
	h.news()
	return h
}

// news is what was told since the last time, one line each, in no order.
func (h *hearer) news() (all []string) {
	h.w.t.Helper()
	found, to, more, err := h.db.Revocations().News(h.w.ctx, h.place)
	h.w.must(err)
	if more || to.Low < h.place.Low {
		h.w.t.Errorf("from %+v to %+v, more: %v", h.place, to, more)
	}
	h.place = to
	for _, r := range found {
		line := r.Kind + " " + r.Ref
		if !r.Revoked {
			line += " stands"
		}
		all = append(all, line)
		if r.Until.Sub(h.w.now) < time.Minute {
			h.w.t.Errorf("%s is of interest until %s only", line, r.Until)
		}
	}
	slices.Sort(all)
	return all
}

// wants compares what was told.
func (h *hearer) wants(what string, lines ...string) {
	h.w.t.Helper()
	slices.Sort(lines)
	if got := h.news(); !slices.Equal(got, lines) {
		h.w.t.Errorf("%s told %q, want %q", what, got, lines)
	}
}

func whatIsTakenBackIsTold(t *testing.T, w *world) {
	h := w.hears(w.copies[1])

	// What has no token tells nothing.
	x := w.answered()
	w.must(w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "story", w.now))
	h.wants("revoking an unspent code")

	at := w.now.Add(time.Minute)
	redeemed := func(x allowed) string {
		w.must(w.issuer.RedeemCode(w.ctx, w.redemption(x)))
		return "authorization " + x.auth.ID
	}
	// another is one more authorization of the same person in the same session, offline.
	another := func(x allowed) (allowed, string) {
		x.auth.ID, x.auth.CodeDigest, x.auth.Offline = secret.NewID(""), secret.Bytes(32), true
		w.must(w.issuer.Answer(w.ctx, x.auth, nil))
		return x, redeemed(x)
	}

	x = w.answered()
	aid := redeemed(x)
	h.wants("a code for tokens")
	w.must(w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "story", at))
	h.wants("RevokeAuthorization", aid)
	w.must(w.issuer.RevokeAuthorization(w.ctx, x.auth.ID, "story", at.Add(time.Second)))
	h.wants("doing it again")
	w.must(w.issuer.RevokeToken(w.ctx, "jti", at.Add(time.Hour)))
	h.wants("RevokeToken", "token jti")
	w.must(w.issuer.RevokeToken(w.ctx, "jti", at.Add(2*time.Hour)))
	h.wants("doing it again")

	// Signing out leaves what offline access gave, which has the same sid.
	for _, reason := range []string{"logout", "replaced", "expired"} {
		x = w.answered()
		aid = redeemed(x)
		another(x)
		w.must(w.people.EndSession(w.ctx, x.session.ID, reason, at))
		h.wants("EndSession: "+reason, aid)
	}
	x = w.answered()
	aid = redeemed(x)
	_, off := another(x)
	w.must(w.people.EndSession(w.ctx, x.session.ID, "revoked", at))
	h.wants("EndSession: revoked", aid, off, "session "+x.session.ID)
	w.must(w.people.EndSession(w.ctx, x.session.ID, "revoked", at.Add(time.Second)))
	h.wants("doing it again")

	x = w.answered()
	aid = redeemed(x)
	n := w.newSession(w.account())
	n.CreatedAt = at
	other, _, err := w.people.Session(w.ctx, x.session.ID)
	w.must(err)
	person, err := w.people.Account(w.ctx, n.AccountID)
	w.must(err)
	w.must(w.people.StartSession(w.ctx, n, person, other.ID))
	h.wants("StartSession in place of another", aid)

	x = w.answered()
	aid = redeemed(x)
	another(x)
	w.must(w.people.EndSessions(w.ctx, x.account.ID, "logout", at))
	h.wants("EndSessions: logout", aid)
	x = w.answered()
	aid = redeemed(x)
	_, off = another(x)
	w.must(w.people.EndSessions(w.ctx, x.account.ID, "revoked", at))
	h.wants("EndSessions: revoked", aid, off)

	// Whoever signs in after a new password, in the same second too, is not touched.
	x = w.answered()
	aid = redeemed(x)
	w.must(w.people.SetPassword(w.ctx, x.account.ID, "", "new", true, at))
	h.wants("SetPassword", aid)
	w.must(w.people.SetPassword(w.ctx, x.account.ID, "", "newer", false, at))
	h.wants("SetPassword that ends nothing")

	x = w.answered()
	aid = redeemed(x)
	w.must(w.people.DisableAccount(w.ctx, x.account.ID, at))
	h.wants("DisableAccount", aid, "account "+x.account.ID)
	w.must(w.people.EnableAccount(w.ctx, x.account.ID, at))
	h.wants("EnableAccount", "account "+x.account.ID+" stands")
	w.must(w.people.RemoveAccount(w.ctx, x.account.ID, at))
	h.wants("RemoveAccount", "account "+x.account.ID)
	w.wants(accounts.ErrNotFound, w.people.EnableAccount(w.ctx, x.account.ID, at))
	h.wants("EnableAccount of one that was removed")
	admin := w.account()
	admin.Role = "admin"
	was := admin.UpdatedAt
	admin.UpdatedAt = at
	w.must(w.people.SetAccount(w.ctx, admin, was))
	w.wants(accounts.ErrLastAdmin, w.people.DisableAccount(w.ctx, admin.ID, at))
	w.wants(accounts.ErrLastAdmin, w.people.RemoveAccount(w.ctx, admin.ID, at))
	h.wants("disabling the last administrator")

	x = w.answered()
	aid = redeemed(x)
	w.must(w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, at))
	h.wants("RevokeConsent", aid)
	w.must(w.registry.DisableClient(w.ctx, x.client.ID, at))
	h.wants("DisableClient", "client "+x.client.ID)
	w.must(w.registry.EnableClient(w.ctx, x.client.ID, at))
	h.wants("EnableClient", "client "+x.client.ID+" stands")
	w.must(w.registry.RemoveClient(w.ctx, x.client.ID, at))
	h.wants("RemoveClient", "client "+x.client.ID)
	w.wants(issuer.ErrNotFound, w.registry.EnableClient(w.ctx, x.client.ID, at))
	h.wants("EnableClient of one that was removed")

	k := w.key()
	h.wants("AddKey")
	k.Name = "other"
	w.must(w.apiKeys.SetKey(w.ctx, k, w.event("key.set", k.ID, time.Second)))
	h.wants("SetKey", "key "+k.ID+" stands")
	w.must(w.apiKeys.DisableKey(w.ctx, k.ID, "", w.event("key.disable", k.ID, 2*time.Second)))
	h.wants("DisableKey", "key "+k.ID)
	k, err = w.apiKeys.Key(w.ctx, k.ID)
	w.must(err)
	w.must(w.apiKeys.SetKey(w.ctx, k, w.event("key.set", k.ID, 3*time.Second)))
	h.wants("SetKey of a disabled key", "key "+k.ID)
	w.must(w.apiKeys.EnableKey(w.ctx, k.ID, w.event("key.enable", k.ID, 4*time.Second)))
	h.wants("EnableKey", "key "+k.ID+" stands")
	next := w.newKey()
	next.Replaces = k.ID
	w.must(w.apiKeys.RotateKey(w.ctx, next, w.now.Add(time.Hour), w.event("key.rotate", k.ID, 5*time.Second)))
	h.wants("RotateKey with a grace", "key "+k.ID+" stands")
	last := w.newKey()
	last.Replaces = next.ID
	w.must(w.apiKeys.RotateKey(w.ctx, last, w.now.Add(6*time.Second), w.event("key.rotate", next.ID, 6*time.Second)))
	h.wants("RotateKey without", "key "+next.ID)
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "", false, w.event("key.revoke", k.ID, 7*time.Second)))
	h.wants("RevokeKey", "key "+k.ID)
	w.wants(apikeys.ErrConflict, w.apiKeys.EnableKey(w.ctx, k.ID, w.event("key.enable", k.ID, 8*time.Second)))
	h.wants("EnableKey of a revoked key")

	service := apikeys.Service{ID: secret.NewID("svc"), Name: "worker", CreatedAt: w.now}
	w.must(w.apiKeys.AddService(w.ctx, service, w.event("service.add", service.ID, 0)))
	w.must(w.apiKeys.DisableService(w.ctx, service.ID, w.event("service.disable", service.ID, time.Second)))
	h.wants("DisableService", "account "+service.ID)
	w.must(w.apiKeys.EnableService(w.ctx, service.ID, w.event("service.enable", service.ID, 2*time.Second)))
	h.wants("EnableService", "account "+service.ID+" stands")
	w.must(w.apiKeys.RemoveService(w.ctx, service.ID, w.event("service.remove", service.ID, 3*time.Second)))
	h.wants("RemoveService", "account "+service.ID)
	w.wants(apikeys.ErrNotFound, w.apiKeys.EnableService(w.ctx, service.ID, w.event("service.enable", service.ID, 4*time.Second)))
	h.wants("EnableService of one that was removed")
}

// While many revoke at once, every reader hears each once, and who asks from where it was hears it
// at least once.
func newsComeOnce(t *testing.T, w *world) {
	const each = 20
	hearers := []*hearer{w.hears(w.copies[0]), w.hears(w.copies[1])}
	began := hearers[0].place
	heard := make([][]string, len(hearers))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i, h := range hearers {
		readers.Go(func() {
			for over := false; !over; {
				select {
				case <-done:
					over = true
				default:
				}
				heard[i] = append(heard[i], h.news()...)
			}
		})
	}
	var want []string
	for i := range racers {
		for n := range each {
			want = append(want, fmt.Sprintf("token %d-%d", i, n))
		}
	}
	for _, err := range w.race(func(db *storage.DB, i int) error {
		for n := range each {
			err := storage.ErrUnavailable
			for errors.Is(err, storage.ErrUnavailable) { // on a busy machine somebody's turn does not come in time
				err = db.Issuer().RevokeToken(w.ctx, fmt.Sprintf("%d-%d", i, n), w.now.Add(time.Hour))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		w.must(err)
	}
	close(done)
	readers.Wait()
	slices.Sort(want)
	for i := range hearers {
		slices.Sort(heard[i])
		if !slices.Equal(heard[i], want) {
			t.Errorf("reader %d heard %d, want %d", i, len(heard[i]), len(want))
		}
	}
	// Page by page, from the place of another reader.
	var paged []string
	after := revocations.At{Seq: began.Low}
	for {
		found, at, here, err := w.copies[2].Revocations().Live(w.ctx, after, 100, w.now)
		w.must(err)
		if here.Low < hearers[0].place.Low {
			t.Errorf("read at %+v after %+v", here, hearers[0].place)
		}
		for _, r := range found {
			paged = append(paged, r.Kind+" "+r.Ref)
		}
		if len(found) < 100 {
			break
		}
		after = at[len(at)-1]
	}
	slices.Sort(paged)
	if !slices.Equal(paged, want) {
		t.Errorf("page by page there are %d, want %d", len(paged), len(want))
	}
	none, _, _, err := w.copies[2].Revocations().Live(w.ctx, revocations.At{}, 100, w.now.Add(time.Hour))
	w.must(err)
	w.same([]revocations.Revocation(nil), none)
}

func copiesConfirm(t *testing.T, w *world) {
	db := w.copies[0]
	count := func(question string, now time.Time) int64 {
		n, err := db.Unconfirmed(w.ctx, question, now)
		w.must(err)
		return n
	}
	w.must(db.Serving(w.ctx, "one", w.now.Add(time.Minute)))
	w.must(db.Serving(w.ctx, "two", w.now.Add(time.Minute)))
	w.must(db.Serving(w.ctx, "two", w.now.Add(time.Hour)))
	_, place, _, err := db.Changes(w.ctx, revocations.Place{}, w.now, false)
	w.must(err)
	question, err := db.Ask(w.ctx, w.now)
	w.must(err)
	asked, _, _, err := w.copies[1].Changes(w.ctx, place, w.now, false)
	w.must(err)
	if len(asked) != 1 || asked[0].Kind != storage.AskChange || asked[0].Ref != question {
		t.Fatalf("the others read %+v", asked)
	}
	w.same(int64(2), count(question, w.now))
	w.must(db.Confirm(w.ctx, question, "one", w.now))
	w.must(db.Confirm(w.ctx, question, "one", w.now))
	w.same(int64(1), count(question, w.now))
	w.same(int64(2), count("another", w.now))
	w.same(int64(1), count("another", w.now.Add(time.Minute)))
	w.must(db.Ended(w.ctx, "two"))
	w.same(int64(0), count(question, w.now))
}
