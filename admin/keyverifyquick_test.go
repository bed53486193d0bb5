package admin_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mintmark/admin"
	"mintmark/apikeys"
)

// The shorter way of keys/verify answers as the long one, byte for byte, which a parameter of
// the media type leads to.
func TestThereAreTwoWaysToAskAboutAKeyAndOneAnswer(t *testing.T) {
	if n := reflect.TypeFor[admin.Verdict]().NumField(); n != 14 {
		t.Errorf("a Verdict has %d members: appendPlain writes 14", n)
	}
	onEach(t, func(t *testing.T, op *operator) {
		service, err := op.apiKeys.AddService(t.Context(), "robot", "", apikeys.By{})
		must(t, err)
		of := func(n apikeys.New) string {
			n.Kind, n.OwnerType, n.OwnerID = "sk", "service", service.ID
			return op.makeKey(n)
		}
		good := of(apikeys.New{Scopes: []string{"a", "b"}, Audience: []string{"https://a.example/?x=1&y=<2>"}})
		bound := of(apikeys.New{Allow: []string{"192.0.2.0/24"}})
		spent := of(apikeys.New{Limits: []string{"1/h"}})
		op.does("POST", "/keys/verify", map[string]any{"key": spent})
		asker := of(apikeys.New{Scopes: []string{apikeys.ScopeVerify}})
		limited := of(apikeys.New{Scopes: []string{apikeys.ScopeVerify}, Limits: []string{"2/h"}})
		for _, body := range []string{
			`{"key":"` + good + `"}`,
			" {\n\t\"key\" : \"" + good + "\" , \"scope\":\"a b\"}\r\n",
			`{"scope":"c","key":"` + good + `"}`,
			`{"key":"` + good + `","audience":"https://a.example/?x=1&y=<2>"}`,
			`{"key":"` + good + `","audience":"https://b.example"}`,
			`{"key":"` + bound + `"}`,
			`{"key":"` + bound + `","address":"192.0.2.7"}`,
			`{"key":"` + bound + `","address":"::ffff:192.0.2.7"}`,
			`{"key":"` + bound + `","address":"here"}`,
			`{"key":"mm_sk_junk"}`, `{"key":""}`, `{"scope":"a"}`, `{}`, ``, `[]`, `null`, `"key"`, `{"key":1}`, `{"key":null}`,
			`{"key":"` + good + `","key":"` + good + `"}`,
			`{"Key":"` + good + `"}`, `{"key":"x","keys":"y"}`, `{"key":"x"`, `{"key":"x"}}`, `{"key":"x",}`, `{,"key":"x"}`, `{"key" "x"}`,
			`{"key":"\u006dm"}`, `{"key":"é"}`, "{\"key\":\"\xff\"}", "{\"key\":\"a\x00\"}", "{\"key\":\"a\nb\"}",
			`{"key":"` + strings.Repeat("x", 600) + `"}`, `{"key":"` + strings.Repeat("x", 601) + `"}`,
			`{"key":"x","scope":"` + strings.Repeat("x", 2001) + `"}`, `{"key":"x","audience":"` + strings.Repeat("x", 201) + `"}`, `{"key":"x","address":"` + strings.Repeat("1", 101) + `"}`,
		} {
			for name, key := range map[string]string{"operator": op.key, "service": asker, "a key without the scope": good, "bad": "mm_sk_junk"} {
				short := op.ask("POST", "/keys/verify", body, "Authorization", "ApiKey "+key)
				long := op.ask("POST", "/keys/verify", body, "Authorization", "ApiKey "+key, "Content-Type", "application/json;charset=utf-8")
				for _, a := range []*answer{&short, &long} {
					delete(a.header, "Date")
				}
				if short.status != long.status || short.text != long.text || !maps.EqualFunc(short.header, long.header, slices.Equal[[]string]) {
					t.Errorf("%s, %.60q:\n%d %v %s\n%d %v %s", name, body, short.status, short.header, short.text, long.status, long.header, long.text)
				}
			}
		}
		// Either way counts once, and says what is left.
		for left, kind := range map[string]string{`"default";r=1;`: "application/json"} {
			a := op.ask("POST", "/keys/verify", `{"key":"`+spent+`"}`, "Authorization", "ApiKey "+limited, "Content-Type", kind)
			if a.status != 200 || a.body["code"] != "rate_limited" || !strings.HasPrefix(a.header.Get("RateLimit"), left) {
				t.Errorf("%d %v %s", a.status, a.header, a.text)
			}
		}
		op.ask("POST", "/keys/verify", `{"key":"`+spent+`"}`, "Authorization", "ApiKey "+limited)
		op.refuses(429, "rate_limited", "POST", "/keys/verify", `{"key":"x"}`, "Authorization", "ApiKey "+limited)
	})
}
