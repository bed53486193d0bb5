package apikeys

import (
	"slices"
	"strings"
	"testing"

	"mintmark/internal/secret"
)

// Junk must not reach the database: parse is all that stands before it.
func TestJunkIsRefusedWithoutAskingTheDatabase(t *testing.T) {
	r := &Registry{Mint: secret.NewMint([32]byte{1})} // no store: asking it would panic
	r.cached().foreign.loaded = true                  // and nothing was imported
	key := r.Mint.Issue(secret.KindOrganizationKey, "0123456789A").Reveal()
	if id, _, ok := address(key); !ok || id != "0123456789A" {
		t.Fatalf("the key itself: %q, %v", id, ok)
	}
	foreign := secret.NewMint([32]byte{2})
	for name, s := range map[string]string{
		"nothing":              "",
		"a prefix":             "mm_",
		"a word":               "secret",
		"cut":                  key[:len(key)-1],
		"longer":               key + "0",
		"with a space":         " " + key,
		"in capitals":          strings.ToUpper(key),
		"another kind":         strings.Replace(key, "mm_ok_", "mm_sk_", 1),
		"a session's cookie":   r.Mint.Issue(secret.KindSession, strings.Repeat("0", 22)).Reveal(),
		"a client's secret":    r.Mint.Issue(secret.KindClientSecret, "0123456789A").Reveal(),
		"an unknown kind":      strings.Replace(key, "mm_ok_", "mm_zz_", 1),
		"of another instance":  foreign.Issue(secret.KindOrganizationKey, "0123456789A").Reveal(),
		"with a changed digit": flip(key, 20),
		"with a NUL":           key[:20] + "\x00" + key[21:],
		"very long":            strings.Repeat(key, 1000),
	} {
		if _, err := r.Verify(t.Context(), s, at); err != ErrInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flip(s string, i int) string {
	b := []byte(s)
	b[i] ^= 1
	return string(b)
}

func TestAdminScopesAreACopy(t *testing.T) {
	AdminScopes()[0] = "everything"
	if scopes := AdminScopes(); slices.Contains(scopes, "everything") || len(scopes) != 21 {
		t.Errorf("the scopes are %v", scopes)
	}
}

// Whatever comes as far as the database is exactly a key that the mint makes for that id.
func FuzzAddress(f *testing.F) {
	mint := secret.NewMint([32]byte{1})
	for kind := range kinds {
		if kind != KindImported {
			f.Add(mint.Issue(kind, secret.NewShortID()).Reveal())
		}
	}
	f.Add("mm_ok_")
	f.Fuzz(func(t *testing.T, s string) {
		id, n, ok := address(s)
		if !ok {
			return
		}
		if again := string(secret.AppendBase62(nil, n, 11)); again != id {
			t.Fatalf("%q is the number of %q too", id, again)
		}
		if parsed, good := mint.Parse(s[3:5], s); good && parsed != id {
			t.Fatalf("%q is of %q", s, parsed)
		}
	})
}

func BenchmarkVerifyJunk(b *testing.B) {
	r := &Registry{Mint: secret.NewMint([32]byte{1})}
	junk := secret.NewMint([32]byte{2}).Issue(secret.KindOrganizationKey, "0123456789A").Reveal()
	for b.Loop() {
		if _, err := r.Verify(b.Context(), junk, at); err != ErrInvalid {
			b.Fatal(err)
		}
	}
}
