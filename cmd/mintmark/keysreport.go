package main

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"
)

func keysReport(a *access) *cobra.Command {
	var owner, finding string
	c := &cobra.Command{
		Use: "report", Aliases: []string{"safety"}, Short: "List the API keys that need a look, and why", Args: cobra.NoArgs,
		Example: "  mintmark keys report --finding idle",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			query := url.Values{}
			if owner != "" {
				_, id, err := at.owner(ctx, owner)
				if err != nil {
					return err
				}
				query.Set("owner_id", id)
			}
			if finding != "" {
				query.Set("finding", finding)
			}
			items, err := at.list(ctx, "/keys/report", query)
			if err != nil {
				return err
			}
			return out.list(items, "id", column{"ID", "id"}, column{"NAME", "name"}, column{"OWNER", "owner_id"},
				column{"FINDINGS", "findings"}, column{"UNUSED", "unused_scopes"}, column{"USED", "last_used_at"}, column{"EXPIRES", "expires_at"})
		}),
	}
	c.Flags().StringVar(&owner, "owner", "", "only of this person or service account")
	c.Flags().StringVar(&finding, "finding", "", "only with this: leaked, never_expires, expires_late, never_used, idle, wider_than_used or admin_from_anywhere")
	return c
}
