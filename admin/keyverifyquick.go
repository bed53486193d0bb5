package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"mintmark/apikeys"
)

// The one operation that services ask for all day has a shorter way, for questions as nearly
// everybody writes them: an object of plain texts. The answer is the same, byte for byte. Whatever
// is not as plain goes the way of all operations, which says what is wrong with it.

const (
	quickPath = prefix + "/keys/verify"
	quickBody = 3000 // bytes
)

// quickly answers a plain question about a key, or returns false and leaves everything as it was.
func (a *api) quickly(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != quickPath || r.Method != http.MethodPost || r.URL.RawQuery != "" || r.URL.RawPath != "" ||
		r.ContentLength <= 0 || r.ContentLength > quickBody || !only(r.Header["Content-Type"], "application/json") ||
		r.Header["Accept"] != nil && !only(r.Header["Accept"], "application/json", "*/*") {
		return false
	}
	room := rooms.Get().(*[quickBody]byte) // not of the stack: whoever reads and writes could keep it
	defer rooms.Put(room)
	body := room[:r.ContentLength]
	n, err := io.ReadFull(r.Body, body)
	var q NewQuestion
	if err != nil || !q.readPlain(body) {
		r.Body = again{io.MultiReader(bytes.NewReader(bytes.Clone(body[:n])), r.Body), r.Body}
		return false
	}
	caller, problem := a.caller(w, r, apikeys.ScopeVerify, true)
	if problem != nil {
		a.write(w, r, problem)
		return true
	}
	v, err := a.verdict(r.Context(), &caller, q, time.Now())
	if err != nil {
		a.write(w, r, a.problem(r.Context(), err, "keys"))
		return true
	}
	w.Header()["Content-Type"] = jsonType
	if b, ok := v.appendPlain(room[:0]); ok { // the question is read, and copied
		_, _ = w.Write(b) // nobody is left to tell
		return true
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // nobody is left to tell
	return true
}

var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	rooms    = sync.Pool{New: func() any { return new([quickBody]byte) }}
)

// appendPlain appends what [json.Encoder] would write, unless a text needs an escape.
func (v *Verdict) appendPlain(b []byte) ([]byte, bool) {
	ok := true
	text := func(name, value string) {
		if value != "" {
			ok = ok && plainText(value)
			b = append(append(append(append(append(b, `,"`...), name...), `":"`...), value...), '"')
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			b = strconv.AppendInt(append(append(append(b, `,"`...), name...), `":`...), value, 10)
		}
	}
	b = strconv.AppendBool(append(b, `{"active":`...), v.Active)
	text("code", v.Code)
	text("missing_scope", v.Missing)
	number("retry_after", v.RetryAfter)
	text("id", v.ID)
	text("sub", v.Subject)
	text("client_id", v.ClientID)
	text("token_type", v.TokenType)
	text("owner_type", v.OwnerType)
	text("scope", v.Scope)
	for i, name := range v.Audience {
		ok = ok && plainText(name)
		if i == 0 {
			b = append(b, `,"aud":["`...)
		} else {
			b = append(b, `","`...)
		}
		b = append(b, name...)
	}
	if len(v.Audience) > 0 {
		b = append(b, `"]`...)
	}
	number("exp", v.Expires)
	ok = ok && v.RateLimit == "" // it has quotes in it
	b = strconv.AppendInt(append(b, `,"cache_for":`...), v.CacheFor, 10)
	return append(b, "}\n"...), ok
}

func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func only(lines []string, allowed ...string) bool {
	return len(lines) == 1 && slices.Contains(allowed, lines[0])
}

// again is a body of which a part was read.
type again struct {
	io.Reader
	io.Closer
}

// readPlain reads an object of texts without escapes, each member once, and short enough. It
// returns false for everything else, good or bad.
func (q *NewQuestion) readPlain(body []byte) bool {
	s := plainJSON{rest: string(body)}
	if !s.next('{') {
		return false
	}
	seen := 0
	for i := 0; ; i++ {
		if i > 0 && !s.next(',') {
			break
		}
		name, ok := s.text()
		if !ok || !s.next(':') {
			return false
		}
		var to *string
		var bit, most int
		switch name {
		case "key":
			to, bit, most = &q.Key, 1, 600
		case "scope":
			to, bit, most = &q.Scope, 2, 2000
		case "audience":
			to, bit, most = &q.Audience, 4, 200
		case "address":
			to, bit, most = &q.Address, 8, 100
		default:
			return false
		}
		value, ok := s.text()
		if !ok || len(value) > most || seen&bit != 0 {
			return false
		}
		*to = value
		seen |= bit
	}
	return s.next('}') && s.end() && seen&1 != 0
}

// plainJSON goes through JSON that has nothing but texts in it.
type plainJSON struct{ rest string }

// next skips white space, and then c if that is what comes.
func (s *plainJSON) next(c byte) bool {
	if s.end() || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// end skips white space, and says whether nothing comes any more.
func (s *plainJSON) end() bool {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
	return len(s.rest) == 0
}

// text reads a text of visible ASCII without escapes.
func (s *plainJSON) text() (string, bool) {
	if !s.next('"') {
		return "", false
	}
	for i := range len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return "", false
		}
	}
	return "", false
}
