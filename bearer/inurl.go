package bearer

import (
	"net/url"
	"slices"
	"strings"
)

// carriers are the parameters that carry credentials elsewhere. RFC 9700 §4.3.2: "Clients MUST
// NOT pass access tokens in a URI query parameter".
var carriers = map[string]bool{"access_token": true, "api_key": true, "apikey": true, "api-key": true, "x-api-key": true}

const (
	// mostRounds is how often an address is decoded: whoever passes addresses on inside of addresses
	// encodes them again each time, and who logs them may decode them.
	mostRounds = 5
	// leastNested is the length from which a value counts that has the name of a carrier somewhere
	// inside of another value: text that only speaks of access_token=… must not be refused.
	leastNested = 16
)

// anyInURL says whether there may be a credential in an address. Most have no query, and
// nothing in their path that looks like a key.
func (g *Guard) anyInURL(u *url.URL) bool {
	maybe := u.User != nil || u.Fragment != "" || mayCarry(u.RawQuery) ||
		strings.IndexByte(u.Path, '%') >= 0 || strings.IndexByte(u.Path, '=') >= 0
	for _, prefix := range g.KeyPrefixes {
		maybe = maybe || strings.Contains(u.Path, prefix) || strings.Contains(u.RawQuery, prefix) || strings.Contains(u.Host, prefix)
	}
	return maybe && len(g.inURL(u)) > 0
}

// mayCarry says whether a query has something escaped in it, or a parameter that ends like one
// of the carriers.
func mayCarry(query string) bool {
	last := byte(0)
	for i := range len(query) {
		switch c := query[i]; c {
		case '%':
			return true
		case '=', '&', ';':
			if last == 'y' || last == 'n' {
				return true
			}
			last = c
		default:
			last = c | 0x20 // in lower case
		}
	}
	return last == 'y' || last == 'n'
}

// inURL returns the credentials in an address, the first few of them.
func (g *Guard) inURL(u *url.URL) (found []string) {
	found = g.inText(g.inText(g.inText(found, u.Path), u.Host), u.Fragment)
	if u.User != nil {
		password, _ := u.User.Password()
		found = append(g.inText(g.inText(found, u.User.Username()), password), "") // RFC 3986 §3.2.1: neither belongs there
	}
	// Not u.Query: it leaves out what it can't read, and others may read it.
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescaped(name, true), unescaped(value, true)
		if carriers[strings.ToLower(name)] {
			found = append(found, value)
			continue
		}
		found = g.inText(g.inText(found, value), name)
	}
	return found[:min(len(found), mostExposed)]
}

// inText appends the credentials in a part of an address: keys, and parameters of addresses that
// are inside of it. It is looked at as it is, and decoded a bounded number of times.
func (g *Guard) inText(found []string, text string) []string {
	for range mostRounds {
		found = g.nestedIn(g.keysIn(found, text), text)
		plain := unescaped(text, false)
		if plain == text || len(found) >= mostExposed {
			break
		}
		text = plain
	}
	return found
}

// nestedIn appends the values of carriers in the query, the fragment or the path parameters
// (RFC 3986 §3.3) of an address that stands in a text.
func (g *Guard) nestedIn(found []string, text string) []string {
	if strings.IndexByte(text, '=') < 0 {
		return found
	}
	for pair := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune("?&;#", c) }) {
		name, value, _ := strings.Cut(pair, "=")
		if !carriers[strings.ToLower(name)] {
			continue
		}
		segment, _, _ := strings.Cut(value, "/") // in a path, what follows is another segment
		for _, one := range []string{value, segment} {
			if len(one) >= leastNested && token68(one) {
				found = add(found, one)
			}
		}
	}
	return found
}

// unescaped decodes what is percent-encoded in a text, RFC 3986 §2.1, and leaves what can't be read
// as it is: one bad character must not hide the rest. In a form a plus sign is a space.
func unescaped(s string, form bool) string {
	if strings.IndexByte(s, '%') < 0 && !(form && strings.IndexByte(s, '+') >= 0) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0:
			b = append(b, byte(hex(s[i+1])<<4|hex(s[i+2])))
			i += 2
		case s[i] == '+' && form:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// hex is the value of a hexadecimal digit, or -1.
func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// keysIn appends what looks like a key in a text.
func (g *Guard) keysIn(found []string, text string) []string {
	for _, prefix := range g.KeyPrefixes {
		for rest := text; len(found) < mostExposed; {
			_, after, ok := strings.Cut(rest, prefix)
			if !ok {
				break
			}
			rest = after
			end := strings.IndexFunc(after, func(c rune) bool {
				return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-')
			})
			if end < 0 {
				end = len(after)
			}
			if key := prefix + after[:end]; looksLikeKey(key, prefix) {
				found = add(found, key)
			}
		}
	}
	return found
}

// add appends what is not there yet, as far as there is room.
func add(found []string, one string) []string {
	if len(found) >= mostExposed || slices.Contains(found, one) {
		return found
	}
	return append(found, one)
}

// looksLikeKey says whether somebody who finds s would take it for a key, a mistyped one too:
// the prefix and something long after it.
func looksLikeKey(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && len(rest) >= 20 && token68(rest)
}
