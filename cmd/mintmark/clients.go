package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func clientsCommand() *cobra.Command {
	return apiGroup("clients", "Applications that people sign in to, and services that get tokens of their own",
		clientsList, clientsGet, clientsAdd, clientsSet, clientsDisable, clientsEnable, clientsRemove, clientsSecret)
}

var clientColumns = []column{{"CLIENT_ID", "client_id"}, {"NAME", "client_name"}, {"TYPE", "client_type"}, {"AUTHENTICATION", "token_endpoint_auth_method"}, {"SCOPE", "scope"}, {"DISABLED", "disabled"}, {"CREATED", "created_at"}}

func clientsList(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List applications", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			items, err := at.list(ctx, "/clients", nil)
			if err != nil {
				return err
			}
			return out.list(items, "client_id", clientColumns...)
		}),
	}
}

func clientsGet(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "get CLIENT_ID", Short: "Look at an application", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodGet, clientPath(args[0]), nil)
			if err != nil {
				return err
			}
			return out.client(ctx, at, answer)
		}),
	}
}

func clientsAdd(a *access) *cobra.Command {
	var id, kind, secretFile string
	c := &cobra.Command{
		Use: "add NAME", Short: "Register an application", Args: cobra.ExactArgs(1),
		Example: "  mintmark clients add my-app --type web --redirect http://127.0.0.1:3000/callback\n" +
			"  mintmark clients add robot --type service --scope orders:read --output env > robot.env",
	}
	var said metadata
	said.flags(c)
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in, err := said.members(c, c.InOrStdin())
		if err != nil {
			return err
		}
		in["client_name"], in["client_type"] = args[0], kind
		if id != "" {
			in["client_id"] = id
		}
		if err := fromFiles(c.InOrStdin(), in, map[string]string{"client_secret": secretFile}); err != nil {
			return err
		}
		answer, err := at.do(ctx, http.MethodPost, "/clients", in)
		if err != nil {
			return err
		}
		if secretFile == "" {
			out.noteSecret(answer)
		}
		return out.client(ctx, at, answer)
	})
	f := c.Flags()
	f.StringVar(&kind, "type", "web", "web, spa, native, device, service or mcp: decides what is not said")
	f.StringVar(&id, "id", "", "client id; the server makes one if it is missing")
	f.StringVar(&secretFile, "secret-file", "", "file that holds the client secret; the server makes one if it is missing. - is the standard input")
	return c
}

func clientsSet(a *access) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "set CLIENT_ID", Short: "Change an application; what is not said stays as it is", Args: cobra.ExactArgs(1),
		Long:    "Change an application; what is not said stays as it is. A flag that can be repeated replaces the whole list. An empty value takes away what was said before.",
		Example: "  mintmark clients set cli_02eaH8NZTN8sO0qkq5Rm5c --redirect https://shop.example/callback --redirect https://beta.shop.example/callback",
	}
	var said metadata
	said.flags(c)
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in, err := said.members(c, c.InOrStdin())
		if err != nil {
			return err
		}
		if c.Flags().Changed("name") {
			in["client_name"] = name
		}
		if len(in) == 0 {
			return usageError("what is to be changed?")
		}
		answer, err := at.do(ctx, http.MethodPatch, clientPath(args[0]), in)
		if err != nil {
			return err
		}
		return out.client(ctx, at, answer)
	})
	c.Flags().StringVar(&name, "name", "", "name, as people see it")
	return c
}

func clientsDisable(a *access) *cobra.Command {
	return clientsSwitch(a, "disable", "Refuse an application, at once and everywhere")
}

func clientsEnable(a *access) *cobra.Command {
	return clientsSwitch(a, "enable", "Let an application in again")
}

func clientsSwitch(a *access, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " CLIENT_ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodPost, clientPath(args[0])+"/"+name, nil)
			if err != nil {
				return err
			}
			return out.client(ctx, at, answer)
		}),
	}
}

func clientsRemove(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "rm CLIENT_ID", Short: "Forget an application and revoke everything it was given", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			if _, err := at.do(ctx, http.MethodDelete, clientPath(args[0]), nil); err != nil {
				return err
			}
			return out.did("client_id", args[0], "was removed")
		}),
	}
}

func clientsSecret(a *access) *cobra.Command {
	var overlap time.Duration
	var secretFile string
	c := &cobra.Command{
		Use: "secret CLIENT_ID", Short: "Give an application a new secret; the one before it stays good for a while", Args: cobra.ExactArgs(1),
		Example: "  mintmark clients secret cli_02eaH8NZTN8sO0qkq5Rm5c --overlap 24h",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		if overlap < 0 || overlap > 90*24*time.Hour {
			return usageError("--overlap is from 0 to 2160h (90 days)")
		}
		in := map[string]any{"overlap_seconds": int64(overlap / time.Second)}
		if err := fromFiles(c.InOrStdin(), in, map[string]string{"client_secret": secretFile}); err != nil {
			return err
		}
		answer, err := at.do(ctx, http.MethodPost, clientPath(args[0])+"/secrets", in)
		if err != nil {
			return err
		}
		if secretFile == "" {
			out.noteSecret(answer)
		}
		return out.client(ctx, at, answer)
	})
	c.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "for how long the secret before it stays good; 0 ends it now")
	c.Flags().StringVar(&secretFile, "secret-file", "", "file that holds the new secret; the server makes one if it is missing. - is the standard input")
	return c
}

func clientPath(id string) string { return "/clients/" + url.PathEscape(id) }

// client shows a client; for a program's environment, under the names that programs look for.
func (p *printer) client(ctx context.Context, at *remote, answer json.RawMessage) error {
	if p.form != "env" || p.quiet {
		return p.object(answer, "client_id")
	}
	members, err := parseObject(answer)
	if err != nil {
		return err
	}
	about, err := at.do(ctx, http.MethodGet, "/info", nil)
	if err != nil {
		return err
	}
	info, err := parseObject(about)
	if err != nil {
		return err
	}
	lines := []variable{{"OIDC_ISSUER", plain(info.value("issuer"))}, {"OIDC_CLIENT_ID", plain(members.value("client_id"))}}
	if secret := plain(members.value("client_secret")); secret != "" {
		lines = append(lines, variable{"OIDC_CLIENT_SECRET", secret})
	}
	return p.env(lines)
}

func (p *printer) noteSecret(answer json.RawMessage) {
	if members, err := parseObject(answer); err == nil && len(members.value("client_secret")) > 0 && p.form == "table" {
		p.note("The client secret is shown this once.")
	}
}
