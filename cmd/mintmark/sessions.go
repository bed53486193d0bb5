package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func sessionsCommand() *cobra.Command {
	return apiGroup("sessions", "Browsers that people are signed in with", sessionsList, sessionsRevoke)
}

var sessionColumns = []column{{"ID", "id"}, {"USER", "user_id"}, {"SIGNED IN", "auth_time"}, {"SEEN", "seen_at"}, {"ENDS", "expires_at"}, {"ADDRESS", "address"}, {"BROWSER", "user_agent"}}

func sessionsList(a *access) *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "list", Short: "List where people are signed in", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			query, err := at.filter(ctx, user, "")
			if err != nil {
				return err
			}
			items, err := at.list(ctx, "/sessions", query)
			if err != nil {
				return err
			}
			return out.list(items, "id", sessionColumns...)
		}),
	}
	c.Flags().StringVar(&user, "user", "", "only of this person (id or e-mail address)")
	return c
}

func sessionsRevoke(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "revoke SESSION", Short: "End a session and revoke what applications got in it", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			if _, err := at.do(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(args[0]), nil); err != nil {
				return err
			}
			return out.did("id", args[0], "was ended")
		}),
	}
}

// filter selects what belongs to a person or an application.
func (s *remote) filter(ctx context.Context, user, client string) (url.Values, error) {
	query := url.Values{}
	if user != "" {
		id, err := s.userID(ctx, user)
		if err != nil {
			return nil, err
		}
		query.Set("user_id", id)
	}
	if client != "" {
		query.Set("client_id", client)
	}
	return query, nil
}
