package upstream

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"mintmark/internal/secret"
)

// FuzzDocument: what is read reads the same everywhere, and is small.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"a":2}`, `[[[[[[[[[[[1]]]]]]]]]]]`, `{"a":{"b":[1,"2",null,true]}}`, `{"a":1e999}`, `{"\u0061":1,"a":2}`, `"\ud800"`, `{"a":1}x`, `[1,]`, `nul`, "{\"\xff\":1}", ` {"A":1,"a":2} `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseJSON([]byte(text))
		if err != nil {
			return
		}
		if depth(v) > maxDepth+1 {
			t.Errorf("%q is deeper than it may be", text)
		}
		mine, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var theirs any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&theirs); err != nil {
			t.Fatalf("%q was read, and is not JSON: %v", text, err)
		}
		if other, _ := json.Marshal(theirs); string(other) != string(mine) {
			t.Errorf("%q was read as %s and as %s", text, mine, other)
		}
	})
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	case []any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	default:
		return 1
	}
	return deepest + 1
}

// FuzzEmail: an address has one @, whoever reads it and however they normalise it.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "a@b@c.de", "ada＠example.com", "\u212A@example.com", "ada@ex\u00adample.com", "ada@example.com\n", "ä@exämple.de", "a@b", "@", "ﬀ@example.com", "a@x..de"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !plainEmail(s) {
			return
		}
		for _, form := range []string{s, norm.NFC.String(s), norm.NFKC.String(s), norm.NFKD.String(s), strings.ToLower(s), strings.ToUpper(s)} {
			if strings.Count(form, "@") != 1 || strings.ContainsAny(form, " \r\n\x00\t,;<>\"") {
				t.Errorf("%q is taken, and reads as %q", s, form)
			}
		}
		if at := strings.IndexByte(s, '@'); strings.Count(norm.NFKC.String(s[at:]), ".") != strings.Count(s[at:], ".") {
			t.Errorf("%q has another number of labels", s)
		}
	})
}

// FuzzReturn: what is taken for a path of ours leads nowhere else, also as browsers read addresses.
func FuzzReturn(f *testing.F) {
	for _, seed := range []string{"/", "/account?tab=keys#x", "//evil.example", `/\evil.example`, "/\t/evil.example", "/%2f%2fevil.example", "/..//evil.example", "/./\\evil.example", "https:evil.example", "/a/../../b"} {
		f.Add(seed)
	}
	base, _ := url.Parse(ours)
	f.Fuzz(func(t *testing.T, s string) {
		if !isOurs(s) {
			return
		}
		// WHATWG URL: tabs and line ends are dropped, and \ is /.
		for _, form := range []string{s, strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(s)} {
			u, err := base.Parse(form)
			if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || strings.HasPrefix(form, "//") || strings.HasPrefix(u.Path, "//") {
				t.Errorf("%q leads to %v, %v", s, u, err)
			}
		}
	})
}

const ours = "https://sso.example"

// FuzzMetadata: whatever a provider says of itself, we go to addresses only.
func FuzzMetadata(f *testing.F) {
	f.Add(`{"issuer":"https://op.example","authorization_endpoint":"https://op.example/a","token_endpoint":"https://op.example/t","jwks_uri":"https://op.example/j","id_token_signing_alg_values_supported":["RS256","none"]}`)
	f.Add(`{"issuer":"https://op.example","authorization_endpoint":"javascript:alert(1)","token_endpoint":"http://op.example","jwks_uri":"https://a:b@c"}`)
	f.Add(`{"issuer":["https://op.example"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDocument([]byte(text))
		if err != nil {
			return
		}
		found, err := readPlaces(d, "https://op.example", kinds["oidc"])
		if err != nil {
			return
		}
		for _, a := range []string{found.Authorize, found.Token, found.JWKS} {
			if u, err := url.Parse(a); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("we would go to %q", a)
			}
		}
		for _, alg := range found.Algorithms {
			if strings.HasPrefix(alg, "HS") || alg == "none" {
				t.Errorf("%s would be believed", alg)
			}
		}
	})
}

// FuzzGranted: the answer of a token endpoint has a printable access token, or is none.
func FuzzGranted(f *testing.F) {
	for _, seed := range []string{`{"access_token":"a","token_type":"bearer","expires_in":3600,"scope":"a,b c"}`, `{"access_token":"a\n","token_type":"bearer"}`, `{"access_token":"a","token_type":"bearer","expires_in":"1e9"}`, `{"access_token":"a","token_type":"bearer","expires_in":-1}`} {
		f.Add(seed)
	}
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDocument([]byte(text))
		if err != nil {
			return
		}
		g, err := readGranted(d, now)
		if err != nil {
			return
		}
		if g.access == "" || !printableToken(g.access) || !g.expires.IsZero() && !g.expires.After(now) {
			t.Errorf("%q was granted as %+v", text, g)
		}
	})
}

// FuzzIdentity: whatever a provider says of a person, what is taken over is bounded and plain.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{`{"sub":"ada","email":"ada@example.com","email_verified":true,"groups":["a","b"],"name":"Ada"}`, `{"sub":1.5}`, `{"sub":18446744073709551616}`, `{"sub":{"sub":"x"}}`, `{"sub":"a","email":"a@b@c.de"}`, `{"sub":"a","groups":"x","amr":["pwd"]}`, `{"sub":"a","picture":"javascript:alert(1)"}`} {
		f.Add(seed)
	}
	p := &Provider{ID: "prv_1", Name: "op", Kind: "oidc", Issuer: "https://op.example", ClientID: "c", Mapping: map[string]string{"groups": "groups"},
		Roles: []RoleRule{{"groups", "ops", "admin"}}}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDocument([]byte(text))
		if err != nil {
			return
		}
		talk := &talk{p: p, now: time.Unix(1e9, 0)}
		who, err := talk.identify([]document{d}, places{})
		if err != nil {
			return
		}
		if !isSubject(who.Subject) || who.Email != "" && !plainEmail(who.Email) || who.EmailVerified && (who.Email == "" || d["email_verified"] != true) ||
			len(who.Groups) > maxGroups || len(who.Claims) > maxClaims || !json.Valid(who.Claims) || strings.ContainsFunc(who.Name, unprintable) {
			t.Errorf("%q became %+v", text, who)
		}
		if len(who.Roles) > 0 && !strings.Contains(text, "ops") && !strings.Contains(text, `\u`) {
			t.Errorf("%q has the roles %q", text, who.Roles)
		}
	})
}

// FuzzCookie: nothing opens but what was sealed, under its own state.
func FuzzCookie(f *testing.F) {
	sealer, err := secret.NewSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	g, err := New(Config{Store: noStore{}, Sealer: sealer, StateKey: [32]byte{1}, Issuer: ours})
	if err != nil {
		f.Fatal(err)
	}
	state := newState()
	rec := httptest.NewRecorder()
	if err := g.keep(rec, httptest.NewRequest("GET", "/", nil), state, &attempt{Provider: "prv_1"}); err != nil {
		f.Fatal(err)
	}
	good := rec.Result().Cookies()[0].Value
	for _, seed := range []string{good, "", "1", "9", "1" + good, good + "=", good[:len(good)-1], "2" + good[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", g.cookieName(state, 0)+"="+value)
		_, ok := g.open(r, state)
		if ok != (strings.Trim(value, " \t") == good) {
			t.Errorf("%q opens: %v", value, ok)
		}
	})
}

type noStore struct{ Store }
