package main

import "github.com/spf13/cobra"

func healthcheckCommand() *cobra.Command { return &cobra.Command{Use: "healthcheck"} }
