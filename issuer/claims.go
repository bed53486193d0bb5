package issuer

import (
	"bytes"
	"encoding/json"
	"slices"
)

// claim returns what we may say about a person under a name, or false if there is nothing.
// OpenID Connect Core §5.3.2: "If a Claim is not returned, that Claim Name SHOULD be omitted
// from the JSON object [...]; it SHOULD NOT be present with a null or empty string value."
func (p *Person) claim(name string) (any, bool) {
	switch name {
	case "name":
		return p.Name, p.Name != ""
	case "email":
		return p.Email, p.Email != ""
	case "email_verified":
		return p.EmailVerified, p.Email != ""
	case "updated_at":
		return p.UpdatedAt.Unix(), !p.UpdatedAt.IsZero() // seconds, Core §5.1
	}
	value, ok := p.Claims[name]
	switch v := value.(type) {
	case nil:
		return nil, false
	case string:
		return v, ok && v != ""
	case map[string]any:
		return v, ok && len(v) > 0
	}
	return value, ok
}

// tell writes the claims about a person that were asked for: by scope, or one by one. What is
// asked for one by one is told only if its scope is one that the client is registered for, so
// that the claims parameter is no way around the registration. sub is not among them: it is
// always told, by whoever calls.
func tell(o *object, person *Person, asked map[string]*claimRequest, scopes, registered []string) error {
	for _, row := range scopeClaims {
		byScope := slices.Contains(scopes, row.scope)
		if !byScope && (len(asked) == 0 || !slices.Contains(registered, row.scope)) {
			continue
		}
		for _, name := range row.claims {
			request, byName := asked[name]
			if name == "sub" || !byScope && !byName {
				continue
			}
			value, ok := person.claim(name)
			if !ok || !byScope && !request.allows(value) {
				continue
			}
			if err := o.any(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// allows says whether a claim has one of the values that were asked for, if any were. Core
// §5.5.1
func (r *claimRequest) allows(value any) bool {
	if r == nil || r.Value == nil && len(r.Values) == 0 {
		return true
	}
	return r.Value != nil && same(r.Value, value) ||
		slices.ContainsFunc(r.Values, func(wanted any) bool { return same(wanted, value) })
}

// same compares as JSON: a number that was read is a float64, ours is an int64.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}
