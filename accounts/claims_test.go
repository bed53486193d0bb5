package accounts

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// every is OpenID Connect Core §5.1: each claim that can be set.
const every = `{
	"name": "Jane Q. Doe", "given_name": "Jane", "family_name": "Doe", "middle_name": "Q.",
	"nickname": "JD", "preferred_username": "j.doe",
	"profile": "https://janedoe.example/me", "picture": "https://janedoe.example/me.jpg", "website": "http://janedoe.example",
	"email": "JaneDoe@example.com", "email_verified": true,
	"gender": "female", "birthdate": "0000-10-31", "zoneinfo": "America/Los_Angeles", "locale": "en-US",
	"phone_number": "+1 (425) 555-1212;ext=5678", "phone_number_verified": true,
	"address": {
		"formatted": "1234 Hollywood Blvd.\r\nLos Angeles, CA 90210\nUS", "street_address": "1234 Hollywood Blvd.",
		"locality": "Los Angeles", "region": "CA", "postal_code": "90210", "country": "US"
	}
}`

func TestEveryStandardClaimCanBeSet(t *testing.T) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(every), &given); err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(maps.Keys(claims)); !slices.Equal(want, slices.Sorted(maps.Keys(given))) {
		t.Fatalf("the table has %v", want)
	}
	a, err := Change{Claims: json.RawMessage(every)}.apply(Account{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Email != "JaneDoe@example.com" || a.EmailKey != "janedoe@example.com" || !a.EmailVerified || a.Name != "Jane Q. Doe" {
		t.Errorf("the claims that are columns: %+v", a)
	}
	var kept map[string]any
	if err := json.Unmarshal(a.Claims, &kept); err != nil {
		t.Fatal(err)
	}
	for name := range given {
		_, has := kept[name]
		if column := name == "name" || name == "email" || name == "email_verified"; has == column {
			t.Errorf("%s: remembered among the claims: %v", name, has)
		}
	}
	if address := kept["address"].(map[string]any); len(address) != 6 || address["country"] != "US" {
		t.Errorf("the address is %v", address)
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, claims, field, says string }{
		{"no JSON", `{`, "claims", "no JSON object"},
		{"no object", `["name"]`, "claims", "no JSON object"},
		{"null", `null`, "claims", "no JSON object"},
		{"two objects", `{} {}`, "claims", "follows"},
		{"a brace too many", `{}}`, "claims", "follows"},
		{"not UTF-8", "{\"name\":\"\xff\"}", "claims", "UTF-8"},
		{"a claim twice", `{"gender":"a","gender":"b"}`, "claims", "twice"},
		{"too long", `{"name":"` + strings.Repeat("x", 9000) + `"}`, "claims", "8 KiB"},
		{"unknown, with the nearest", `{"given_nane":"x"}`, "claims.given_nane", "nearest is given_name"},
		{"unknown, near to nothing", `{"https://x.example/tier":"gold"}`, "claims.https://x.example/tier", "not a standard claim"},
		{"unknown, very long", `{"` + strings.Repeat("é", 2000) + `":"gold"}`, "claims." + strings.Repeat("é", 20) + "…", "not a standard claim"},
		{"sub is not ours to set", `{"sub":"usr_1"}`, "claims.sub", "can't be set"},
		{"updated_at is not ours to set", `{"updated_at":1}`, "claims.updated_at", "can't be set"},
		{"a name that is a number", `{"name":1}`, "claims.name", "not a string"},
		{"a name of nothing", `{"name":" "}`, "claims.name", "empty"},
		{"a name of two lines", `{"name":"a\nb"}`, "claims.name", "control"},
		{"a NUL", `{"nickname":"a\u0000"}`, "claims.nickname", "control"},
		{"201 characters", `{"family_name":"` + strings.Repeat("é", 201) + `"}`, "claims.family_name", "200 characters"},
		{"a script for a picture", `{"picture":"javascript:alert(1)"}`, "claims.picture", "URL"},
		{"a picture in line", `{"picture":"data:image/png;base64,AA=="}`, "claims.picture", "URL"},
		{"a relative page", `{"website":"/me"}`, "claims.website", "URL"},
		{"a page with a password in it", `{"profile":"https://me:pw@example.com"}`, "claims.profile", "URL"},
		{"a true in quotes", `{"email_verified":"true"}`, "claims.email_verified", "true nor false"},
		{"a one for true", `{"phone_number_verified":1}`, "claims.phone_number_verified", "true nor false"},
		{"a bad address", `{"email":"a@b@c"}`, "claims.email", "one @"},
		{"a 30 February", `{"birthdate":"1990-02-30"}`, "claims.birthdate", "date"},
		{"a birthdate in another order", `{"birthdate":"31.12.1990"}`, "claims.birthdate", "date"},
		{"a birth time", `{"birthdate":"1990-12-31T00:00:00Z"}`, "claims.birthdate", "date"},
		{"a year of three digits", `{"birthdate":"199"}`, "claims.birthdate", "date"},
		{"a path for a zone", `{"zoneinfo":"../../etc/passwd"}`, "claims.zoneinfo", "time zone"},
		{"a locale with an underscore", `{"locale":"en_US"}`, "claims.locale", "language tag"},
		{"a locale that is none", `{"locale":"english please"}`, "claims.locale", "language tag"},
		{"a number of letters", `{"phone_number":"CALL-ME"}`, "claims.phone_number", "telephone"},
		{"§5.1, verified but not E.164", `{"phone_number":"0170 123","phone_number_verified":true}`, "claims.phone_number_verified", "E.164"},
		{"verified but not there", `{"phone_number_verified":true}`, "claims.phone_number_verified", "E.164"},
		{"an address in a line", `{"address":"here"}`, "claims.address", "object"},
		{"an address of nothing", `{"address":{}}`, "claims.address", "nothing"},
		{"an unknown part of an address", `{"address":{"town":"x"}}`, "claims.address.town", "not a standard"},
		{"a mistyped part", `{"address":{"contry":"x"}}`, "claims.address.contry", "nearest is country"},
		{"a part that is a number", `{"address":{"postal_code":90210}}`, "claims.address.postal_code", "not a string"},
		{"a part that is null", `{"address":{"region":null}}`, "claims.address.region", "null"},
	} {
		_, err := Change{Claims: json.RawMessage(tt.claims)}.apply(alice)
		invalid, ok := errors.AsType[*Invalid](err)
		if !ok || invalid.Field != tt.field || !strings.Contains(invalid.Problem, tt.says) {
			t.Errorf("%s: %v, not %s … %s", tt.name, err, tt.field, tt.says)
		}
	}
}

func TestClaimsAreMerged(t *testing.T) {
	a, err := Change{Claims: json.RawMessage(`{"gender":"x","nickname":"Al","address":{"country":"GB","locality":"Oxford"}}`)}.apply(alice)
	if err != nil {
		t.Fatal(err)
	}
	a, err = Change{Claims: json.RawMessage(`{"gender":null,"name":null,"address":{"country":"FR"}}`)}.apply(a)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(a.Claims), `{"address":{"country":"FR"},"nickname":"Al"}`; got != want || a.Name != "" {
		t.Errorf("%s and the name %q", got, a.Name)
	}
	a, err = Change{}.apply(a)
	if err != nil || string(a.Claims) != `{"address":{"country":"FR"},"nickname":"Al"}` {
		t.Errorf("changing nothing makes them %s, %v", a.Claims, err)
	}
}

func TestBirthdates(t *testing.T) {
	for _, day := range []string{"1990-12-31", "0000-02-29", "2000", "0000-12-31"} {
		if bad := birthdate(json.RawMessage(`"` + day + `"`)); bad != nil {
			t.Errorf("%s %s", day, bad.Problem)
		}
	}
}

// Whoever proved the old address has not proved the new one.
func TestANewAddressIsUnverified(t *testing.T) {
	verified := alice
	verified.EmailVerified = true
	same, other, yes := "ALICE.liddell@example.com", "alice@elsewhere.example", true
	for _, tt := range []struct {
		name   string
		change Change
		want   bool
	}{
		{"the same in capitals", Change{Email: &same}, true},
		{"another", Change{Email: &other}, false},
		{"another, among the claims", Change{Claims: json.RawMessage(`{"email":"alice@elsewhere.example"}`)}, false},
		{"another that is known to be theirs", Change{Email: &other, Verified: &yes}, true},
	} {
		if a, err := tt.change.apply(verified); a.EmailVerified != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.name, a.EmailVerified, err)
		}
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	email, name, yes := "alice@example.com", "Alice", true
	for field, change := range map[string]Change{
		"claims.email":          {Email: &email, Claims: json.RawMessage(`{"email":"bob@example.com"}`)},
		"claims.name":           {Name: &name, Claims: json.RawMessage(`{"name":"Bob"}`)},
		"claims.email_verified": {Verified: &yes, Claims: json.RawMessage(`{"email_verified":false}`)},
	} {
		_, err := change.apply(alice)
		if invalid, ok := errors.AsType[*Invalid](err); !ok || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := (Change{Email: &email, Claims: json.RawMessage(`{"email":"ALICE@example.com"}`)}).apply(alice); err != nil {
		t.Errorf("the same address in capitals: %v", err)
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(every)
	f.Add(`{"address":{"formatted":"a\nb"}}`)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Change{Claims: json.RawMessage(s)}.apply(Account{})
		if err != nil || len(a.Claims) == 0 {
			return
		}
		if _, err := object(a.Claims); err != nil || len(a.Claims) > maxClaims {
			t.Fatalf("remembered %s: %v", a.Claims, err)
		}
		again, err := Change{Claims: a.Claims}.apply(Account{})
		if err != nil || string(again.Claims) != string(a.Claims) {
			t.Fatalf("%s is not its own form: %s, %v", a.Claims, again.Claims, err)
		}
	})
}
