package issuer

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestAnObjectIsJSON(t *testing.T) {
	o := newObject()
	defer o.free()
	o.str("a", `"\`+"\n\x00é\u2028<&>\xff")
	o.set("left_out", "")
	o.token("t", []byte("x.y-z_"))
	o.num("n", -12)
	o.flag("f", true)
	o.list("l", []string{"x", `"`})
	o.list("none", nil)
	o.oneOrMany("one", []string{"x"})
	o.oneOrMany("many", []string{"x", "y"})
	o.words("w", []string{"openid", `a"b`})
	o.words("no_words", nil)
	for name, v := range map[string]any{"any_s": "s", "any_b": false, "any_i": int64(7), "any_f": 1.5, "any_o": map[string]any{"k": "v"}} {
		if err := o.any(name, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.any("bad", func() {}); err == nil {
		t.Error("a function was written")
	}
	var got map[string]any
	if err := json.Unmarshal(o.end(), &got); err != nil {
		t.Fatalf("%v: %s", err, o.b)
	}
	want := map[string]any{
		"a": `"\` + "\n\x00é\u2028<&>\ufffd", "t": "x.y-z_", "n": -12.0, "f": true, "l": []any{"x", `"`}, "none": []any{},
		"one": "x", "many": []any{"x", "y"}, "w": `openid a"b`, "no_words": "",
		"any_s": "s", "any_b": false, "any_i": 7.0, "any_f": 1.5, "any_o": map[string]any{"k": "v"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	empty := newObject()
	defer empty.free()
	if text := string(empty.end()); text != "{}" {
		t.Errorf("an empty object is %s", text)
	}
}

// Whatever is written reads back as encoding/json would have it, and nothing of it gets out
// of its string.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "\x00\x1f\x7f", "é\u2028\u2029", "\xff", "\xed\xa0\x80", "a\xc3", "\ufffd", `","admin":true,"x":"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString([]byte(nil), s)
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("not JSON: %q", text)
		}
		var ours, theirs string
		reference, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(text, &ours) != nil || json.Unmarshal(reference, &theirs) != nil || ours != theirs {
			t.Fatalf("%q is written as %s and read as %q, not as %q", s, text, ours, theirs)
		}
	})
}

// The claims of a token stay what they are, whatever a client or a person is called.
func FuzzAccessClaims(f *testing.F) {
	f.Add("cli_1", "https://api.example", "openid a", "ses_1", "pwd")
	f.Add(`","sub":"admin`, "\x00", "\xff \u2028", `\`, `"]}`)
	f.Fuzz(func(t *testing.T, client, audience, scope, session, amr string) {
		p := &Provider{Config: Config{Issuer: "https://op.example"}}
		o := newObject()
		defer o.free()
		p.accessClaims(o, minting{
			client: &Client{ID: client}, audience: []string{audience}, scopes: []string{scope, scope},
			a: &Authorization{ID: "aid", AccountID: "usr_1", SessionID: session, ACR: amr, AMR: []string{amr, amr}},
		}, "jti")
		var got, want map[string]any
		if err := json.Unmarshal(o.end(), &got); err != nil {
			t.Fatalf("%v: %s", err, o.b)
		}
		values := map[string]any{
			"iss": p.Issuer, "sub": "usr_1", "aud": audience, "client_id": client, "exp": got["exp"], "iat": got["iat"],
			"auth_time": got["auth_time"], "jti": "jti", "scope": scope + " " + scope, "aid": "aid", "amr": []string{amr, amr},
		}
		if session != "" {
			values["sid"] = session
		}
		if amr != "" {
			values["acr"] = amr
		}
		reference, err := json.Marshal(values)
		if err != nil || json.Unmarshal(reference, &want) != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
		if strings.Count(string(o.b), `"sub":"usr_1"`) < 1 {
			t.Fatalf("no sub: %s", o.b)
		}
	})
}
