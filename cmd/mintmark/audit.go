package main

import (
	"context"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func auditCommand() *cobra.Command {
	return apiGroup("audit", "Who changed what, when and from where", auditList, auditTail)
}

var auditColumns = []column{{"AT", "at"}, {"ACTOR", "actor"}, {"ACTION", "action"}, {"ON", "ref"}, {"DETAIL", "detail"}, {"FROM", "address"}}

func auditList(a *access) *cobra.Command {
	var ref string
	c := &cobra.Command{
		Use: "list", Short: "List the audit log, the newest first", Args: cobra.NoArgs,
		Example: "  mintmark audit list --on 0Ab3dE6gH9k",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			query := url.Values{}
			if ref != "" {
				query.Set("ref", ref)
			}
			items, err := at.list(ctx, "/audit", query)
			if err != nil {
				return err
			}
			return out.list(items, "id", auditColumns...)
		}),
	}
	c.Flags().StringVar(&ref, "on", "", "only what happened to the thing with this id")
	return c
}

func auditTail(a *access) *cobra.Command {
	var since string
	c := &cobra.Command{
		Use: "tail", Short: "Show what is added to the audit log, one JSON object a line, until interrupted", Args: cobra.NoArgs,
		Example: "  mintmark audit tail --since 064bf535af10002c5790233963",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			for {
				items, err := at.list(ctx, "/audit", url.Values{"order": {"oldest"}, "since": {since}})
				if err != nil {
					return err
				}
				for _, item := range items {
					if err := out.line(string(item)); err != nil {
						return err
					}
					event, err := parseObject(item)
					if err != nil {
						return err
					}
					since = plain(event.value("id"))
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		}),
	}
	c.Flags().StringVar(&since, "since", "", "begin after the entry with this id; without one, with the oldest")
	return c
}
