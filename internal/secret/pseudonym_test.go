package secret

import "testing"

func TestPseudonym(t *testing.T) {
	ours, theirs := NewMint([32]byte{1}), NewMint([32]byte{2})
	name := ours.Pseudonym("account", "alice@example.com")
	if len(name) != 43 || name != ours.Pseudonym("account", "alice@example.com") {
		t.Errorf("%q is not a stable name", name)
	}
	for what, other := range map[string]string{
		"another value":                  ours.Pseudonym("account", "bob@example.com"),
		"another purpose":                ours.Pseudonym("address", "alice@example.com"),
		"the border moved":               ours.Pseudonym("accounta", "lice@example.com"),
		"another key (it is not a hash)": theirs.Pseudonym("account", "alice@example.com"),
	} {
		if other == name {
			t.Errorf("%s has the same pseudonym", what)
		}
	}
}
