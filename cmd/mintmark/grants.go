package main

import "github.com/spf13/cobra"

func grantsCommand() *cobra.Command { return &cobra.Command{Use: "grants"} }
