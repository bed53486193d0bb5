package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestInspect(t *testing.T) {
	key := newKey(t, "one")
	other := newKey(t, "one")
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
	now := time.Unix(1_800_000_000, 0)
	good := fmt.Sprintf(`{"iss": "https://id.example", "exp": %d}`, now.Unix()+60)
	for _, tt := range []struct{ name, jwt, want string }{
		{"as it should be", sign(t, key, good), ""},
		{"another key with the same kid", sign(t, other, good), "the signature is wrong"},
		{"a kid that is not published", sign(t, newKey(t, "two"), good), `no key with the kid "two"`},
		{"no kid", sign(t, newKey(t, ""), good), "no key with the kid"},
		{"RFC 8725 2.1, alg none", "eyJhbGciOiJub25lIn0." + strings.Split(sign(t, key, good), ".")[1] + ".", "not signed with"},
		{"another issuer", sign(t, key, strings.Replace(good, "id.example", "evil.example", 1)), "iss is"},
		{"expired", sign(t, key, fmt.Sprintf(`{"iss": "https://id.example", "exp": %d}`, now.Unix())), "expired 0s ago"},
		{"without an end", sign(t, key, `{"iss": "https://id.example"}`), "no exp"},
		{"not yet", sign(t, key, fmt.Sprintf(`{"iss": "https://id.example", "exp": %d, "nbf": %d}`, now.Unix()+60, now.Unix()+30)), "not valid yet"},
		{"nonsense in exp", sign(t, key, `{"iss": "https://id.example", "exp": "soon"}`), "wrong type"},
		{"claims that were changed", swap(sign(t, key, good), sign(t, key, strings.Replace(good, "60", "61", 1)+" ")), "signature is wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen, err := decode(tt.jwt)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(seen.judge(tt.jwt, "https://id.example", keys, now), "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, not := range []string{"", "mm_at_x", "a.b", "a.b.c", "e30.W10.x", "e30.e30.e30.e30.e30"} {
		if _, err := decode(not); err == nil {
			t.Errorf("%q is a JWT", not)
		}
	}
}

func newKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: "ES256"}
}

func sign(t *testing.T, key jose.JSONWebKey, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

// swap puts the claims of b between the header and the signature of a.
func swap(a, b string) string {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	return as[0] + "." + bs[1] + "." + as[2]
}
