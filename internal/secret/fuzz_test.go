package secret

import (
	"bytes"
	"testing"
)

// What a mint recognises is what it can have made: put together again it is the same text.
func FuzzParse(f *testing.F) {
	m := NewMint([32]byte{1})
	for kind, n := range idLen {
		f.Add(m.Compose(kind, Random62(n), Random62(secretLen)).Reveal())
	}
	for _, s := range []string{"", "mm_", "mm_sk", "mm_sk_", "mm_sk_000000000000000000000000000000000000000000000000", "mm_SK_é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for kind := range idLen {
			id, ok := m.Parse(kind, s)
			if !ok {
				continue
			}
			head := len(brand) + len(kind) + 1
			secret := s[head+len(id)+tagLen : head+len(id)+tagLen+secretLen]
			if again := m.Compose(kind, id, secret).Reveal(); again != s {
				t.Errorf("%q is %q", s, again)
			}
		}
	})
}

// What opens was sealed by us: anything else is refused, and nothing panics.
func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{1}, 32)
	s, err := NewSealer(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, "row")
	f.Add(bytes.Repeat([]byte{1}, 40), "row")
	f.Fuzz(func(t *testing.T, sealed []byte, aad string) {
		if plain, err := s.Open(sealed, aad); err == nil {
			t.Errorf("opened %x to %x", sealed, plain)
		}
		again, err := s.Open(s.Seal(sealed, aad), aad)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Errorf("%x came back as %x, %v", sealed, again, err)
		}
	})
}

func FuzzMasterKey(f *testing.F) {
	for _, s := range []string{"", NewMasterKey(), " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \n", "AAAA", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := ParseMasterKey(s); err == nil && len(key) != 32 {
			t.Errorf("%q is a key of %d bytes", s, len(key))
		}
	})
}
