package bearer

import (
	"context"
	"hash/maphash"
	"time"
)

// VerifyAnew verifies a token as if it had not been seen before.
func VerifyAnew(t *Tokens, token string, now time.Time) error {
	_, err := t.verify(context.Background(), token, now)
	return err
}

// Collide remembers a verified token where another one is looked for, as if their hashes were the same.
func Collide(t *Tokens, good, other string) {
	from, to := maphash.String(t.seed, good), maphash.String(t.seed, other)
	v, _ := t.cache[from%shards].Get(from)
	t.cache[to%shards].Add(to, v)
}

// ScanClaims reads claims in both ways.
func ScanClaims(text string) (fast, all any, scanned bool, err error) {
	f, a := new(claimSet), new(claimSet)
	scanned = scan(text, f)
	err = unmarshalObject([]byte(text), a)
	return f, a, scanned, err
}

// SetSilence makes a feed less patient.
func SetSilence(f *Feed, d time.Duration) { f.silence = d }

// Expire has a feed forget what nobody can show any more.
func Expire(f *Feed, now time.Time) { f.expireAt(now) }

// Apply has a feed hear of one revocation.
func Apply(f *Feed, kind, ref string, until time.Time, revoked bool) {
	f.apply([]revocation{{kind, ref, until.Unix(), revoked}})
}
