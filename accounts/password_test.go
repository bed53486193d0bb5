package accounts

import (
	"strings"
	"testing"
)

var alice = Account{
	ID: "usr_0", Email: "Alice.Liddell@example.com", EmailKey: "alice.liddell@example.com", Name: "Alice Liddell",
}

func TestPasswordsThatAreTaken(t *testing.T) {
	for _, password := range []string{
		"a calm otter", "correct horse battery staple", "password of the seven otters", "        leading and trailing   ",
		"kv8#Wq2z", "72938461", "ヱヰ゛ギの夜長にて", strings.Repeat("otter ", 42), "alice and bob went home", "s3cr3t-garden-91",
	} {
		if problem := weak(password, alice, "Acme"); problem != "" {
			t.Errorf("%q %s", password, problem)
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, password string }{
		{"nothing", ""},
		{"7 characters", "kv8#Wq2"},
		{"7 characters of many bytes", "ヱヰ゛ギの夜長"},
		{"257 characters", strings.Repeat("otter", 51) + "ab"},
		{"over 1024 bytes", strings.Repeat("😀", 257)},
		{"not UTF-8", "a calm \xff otter"},
		{"a NUL", "a calm\x00otter"},
		{"one character", "aaaaaaaa"},
		{"a pattern of two", "1212121212"},
		{"a pattern of four", "wxyzwxyzwx"},
		{"up", "23456789"},
		{"down", "hgfedcba"},
		{"along the keyboard", "qwertyuiop"},
		{"down the keyboard", "1qaz2wsx"},
		{"notorious", "password"},
		{"notorious, in the spelling that rules ask for", "P@ssw0rd2026!"},
		{"notorious, with a sign after it", "Passwort$"},
		{"notorious, of two words", "i love you 123"},
		{"the address", "alice.liddell@example.com"},
		{"the address, shouted", "ALICE.LIDDELL@EXAMPLE.COM"},
		{"the local part", "alice.liddell"},
		{"the local part and a year", "AliceLiddell1865"},
		{"the name", "Alice Liddell"},
		{"the domain", "example.com"},
		{"the product", "Mintmark1"},
		{"what the product is called here", "acme-2026"},
	} {
		if problem := weak(tt.password, alice, "Acme"); problem == "" {
			t.Errorf("%s is taken: %q", tt.name, tt.password)
		}
	}
}

// What somebody has no name, address or product for is no word to compare with.
func TestAnEmptyWordIsNobodysPassword(t *testing.T) {
	digits := Account{EmailKey: "1234@12.example"}
	if problem := weak("72938461", digits, ""); problem != "" {
		t.Errorf("a password of digits %s", problem)
	}
}
