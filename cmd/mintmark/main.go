// Command mintmark is the whole product: the server, and everything that looks after it.
//
// `mintmark dev` runs an issuer with nothing prepared; `mintmark serve` runs one in
// production from a configuration file, the environment and flags. Most other commands
// speak the admin API of a running server (client.go). Those that look after the data
// itself (db, secrets, setup-link) open the database, so they work while no server runs.
//
// # Reading order
//
//   - main.go: every command, on one page; how errors become exit codes. help.go: how they are
//     presented, with an example of each.
//   - config.go: the keys of the configuration: one table, from which the file, the
//     environment, the flags, the hints and the reference are made. configload.go reads them,
//     configyaml.go the file.
//   - dev.go and serve.go: the two ways to run the server. local.go is its data folder.
//   - access.go: which server a command speaks to, and with which key; client.go speaks to it,
//     input.go is what it is sent, output.go and object.go how the answer is shown.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, newRoot()))
}

// newRoot returns the whole command line. Each of these has a file of its own.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "mintmark",
		Short:         "An OpenID Connect provider: people sign in, applications get tokens",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		devCommand(),
		serveCommand(),
		setupLinkCommand(),
		healthcheckCommand(),
		versionCommand(),
		dbCommand(),
		secretsCommand(),

		// These speak the admin API of a running server.
		usersCommand(),
		clientsCommand(),
		keysCommand(),
		servicesCommand(),
		providersCommand(),
		auditCommand(),
		signingCommand(),
		sessionsCommand(),
		grantsCommand(),
		tokenCommand(),
		doctorCommand(),
	)
	present(root)
	return root
}

// run executes the command line and returns the exit code: 0 done, 1 refused or failed,
// 2 wrong usage.
func run(ctx context.Context, root *cobra.Command) int {
	began := false
	eachCommand(root, func(c *cobra.Command) {
		if do := c.RunE; do != nil {
			// What cobra finds wrong before this point is wrong usage; what comes after is not.
			c.RunE = func(c *cobra.Command, args []string) error {
				began = true
				return do(c, args)
			}
		}
	})
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(root.ErrOrStderr(), "mintmark: %v\n", err)
	if _, wrong := errors.AsType[usageError](err); wrong || !began {
		fmt.Fprintf(root.ErrOrStderr(), "Try: %s --help\n", c.CommandPath())
		return 2
	}
	return 1
}

// A usageError is wrong usage that a command finds after its flags are parsed: exit code 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func eachCommand(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, visit)
	}
}
