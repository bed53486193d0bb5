package apikeys_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// counted is a store that counts what is read of it.
type counted struct {
	inMemory
	reads *int
}

func (s counted) Standing(ctx context.Context, id string) (apikeys.Key, bool, error) {
	*s.reads++
	return s.inMemory.Standing(ctx, id)
}

// When there is no room it is a key that was not used lately that is forgotten, and what is used
// stays, although not every use is noted.
func TestWhatIsUsedIsNotForgottenFirst(t *testing.T) {
	store := counted{inMemory{keys: map[string]apikeys.Key{}}, new(int)}
	r := &apikeys.Registry{Store: store, Mint: mint, CacheSize: 128} // two in each of 64 parts
	var keys []string
	for len(keys) < 3 { // of one part
		id := secret.NewShortID()
		if n, _ := secret.ParseBase62(id); n%64 != 7 {
			continue
		}
		key := mint.Issue(secret.KindServiceKey, id).Reveal()
		digest := sha256.Sum256([]byte(key))
		store.keys[id] = apikeys.Key{ID: id, Kind: secret.KindServiceKey, OwnerType: apikeys.OwnerService, OwnerID: "svc_1", Digest: digest[:]}
		keys = append(keys, key)
	}
	for i, step := range []struct {
		key   int
		after time.Duration
		reads int
	}{
		{0, 0, 1}, {1, time.Second, 1}, // there is room for these
		{0, 2 * time.Second, 0}, {0, 7 * time.Second, 0}, // the second of these is noted
		{2, 8 * time.Second, 1}, // for this there is none
		{0, 9 * time.Second, 0}, {2, 9 * time.Second, 0}, {1, 10 * time.Second, 1},
	} {
		at := noon.Add(step.after)
		r.Heard(at)
		before := *store.reads
		if _, err := r.Verify(t.Context(), keys[step.key], at); err != nil {
			t.Fatal(err)
		}
		if reads := *store.reads - before; reads != step.reads {
			t.Errorf("step %d, key %d after %s: %d reads", i, step.key, step.after, reads)
		}
	}
}
