package web

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReturnTo: where somebody returns to is here, also as browsers read addresses, and after somebody has
// decoded it once more.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "/account?tab=keys", "//evil.example", `/\evil.example`, "/\t/evil.example", "/%2f%2fevil.example", "/..//evil.example", "/a/../../b", "https:evil.example", "/?a=//b", "/.", "/a?b=%0d%0aX:y", "/a:b", "/@evil.example"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://sso.example/issuer/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !ownPath(s) {
			return
		}
		plain, err := url.PathUnescape(s)
		if err != nil {
			plain = s // only in its query, where it stays text
		}
		path, _, _ := strings.Cut(plain, "?")
		// WHATWG URL: tabs and line ends are dropped, and \ is /.
		for _, form := range []string{s, path, strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(path)} {
			u, err := base.Parse(form)
			if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || strings.HasPrefix(form, "//") || strings.HasPrefix(u.Path, "//") {
				t.Errorf("%q leads to %v, %v", s, u, err)
			}
		}
		if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) || len(s) > maxReturn {
			t.Errorf("%q may be in a header", s)
		}
	})
}

// FuzzForm: what a page reads is text, and each name is there once; everybody else reads the same.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=b", "a=b&a=c", "a=%00", "a=%ff", "a;b=c", "%", "=&=", strings.Repeat("a&", 60)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "https://sso.example/login", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form, err := readForm(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		theirs, err := url.ParseQuery(body)
		if err != nil || len(theirs) != len(form) || len(form) > 50 {
			t.Fatalf("%q was read as %q: %v", body, form, err)
		}
		for name, values := range form {
			if len(values) != 1 || theirs.Get(name) != values[0] || !utf8.ValidString(name+values[0]) || strings.Contains(name+values[0], "\x00") {
				t.Errorf("%q: %q is %q", body, name, values)
			}
		}
	})
}
