package main

import "github.com/spf13/cobra"

// apiCommands is every command that speaks the admin API of a running server.
func apiCommands() []*cobra.Command {
	return []*cobra.Command{
		usersCommand(),
		clientsCommand(),
		signingCommand(),
		sessionsCommand(),
		grantsCommand(),
		tokenCommand(),
		doctorCommand(),
	}
}
