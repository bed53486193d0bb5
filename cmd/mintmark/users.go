package main

import "github.com/spf13/cobra"

func usersCommand() *cobra.Command { return &cobra.Command{Use: "users"} }
