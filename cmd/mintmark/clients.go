package main

import "github.com/spf13/cobra"

func clientsCommand() *cobra.Command { return &cobra.Command{Use: "clients"} }
