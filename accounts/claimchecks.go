package accounts

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"mintmark/internal/nearest"
)

func wrong(problem string) *Invalid {
	if problem == "" {
		return nil
	}
	return &Invalid{Problem: problem}
}

// stringCheck is a check of what a JSON string says.
func stringCheck(f func(s string) (problem string)) check {
	return func(raw json.RawMessage) *Invalid {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return wrong("is not a string")
		}
		return wrong(f(s))
	}
}

func line(limit int) check {
	return stringCheck(func(s string) string { return text(s, limit, false) })
}

func lines(limit int) check {
	return stringCheck(func(s string) string { return text(s, limit, true) })
}

func boolean(raw json.RawMessage) *Invalid {
	if string(raw) != "true" && string(raw) != "false" {
		return wrong("is neither true nor false") // §5.1: a JSON boolean, not "true"
	}
	return nil
}

var email = stringCheck(func(s string) string {
	_, problem := canonicalEmail(s)
	return problem
})

var webPage = stringCheck(func(s string) string {
	u, err := url.Parse(s)
	switch {
	case len(s) > 2000:
		return "is longer than 2000 bytes"
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
		return "is not the URL of a web page (https://…)"
	}
	return text(s, 2000, false)
})

// birthdate is §5.1: "ISO 8601-1 YYYY-MM-DD format. The year MAY be 0000, indicating that it
// is omitted. To represent only the year, YYYY format is allowed."
var birthdate = stringCheck(func(s string) string {
	const problem = `is not a date like "1990-12-31", "0000-12-31" or "1990"`
	if len(s) == 4 {
		if _, err := time.Parse("2006", s); err != nil {
			return problem
		}
		return ""
	}
	day := s
	if rest, ok := strings.CutPrefix(s, "0000-"); ok {
		day = "2000-" + rest // 29 February is a birthday
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil || len(s) != len(time.DateOnly) {
		return problem
	}
	return ""
})

// zoneinfo is checked by its shape only: which zones there are depends on the machine.
var zoneinfo = stringCheck(func(s string) string {
	if len(s) > 64 || !zoneName.MatchString(s) {
		return `is not a time zone like "Europe/Paris"`
	}
	return ""
})

var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,3}$`)

// locale is a BCP 47 tag. §5.1 lets relying parties take an underscore for the dash; we
// don't give them one.
var locale = stringCheck(func(s string) string {
	_, err := language.Parse(s)
	if err != nil || len(s) > 64 || strings.Contains(s, "_") {
		return `is not a language tag like "en-US" or "fr-CA"`
	}
	return ""
})

var phoneNumber = stringCheck(func(s string) string {
	if len(s) > 64 || !phoneLike.MatchString(s) {
		return `is not a telephone number like "+1 (425) 555-1212"`
	}
	return ""
})

var (
	phoneLike = regexp.MustCompile(`^\+?[0-9 ().-]*[0-9][0-9 ().-]*(;ext=[0-9]{1,15})?$`)
	e164      = regexp.MustCompile(`^\+[ ().-]*([0-9][ ().-]*){2,15}(;ext=[0-9]{1,15})?$`)
)

func address(raw json.RawMessage) *Invalid {
	parts, err := object(raw)
	switch {
	case err != nil:
		return wrong("is no JSON object: " + err.Error())
	case len(parts) == 0:
		return wrong("has nothing in it")
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if isNull(parts[name]) {
			return &Invalid{nearest.Shorten(name), "is null"}
		}
		if bad := checkMember(addressParts, name, parts[name]); bad != nil {
			return bad
		}
	}
	return nil
}
