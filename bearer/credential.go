package bearer

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// maxCredential is the longest credential that is looked at.
const maxCredential = 8 << 10

// A carrier is a credential as it came.
type carrier struct {
	method Method // empty: there is none, or none that we know
	text   string
	user   string // of Basic: the key's id
	bearer bool   // it came, or should have come, by the scheme Bearer
	from   netip.Addr
	others []carrier // of a request that has more than one, the rest of those that can be read
}

// credential finds the one credential in a request. ErrMissing means that there is none.
func (g *Guard) credential(r *http.Request) (carrier, error) {
	found, places := carrier{}, 0
	var problem error
	// RFC 9110 §5.3: a field that is not a list is not sent more than once.
	if lines := r.Header["Authorization"]; len(lines) > 0 {
		places += len(lines)
		found, problem = g.authorization(lines[0])
	}
	for _, name := range g.Headers {
		if lines := r.Header[name]; len(lines) > 0 {
			places += len(lines)
			found, problem = carrier{method: MethodAPIKey, text: lines[0]}, nil
		}
	}
	switch {
	case places > 1:
		return g.several(r), ErrRepeated
	case places == 0:
		return carrier{}, ErrMissing
	case problem != nil:
		return found, problem
	case !found.single():
		return found, ErrInvalid
	}
	return found, nil
}

// schemes is what the Authorization header may say, RFC 9110 §11.6.2. The names are not
// case-sensitive, §11.1.
var schemes = map[string]func(g *Guard, text string) (carrier, error){
	"bearer": (*Guard).bearer,
	"apikey": (*Guard).apiKey,
	"basic":  (*Guard).basic,
}

var errUnknownScheme = errors.New("the scheme of the Authorization header is none of ours")

func (g *Guard) authorization(line string) (carrier, error) {
	if len(line) > maxCredential {
		return carrier{bearer: true}, ErrInvalid
	}
	name, text, _ := strings.Cut(line, " ")
	text = strings.Trim(text, " ")
	switch { // The two that are on every hot path, without a copy in lower case.
	case strings.EqualFold(name, "Bearer"):
		return g.bearer(text)
	case strings.EqualFold(name, "ApiKey"):
		return g.apiKey(text)
	}
	scheme := schemes[strings.ToLower(name)]
	if scheme == nil {
		// Something was shown, so that this is not an anonymous request, but nothing that we know.
		return carrier{bearer: true}, ErrMissing.because(errUnknownScheme)
	}
	return scheme(g, text)
}

// bearer is RFC 6750 §2.1. A key says what it is by how it begins; a JWT has two dots.
func (g *Guard) bearer(text string) (carrier, error) {
	for _, prefix := range g.KeyPrefixes {
		if strings.HasPrefix(text, prefix) {
			return carrier{method: MethodAPIKey, text: text, bearer: true}, nil
		}
	}
	if strings.Count(text, ".") != 2 {
		return carrier{bearer: true}, ErrInvalid
	}
	return carrier{method: MethodBearer, text: text, bearer: true}, nil
}

func (g *Guard) apiKey(text string) (carrier, error) {
	return carrier{method: MethodAPIKey, text: text}, nil
}

// basic is RFC 7617 with a key's id and the key: for tools that know nothing else.
func (g *Guard) basic(text string) (carrier, error) {
	plain, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return carrier{}, ErrInvalid.because(err)
	}
	user, key, ok := strings.Cut(string(plain), ":")
	if !ok || user == "" {
		return carrier{}, ErrInvalid
	}
	return carrier{method: MethodAPIKey, text: key, user: user}, nil
}

// single says whether it is one credential, and no list. Of a JWT every character is looked
// at when it is taken apart, so that a request with a remembered one need not.
func (c *carrier) single() bool {
	if c.method == MethodBearer {
		return len(c.text) <= maxCredential && strings.IndexByte(c.text, ' ') < 0 && strings.IndexByte(c.text, ',') < 0
	}
	return token68(c.text)
}

// token68 says whether s is what a credential is made of, RFC 9110 §11.2: no spaces,
// commas or quotes, so that two credentials in one line are not one.
func token68(s string) bool {
	if s == "" || len(s) > maxCredential {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

// several returns the credentials of a request that has more than one, as far as they can be read.
func (g *Guard) several(r *http.Request) carrier {
	var all []carrier
	for _, line := range r.Header["Authorization"] {
		if c, err := g.authorization(line); err == nil {
			all = append(all, c)
		}
	}
	for _, name := range g.Headers {
		for _, line := range r.Header[name] {
			all = append(all, carrier{method: MethodAPIKey, text: line})
		}
	}
	if len(all) == 0 {
		return carrier{}
	}
	all = all[:min(len(all), mostExposed)]
	all[0].others = all[1:]
	return all[0]
}

// mostExposed is how many credentials are looked at of a request that has more than it may.
const mostExposed = 4

// carriers are the parameters that carry credentials elsewhere. RFC 9700 §4.3.2: "Clients MUST
// NOT pass access tokens in a URI query parameter".
var carriers = map[string]bool{"access_token": true, "api_key": true, "apikey": true, "api-key": true, "x-api-key": true}

// anyInURL says whether there may be a credential in an address. Most have no query, and
// nothing in their path that looks like a key.
func (g *Guard) anyInURL(u *url.URL) bool {
	maybe := u.User != nil || mayCarry(u.RawQuery)
	for _, prefix := range g.KeyPrefixes {
		maybe = maybe || strings.Contains(u.Path, prefix) || strings.Contains(u.RawQuery, prefix)
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
	found = g.keysIn(found, u.Path)
	if u.User != nil {
		password, _ := u.User.Password()
		found = append(g.keysIn(g.keysIn(found, u.User.Username()), password), "") // RFC 3986 §3.2.1: neither belongs there
	}
	// Not u.Query: it leaves out what it can't read, and others may read it.
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescaped(name), unescaped(value)
		if carriers[strings.ToLower(name)] {
			found = append(found, value)
			continue
		}
		found = g.keysIn(g.keysIn(found, value), name)
	}
	return found[:min(len(found), mostExposed)]
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// keysIn appends what looks like a key in a text, and is not part of a longer word.
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
				found = append(found, key)
			}
		}
	}
	return found
}

// looksLikeKey says whether somebody who finds s would take it for a key, a mistyped one too:
// the prefix and something long after it.
func looksLikeKey(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && len(rest) >= 20 && token68(rest)
}
