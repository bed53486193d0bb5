package storagetest

import (
	"fmt"
	"testing"
	"time"

	"mintmark/keys"
	"mintmark/storage"
)

func signingKeysAreMadeOnce(t *testing.T, w *world) {
	record := func(id string, alg keys.Alg, generation int64) keys.Record {
		return keys.Record{ID: id, Alg: alg, Generation: generation, Public: []byte{0, 1, 2}, Sealed: []byte("sealed " + id),
			CreatedAt: w.now, SignsAt: w.now.Add(time.Hour)}
	}
	all := func() []keys.Record {
		found, err := w.keys.SigningKeys(w.ctx)
		w.must(err)
		return found
	}
	w.same([]keys.Record{}, all())
	// Of any number of copies that rotate at the same time one wins.
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Keys().AddSigningKey(w.ctx, record(fmt.Sprint("es-", i), keys.ES256, 1))
	}), keys.ErrConflict)
	first := record(fmt.Sprint("es-", winner), keys.ES256, 1)
	w.same([]keys.Record{first}, all())

	second, rsa := record("es-second", keys.ES256, 2), record("rsa", keys.RS256, 1)
	w.must(w.keys.AddSigningKey(w.ctx, rsa))
	w.must(w.keys.AddSigningKey(w.ctx, second))
	w.same([]keys.Record{first, second, rsa}, all())

	w.must(w.keys.RevokeSigningKey(w.ctx, first.ID, w.now))
	w.must(w.keys.RevokeSigningKey(w.ctx, first.ID, w.now.Add(time.Hour)))
	first.RevokedAt = w.now
	w.wants(keys.ErrNotFound, w.keys.RevokeSigningKey(w.ctx, "unknown", w.now))
	w.same([]keys.Record{first, second, rsa}, all())

	w.must(w.keys.ForgetSigningKeys(w.ctx, []string{first.ID, "unknown"}))
	w.must(w.keys.ForgetSigningKeys(w.ctx, nil))
	w.same([]keys.Record{second, rsa}, all())

	_, err := w.keys.NamedKey(w.ctx, "tags", []byte("before"), w.now)
	w.must(err)
	w.must(w.keys.Reseal(w.ctx,
		map[string][]byte{second.ID: []byte("resealed"), "unknown": []byte("x")},
		map[string][]byte{"tags": []byte("after")}))
	second.Sealed = []byte("resealed")
	w.same([]keys.Record{second, rsa}, all())
	named, err := w.keys.NamedKeys(w.ctx)
	w.must(err)
	w.same(map[string][]byte{"tags": []byte("after")}, named)
	w.must(w.keys.Reseal(w.ctx, nil, nil))
}

func namedKeysAreTheSameForAll(t *testing.T, w *world) {
	got := make([]string, racers)
	for _, err := range w.race(func(db *storage.DB, i int) error {
		sealed, err := db.Keys().NamedKey(w.ctx, "refresh", fmt.Appendf(nil, "candidate %d", i), w.now)
		got[i] = string(sealed)
		return err
	}) {
		w.must(err)
	}
	for _, one := range got {
		if one == "" || one != got[0] {
			t.Fatalf("they got %q", got)
		}
	}
	other, err := w.keys.NamedKey(w.ctx, "requests", []byte("another"), w.now)
	w.must(err)
	w.same([]byte("another"), other)
	all, err := w.keys.NamedKeys(w.ctx)
	w.must(err)
	w.same(map[string][]byte{"refresh": []byte(got[0]), "requests": []byte("another")}, all)
}
