package bearer

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// maxCredential is the longest credential that is looked at.
const maxCredential = 8 << 10

// A carrier is a credential as it came. It is small enough to be returned in registers.
type carrier struct {
	method Method // empty: there is none, or none that we know
	text   string
	user   string // of Basic: the key's id
	bearer bool   // it came, or should have come, by the scheme Bearer
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
		return carrier{}, ErrRepeated
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

// all returns the credentials of a request that has more than one, as far as they can be read.
func (g *Guard) all(r *http.Request) (all []carrier) {
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
	return all[:min(len(all), mostExposed)]
}

// mostExposed is how many credentials are looked at of a request that has more than it may.
const mostExposed = 4
