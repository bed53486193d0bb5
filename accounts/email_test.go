package accounts

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonicalEmail(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tt := range []struct{ name, in, want string }{
		{"as it is", "alice@example.com", "alice@example.com"},
		{"upper case", "Alice.Liddell@EXAMPLE.com", "alice.liddell@example.com"},
		{"a space from the keyboard", " alice@example.com ", "alice@example.com"},
		{"a tag is part of it", "alice+shop@example.com", "alice+shop@example.com"},
		{"everything RFC 5322 3.2.3 calls atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"a host of this machine", "admin@localhost", "admin@localhost"},
		{"a domain in its own script", "jo@BÜCHER.example", "jo@xn--bcher-kva.example"},
		{"the same domain, encoded", "jo@XN--bcher-kva.example", "jo@xn--bcher-kva.example"},
		{"ß is no ss in a domain", "jo@straße.example", "jo@xn--strae-oqa.example"},
		{"RFC 6531, a local part in its own script", "Δοκιμή@example.com", "δοκιμή@example.com"},
		{"σ at the end of a word", "ΝΙΚΟΣ@example.com", "νικοσ@example.com"},
		{"the same, as it is written", "νικος@example.com", "νικοσ@example.com"},
		{"an accent that was typed after its letter", "jose\u0301@example.com", "jos\u00e9@example.com"},
		{"the longest local part", long + "@example.com", long + "@example.com"},
	} {
		got, err := CanonicalEmail(tt.in)
		if got != tt.want || err != nil {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"spaces", "   "},
		{"no @", "alice.example.com"},
		{"two @", "alice@evil.example@example.com"},
		{"two @, one quoted", `"alice@evil.example"@example.com`},
		{"nothing before the @", "@example.com"},
		{"nothing after the @", "alice@"},
		{"a quoted local part", `"alice"@example.com`},
		{"a comment", "alice(work)@example.com"},
		{"a comment in the domain", "alice@example.com(work)"},
		{"a display name", "Alice <alice@example.com>"},
		{"a list", "alice@example.com,bob@example.com"},
		{"a space within", "ali ce@example.com"},
		{"a dot at the start", ".alice@example.com"},
		{"a dot at the end", "alice.@example.com"},
		{"two dots", "alice..liddell@example.com"},
		{"a NUL", "alice\x00@example.com"},
		{"a NUL in the domain", "alice@example.com\x00.evil.example"},
		{"a line break", "alice@example.com\r\nBcc: eve@evil.example"},
		{"a tab", "\talice@example.com"},
		{"not UTF-8", "alice\xff@example.com"},
		{"65 bytes before the @", strings.Repeat("a", 65) + "@example.com"},
		{"255 bytes", "a@" + strings.Repeat("b.", 124) + "codes"},
		{"a label of 64", "a@" + strings.Repeat("b", 64) + ".com"},
		{"an address literal", "alice@[127.0.0.1]"},
		{"an address", "alice@127.0.0.1"},
		{"an empty label", "alice@example..com"},
		{"the root", "alice@example.com."},
		{"an underscore in a domain", "alice@exa_mple.com"},
		{"a label that begins with a dash", "alice@-example.com"},
		{"a full-width @", "alice＠example.com"},
		{"a full-width letter", "ａlice@example.com"},
		{"a full-width domain", "alice@ｅxample.com"},
		{"an ideographic full stop", "alice@example。com"},
		{"the Kelvin sign", "\u212Aim@example.com"},
		{"a long s", "ali\u017Fe@example.com"},
		{"a dotless i", "al\u0131ce@example.com"},
		{"a dotted I", "AL\u0130CE@example.com"},
		{"a ligature", "o\ufb03ce@example.com"},
		{"a care-of sign in a domain", "alice@example.com\u2105"},
		{"a zero-width joiner", "al\u200dice@example.com"},
		{"a right-to-left override", "alice\u202e@example.com"},
		{"a soft hyphen", "ali\u00adce@example.com"},
		{"an unpaired accent", "\u0301alice@example.com"},
		{"a Cyrillic а among Latin", "\u0430lice@example.com"},
		{"a Greek ο among Latin", "b\u03bfb@example.com"},
		{"a Cyrillic а in a domain of Latin", "alice@ex\u0430mple.com"},
		{"the same in punycode", "alice@xn--exmple-4nf.com"},
		{"a combining grapheme joiner", "al\u034fice@example.com"},
		{"a variation selector", "al\ufe0fice@example.com"},
		{"a variation selector in a domain", "alice@exam\ufe0fple.com"},
		{"another one", "alice\U000e0100@example.com"},
		{"a Hangul filler", "\u3164alice@example.com"},
		{"a Hangul filler that is a consonant", "alice\u115f@example.com"},
		{"a Mongolian one", "alice\u180b@example.com"},
		{"an emoji", "alice😀@example.com"},
		{"a fake punycode label", "alice@xn--example.com"},
	} {
		got, err := CanonicalEmail(tt.in)
		invalid, ok := errors.AsType[*Invalid](err)
		if got != "" || !ok || invalid.Field != "email" {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' }) {
			t.Errorf("%s: the message carries a control character: %q", tt.name, err)
		}
	}
}

// The canonical form of a canonical form is itself, so that a key can be looked up as well
// as an address; and it is safe in a log, a header and a row.
func FuzzCanonicalEmail(f *testing.F) {
	for _, s := range []string{
		"alice@example.com", "Alice@EXAMPLE.com", "jo@BÜCHER.example", "ΝΙΚΟΣ@example.com", "İ@example.com",
		"jose\u0301@example.com", "\u212Aim@example.com", `"a@b"@c`, "ẞ@ß.de", "ǰ@example.com", "a@xn--bcher-kva",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		again, err := CanonicalEmail(key)
		if again != key || err != nil {
			t.Fatalf("%q -> %q -> %q, %v", s, key, again, err)
		}
		// In capitals it is the same person's, but for letters that have no capital of one letter.
		upper, err := CanonicalEmail(strings.ToUpper(key))
		if err == nil && upper != key {
			t.Fatalf("%q and its upper case %q are two", key, upper)
		}
		_, domain, _ := strings.Cut(key, "@")
		switch {
		case len(key) > 254, !utf8.ValidString(key), strings.Count(key, "@") != 1:
			t.Fatalf("%q is no key", key)
		case domain != strings.ToLower(domain), strings.ContainsFunc(domain, func(c rune) bool { return c >= 0x80 }):
			t.Fatalf("the domain of %q is not canonical", key)
		case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`"(),:;<>[\]`, c) }):
			t.Fatalf("%q has a character that means something", key)
		}
	})
}
