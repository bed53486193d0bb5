package revocations

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCursor: what is taken for a cursor can be asked of a database.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "7", "ab12.7", "ab12.7-9-token-x", "ab12.7-9-token-a-b", ".7", "x.7", "-1", "ab.-1-2-a-b", "9223372036854775808", "1.2.3", "ab.1-2", "ab.7-9-\x00-x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			return
		}
		if c.low < 0 || c.after.Seq < 0 || strings.Trim(c.epoch, "0123456789abcdef") != "" {
			t.Errorf("%q is %+v", text, c)
		}
		if all := c.after.Kind + c.after.Ref; !utf8.ValidString(all) || strings.Contains(all, "\x00") || len(all) > 400 {
			t.Errorf("%q is %+v", text, c)
		}
	})
}
