package issuer

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestForm(t *testing.T) {
	const longest = maxBody
	for _, tt := range []struct {
		name   string
		r      *http.Request
		want   string // of the parameter "a", or the code of the refusal
		refuse bool
	}{
		{"the query of a GET", httptest.NewRequest("GET", "/?a=1&b=2", nil), "1", false},
		{"the body of a POST", posted("a=1&b=2"), "1", false},
		{"RFC 6749 3.2.1, the query of a POST is not looked at", func() *http.Request {
			r := posted("b=2")
			r.URL.RawQuery = "a=1"
			return r
		}(), "", false},
		{"a charset", typed("a=1", "application/x-www-form-urlencoded; charset=UTF-8"), "1", false},
		{"percent and plus", posted("a=%41+%2B%26%3D"), "A +&=", false},
		{"a semicolon separates nothing", posted("a=1;b=2"), "1;b=2", false},
		{"RFC 6749 3.1, without a value it is omitted", posted("a=&b=2"), "", false},
		{"no equals sign", posted("a&b"), "", false},
		{"a POST with nothing", typed("", ""), "", false},
		{"of unknown length", func() *http.Request {
			r := posted("a=1")
			r.ContentLength = -1
			return r
		}(), "1", false},
		{"RFC 8707 2, resource may be repeated", posted("resource=x&resource=y&a=1"), "1", false},
		{"the longest body", posted("a=1&b=" + strings.Repeat("x", longest-6)), "1", false},
		{"RFC 6749 3.2, repeated", posted("a=1&a=1"), "invalid_request", true},
		{"RFC 6749 3.2, repeated and empty", posted("a=1&a="), "invalid_request", true},
		{"RFC 6749 3.2, repeated under another spelling", posted("a=1&%61=1"), "invalid_request", true},
		{"one byte longer", posted("a=1&b=" + strings.Repeat("x", longest-5)), "invalid_request", true},
		{"one byte longer, of unknown length", func() *http.Request {
			r := posted("a=1&b=" + strings.Repeat("x", longest-5))
			r.ContentLength = -1
			return r
		}(), "invalid_request", true},
		{"101 parameters", posted("a=1" + strings.Repeat("&b", 100)), "invalid_request", true},
		{"JSON", typed(`{"a":1}`, "application/json"), "invalid_request", true},
		{"no type", typed("a=1", ""), "invalid_request", true},
		{"half an escape", posted("a=%4"), "invalid_request", true},
		{"NUL", posted("a=1%00"), "invalid_request", true},
		{"NUL in a name", posted("b%00=1&a=1"), "invalid_request", true},
		{"not UTF-8", posted("a=%ff"), "invalid_request", true},
		{"a body that breaks off", func() *http.Request {
			r := posted("a=1")
			r.ContentLength = 10
			return r
		}(), "invalid_request", true},
		{"PUT", httptest.NewRequest("PUT", "/?a=1", nil), "invalid_request", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parseForm(tt.r)
			got := f.get("a")
			if err != nil {
				var refusal *Error
				if !errors.As(err, &refusal) {
					t.Fatalf("an error that is no refusal: %v", err)
				}
				got = refusal.Code
			}
			if got != tt.want || (err != nil) != tt.refuse {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestAllOfARepeatedParameter(t *testing.T) {
	f, err := parseForm(posted("resource=x&a=1&resource=&resource=y"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.all("resource"), " "); got != "x y" {
		t.Errorf("got %q", got)
	}
	if f.has("nothing") || !f.has("a") {
		t.Error("has is wrong")
	}
}

// The name of a repeated parameter comes from outside, and the description has to stay
// inside of RFC 6749 §5.2.
func TestTheNameOfARepeatedParameterIsNotEchoedBlindly(t *testing.T) {
	for _, name := range []string{`"`, "\\", "ä", "<script>", "\r\n", strings.Repeat("a", 100)} {
		_, err := parseForm(posted(url.QueryEscape(name) + "=1&" + url.QueryEscape(name) + "=2"))
		if err == nil || strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add("a=1&b=2")
	f.Add("a=%00&a=%ff&%61=+")
	f.Add("&&=&a==%2")
	f.Add("=&=")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := decodePairs(s)
		if err != nil {
			return
		}
		for _, p := range got.pairs {
			if !utf8.ValidString(p.name+p.value) || strings.Contains(p.name+p.value, "\x00") {
				t.Errorf("%q let %q through", s, p)
			}
		}
		if strings.Contains(s, ";") {
			return // the library refuses it, browsers don't
		}
		theirs, err := url.ParseQuery(s)
		if err != nil {
			t.Errorf("%q was taken, but the library says: %v", s, err)
		}
		for name, values := range theirs {
			if len(values) > 1 && got.repeated == "" && name != "resource" && name != "audience" {
				t.Errorf("%q: that %q is repeated was not seen", s, name)
			}
			if len(values) == 1 && got.get(name) != values[0] {
				t.Errorf("%q: %q is %q, the library says %q", s, name, got.get(name), values[0])
			}
		}
	})
}

func posted(body string) *http.Request { return typed(body, formType) }

func typed(body, contentType string) *http.Request {
	r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader(body)))
	r.ContentLength = int64(len(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}
