package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func sealer(t *testing.T, current []byte, older ...[]byte) *Sealer {
	t.Helper()
	s, err := NewSealer(current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer(t *testing.T) {
	old, current := Bytes(32), Bytes(32)
	plain := []byte("a private key")
	s := sealer(t, current, old)
	sealed := s.Seal(plain, "signing:one")
	if bytes.Contains(sealed, plain) {
		t.Fatal("it is not sealed")
	}
	if bytes.Equal(sealed, s.Seal(plain, "signing:one")) {
		t.Error("sealing twice gives the same bytes: the nonce is not random")
	}
	for _, tt := range []struct {
		name   string
		with   *Sealer
		sealed []byte
		aad    string
		opens  bool
	}{
		{"as it should be", s, sealed, "signing:one", true},
		{"another copy with the same keys", sealer(t, current, old), sealed, "signing:one", true},
		{"the key is no longer the current one", sealer(t, Bytes(32), old, current), sealed, "signing:one", true},
		{"sealed by the older key", s, sealer(t, old).Seal(plain, "signing:one"), "signing:one", true},
		{"moved to another row", s, sealed, "signing:two", false},
		{"moved to another table", s, sealed, "named:one", false},
		{"a key that we don't have", sealer(t, old), sealed, "signing:one", false},
		{"nothing", s, nil, "signing:one", false},
		{"another version", s, append([]byte{2}, sealed[1:]...), "signing:one", false},
		{"something behind it", s, append(bytes.Clone(sealed), 0), "signing:one", false},
	} {
		got, err := tt.with.Open(tt.sealed, tt.aad)
		if tt.opens && (err != nil || !bytes.Equal(got, plain)) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if !tt.opens && !errors.Is(err, ErrSealed) {
			t.Errorf("%s: opened as %q, %v", tt.name, got, err)
		}
	}
}

func TestSealedBytesThatWereTouchedDoNotOpen(t *testing.T) {
	s := sealer(t, Bytes(32))
	sealed := s.Seal([]byte("a private key"), "x")
	for i := range sealed {
		touched := bytes.Clone(sealed)
		touched[i] ^= 1
		if _, err := s.Open(touched, "x"); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d was changed: %v", i, err)
		}
		if _, err := s.Open(sealed[:i], "x"); !errors.Is(err, ErrSealed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestCurrentTellsWhatIsSealedWithTheOldKey(t *testing.T) {
	old, current := Bytes(32), Bytes(32)
	s := sealer(t, current, old)
	if !s.Current(s.Seal(nil, "x")) || s.Current(sealer(t, old).Seal(nil, "x")) || s.Current(nil) {
		t.Error("Current is wrong")
	}
}

func TestASealerDoesNotShowItsKeys(t *testing.T) {
	key := Bytes(32)
	s := sealer(t, key)
	sum := fmt.Sprintf("%v %+v %#v %s", s, s, s, s)
	if strings.ReplaceAll(sum, "[redacted]", "") != "   " {
		t.Errorf("it prints as %s", sum)
	}
}

func TestMasterKeys(t *testing.T) {
	text := NewMasterKey()
	key, err := ParseMasterKey(" \t" + text + "\r\n")
	if err != nil || len(key) != 32 || base64.StdEncoding.EncodeToString(key) != text {
		t.Fatalf("%q was read as %x, %v", text, key, err)
	}
	high := bytes.Repeat([]byte{0xfb, 0xff}, 16) // every character of it differs between the alphabets
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if got, err := ParseMasterKey(encoding.EncodeToString(high)); err != nil || !bytes.Equal(got, high) {
			t.Errorf("%s: %v", encoding.EncodeToString(high), err)
		}
	}
	for name, bad := range map[string]string{
		"nothing":          "",
		"a password":       "correct horse battery staple",
		"31 bytes":         base64.StdEncoding.EncodeToString(high[:31]),
		"33 bytes":         base64.StdEncoding.EncodeToString(append(high, 1)),
		"two lines":        text[:20] + "\n" + text[20:],
		"hexadecimal":      strings.Repeat("0f", 32),
		"trailing rubbish": text + "!",
	} {
		_, err := ParseMasterKey(bad)
		if err == nil || !strings.Contains(err.Error(), "mintmark secrets new") || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(Bytes(n)); err == nil {
			t.Errorf("a master key of %d bytes was taken", n)
		}
		if _, err := NewSealer(Bytes(32), Bytes(n)); err == nil {
			t.Errorf("an older master key of %d bytes was taken", n)
		}
	}
}
