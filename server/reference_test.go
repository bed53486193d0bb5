package server

import (
	"os"
	"strings"
	"testing"

	"mintmark/web"
)

// docs/reference/endpoints.md is written by hand: what it says of an address is more than the
// table of routes knows. That every address is in it, with its methods, is held here.
func TestTheReferenceHasEveryAddress(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t) // in development, where there are the most
	rows := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) > 3 && strings.HasPrefix(strings.TrimSpace(cells[2]), "`/") {
			rows++
		}
	}
	routes := s.routes()
	for _, route := range routes {
		path := strings.NewReplacer("{rest:.*}", "…", web.PathStatic, "/static/").Replace(route.path)
		row := "| `" + route.methods + "` | `" + path + "` |"
		if route.methods == "" {
			row = "| any | `" + path + "` |"
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/reference/endpoints.md has no row %s", row)
		}
	}
	if rows != len(routes) {
		t.Errorf("docs/reference/endpoints.md has %d addresses, the server %d", rows, len(routes))
	}
}
