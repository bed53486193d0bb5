package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func providersCommand() *cobra.Command {
	return apiGroup("providers", "Upstream providers: other places that people can sign in with",
		providersList, providersGet, providersAdd, providersSet, providersRemove)
}

var providerColumns = []column{{"NAME", "name"}, {"ID", "id"}, {"KIND", "kind"}, {"ISSUER", "issuer"}, {"CLIENT_ID", "client_id"}, {"LINK", "link_by"}, {"SIGN UP", "sign_up"}, {"MANAGED", "managed"}, {"DISABLED", "disabled"}}

func providersList(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List providers", Args: cobra.NoArgs,
		Example: "  mintmark providers list",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			items, err := at.list(ctx, "/providers", nil)
			if err != nil {
				return err
			}
			return out.list(items, "id", providerColumns...)
		}),
	}
}

func providersGet(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "get PROVIDER", Short: "Look at a provider (by name or id)", Args: cobra.ExactArgs(1),
		Example: "  mintmark providers get google",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodGet, providerPath(args[0]), nil)
			if err != nil {
				return err
			}
			return out.object(answer, "id")
		}),
	}
}

func providersAdd(a *access) *cobra.Command {
	var kind, issuer string
	var unchecked bool
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a provider", Args: cobra.ExactArgs(1),
		Long: `Add a provider. Register at the provider first, as a web application; the redirect URI is
ISSUER/login/NAME/callback, with the issuer of this server. It is in the answer too, as redirect_uri.

If the address is the operator's own (--issuer, --host, --tenant), the provider is asked at once whether it
is there, and what is wrong is said. --unchecked leaves that out.

A connector (--kind connector --connector-url) signs nobody in: it says whose a token is that a program brings along.`,
		Example: "  mintmark providers add google --kind google --client-id 1234.apps.googleusercontent.com --client-secret-file secret.txt\n" +
			"  mintmark providers add work --kind oidc --issuer https://login.example.com --client-id mintmark --client-secret-file - --domain example.com\n" +
			"  mintmark providers add corp --kind issuer --issuer https://tokens.corp.example --keys-file corp.pem --token-audience https://id.example.com --algorithm ES256",
	}
	var said providerSettings
	said.flags(c)
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		if kind == "" {
			return usageError("of which --kind is it?")
		}
		in, err := said.members(c, c.InOrStdin())
		if err != nil {
			return err
		}
		in["name"], in["kind"] = args[0], kind
		if issuer != "" {
			in["issuer"] = issuer
		}
		if unchecked {
			in["unchecked"] = true
		}
		answer, err := at.do(ctx, http.MethodPost, "/providers", in)
		if err != nil {
			return err
		}
		if members, err := parseObject(answer); err == nil && out.form == "table" && members.value("redirect_uri") != nil {
			out.note("Register this redirect URI there: %s", plain(members.value("redirect_uri")))
		}
		return out.object(answer, "id")
	})
	f := c.Flags()
	f.StringVar(&kind, "kind", "", "google, github, discord, microsoft, apple, gitlab, oidc (any OpenID Connect issuer), oauth2 (any OAuth 2.0 service); or, with which nobody signs in: issuer (its tokens are exchanged for ours) or connector (it says whose a token is that is no JWT)")
	f.StringVar(&issuer, "issuer", "", "the address that an OpenID Connect provider calls itself")
	f.BoolVar(&unchecked, "unchecked", false, "do not ask the provider now whether it is there")
	return c
}

func providersSet(a *access) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "set PROVIDER", Short: "Change a provider; what is not said stays as it is", Args: cobra.ExactArgs(1),
		Long: "Change a provider; what is not said stays as it is. A flag that can be repeated replaces the whole list, except --map and --option, which change the entries " +
			"that they name. An empty value takes away what was said before.\n\n" +
			"--disabled ends the sessions that began with the provider and revokes what was allowed in them; the links stay.",
		Example: "  mintmark providers set google --client-secret-file new-secret.txt\n" +
			"  mintmark providers set google --disabled",
	}
	var said providerSettings
	said.flags(c)
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in, err := said.members(c, c.InOrStdin())
		if err != nil {
			return err
		}
		if c.Flags().Changed("name") {
			in["name"] = name
		}
		if len(in) == 0 {
			return usageError("what is to be changed?")
		}
		answer, err := at.do(ctx, http.MethodPatch, providerPath(args[0]), in)
		if err != nil {
			return err
		}
		return out.object(answer, "id")
	})
	c.Flags().StringVar(&name, "name", "", "new name; the redirect URI changes with it")
	return c
}

func providersRemove(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "rm PROVIDER", Short: "Forget a provider and every link to it", Args: cobra.ExactArgs(1),
		Long:    "Forget a provider and every link to it, end the sessions that began with it and revoke what was allowed in them. Whoever had no other way to sign in has none until they get a password. To keep the links, disable it: providers set PROVIDER --disabled.",
		Example: "  mintmark providers rm google",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			if _, err := at.do(ctx, http.MethodDelete, providerPath(args[0]), nil); err != nil {
				return err
			}
			return out.did("name", args[0], "was removed")
		}),
	}
}

func providerPath(ref string) string { return "/providers/" + url.PathEscape(ref) }
