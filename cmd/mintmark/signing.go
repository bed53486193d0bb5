package main

import "github.com/spf13/cobra"

func signingCommand() *cobra.Command { return &cobra.Command{Use: "signing"} }
