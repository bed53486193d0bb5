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

func TestSpecsNameTestsThatExist(t *testing.T) {
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
