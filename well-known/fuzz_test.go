package wellknown

import (
	"strings"
	"testing"
)

// Only a line that names the tag, weak or strong, or any, is a match: RFC 9110 §13.1.2.
func FuzzIfNoneMatch(f *testing.F) {
	const etag = `"abc"`
	for _, s := range []string{"", "*", etag, `W/"abc"`, `"x", "abc"`, `"x","y"`, ",,", `W/W/"abc"`, `"ab`, `abc`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if matches(line, etag) && !strings.Contains(line, etag) && strings.TrimSpace(line) != "*" {
			t.Errorf("%q matches %s", line, etag)
		}
		if !matches(line+","+etag, etag) {
			t.Errorf("%q,%s does not match %s", line, etag, etag)
		}
	})
}
