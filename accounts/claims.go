package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"mintmark/internal/nearest"
)

// maxClaims is the longest JSON object of claims that we read or remember, in bytes.
const maxClaims = 8 << 10

// claims is every standard claim that can be set, OpenID Connect Core §5.1, with its check.
// Two are not here: sub is the id of the account, and updated_at is when it changed.
var claims = map[string]check{
	"name":                  line(200),
	"given_name":            line(200),
	"family_name":           line(200),
	"middle_name":           line(200),
	"nickname":              line(200),
	"preferred_username":    line(200),
	"profile":               webPage,
	"picture":               webPage,
	"website":               webPage,
	"email":                 email,
	"email_verified":        boolean,
	"gender":                line(50),
	"birthdate":             birthdate,
	"zoneinfo":              zoneinfo,
	"locale":                locale,
	"phone_number":          phoneNumber,
	"phone_number_verified": boolean,
	"address":               address,
}

// addressParts is every member of the address claim, §5.1.1.
var addressParts = map[string]check{
	"formatted":      lines(1000), // "MAY contain multiple lines, separated by newlines"
	"street_address": lines(500),  // the same
	"locality":       line(200),
	"region":         line(200),
	"postal_code":    line(50),
	"country":        line(100),
}

// A check returns what is wrong with the value of a claim. The field of the error is
// below the claim, usually empty.
type check func(raw json.RawMessage) *Invalid

// parseClaims reads an object of claims and checks each, but for the nulls.
func parseClaims(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxClaims {
		return nil, &Invalid{"claims", "are longer than 8 KiB"}
	}
	set, err := object(raw)
	if err != nil {
		return nil, &Invalid{"claims", "are no JSON object: " + err.Error()}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if bad := checkMember(claims, name, set[name]); bad != nil {
			return nil, &Invalid{"claims." + bad.Field, bad.Problem}
		}
	}
	return set, nil
}

// mergeClaims returns old with set merged into it, if that is still consistent. An address is
// replaced as a whole.
func mergeClaims(old json.RawMessage, set map[string]json.RawMessage) (json.RawMessage, error) {
	merged := map[string]json.RawMessage{}
	if len(old) > 0 {
		if err := json.Unmarshal(old, &merged); err != nil {
			return nil, fmt.Errorf("accounts: reading remembered claims: %w", err)
		}
	}
	for name, raw := range set {
		if isNull(raw) {
			delete(merged, name)
			continue
		}
		merged[name] = raw
	}
	// §5.1: "When true, the phone_number Claim MUST be in E.164 format and any extensions
	// MUST be represented in RFC 3966 format."
	if decoded[bool](merged["phone_number_verified"]) && !e164.MatchString(decoded[string](merged["phone_number"])) {
		return nil, &Invalid{"claims.phone_number_verified",
			`can only be true of a phone_number in E.164 form, such as "+1 (425) 555-1212" or "+1 (604) 555-1234;ext=5678"`}
	}
	out, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("accounts: writing claims: %w", err)
	}
	if len(out) > maxClaims {
		return nil, &Invalid{"claims", "are longer than 8 KiB"}
	}
	return out, nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// checkMember checks one member of an object against the table of what it may have.
func checkMember(known map[string]check, name string, raw json.RawMessage) *Invalid {
	check, ok := known[name]
	switch {
	case name == "sub":
		return &Invalid{name, "is the account's id and can't be set"}
	case name == "updated_at":
		return &Invalid{name, "is when the account changed and can't be set"}
	case !ok:
		problem := "is not a standard claim"
		if near := nearest.Name(name, slices.Sorted(maps.Keys(known)), len(name)/2); near != "" {
			problem += "; the nearest is " + near
		}
		return &Invalid{nearest.Shorten(name), problem}
	case isNull(raw):
		return nil
	}
	bad := check(raw)
	if bad == nil {
		return nil
	}
	if bad.Field != "" {
		return &Invalid{name + "." + bad.Field, bad.Problem}
	}
	return &Invalid{name, bad.Problem}
}

// object reads one JSON object and nothing else. A repeated name is an error: what two
// readers would read differently is not remembered.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	set := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // the decoder takes nothing else for a name
		if _, twice := set[name]; twice {
			return nil, fmt.Errorf("%q is there twice", nearest.Shorten(name))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		set[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it has no end")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows it")
	}
	return set, nil
}
