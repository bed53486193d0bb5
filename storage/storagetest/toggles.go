package storagetest

import (
	"testing"

	"mintmark/revocations"
	"mintmark/storage"
)

// What is disabled and enabled at the same moment is told as it stands in the end: to who listens
// meanwhile, who comes afterwards, and who reads page by page. On PostgreSQL the transaction with the
// lower number can be the later one, so that the order of their numbers says nothing.
func theLastWordIsTrue(t *testing.T, w *world) {
	key, account, client := w.key(), w.account(), w.client()
	for _, kind := range []struct {
		name, ref string
		disable   func(db *storage.DB) error
		enable    func(db *storage.DB) error
		disabled  func() bool
	}{
		{revocations.Key, key.ID,
			func(db *storage.DB) error {
				return db.APIKeys().DisableKey(w.ctx, key.ID, "story", w.event("key.disable", key.ID, 0))
			},
			func(db *storage.DB) error {
				return db.APIKeys().EnableKey(w.ctx, key.ID, w.event("key.enable", key.ID, 0))
			},
			func() bool {
				k, err := w.apiKeys.Key(w.ctx, key.ID)
				w.must(err)
				return k.Disabled
			}},
		{revocations.Account, account.ID,
			func(db *storage.DB) error { return db.Accounts().DisableAccount(w.ctx, account.ID, w.now) },
			func(db *storage.DB) error { return db.Accounts().EnableAccount(w.ctx, account.ID, w.now) },
			func() bool {
				a, err := w.people.Account(w.ctx, account.ID)
				w.must(err)
				return !a.DisabledAt.IsZero()
			}},
		{revocations.Client, client.ID,
			func(db *storage.DB) error { return db.Registry().DisableClient(w.ctx, client.ID, w.now) },
			func(db *storage.DB) error { return db.Registry().EnableClient(w.ctx, client.ID, w.now) },
			func() bool {
				c, err := w.registry.Client(w.ctx, client.ID)
				w.must(err)
				return !c.DisabledAt.IsZero()
			}},
	} {
		for range 15 {
			early, late := w.hears(w.copies[0]), w.hears(w.copies[1])
			last := map[string]bool{}
			tell := func(h *hearer) {
				found, to, _, err := h.db.Revocations().News(w.ctx, h.place)
				w.must(err)
				for _, r := range found {
					if r.Kind == kind.name && r.Ref == kind.ref {
						last["who listens"] = r.Revoked
					}
				}
				h.place = to
			}
			done, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					select {
					case <-done:
						return
					default:
						tell(early)
					}
				}
			}()
			for _, err := range w.race(func(db *storage.DB, i int) error {
				if i%2 == 0 {
					return kind.disable(db)
				}
				return kind.enable(db)
			}) {
				w.must(err)
			}
			close(done)
			<-ended
			tell(early)
			found, _, _, err := late.db.Revocations().News(w.ctx, late.place)
			w.must(err)
			for _, r := range found {
				last["who comes afterwards"] = r.Revoked
			}
			all, _, _, err := w.copies[2].Revocations().Live(w.ctx, revocations.At{Seq: late.place.Low}, 1000, w.now)
			w.must(err)
			for _, r := range all {
				if r.Kind == kind.name && r.Ref == kind.ref {
					last["who reads page by page"] = r.Revoked
				}
			}
			if len(last) != 3 {
				t.Fatalf("%s: only %v were told", kind.name, last)
			}
			for who, revoked := range last {
				if revoked != kind.disabled() {
					t.Errorf("%s: %s was told last that it is revoked: %t", kind.name, who, revoked)
				}
			}
		}
	}
}
