package upstream

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// plainEmail says whether a text is plainly one e-mail address, which nobody could read as
// another: with one @ and nothing that turns into one, nothing that isn't seen, and no
// character that turns into one of ASCII (a full-width ＠, the Kelvin sign). Whether two addresses
// are one, package accounts decides.
func plainEmail(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || len(s) > 254 || !utf8.ValidString(s) {
		return false // RFC 5321 §4.5.3.1
	}
	if !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") {
		return false
	}
	if strings.ContainsAny(s, "\"(),:;<>[\\]。｡") || strings.Contains(domain, "@") {
		return false
	}
	for _, c := range s {
		switch {
		case c <= ' ' || c == 0x7f:
			return false
		case unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return false // letters and marks that aren't seen
		case c < utf8.RuneSelf:
		case !unicode.IsLetter(c) && !unicode.IsMark(c) && !unicode.IsDigit(c):
			return false // also what isn't seen: joiners, marks of direction, spaces
		case ascii(norm.NFKC.String(string(c))) || ascii(strings.ToLower(string(c))) || ascii(strings.ToUpper(string(c))):
			return false
		}
	}
	return true
}

// ascii says whether a text has a character of ASCII.
func ascii(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < utf8.RuneSelf })
}

// domainOf returns the domain of an address, in lower case.
func domainOf(email string) string {
	return strings.ToLower(email[strings.LastIndexByte(email, '@')+1:])
}
