package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mintmark/server"
)

func setupLinkCommand() *cobra.Command {
	var adminKey string
	c := &cobra.Command{
		Use:   "setup-link",
		Short: "Print a link to make the first administrator",
		Long: `Print a link with which one person can make themselves the first administrator, once, within
30 minutes. It replaces the link before it. It opens the database itself: run it where and how
the server runs (the same configuration or --data), while it runs or not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := loadLocal(c)
			if err != nil {
				return err
			}
			srv, err := server.New(c.Context(), s.Config)
			if err != nil {
				return explain(err)
			}
			defer srv.Close()
			if adminKey != "" {
				if err := srv.AdminKey(c.Context(), adminKey); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "An API key with every admin scope is in %s (mode 0600).\n", adminKey)
			}
			link, err := srv.SetupLink(c.Context())
			switch {
			case errors.Is(err, server.ErrSetUp) && adminKey != "":
				return nil
			case errors.Is(err, server.ErrSetUp):
				return errors.New("there is an administrator already: they can sign in and make others")
			case err != nil:
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), link)
			fmt.Fprintln(c.ErrOrStderr(), "One use, 30 minutes.")
			return nil
		},
	}
	addLocalFlags(c)
	addFlags(c, "issuer")
	c.Flags().StringVar(&adminKey, "admin-key", "", "also write an API key with every admin scope to this file, for --token-file")
	return c
}
