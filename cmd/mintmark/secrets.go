package main

import "github.com/spf13/cobra"

func secretsCommand() *cobra.Command { return &cobra.Command{Use: "secrets"} }
