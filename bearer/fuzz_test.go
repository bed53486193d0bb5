package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/bearer"
)

// FuzzAuthorization: whatever the field says, the answer is an answer to the caller, never
// a fault of ours; and who comes in has shown exactly the good credential.
func FuzzAuthorization(f *testing.F) {
	d := newDoor(f)
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer " + d.token, "ApiKey " + goodKey, "apikey  " + goodKey + " ", "Basic eDp5",
		"Basic ODBJUEpZRU5BbTE6", "Bearer a.b.c", "Bearer mm_", "Digest a=b, c=d", "\x00", "Bearer\t" + d.token, ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "broken") || strings.Contains(line, "elsewhere") || strings.Contains(line, limitedKey) {
			t.Skip("the test's own verifier has answers of its own to these")
		}
		r := httptest.NewRequest("GET", "https://api.example/", nil)
		r.Header["Authorization"] = []string{line}
		w := httptest.NewRecorder()
		d.guard.Require()(who).ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK:
			fields := strings.Fields(line)
			if len(fields) != 2 || !slices.Contains([]string{d.token, goodKey, foreignKey}, fields[1]) && !strings.EqualFold(fields[0], "Basic") {
				t.Errorf("%q came in", line)
			}
		case http.StatusUnauthorized:
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%q: the challenge is %q", line, w.Header()["Www-Authenticate"])
			}
		default:
			t.Errorf("%q: %d", line, w.Code)
		}
	})
}

// FuzzToken: nothing but the one token that was signed is good.
func FuzzToken(f *testing.F) {
	op := newIssuer(f)
	key := newSigner(f, "ES256", "one")
	op.publish(key)
	tokens, now, good := op.believing(), time.Now(), key.sign(op.good())
	parts := strings.Split(good, ".")
	for _, seed := range []string{good, "..", "a.b.c", parts[0] + ".e30." + parts[2], "e30." + parts[1] + "." + parts[2], good + ".", good[1:], "{}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := tokens.Verify(context.Background(), shown(token), now)
		switch {
		case token == good && err != nil:
			t.Error(err)
		case token != good && !errors.Is(err, bearer.ErrInvalid):
			t.Errorf("%q: %v", token, err)
		}
	})
}

// FuzzClaims: what the short way reads, the long way reads the same.
func FuzzClaims(f *testing.F) {
	op := newIssuer(f)
	for _, seed := range []string{jsonText(f, op.good()), jsonText(f, op.good(claims{"aud": []string{"a", "b"}, "scope": []string{"x"}})),
		`{}`, `{"iss":"a","iss":"b"}`, `{"exp":007}`, `{"exp":1e3}`, `{"aud":[]}`, `{"amr":["a",]}`, `{"scope":" a  b "}`, `{"sub":"\u0061"}`,
		`{"nbf":0}`, `{"iat":99999999999}`, `{"iat":253402300800}`, `{"jti":"é"}`, `{,}`, `{"iss":"a",}`, `{"iss":"a"}x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fast, all, scanned, err := bearer.ScanClaims(text)
		if scanned && (err != nil || !reflect.DeepEqual(fast, all)) {
			t.Errorf("%q: %+v, but %+v, %v", text, fast, all, err)
		}
	})
}

func TestOurClaimsAreReadTheShortWay(t *testing.T) {
	if _, _, scanned, err := bearer.ScanClaims(jsonText(t, newIssuer(t).good())); !scanned || err != nil {
		t.Error(scanned, err)
	}
}
