package keys_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"mintmark/keys"
)

// A token is remembered once, what is no good token not at all, and of more than there is room for
// the ones that were not shown for longest are forgotten.
func TestTheBoundsOfWhatIsRemembered(t *testing.T) {
	k := started(t, sqlite(t))
	good := sign(t, k, keys.ES256, "at+jwt", `{"sub":"x"}`)
	for range 3 {
		for i := range len(good) {
			if _, err := k.Verify(good[:i]+string(good[i]^1)+good[i+1:], ""); err == nil {
				t.Fatalf("byte %d was changed", i)
			}
		}
		if got, err := k.Verify(good, "at+jwt"); err != nil || string(got) != `{"sub":"x"}` {
			t.Fatalf("%s, %v", got, err)
		}
	}
	n, most := k.Remembered()
	if n != 1 {
		t.Errorf("%d tokens are remembered", n)
	}
	for i := range 2 * most {
		k.Remember(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))
	}
	if n, most := k.Remembered(); n != most {
		t.Errorf("%d tokens are remembered, and there is room for %d", n, most)
	}
	if got, err := k.Verify(good, "at+jwt"); err != nil || string(got) != `{"sub":"x"}` {
		t.Errorf("after it was forgotten: %s, %v", got, err)
	}
}

func BenchmarkVerifyAgain(b *testing.B) {
	k := started(b, sqlite(b))
	for _, alg := range keys.Algs {
		token := sign(b, k, alg, "at+jwt", `{"iss":"https://id.example","sub":"usr_1","aud":"https://orders.example","scope":"orders:read"}`)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Verify(token, "at+jwt"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
