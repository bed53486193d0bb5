package server

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzRule: what an operator asks for is taken as written, or not at all.
func FuzzRule(f *testing.F) {
	for _, s := range []string{"", "scope=a+b&audience=https://docs.example", "scope=a&scope=b", "scope", "scope=%22", "audience=a%20b", "x=y", "scope=%zz", "scope=;", "scope=%c2%a0a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		rule, ok := parseRule(query)
		if rule == nil {
			t.Fatal("a caller looks into it in any case")
		}
		if !ok {
			return
		}
		theirs, err := url.ParseQuery(query)
		if err != nil || len(theirs) > 2 || rule.Audience != theirs.Get("audience") || !slices.Equal(rule.All, strings.Fields(theirs.Get("scope"))) {
			t.Errorf("%q is %+v, and %v, %v", query, rule, theirs, err)
		}
		if all := strings.Join(rule.All, "") + rule.Audience; strings.ContainsFunc(all, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			t.Errorf("%q is %+v, which a header can't have in it", query, rule)
		}
	})
}
