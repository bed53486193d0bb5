package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func grantsCommand() *cobra.Command {
	return apiGroup("grants", "What people allowed which application", grantsList, grantsRevoke)
}

func grantsList(a *access) *cobra.Command {
	var user, client string
	c := &cobra.Command{
		Use: "list", Short: "List what people allowed which application", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			query, err := at.filter(ctx, user, client)
			if err != nil {
				return err
			}
			items, err := at.list(ctx, "/grants", query)
			if err != nil {
				return err
			}
			return out.list(items, "id", column{"GRANT", "id"}, column{"SCOPE", "scope"}, column{"SINCE", "granted_at"})
		}),
	}
	c.Flags().StringVar(&user, "user", "", "only of this person (id or e-mail address)")
	c.Flags().StringVar(&client, "client", "", "only to this application (client id)")
	return c
}

func grantsRevoke(a *access) *cobra.Command {
	var user, client string
	c := &cobra.Command{
		Use: "revoke GRANT | --user USER --client CLIENT_ID", Short: "Forget a person's consent and revoke what the application got by it", Args: cobra.MaximumNArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			var grant string
			switch {
			case len(args) == 1 && user == "" && client == "":
				grant = args[0]
			case len(args) == 0 && user != "" && client != "":
				id, err := at.userID(ctx, user)
				if err != nil {
					return err
				}
				grant = id + ":" + client
			default:
				return usageError("which grant? Say its id, as `mintmark grants list` shows it, or --user and --client")
			}
			if _, err := at.do(ctx, http.MethodDelete, "/grants/"+url.PathEscape(grant), nil); err != nil {
				return err
			}
			return out.did("id", grant, "was revoked")
		}),
	}
	c.Flags().StringVar(&user, "user", "", "whose consent (id or e-mail address)")
	c.Flags().StringVar(&client, "client", "", "for which application (client id)")
	return c
}
