package accounts

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"mintmark/internal/secret"
)

func TestCookie(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"one", []string{"__Host-mintmark_session=abc"}, "abc"},
		{"one among others", []string{"a=b; __Host-mintmark_session=abc;c=d"}, "abc"},
		{"in a second header", []string{"a=b", "__Host-mintmark_session=abc"}, "abc"},
		{"twice", []string{"__Host-mintmark_session=abc; __Host-mintmark_session=def"}, ""},
		{"twice the same", []string{"__Host-mintmark_session=abc; __Host-mintmark_session=abc"}, ""},
		{"twice, in two headers", []string{"__Host-mintmark_session=abc", "__Host-mintmark_session=def"}, ""},
		{"twice, one of them unreadable", []string{"__Host-mintmark_session=abc; __Host-mintmark_session=\"\x01"}, ""},
		{"twice, one of them without a value", []string{"__Host-mintmark_session; __Host-mintmark_session=abc"}, ""},
		{"twice, with a space in between", []string{"__Host-mintmark_session =abc; __Host-mintmark_session=def"}, ""},
		{"of plain http", []string{"mintmark_session=abc"}, ""},
		{"in another case", []string{"__host-mintmark_session=abc"}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = tt.headers
		if got := (&Sessions{Secure: true}).cookie(r); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func TestSetCookie(t *testing.T) {
	for _, tt := range []struct {
		name     string
		sessions Sessions
		want     string
	}{
		{"over TLS", Sessions{Secure: true}, "__Host-mintmark_session=abc; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		{"on this machine", Sessions{}, "mintmark_session=abc; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
	} {
		w := httptest.NewRecorder()
		tt.sessions.give(w, secret.Wrap("abc"))
		if got := w.Header().Get("Set-Cookie"); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
	w := httptest.NewRecorder()
	(&Sessions{Secure: true}).Clear(w)
	if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") || !strings.Contains(got, "Secure") {
		t.Errorf("taken away with %s", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Mozilla/5.0":                          "Mozilla/5.0",
		"a\x00b\nc\x1b[31m\xff":                "abc[31m",
		strings.Repeat("x", 300):               strings.Repeat("x", 200),
		"x" + strings.Repeat("é", 150):         "x" + strings.Repeat("é", 99),
		strings.Repeat("\x00", 10000) + "late": "",
	} {
		got := printable(in, 200)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q…: %q", in, got)
		}
	}
}

func FuzzCookie(f *testing.F) {
	f.Add("a=b; mintmark_session=abc")
	f.Add("mintmark_session=a; mintmark_session")
	f.Add("mintmark_session=a;\nmintmark_session")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		got := (&Sessions{}).cookie(r)
		// Whatever the standard library would find twice is not taken.
		if found := r.CookiesNamed("mintmark_session"); len(found) > 1 && got != "" {
			t.Fatalf("took %q of %d", got, len(found))
		}
	})
}
