package accounts

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A password is taken exactly as it was typed: nothing is trimmed, folded or cut, and no
// kinds of characters are asked for (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 5.0 6.2.5, 6.2.8).
const (
	minPasswordRunes = 8
	maxPasswordRunes = 256
	maxPasswordBytes = 1024
)

// weak says why a password can't be a's, or "".
func weak(password string, a Account, product string) (problem string) {
	n := utf8.RuneCountInString(password)
	switch {
	case password == "":
		return "is missing"
	case !utf8.ValidString(password) || strings.IndexByte(password, 0) >= 0:
		return "is not text"
	case n < minPasswordRunes:
		return "has fewer than 8 characters"
	case n > maxPasswordRunes || len(password) > maxPasswordBytes:
		return "has more than 256 characters"
	case monotonous(password):
		return "is a pattern that is guessed first; choose another"
	}
	said := stems(password)
	for _, word := range contextWords(a, product) {
		if slices.Contains(said, word) {
			return "is made from the name or address that it is for; choose another"
		}
	}
	for _, word := range notorious {
		if slices.Contains(said, word) {
			return "is one of those that are guessed first; choose another"
		}
	}
	return ""
}

// contextWords is what a guesser of this one account tries (OWASP ASVS 5.0 6.2.11).
func contextWords(a Account, product string) []string {
	local, domain, _ := strings.Cut(a.EmailKey, "@")
	label, _, _ := strings.Cut(domain, ".")
	var words []string
	for _, word := range []string{"mintmark", product, a.Name, a.EmailKey, local, domain, label} {
		words = append(words, stems(word)...)
	}
	return words
}

// monotonous recognises one chunk of up to four characters again and again ("aaaaaaaa",
// "12121212"), and a walk up, down or along a keyboard ("23456789", "hgfedcba", "qwertyuiop").
func monotonous(password string) bool {
	runes := []rune(strings.ToLower(password))
	for period := 1; period <= 4; period++ {
		if steps(runes, func(i int) bool { return i < period || runes[i] == runes[i-period] }) {
			return true
		}
	}
	up := steps(runes, func(i int) bool { return i == 0 || runes[i] == runes[i-1]+1 })
	down := steps(runes, func(i int) bool { return i == 0 || runes[i] == runes[i-1]-1 })
	if up || down {
		return true
	}
	for _, row := range walks {
		if strings.Contains(row, string(runes)) {
			return true
		}
	}
	return false
}

func steps(runes []rune, same func(i int) bool) bool {
	for i := range runes {
		if !same(i) {
			return false
		}
	}
	return true
}

// walks are ways across a keyboard, there and back.
var walks = []string{
	"01234567890", "09876543210",
	"qwertyuiop[]", "][poiuytrewq", "qwertzuiop", "poiuztrewq", "azertyuiop", "poiuytreza",
	"asdfghjkl;'", ";lkjhgfdsa", "zxcvbnm,./", "mnbvcxz",
	"qwertyuiopasdfghjklzxcvbnm", "1234567890qwertyuiop", "abcdefgh12345678",
	"1qaz2wsx3edc4rfv5tgb6yhn", "qazwsxedcrfvtgbyhnujm", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0",
	"!@#$%^&*()_+", "12345678987654321", "1234qwerasdfzxcv", "qweasdzxc", "asdfqwerzxcv",
}

// notorious is written by hand: the words behind the passwords that every list of stolen
// ones begins with. It is short on purpose. Compared by its [stems], each word stands for
// its spellings in leetspeak and capitals and for all its years, digits and signs, so that
// this refuses well more than the 3,000 that OWASP ASVS 5.0 6.2.4 asks for; but it was
// not derived from such a list and is no breached-password check (6.2.12).
var notorious = []string{
	"password", "passwort", "passw", "passwd", "pass", "mypassword", "newpassword", "thepassword",
	"passwordpassword", "motdepasse", "contrasena", "senha", "parola", "haslo", "wachtwoord", "salasana",
	"welcome", "welcometo", "letmein", "letmeinnow", "openup", "opensesame", "login", "signin", "logmein",
	"admin", "administrator", "adminadmin", "root", "rootroot", "superuser", "user", "username", "guest",
	"default", "changeme", "changeit", "changethis", "changemenow", "secret", "topsecret", "mysecret", "master",
	"test", "testtest", "tester", "testing", "demo", "example", "sample", "temp", "temporary",
	"qwerty", "qwertyuiop", "qwert", "qwertz", "qwertzuiop", "azerty", "azertyuiop", "asdf", "asdfgh", "asdfghjkl", "zxcvbn", "zxcvbnm",
	"abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh", "aaa", "xxx",
	"iloveyou", "iloveu", "loveyou", "loveme", "mylove", "lovely", "sweetheart", "princess", "angel", "babygirl", "sunshine", "flower",
	"dragon", "monkey", "shadow", "tiger", "panther", "phoenix", "eagle", "falcon", "butterfly", "dolphin", "unicorn",
	"football", "baseball", "basketball", "soccer", "hockey", "liverpool", "chelsea", "arsenal", "barcelona", "juventus", "yankees", "lakers", "cowboys", "steelers",
	"superman", "batman", "spiderman", "ironman", "pokemon", "pikachu", "naruto", "starwars", "startrek", "matrix", "minecraft", "fortnite",
	"michael", "michelle", "jessica", "jennifer", "charlie", "jordan", "daniel", "ashley", "andrew", "thomas", "matthew", "nicole", "anthony", "alexander", "samantha", "patrick", "christian",
	"computer", "internet", "google", "facebook", "microsoft", "windows", "samsung", "apple", "oracle", "cisco", "server", "system", "network", "security", "access", "trustno", "whatever", "nothing", "killer", "hunter", "ranger", "freedom", "mustang", "ferrari", "porsche", "mercedes", "corvette", "harley",
	"summer", "winter", "spring", "autumn", "january", "february", "september", "october", "november", "december", "monday", "friday",
	"cheese", "chocolate", "cookie", "pepper", "ginger", "banana", "orange", "purple", "silver", "golden", "diamond", "jesus", "blessed", "heaven", "forever", "hello", "helloworld", "goodbye",
}

// stems is a password as a person would say it: lower case, the usual digits and signs read
// as the letters they stand for, and what was put around it gone. There are two, for the
// sign at either end may be of the word ("pa$$") or after it ("password$"). A password
// without letters has none.
func stems(password string) []string {
	lower := strings.ToLower(password)
	var out []string
	for _, trimmed := range []string{
		strings.TrimFunc(lower, func(c rune) bool { return !unicode.IsLetter(c) }),
		strings.TrimFunc(lower, func(c rune) bool { return c != '@' && c != '$' && !unicode.IsLetter(c) }),
	} {
		if s := leet.Replace(trimmed); s != "" {
			out = append(out, s)
		}
	}
	return out
}

var leet = strings.NewReplacer(
	"@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t",
	" ", "", "-", "", "_", "", ".", "",
)
