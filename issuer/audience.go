package issuer

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// oneOrMany is one string or several, as aud is: RFC 7519 §4.1.3.
type oneOrMany []string

// UnmarshalJSON accepts both forms.
func (a *oneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = oneOrMany{""}
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func checkResource(a *asking) *Error {
	audience, refusal := narrowAudience(a.issuer, a.client.Audience, a.form.all("resource"))
	if refusal != nil {
		return refusal
	}
	a.req.Audience = audience
	return nil
}

// audienceOf returns the audience that a token request asks for, with the parameters resource,
// RFC 8707 §2.2, and audience, of those that may be had.
func (p *Provider) audienceOf(may []string, f form) ([]string, *Error) {
	return narrowAudience(p.Issuer, may, append(f.all("resource"), f.all("audience")...))
}

// narrowAudience returns what is asked for of what may be had, in the form in which that was
// registered: all of it if nothing is asked for. An empty audience means the issuer.
func narrowAudience(issuer string, may, asked []string) ([]string, *Error) {
	if len(asked) == 0 {
		return may, nil
	}
	if len(may) == 0 {
		may = []string{issuer}
	}
	var granted []string
	for _, target := range asked {
		at := slices.IndexFunc(may, func(s string) bool { return canonicalResource(s) == canonicalResource(target) })
		if at < 0 {
			return nil, refuse("invalid_target", "This client may not use that resource: it must be in its registered audience, and in what the person allowed.")
		}
		if !slices.Contains(granted, may[at]) {
			granted = append(granted, may[at])
		}
	}
	return granted, nil
}

// canonicalResource evens out what URL libraries do to a resource before they send it: the
// case of scheme and host, and a slash for an empty path.
func canonicalResource(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return s
	}
	rest := strings.TrimPrefix(s[len(u.Scheme):], "://"+u.Host)
	if rest == "/" {
		rest = ""
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + rest
}
