package nearest

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestName(t *testing.T) {
	known := []string{"given_name", "family_name", "name", "nickname", "issuer", "listen"}
	for _, tt := range []struct {
		name, asked string
		within      int
		want        string
	}{
		{"a letter too few", "isuer", 2, "issuer"},
		{"a letter too many", "isssuer", 2, "issuer"},
		{"another letter", "issuar", 2, "issuer"},
		{"two letters in each other's place", "lisetn", 2, "listen"},
		{"the right one", "name", 0, "name"},
		{"the nearest of several", "givenname", 4, "given_name"},
		{"the first of two that are as near", "XXme", 2, "name"},
		{"in capitals", "NAME", 4, "name"},
		{"further than that", "isuer", 0, ""},
		{"nothing like it", "redirect_uri", 3, ""},
		{"nothing at all", "", 3, ""},
		{"too long to be meant", strings.Repeat("x", 101), 1000, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Name(tt.asked, known, tt.within); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"given_name", "given_name"},
		{strings.Repeat("a", 40), strings.Repeat("a", 40)},
		{strings.Repeat("a", 41), strings.Repeat("a", 40) + "…"},
		{strings.Repeat("a", 39) + "é", strings.Repeat("a", 39) + "…"},
	} {
		got := Shorten(tt.name)
		if got != tt.want || !utf8.ValidString(got) {
			t.Errorf("%q became %q, want %q", tt.name, got, tt.want)
		}
	}
}
