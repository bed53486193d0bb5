package accounts

import (
	"net/http"
	"net/textproto"
	"strings"
	"time"
	"unicode"

	"mintmark/internal/secret"
)

// give sets the cookie of a session.
//
// SameSite=Lax: an application sends the browser here from its own site, and it must arrive
// signed in. The cookie outlives the browser's window; how long the session does is decided
// here and not there.
func (s *Sessions) give(w http.ResponseWriter, cookie secret.Token) {
	s.set(w, cookie.Reveal(), int(s.max()/time.Second))
}

// Clear takes the cookie from the browser. The session itself is not touched.
func (s *Sessions) Clear(w http.ResponseWriter) { s.set(w, "", -1) }

func (s *Sessions) set(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name:     s.CookieName(),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   s.Secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// cookie returns the cookie of a request, or "" if there isn't exactly one. Two cookies with
// our name mean that somebody else set one; which is which can't be told. The header is read
// here because [http.Request.Cookies] leaves out the ones that it can't read.
func (s *Sessions) cookie(r *http.Request) string {
	found, n := "", 0
	for _, header := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(header, ";") {
			name, value, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(name) == s.CookieName() {
				found, n = value, n+1
			}
		}
	}
	if n != 1 {
		return ""
	}
	return found
}

// printable keeps what somebody's browser says of itself from filling or breaking a row, a log
// or a terminal.
func printable(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s[:min(len(s), 4*limit)])
	for len(s) > limit {
		s = strings.TrimRightFunc(s[:len(s)-1], func(c rune) bool { return c == unicode.ReplacementChar })
	}
	return s
}
