package conformance_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\bTest[A-Z]\w+`)

// tests returns the names of all tests there are.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(string(text), -1) {
			there[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// The proof shows what README says. It may name a test by how it begins, as -run does.
func TestTheProofNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/operate/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	there := tests(t)
	names := testName.FindAllString(string(text), -1)
	for _, name := range names {
		found := false
		for one := range there {
			found = found || strings.HasPrefix(one, name)
		}
		if !found {
			t.Errorf("there is no %s", name)
		}
	}
	if len(names) < 8 {
		t.Errorf("it names only %d", len(names))
	}
}

func TestSpecsNameTestsThatExist(t *testing.T) {
	there := tests(t)
	file, err := os.Open("specs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		rows++
		names := testName.FindAllString(line, -1)
		if strings.Contains(line, "  Yes  ") && len(names) == 0 {
			t.Errorf("a Yes without a test: %s", line)
		}
		for _, name := range names {
			if !there[name] {
				t.Errorf("%s does not exist: %s", name, line)
			}
		}
	}
	if rows < 30 {
		t.Errorf("only %d rows", rows)
	}
}
