package secret

import (
	"cmp"
	"math"
	"math/rand/v2"
	"testing"
)

func TestBase62(t *testing.T) {
	for _, tt := range []struct {
		n     uint64
		width int
		want  string
	}{
		{0, 1, "0"},
		{61, 1, "z"},
		{62, 2, "10"},
		{9, 4, "0009"},
		{62*62 + 1, 2, "01"}, // the low digits
		{math.MaxUint64, 11, "LygHa16AHYF"},
	} {
		if got := string(AppendBase62(nil, tt.n, tt.width)); got != tt.want {
			t.Errorf("%d in %d characters is %q, not %q", tt.n, tt.width, got, tt.want)
		}
	}
	if got := string(AppendBase62([]byte("a:"), 1, 3)); got != "a:001" {
		t.Errorf("appending gave %q", got)
	}
}

func TestBase62ReadsBackWhatItWrote(t *testing.T) {
	last, lastText := uint64(0), "00000000000"
	for range 10_000 {
		n := rand.Uint64() >> rand.IntN(64)
		text := string(AppendBase62(nil, n, 11))
		if back, ok := ParseBase62(text); !ok || back != n {
			t.Fatalf("%d became %q and then %d (%v)", n, text, back, ok)
		}
		if cmp.Compare(n, last) != cmp.Compare(text, lastText) {
			t.Fatalf("%q and %q do not sort as %d and %d", text, lastText, n, last)
		}
		last, lastText = n, text
	}
}

func TestParseBase62Refuses(t *testing.T) {
	for name, s := range map[string]string{
		"another character":   "12-4",
		"a letter with a dot": "ä",
		"a space":             " 1",
		"one more than fits":  "LygHa16AHYG",
		"one digit too many":  "LygHa16AHYF0",
	} {
		if n, ok := ParseBase62(s); ok {
			t.Errorf("%s: %q was read as %d", name, s, n)
		}
	}
	if n, ok := ParseBase62("LygHa16AHYF"); !ok || n != math.MaxUint64 {
		t.Errorf("the largest number was read as %d, %v", n, ok)
	}
}

func TestRandom62IsUniform(t *testing.T) {
	// 62 counters with an expectation of 10,000 each. Five standard deviations are 500:
	// a bias by the remainder of 256 (four characters in five with 25 % more) is far out.
	const n = 620_000
	var counts [256]int
	for _, c := range []byte(Random62(n)) {
		counts[c]++
	}
	total := 0
	for _, c := range []byte(alphabet) {
		total += counts[c]
		if counts[c] < 9_400 || counts[c] > 10_600 {
			t.Errorf("%q came %d times in %d", c, counts[c], n)
		}
	}
	if total != n {
		t.Errorf("%d of %d characters are base62", total, n)
	}
}
