package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mintmark/conformance"
)

// TestFiveMinutes runs what the README tells a newcomer to type, all but the building of the program.
func TestFiveMinutes(t *testing.T) {
	op := conformance.Start(t, "")
	here := t.TempDir()
	for name, target := range map[string]string{"mintmark": conformance.Program(t), "mintmark-data": op.Data} {
		if err := os.Symlink(target, filepath.Join(here, name)); err != nil {
			t.Fatal(err)
		}
	}
	typed := strings.Replace(fiveMinutes(t), "go build -o mintmark ./cmd/mintmark\n", "", 1)
	sh := exec.Command("sh", "-e", "-c", typed)
	sh.Dir, sh.Env = here, conformance.Environment()
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// In this order: a token for the machine, who shows the key, and nobody any more.
	rest := string(out)
	for _, want := range []string{`"access_token":"`, "HTTP/1.1 200", "X-Auth-Scopes: deploy:write", "HTTP/1.1 401"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("nothing says %q after all before it:\n%s", want, out)
		}
		rest = after
	}
}

// fiveMinutes returns the commands of the README's section.
func fiveMinutes(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Five minutes")
	_, block, ok := strings.Cut(section, "```sh\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatal("README.md has no commands for the first five minutes")
	}
	return block
}
