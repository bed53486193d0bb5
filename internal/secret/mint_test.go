package secret

import (
	"hash/crc32"
	"strings"
	"testing"
)

func mint(first byte) *Mint { return NewMint([32]byte{first, 1, 2, 3}) }

func TestAMintKnowsItsOwn(t *testing.T) {
	m := mint(1)
	for kind, width := range idLen {
		id := Random62(width)
		token := m.Issue(kind, id)
		if got, ok := m.Parse(kind, token.Reveal()); !ok || got != id {
			t.Errorf("%s: %q was parsed as %q, %v", kind, token.Reveal(), got, ok)
		}
		if again := m.Issue(kind, id); again.Reveal() == token.Reveal() {
			t.Errorf("%s: two credentials of one id are the same", kind)
		}
		for other := range idLen {
			if _, ok := m.Parse(other, token.Reveal()); ok && other != kind {
				t.Errorf("a credential of kind %s was taken for %s", kind, other)
			}
		}
	}
}

func TestAMintRefuses(t *testing.T) {
	m := mint(1)
	good := m.Issue(KindServiceKey, NewShortID()).Reveal()
	// fixed returns s with a checksum that fits, as a forger would send it.
	fixed := func(s string) string {
		body := s[:len(s)-crcLen]
		return string(AppendBase62([]byte(body), uint64(crc32.ChecksumIEEE([]byte(body))), crcLen))
	}
	if fixed(good) != good {
		t.Fatal("the test computes another checksum")
	}
	for name, s := range map[string]string{
		"nothing":                         "",
		"another brand":                   "xx" + good[2:],
		"another kind":                    strings.Replace(good, "_sk_", "_uk_", 1),
		"one character less":              good[:len(good)-1],
		"one character more":              good + "0",
		"a checksum that does not fit":    good[:len(good)-1] + other(good[len(good)-1]),
		"another id, checksum corrected":  fixed("mm_sk_" + other(good[6]) + good[7:]),
		"another tag, checksum corrected": fixed(good[:17] + other(good[17]) + good[18:]),
		"another mint's":                  mint(2).Issue(KindServiceKey, NewShortID()).Reveal(),
		"a NUL":                           good[:20] + "\x00" + good[21:],
		"a character that is not base62":  fixed(good[:30] + "-" + good[31:]),
		"a kind that isn't there":         strings.Replace(good, "_sk_", "_zz_", 1),
	} {
		if id, ok := m.Parse(KindServiceKey, s); ok {
			t.Errorf("%s: %q was parsed as %q", name, s, id)
		}
	}
	if _, ok := m.Parse("zz", fixed(strings.Replace(good, "_sk_", "_zz_", 1))); ok {
		t.Error("a kind that isn't there was parsed")
	}
}

func TestADerivedSecretGivesTheSameCredential(t *testing.T) {
	m := mint(1)
	id, s := Random62(28), Random62(22)
	if m.Compose(KindRefresh, id, s).Reveal() != mint(1).Compose(KindRefresh, id, s).Reveal() {
		t.Error("two copies of the server composed two credentials")
	}
}

func TestAnIDOfTheWrongWidthIsAFaultOfTheProgram(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was composed")
		}
	}()
	mint(1).Compose(KindCode, "short", Random62(22))
}

func TestParsingAllocatesNothing(t *testing.T) {
	m := mint(1)
	good := m.Issue(KindServiceKey, NewShortID()).Reveal()
	most := 0.0
	if raceDetector {
		most = 4 // under the race detector, a sync.Pool loses things on purpose
	}
	if n := testing.AllocsPerRun(1000, func() { m.Parse(KindServiceKey, good) }); n > most {
		t.Errorf("it allocates %v times", n)
	}
}

// other returns a base62 character that is not c.
func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func BenchmarkMintParse(b *testing.B) {
	m := mint(1)
	good := m.Issue(KindServiceKey, NewShortID()).Reveal()
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(KindServiceKey, good)
	}
}
