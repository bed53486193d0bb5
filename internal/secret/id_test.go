package secret

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestIDsSortByTime(t *testing.T) {
	last := ""
	for range 10_000 {
		id := NewID("cli")
		if len(id) != len("cli_")+22 || !strings.HasPrefix(id, "cli_") || !IsBase62(id[4:]) {
			t.Fatalf("%q is not an id", id)
		}
		if id <= last {
			t.Fatalf("%q came after %q", id, last)
		}
		last = id
	}
	if id := NewID(""); len(id) != 22 || !IsBase62(id) {
		t.Errorf("%q is not an id without a prefix", id)
	}
}

func TestAppendIDIsBase62OfTheNumber(t *testing.T) {
	check := func(u [16]byte) {
		t.Helper()
		var n, base, digit big.Int
		n.SetBytes(u[:])
		base.SetInt64(62)
		var want [22]byte
		for i := len(want) - 1; i >= 0; i-- {
			n.DivMod(&n, &base, &digit)
			want[i] = alphabet[digit.Int64()]
		}
		if got := string(appendID(nil, u)); got != string(want[:]) {
			t.Fatalf("%x is %q, not %q", u, got, want)
		}
	}
	var zero, ones [16]byte
	for i := range ones {
		ones[i] = 0xff
	}
	check(zero)
	check(ones)
	for range 10_000 {
		var u [16]byte
		for i := range u {
			u[i] = byte(rand.Uint32())
		}
		check(u)
	}
}

func TestShortIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1_000 {
		id := NewShortID()
		if len(id) != 11 || !IsBase62(id) || seen[id] {
			t.Fatalf("%q is not a new short id", id)
		}
		seen[id] = true
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewID("cli")
	}
}
