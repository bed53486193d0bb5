package main

import "github.com/spf13/cobra"

func setupLinkCommand() *cobra.Command { return &cobra.Command{Use: "setup-link"} }
