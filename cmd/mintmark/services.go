package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func servicesCommand() *cobra.Command {
	return apiGroup("services", "Service accounts: programs that own API keys",
		servicesList, servicesGet, servicesAdd, servicesDisable, servicesEnable, servicesRemove)
}

func servicesList(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List service accounts", Args: cobra.NoArgs,
		Example: "  mintmark services list",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			items, err := at.list(ctx, "/services", nil)
			if err != nil {
				return err
			}
			return out.list(items, "id", column{"ID", "id"}, column{"NAME", "name"}, column{"DISABLED", "disabled"}, column{"CREATED", "created_at"})
		}),
	}
}

func servicesGet(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "get SERVICE", Short: "Look at a service account (by id or name)", Args: cobra.ExactArgs(1),
		Example: "  mintmark services get deployer",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.service(ctx, out, http.MethodGet, args[0], "")
		}),
	}
}

func servicesAdd(a *access) *cobra.Command {
	var description string
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a service account", Args: cobra.ExactArgs(1),
		Example: "  mintmark services add deployer --description releases",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			in := map[string]any{"name": args[0]}
			if description != "" {
				in["description"] = description
			}
			answer, err := at.do(ctx, http.MethodPost, "/services", in)
			if err != nil {
				return err
			}
			return out.object(answer, "id")
		}),
	}
	c.Flags().StringVar(&description, "description", "", "what it does, for people")
	return c
}

func servicesDisable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "disable SERVICE", Short: "Refuse every API key of a service account", Args: cobra.ExactArgs(1),
		Example: "  mintmark services disable deployer",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.service(ctx, out, http.MethodPost, args[0], "/disable")
		}),
	}
}

func servicesEnable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "enable SERVICE", Short: "Take the API keys of a service account again", Args: cobra.ExactArgs(1),
		Example: "  mintmark services enable deployer",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.service(ctx, out, http.MethodPost, args[0], "/enable")
		}),
	}
}

func servicesRemove(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "rm SERVICE", Short: "Forget a service account and revoke its API keys", Args: cobra.ExactArgs(1),
		Example: "  mintmark services rm deployer",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			id, err := at.serviceID(ctx, args[0])
			if err != nil {
				return err
			}
			if _, err := at.do(ctx, http.MethodDelete, "/services/"+url.PathEscape(id), nil); err != nil {
				return err
			}
			return out.did("id", id, "was removed")
		}),
	}
}

// service does something to one service account whose answer is the account.
func (s *remote) service(ctx context.Context, out *printer, method, ref, what string) error {
	id, err := s.serviceID(ctx, ref)
	if err != nil {
		return err
	}
	answer, err := s.do(ctx, method, "/services/"+url.PathEscape(id)+what, nil)
	if err != nil {
		return err
	}
	return out.object(answer, "id")
}

// serviceID returns the id of a service account, of which we know that or the name.
func (s *remote) serviceID(ctx context.Context, ref string) (string, error) {
	if strings.HasPrefix(ref, "svc_") {
		return ref, nil
	}
	items, err := s.list(ctx, "/services", url.Values{"name": {ref}})
	if err != nil {
		return "", err
	}
	if len(items) == 0 {
		return "", fmt.Errorf("there is no service account %s", printable(ref))
	}
	found, err := parseObject(items[0])
	return plain(found.value("id")), err
}
