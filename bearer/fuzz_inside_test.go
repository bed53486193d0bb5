package bearer

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const fuzzedKey = "mm_sk_0123456789abcdefghijABCDEFGHIJ"

// FuzzURL: the quick look at an address misses nothing that the slow one finds, and a key that stands in a
// parameter as every framework reads it is found.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{"/", "/a?b=c", "/?key=" + fuzzedKey, "/?a=%6dm_sk_0123456789abcdefghijABCDEFGHIJ", "/" + fuzzedKey + "/x", "/?access_token=a", "/?ACCESS_TOKEN=a;b",
		"/?next=https%3A%2F%2Fa%2F%3Faccess_token%3D0123456789abcdef", "/%2561", "//user:pass@host/", "/?%61pi_key=x", "/?a=%", "/?=" + fuzzedKey, "/a;api_key=0123456789abcdef", "*"} {
		f.Add(seed)
	}
	g := &Guard{Config: Config{KeyPrefixes: []string{"mm_"}}}
	f.Fuzz(func(t *testing.T, line string) {
		u, err := url.ParseRequestURI(line)
		if err != nil {
			u = &url.URL{Path: line, RawQuery: line} // as forward auth does
		}
		found := g.inURL(u)
		if any := g.anyInURL(u); any != (len(found) > 0) {
			t.Errorf("%q: %v at a glance, and %q", line, any, found)
		}
		if len(found) > mostExposed {
			t.Errorf("%q: %d credentials are looked up", line, len(found))
		}
		for _, values := range u.Query() {
			if slices.Contains(values, fuzzedKey) && len(found) == 0 {
				t.Errorf("%q has a key in it", line)
			}
		}
	})
}

// FuzzKeySet: of what somebody publishes or an operator gives, only public keys are taken that verify
// something, or only secrets where they were asked for; and not too many.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`, `{"keys":[null,1,{}]}`,
		"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, symmetric := range []bool{false, true} {
			keys, err := parseJWKS(text, symmetric)
			if err == nil {
				taken(t, keys, symmetric)
			}
		}
		if keys, err := parsePEM(text); err == nil {
			taken(t, keys, false)
			if bytes.Contains(text, []byte("PRIVATE KEY-----\n")) && len(keys) > bytes.Count(text, []byte("-----BEGIN ")) {
				t.Errorf("%d keys in %q", len(keys), text)
			}
		}
	})
}

func taken(t *testing.T, keys []key, symmetric bool) {
	t.Helper()
	if len(keys) == 0 {
		t.Error("no key, and no error")
	}
	for _, k := range keys {
		public := jose.JSONWebKey{Key: k.key}
		if _, secret := k.key.([]byte); secret != symmetric || !secret && !public.IsPublic() || !k.good() {
			t.Errorf("a %T was taken", k.key)
		}
	}
}

// FuzzMaxAge: whatever an answer says, keys are believed neither for ever nor so briefly that every request
// fetches them.
func FuzzMaxAge(f *testing.F) {
	for _, seed := range []string{"", "max-age=60", "max-age=\"60\", no-store", "no-store", "max-age=99999999999999999999", "max-age=-1", "MAX-AGE=0", "max-age", "s-maxage=5,,"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		if age := maxAge(http.Header{"Cache-Control": {one, two}}); age < min(leastAge, defaultAge) || age > max(mostAge, defaultAge) {
			t.Errorf("%q, %q: %s", one, two, age)
		}
	})
}
