package upstream

import (
	"bytes"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// FuzzKeys: what is made of an operator's keys has only public ones in it, and reads the same when it is read
// again, as it is for every token.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{`{"keys":[]}`, `{"kty":"EC"}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"a","alg":"ES256"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"enc"}]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[null]}`, `"-----BEGIN PUBLIC KEY-----\n"`,
		"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n", "-----BEGIN EC PRIVATE KEY-----"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		made, err := ReadKeys(text)
		if err != nil {
			return
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(made, &set); err != nil || len(set.Keys) == 0 || len(set.Keys) > maxKeys {
			t.Fatalf("%q became %s, %v", text, made, err)
		}
		for _, key := range set.Keys {
			if !key.IsPublic() || len(fitting(key)) == 0 {
				t.Errorf("%q became %s", text, made)
			}
		}
		if again, err := ReadKeys(made); err != nil || !bytes.Equal(again, made) {
			t.Errorf("%q became %s, and then %s, %v", text, made, again, err)
		}
	})
}

// FuzzAnswer: the parameters of an answer are there once, and mean what they mean to everybody.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"state=a&code=b", "state=a&state=b", "state=%", "a;b", "user=%7B%7D&iss=https://op.example", "=", "&&", "code=a+b%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := parseOnce(text)
		if err != nil {
			return
		}
		theirs, err := url.ParseQuery(text)
		if err != nil || len(theirs) != len(form) || len(text) > maxCallback {
			t.Fatalf("%q was read: %v, %v", text, theirs, err)
		}
		for name, values := range theirs {
			if len(values) != 1 || form.Get(name) != values[0] {
				t.Errorf("%q: %q is %q", text, name, values)
			}
		}
	})
}
