package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// leaves are the commands that do something.
func leaves(t *testing.T) (all []*cobra.Command) {
	t.Helper()
	eachCommand(newRoot(), func(c *cobra.Command) {
		if !c.HasSubCommands() {
			all = append(all, c)
		}
	})
	if len(all) < 30 {
		t.Fatalf("only %d commands are found", len(all))
	}
	return all
}

// An example that could not be typed is worse than none.
func TestEveryCommandHasAnExampleThatIsOne(t *testing.T) {
	used := map[string]bool{}
	for _, c := range leaves(t) {
		path := strings.TrimPrefix(c.CommandPath(), "mintmark ")
		used[path] = true
		lines := strings.Split(c.Example, "\n")
		for _, line := range lines {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " >") // where the output goes
			rest, ok := strings.CutPrefix(line, c.CommandPath())
			if !ok {
				t.Errorf("%s: the example is %q", path, line)
				continue
			}
			args := strings.Fields(strings.ReplaceAll(rest, "Ada Lovelace", "Ada"))
			if err := c.ParseFlags(args); err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
			}
			if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
			}
		}
	}
	for path := range examples {
		if !used[path] {
			t.Errorf("an example of %q, which is no command", path)
		}
	}
}

func TestEveryCommandIsInAGroup(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.GroupID == "" {
			t.Errorf("%s is in no group of --help", c.Name())
		}
	}
	for _, g := range groups {
		for _, name := range g.commands {
			if c, _, err := newRoot().Find([]string{name}); err != nil || c.Name() != name {
				t.Errorf("the group %s has %s, which is no command", g.id, name)
			}
		}
	}
}

func TestTheReferenceOfCommandsIsTheCommands(t *testing.T) {
	const page = "../../docs/reference/commands.md"
	want := commandReference()
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("%s is not what the commands say: run UPDATE=1 go test -run Reference ./cmd/mintmark", page)
	}
}

// common are the flags of every command that speaks the admin API.
var common = []string{"server", "token", "token-file", "data", "ca-file", "output", "quiet"}

func commandReference() string {
	var b strings.Builder
	b.WriteString(`# Commands

This page is made from the commands themselves (` + "`cmd/mintmark`" + `). ` + "`mintmark COMMAND --help`" + ` says the same.

**Exit codes.** 0: done. 1: refused or failed; the reason is on the standard error output. 2: wrong usage.
A server that ends on SIGTERM or Ctrl-C ends with 0; a second signal ends it at once.

**Output.** What a command prints on the standard output is for programs, with ` + "`--output json`" + ` or ` + "`env`" + `; what it has to say to
people is on the standard error output. A secret is printed once, when it is made.

**Which server.** The commands that look after a running server speak its admin API ([api.md](api.md)) and have these flags
in common. With ` + "`--data`" + ` they find a local server by themselves; otherwise they need ` + "`--server`" + ` and ` + "`--token-file`" + `, or the environment.

`)
	root := newRoot()
	users, _, _ := root.Find([]string{"users", "list"})
	writeFlags(&b, users, func(f *pflag.Flag) bool { return slices.Contains(common, f.Name) })
	for _, g := range groups {
		fmt.Fprintf(&b, "## %s\n\n", strings.TrimSuffix(g.title, ":"))
		for _, name := range g.commands {
			c, _, _ := root.Find([]string{name})
			eachCommand(c, func(c *cobra.Command) { writeCommand(&b, c) })
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func writeCommand(b *strings.Builder, c *cobra.Command) {
	if c.HasSubCommands() {
		return // its children say everything
	}
	fmt.Fprintf(b, "### %s\n\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	about := c.Short + "."
	if c.Long != "" {
		// What serve says about its keys has a page of its own.
		about, _, _ = strings.Cut(c.Long, "\n\nKeys:")
	}
	b.WriteString(about + "\n")
	if about != c.Short+"." && strings.Contains(c.Long, "\n\nKeys:") {
		b.WriteString("\nThe keys: [configuration.md](configuration.md).\n")
	}
	b.WriteString("\n```sh\n")
	for line := range strings.SplitSeq(c.Example, "\n") {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	b.WriteString("```\n\n")
	api := c.Flags().Lookup("token-file") != nil || c.InheritedFlags().Lookup("token-file") != nil
	writeFlags(b, c, func(f *pflag.Flag) bool { return f.Name != "help" && !(api && slices.Contains(common, f.Name)) })
}

func writeFlags(b *strings.Builder, c *cobra.Command, want func(*pflag.Flag) bool) {
	head := "| flag | default | meaning |\n|---|---|---|\n"
	write := func(f *pflag.Flag) {
		if f.Hidden || !want(f) {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name, value := "`--"+f.Name+"`", ""
		if kind != "" {
			name = "`--" + f.Name + " " + strings.ToUpper(kind) + "`"
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0s" && f.DefValue != "0" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(b, "%s| %s | %s | %s |\n", head, name, value, strings.ReplaceAll(usage, "|", `\|`))
		head = ""
	}
	c.LocalFlags().VisitAll(write)
	c.InheritedFlags().VisitAll(write)
	if head == "" {
		b.WriteString("\n")
	}
}
