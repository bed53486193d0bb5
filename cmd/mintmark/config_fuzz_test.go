package main

import "testing"

// A file is read or refused with its name and, but for what is no YAML, a line.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		"", "issuer: https://id.example.com\n", "tokens:\n  access_ttl: 5m\n", "tokens: 5\n", "nonsense: 1\n", "a: &a [*a]\n", "issuer: !!binary x\n",
		"---\n---\nissuer: x\n", "issuer: 'x\n", "tokens: {access_ttl: 5m, access_ttl: 6m}\n", "? [a]\n: b\n", "\x00", "issuer: |\n  x\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		all, err := parseYAML("mintmark.yaml", source)
		if err != nil && err.Error() == "" {
			t.Errorf("%q is refused without a word", source)
		}
		for _, a := range all {
			if a.path == "" {
				t.Errorf("%q assigns to nothing: %+v", source, a)
			}
		}
	})
}
