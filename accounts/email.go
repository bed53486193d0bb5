package accounts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// CanonicalEmail returns the one form of an e-mail address that uniqueness, sign-in and
// limits go by. Two spellings that a mail system delivers to two people never have the
// same form; spellings that differ in case, in Unicode composition or in the encoding of
// the domain do. The error is an [*Invalid].
//
// What could be read in two ways is refused rather than repaired: two @, comments, quoted
// local parts, address literals, characters that turn into ASCII (a full-width ＠, the
// Kelvin sign, the Turkish ı), and scripts mixed so that one passes for the other. Dots and
// "+tags" in the local part stay: what they mean is for the domain to say.
func CanonicalEmail(s string) (key string, err error) {
	key, problem := canonicalEmail(s)
	if problem != "" {
		return "", &Invalid{"email", problem}
	}
	return key, nil
}

// RFC 5321 §4.5.3.1: 64 octets of local part; 256 of path, two of which are the brackets.
const (
	maxEmail = 254
	maxLocal = 64
)

func canonicalEmail(s string) (key, problem string) {
	key, problem = canonicalOnce(s)
	if problem != "" {
		return "", problem
	}
	// The canonical form of a canonical form is itself. Unicode has corners where folding
	// and mapping don't settle; nobody has an address there.
	if again, _ := canonicalOnce(key); again != key {
		return "", "has no canonical form"
	}
	return key, ""
}

func canonicalOnce(s string) (key, problem string) {
	s = strings.Trim(s, " ") // what a phone's keyboard adds
	switch {
	case s == "":
		return "", "is missing"
	case len(s) > maxEmail:
		return "", "is longer than 254 bytes"
	case !utf8.ValidString(s):
		return "", "is not valid UTF-8"
	}
	if strings.ContainsFunc(s, unseen) {
		return "", "contains something that can't be seen"
	}
	if c, found := pretender(s); found {
		return "", "contains " + strconv.QuoteRuneToASCII(c) + ", which is not what it looks like"
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || strings.Contains(domain, "@") {
		return "", "needs exactly one @"
	}
	if problem := checkLocal(local); problem != "" {
		return "", problem
	}
	ascii, err := domains.ToASCII(domain)
	// UTS 46 reads the full stops of Chinese and Japanese as dots; not everybody does.
	if err != nil || strings.ContainsAny(domain, "。｡") || numeric(ascii[strings.LastIndexByte(ascii, '.')+1:]) {
		return "", "has a domain that can't be one"
	}
	shown, err := domains.ToUnicode(ascii)
	if err != nil {
		return "", "has a domain that can't be one"
	}
	for label := range strings.SplitSeq(shown, ".") {
		if mixed(label) {
			return "", "mixes scripts that look alike"
		}
	}
	return fold(local) + "@" + ascii, ""
}

// domains maps as every browser and mail program does: UTS 46, non-transitional, with the
// rules for right-to-left labels and the limits of the DNS.
var domains = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

// pretender returns a character beyond ASCII that normalisation or folding turns into one
// of ASCII. Systems disagree on when they do that, and the disagreement has been used to be
// sent the mail of others.
func pretender(s string) (rune, bool) {
	for _, c := range s {
		if c < utf8.RuneSelf {
			continue
		}
		if hasASCII(norm.NFKC.String(string(c))) || hasASCII(string(lower(c))) {
			return c, true
		}
	}
	return 0, false
}

func hasASCII(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < utf8.RuneSelf })
}

// checkLocal holds a local part to the dot-atom of RFC 5322 §3.2.3, with the letters, marks
// and digits of RFC 6531 §3.3.
func checkLocal(local string) (problem string) {
	switch {
	case local == "":
		return "has nothing before the @"
	case len(local) > maxLocal:
		return "has more than 64 bytes before the @"
	case local[0] == '"':
		return "has a quoted part, which we don't take"
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return "has a dot where none can be"
	}
	for i, c := range local {
		switch {
		case c < utf8.RuneSelf && c != '.' && !atext(c):
			return "contains " + strconv.QuoteRune(c) + ", which can't be before the @"
		case c < utf8.RuneSelf:
		case unicode.IsMark(c) && i > 0, unicode.IsLetter(c), unicode.IsDigit(c):
		default:
			return "contains " + strconv.QuoteRuneToASCII(c) + ", which can't be before the @"
		}
	}
	if mixed(local) {
		return "mixes scripts that look alike"
	}
	return ""
}

// unseen says whether a character is one of those that nothing is shown for, though some are letters
// or marks by their category: Default_Ignorable_Code_Point of Unicode. In a domain UTS 46 drops
// them; before the @ they would make another address that looks the same.
func unseen(c rune) bool {
	return unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Cf)
}

// mixed says whether a text has letters of more than one of the scripts that look alike.
func mixed(s string) bool {
	var seen *unicode.RangeTable
	for _, c := range s {
		for _, script := range lookalikes {
			if !unicode.Is(script, c) {
				continue
			}
			if seen != nil && seen != script {
				return true
			}
			seen = script
		}
	}
	return false
}

// lookalikes are the scripts with letters that pass for each other's.
var lookalikes = []*unicode.RangeTable{
	unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee,
}

// atext is RFC 5322 §3.2.3.
func atext(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c)
}

func numeric(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// fold makes the cases and compositions of a text one.
func fold(s string) string {
	return norm.NFC.String(strings.Map(lower, norm.NFC.String(s)))
}

// lower goes by way of the upper case, because that is where letters meet that have two lower
// cases: σ and ς.
func lower(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }
