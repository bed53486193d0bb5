package bearer

import "strings"

// scan reads claims as our issuer writes them: one object without spaces, of claims that we
// know, each once, whose strings have no escapes. It is false for everything else, which may
// be right too, and must then be read by the decoder for all of JSON: what scan reads, that
// reads the same. It is a third of the time of a token that is seen first.
func scan(text string, c *claimSet) bool {
	s := scanner{rest: text, good: true}
	s.take("{")
	for first := true; s.good && !strings.HasPrefix(s.rest, "}"); first = false {
		if !first {
			s.take(",")
		}
		name := s.text()
		s.take(":")
		s.claim(name, c)
	}
	s.take("}")
	return s.good && s.rest == ""
}

// A scanner stops being good at the first thing that it does not know.
type scanner struct {
	rest string
	good bool
	seen uint32 // the claims that were there, by their number
}

func (s *scanner) claim(name string, c *claimSet) {
	switch name {
	case "iss":
		s.once(0)
		c.Issuer = s.text()
	case "sub":
		s.once(1)
		c.Subject = s.text()
	case "aud":
		s.once(2)
		c.Audience, _ = s.oneOr()
	case "exp":
		s.once(3)
		c.Expires = s.seconds()
	case "nbf":
		s.once(4)
		c.NotBefore = s.seconds()
	case "iat":
		s.once(5)
		c.IssuedAt = s.seconds()
	case "jti":
		s.once(6)
		c.ID = s.text()
	case "client_id":
		s.once(7)
		c.ClientID = s.text()
	case "scope":
		s.once(8)
		list, one := s.oneOr()
		if one {
			list = strings.Fields(list[0])
		}
		c.Scope = words(list)
	case "sid":
		s.once(9)
		c.Session = s.text()
	case "aid":
		s.once(10)
		c.Authorization = s.text()
	case "akid":
		s.once(11)
		c.Key = s.text()
	case "org_id":
		s.once(12)
		c.Organization = s.text()
	case "acr":
		s.once(13)
		c.ACR = s.text()
	case "amr":
		s.once(14)
		c.AMR = s.list()
	case "auth_time":
		s.once(15)
		c.AuthTime = s.seconds()
	default:
		s.good = false
	}
}

// once is for claims that are there twice: RFC 7519 §4 leaves it to us to refuse them.
func (s *scanner) once(n int) {
	s.good = s.good && s.seen&(1<<n) == 0
	s.seen |= 1 << n
}

func (s *scanner) take(what string) {
	rest, found := strings.CutPrefix(s.rest, what)
	s.rest, s.good = rest, s.good && found
}

func (s *scanner) text() string {
	s.take(`"`)
	for i := 0; s.good && i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			s.good = false
		}
	}
	s.good = false
	return ""
}

// oneOr is a string, or a list of them, and whether it was one.
func (s *scanner) oneOr() (list oneOr, one bool) {
	if strings.HasPrefix(s.rest, `"`) {
		return oneOr{s.text()}, true
	}
	return s.list(), false
}

func (s *scanner) list() []string {
	s.take("[")
	var list []string
	for s.good {
		list = append(list, s.text())
		if !strings.HasPrefix(s.rest, ",") {
			break
		}
		s.take(",")
	}
	s.take("]")
	return list
}

// seconds is a whole number of up to 11 digits, which ends before the year 5138.
func (s *scanner) seconds() *seconds {
	n, i := int64(0), 0
	for ; i < len(s.rest) && '0' <= s.rest[i] && s.rest[i] <= '9'; i++ {
		if i == 11 {
			s.good = false
			return nil
		}
		n = n*10 + int64(s.rest[i]-'0')
	}
	if i == 0 || i > 1 && s.rest[0] == '0' {
		s.good = false
		return nil
	}
	s.rest = s.rest[i:]
	f := seconds(n)
	return &f
}
