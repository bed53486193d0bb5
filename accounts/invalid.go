package accounts

import (
	"strconv"
	"strings"
)

// An Invalid is a value that can't be accepted, in words for the person who sent it.
type Invalid struct {
	Field   string // as in JSON: "email", "password", "claims.address.country"
	Problem string // a sentence without its subject: "is longer than 254 bytes"
}

// Error returns the field and its problem.
func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

// text checks a text for people: not empty, of bounded length, without control characters.
// It returns the problem, or "".
func text(s string, limit int, multiline bool) string {
	n := 0
	for _, c := range s {
		n++
		if c < ' ' && !(multiline && (c == '\n' || c == '\r')) || c == 0x7f || 0x80 <= c && c < 0xa0 {
			return "contains a control character"
		}
	}
	switch {
	case strings.TrimSpace(s) == "":
		return "is empty"
	case n > limit:
		return "is longer than " + strconv.Itoa(limit) + " characters"
	}
	return ""
}
