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
			return out.list(items, "id", column{"USER", "user_id"}, column{"CLIENT", "client_id"}, column{"SCOPE", "scope"}, column{"SINCE", "granted_at"})
		}),
	}
	c.Flags().StringVar(&user, "user", "", "only of this person (id or e-mail address)")
	c.Flags().StringVar(&client, "client", "", "only to this application (client id)")
	return c
}

func grantsRevoke(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "revoke USER CLIENT_ID | GRANT", Short: "Forget a person's consent and revoke what the application got by it", Args: cobra.RangeArgs(1, 2),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			grant := args[0]
			if len(args) == 2 {
				user, err := at.userID(ctx, args[0])
				if err != nil {
					return err
				}
				grant = user + ":" + args[1]
			}
			if _, err := at.do(ctx, http.MethodDelete, "/grants/"+url.PathEscape(grant), nil); err != nil {
				return err
			}
			return out.did("id", grant, "was revoked")
		}),
	}
}
