package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// groups is how --help sorts the commands.
var groups = []struct {
	id, title string
	commands  []string
}{
	{"run", "Run a server:", []string{"dev", "serve", "setup-link"}},
	{"look", "Look after a running server, through its admin API:", []string{"users", "clients", "sessions", "grants", "keys", "services", "providers", "signing", "audit", "token"}},
	{"health", "Say how it is:", []string{"doctor", "healthcheck", "version"}},
	{"data", "Look after its data, with the database opened directly:", []string{"db", "secrets"}},
}

// examples is one for each command that has none where it is made.
var examples = map[string]string{
	"dev":             "mintmark dev",
	"serve":           "mintmark serve --config /etc/mintmark/mintmark.yaml",
	"setup-link":      "mintmark setup-link --config /etc/mintmark/mintmark.yaml",
	"healthcheck":     "mintmark healthcheck --listen :8080",
	"version":         "mintmark version",
	"doctor":          "mintmark doctor --server https://id.example.com --token-file admin.key",
	"db migrate":      "mintmark db migrate --config /etc/mintmark/mintmark.yaml",
	"db status":       "mintmark db status --data mintmark-data",
	"db backup":       "mintmark db backup backup.db --data mintmark-data",
	"db restore":      "mintmark db restore backup.db --data mintmark-data",
	"db copy":         "mintmark db copy sqlite:mintmark-data/mintmark.db postgres://mintmark@db.example.com/mintmark",
	"secrets new":     "mintmark secrets new > encryption_key",
	"secrets rotate":  "mintmark secrets rotate --data mintmark-data",
	"users list":      "mintmark users list --data mintmark-data",
	"users get":       "mintmark users get ada@example.com",
	"users disable":   "mintmark users disable ada@example.com",
	"users enable":    "mintmark users enable ada@example.com",
	"users rm":        "mintmark users rm ada@example.com",
	"users sessions":  "mintmark users sessions ada@example.com --revoke",
	"clients list":    "mintmark clients list --output json",
	"clients get":     "mintmark clients get cli_02eaH8NZTN8sO0qkq5Rm5c",
	"clients disable": "mintmark clients disable cli_02eaH8NZTN8sO0qkq5Rm5c",
	"clients enable":  "mintmark clients enable cli_02eaH8NZTN8sO0qkq5Rm5c",
	"clients rm":      "mintmark clients rm cli_02eaH8NZTN8sO0qkq5Rm5c",
	"signing list":    "mintmark signing list",
	"signing rotate":  "mintmark signing rotate --now",
	"signing revoke":  "mintmark signing revoke 1b4y9VnLbTzZ4kWQk3mA1cN0pXo2Rr5sT8uV7wY6xZ0",
	"sessions list":   "mintmark sessions list --user ada@example.com",
	"sessions revoke": "mintmark sessions revoke ses_02eaH8NZTN8sO0qkq5Rm5c",
	"grants list":     "mintmark grants list --user ada@example.com",
	"grants revoke":   "mintmark grants revoke --user ada@example.com --client cli_02eaH8NZTN8sO0qkq5Rm5c",
	"token inspect":   "mintmark token inspect eyJhbGciOiJFUzI1NiIs…",
}

// present makes the whole command line read well.
func present(root *cobra.Command) {
	root.Long = "Mintmark is an OpenID Connect provider: people sign in, applications get tokens.\n\n" +
		"Begin with `mintmark dev`, which needs nothing and prints what to do next.\n\n" +
		"Exit codes: 0 done, 1 refused or failed, 2 wrong usage."
	root.CompletionOptions.HiddenDefaultCmd = true
	// A command that only has others below it can't be run, although it has a reply.
	root.SetUsageTemplate(strings.NewReplacer(
		"{{if .Runnable}}\n", "{{if and .Runnable (not .HasAvailableSubCommands)}}\n",
		"Additional Commands:", "More:",
	).Replace(root.UsageTemplate()))
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range root.Commands() {
			for _, name := range g.commands {
				if c.Name() == name {
					c.GroupID = g.id
				}
			}
		}
	}
	eachCommand(root, func(c *cobra.Command) {
		path := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), root.Name()), " ")
		if example, ok := examples[path]; ok {
			c.Example = "  " + example
		}
		if c.HasSubCommands() && c != root {
			c.Args, c.RunE = cobra.ArbitraryArgs, groupAlone
		}
	})
}

// groupAlone is what a command answers that only has commands below it.
func groupAlone(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		var names []string
		for _, sub := range c.Commands() {
			names = append(names, sub.Name())
		}
		return usageError(c.CommandPath() + " needs one of: " + strings.Join(names, ", "))
	}
	said := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		said += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError(said)
}
