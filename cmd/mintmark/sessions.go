package main

import "github.com/spf13/cobra"

func sessionsCommand() *cobra.Command { return &cobra.Command{Use: "sessions"} }
