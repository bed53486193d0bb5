package mintmark_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linked  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	spoken  = regexp.MustCompile("`((?:docs|conformance|deploy|cmd|decisions)/[A-Za-z0-9_./-]+)`")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?s)```.*?```")
)

// Every link of the documentation leads somewhere: to a file that is there and, if it names a
// heading, to one that the file has. A file that is named in passing is there as well.
func TestEveryLinkOfTheDocumentationLeadsSomewhere(t *testing.T) {
	links := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		prose := fenced.ReplaceAllString(string(text), "")
		for _, found := range linked.FindAllStringSubmatch(prose, -1) {
			link, at, _ := strings.Cut(found[1], "#")
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			links++
			target := filepath.Join(filepath.Dir(path), filepath.FromSlash(link))
			if link == "" {
				target = path
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", path, found[1])
				continue
			}
			if at != "" && !hasHeading(t, target, at) {
				t.Errorf("%s links to %s, which has no such heading", path, found[1])
			}
		}
		for _, found := range spoken.FindAllStringSubmatch(prose, -1) {
			name := strings.TrimSuffix(found[1], ".")
			if here, docs := exists(name), exists(filepath.Join("docs", name)); !here && !docs && !existsAs(name+"*") && !existsAs(filepath.Join("docs", name+"*")) {
				t.Errorf("%s speaks of %s, which is not there", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links < 20 {
		t.Errorf("only %d links are found", links)
	}
}

func exists(name string) bool {
	_, err := os.Stat(filepath.FromSlash(name))
	return err == nil
}

// existsAs is for the decisions, which are known by their numbers.
func existsAs(pattern string) bool {
	found, _ := filepath.Glob(filepath.FromSlash(pattern))
	return len(found) > 0
}

// hasHeading says whether a page has a heading that becomes an anchor, as forges make them.
func hasHeading(t *testing.T, page, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
		made := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
				return c
			}
			return -1
		}, strings.ToLower(found[1]))
		if made == anchor {
			return true
		}
	}
	return false
}
