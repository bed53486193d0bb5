package admin_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"mintmark/admin"
	"mintmark/apikeys"
)

// Between these lines of docs/reference/api.md is what the table of operations says.
const (
	madeFrom = "<!-- made from the table of operations: UPDATE=1 go test ./admin -run Reference -->\n"
	madeTo   = "<!-- end -->\n"
)

func TestTheReferenceIsTheTableOfOperations(t *testing.T) {
	const page = "../docs/reference/api.md"
	text, err := os.ReadFile(page)
	must(t, err)
	before, rest, ok := strings.Cut(string(text), madeFrom)
	made, after, end := strings.Cut(rest, madeTo)
	if !ok || !end {
		t.Fatalf("%s does not say which part of it is made", page)
	}
	want := operations()
	if os.Getenv("UPDATE") == "1" {
		must(t, os.WriteFile(page, []byte(before+madeFrom+want+madeTo+after), 0o644))
		made = want
	}
	if made != want {
		t.Errorf("%s is not what the table of operations says: run UPDATE=1 go test ./admin -run Reference", page)
	}
	for _, scope := range apikeys.AdminScopes() {
		if !strings.Contains(string(text), "`"+scope+"`") {
			t.Errorf("%s does not have the scope %s", page, scope)
		}
	}
	for _, code := range admin.Codes() {
		if !strings.Contains(before+after, "`"+code+"`") {
			t.Errorf("%s does not say what %s means", page, code)
		}
	}
}

func operations() string {
	var b strings.Builder
	b.WriteString("| operation | scope | what it does |\n|---|---|---|\n")
	for _, r := range admin.Routes() {
		scope := "any good key"
		if r.Scope != "" {
			scope = "`" + r.Scope + "`"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", r.Method, r.Path, scope, r.About)
	}
	return b.String()
}
