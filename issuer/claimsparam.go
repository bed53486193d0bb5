package issuer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// A claimsRequest is the claims parameter, OpenID Connect Core §5.5: what the client wants
// to be told one by one, and where.
type claimsRequest struct {
	UserInfo map[string]*claimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*claimRequest `json:"id_token,omitempty"`
}

// A claimRequest is one claim that is asked for, or nil for one that is asked for "in the
// default manner". OpenID Connect Core §5.5.1
type claimRequest struct {
	Essential bool  `json:"essential,omitempty"`
	Value     any   `json:"value,omitempty"`
	Values    []any `json:"values,omitempty"`
}

const (
	maxClaims      = 8 << 10
	maxClaimsDepth = 8
)

// parseClaims reads the claims parameter. Members that it doesn't know are left out: Core
// §5.5, "any members used that are not understood MUST be ignored".
func parseClaims(text string) (claimsRequest, error) {
	var c claimsRequest
	if len(text) > maxClaims || depth(text) > maxClaimsDepth {
		return c, errors.New("too large or too deep")
	}
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return c, errors.New("not an object") // null would pass as one
	}
	err := json.Unmarshal([]byte(text), &c)
	return c, err
}

// depth returns how deeply a JSON text nests, at least.
func depth(text string) int {
	now, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// toAllow returns what the person has to allow before the client may have what it asks for: the
// scopes, and those whose claims it asks for one by one. Core §5.5 gives the parameter no way
// around the person, who is told about scopes.
func (q *request) toAllow(c *Client) []string {
	if len(q.Claims) == 0 {
		return q.Scopes
	}
	asked, err := parseClaims(string(q.Claims))
	if err != nil {
		return q.Scopes // was parsed before; and what can't be parsed tells nothing
	}
	all := slices.Clone(q.Scopes)
	for _, row := range scopeClaims {
		if slices.Contains(all, row.scope) || !slices.Contains(c.Scopes, row.scope) {
			continue
		}
		if slices.ContainsFunc(row.claims, func(name string) bool {
			_, here := asked.UserInfo[name]
			_, there := asked.IDToken[name]
			return name != "sub" && (here || there)
		}) {
			all = append(all, row.scope)
		}
	}
	return all
}

// subject returns the only person that the client wants to hear about, or "". Core §5.5.1:
// the sub claim can be requested with a value.
func (c claimsRequest) subject() (string, error) {
	subject := ""
	for _, r := range []*claimRequest{c.IDToken["sub"], c.UserInfo["sub"]} {
		if r == nil || r.Value == nil {
			continue
		}
		s, ok := r.Value.(string)
		if !ok || s == "" || subject != "" && subject != s {
			return "", errors.New("sub is not one string")
		}
		subject = s
	}
	return subject, nil
}

// essentialACR returns the authentication contexts of which the client must have one, or
// nothing if it can do without. Core §5.5.1.1
func (c claimsRequest) essentialACR() (values []string, essential bool) {
	r := c.IDToken["acr"]
	if r == nil || !r.Essential {
		return nil, false
	}
	for _, v := range append(slices.Clone(r.Values), r.Value) {
		if s, ok := v.(string); ok {
			values = append(values, s)
		}
	}
	// Essential without values: any will do, and there always is one.
	return values, len(r.Values) > 0 || r.Value != nil
}
