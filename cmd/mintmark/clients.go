package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
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
	return &cobra.Command{
		Use: "disable CLIENT_ID", Short: "Refuse an application, at once and everywhere", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodPost, clientPath(args[0])+"/disable", nil)
			if err != nil {
				return err
			}
			return out.client(ctx, at, answer)
		}),
	}
}

func clientsEnable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "enable CLIENT_ID", Short: "Let an application in again", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodPost, clientPath(args[0])+"/enable", nil)
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

// A metadata is what the flags say about a client.
type metadata struct {
	redirects, logoutRedirects, scopes, grants, audience                                    []string
	authMethod, jwksFile, jwksURI, idTokenAlg, accessToken, accessTokenAlg, consent, signed string
	uri, logo, policy, terms                                                                string
	requirePKCE, requirePAR, requireDPoP, requireAuthTime                                   bool
	defaultMaxAge                                                                           time.Duration
}

func (m *metadata) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&m.redirects, "redirect", nil, "where people may be sent back to; can be repeated")
	f.StringArrayVar(&m.logoutRedirects, "post-logout-redirect", nil, "where people may be sent after signing out; can be repeated")
	f.StringArrayVar(&m.scopes, "scope", nil, "what it may ask for; can be repeated")
	f.StringArrayVar(&m.grants, "grant", nil, "grant type that it may use; can be repeated")
	f.StringArrayVar(&m.audience, "audience", nil, "aud of its access tokens; can be repeated")
	f.StringVar(&m.authMethod, "auth-method", "", "client_secret_basic, client_secret_post, private_key_jwt or none")
	f.StringVar(&m.signed, "auth-signing-alg", "", "algorithm of its private_key_jwt")
	f.StringVar(&m.jwksFile, "jwks-file", "", "file of its public keys (a JWK set)")
	f.StringVar(&m.jwksURI, "jwks-uri", "", "URL of its public keys")
	f.StringVar(&m.idTokenAlg, "id-token-alg", "", "RS256 or ES256")
	f.StringVar(&m.accessToken, "access-token", "", "jwt or opaque")
	f.StringVar(&m.accessTokenAlg, "access-token-alg", "", "ES256 or RS256")
	f.BoolVar(&m.requirePKCE, "require-pkce", true, "refuse it without PKCE")
	f.BoolVar(&m.requirePAR, "require-par", false, "refuse it without pushed authorization requests")
	f.BoolVar(&m.requireDPoP, "require-dpop", false, "refuse it without DPoP")
	f.BoolVar(&m.requireAuthTime, "require-auth-time", false, "put auth_time into every ID token")
	f.DurationVar(&m.defaultMaxAge, "default-max-age", 0, "how long ago a person may have signed in")
	f.StringVar(&m.consent, "consent", "", "whether people are asked: once, always or never")
	f.StringVar(&m.uri, "client-uri", "", "its home page")
	f.StringVar(&m.logo, "logo-uri", "", "its logo")
	f.StringVar(&m.policy, "policy-uri", "", "its privacy policy")
	f.StringVar(&m.terms, "tos-uri", "", "its terms of service")
}

// members returns what was said, under the names of RFC 7591. An empty value becomes null.
func (m *metadata) members(c *cobra.Command, stdin io.Reader) (map[string]any, error) {
	if m.jwksFile != "" && m.jwksURI != "" {
		return nil, usageError("--jwks-file and --jwks-uri can't be given together")
	}
	in := map[string]any{}
	for _, said := range []struct {
		flag, member string
		value        any
	}{
		{"redirect", "redirect_uris", m.redirects},
		{"post-logout-redirect", "post_logout_redirect_uris", m.logoutRedirects},
		{"scope", "scope", strings.Join(m.scopes, " ")},
		{"grant", "grant_types", m.grants},
		{"audience", "audience", m.audience},
		{"auth-method", "token_endpoint_auth_method", m.authMethod},
		{"auth-signing-alg", "token_endpoint_auth_signing_alg", m.signed},
		{"jwks-uri", "jwks_uri", m.jwksURI},
		{"id-token-alg", "id_token_signed_response_alg", m.idTokenAlg},
		{"access-token", "access_token_format", m.accessToken},
		{"access-token-alg", "access_token_signed_response_alg", m.accessTokenAlg},
		{"require-pkce", "require_pkce", m.requirePKCE},
		{"require-par", "require_pushed_authorization_requests", m.requirePAR},
		{"require-dpop", "dpop_bound_access_tokens", m.requireDPoP},
		{"require-auth-time", "require_auth_time", m.requireAuthTime},
		{"default-max-age", "default_max_age", int64(m.defaultMaxAge / time.Second)},
		{"consent", "consent", m.consent},
		{"client-uri", "client_uri", m.uri},
		{"logo-uri", "logo_uri", m.logo},
		{"policy-uri", "policy_uri", m.policy},
		{"tos-uri", "tos_uri", m.terms},
	} {
		if !c.Flags().Changed(said.flag) {
			continue
		}
		in[said.member] = said.value
		if list, ok := said.value.([]string); said.value == "" || ok && len(list) == 1 && list[0] == "" {
			in[said.member] = nil
		}
	}
	if m.jwksURI != "" {
		in["jwks"] = nil // a client has one or the other
	}
	if m.jwksFile == "" {
		return in, nil
	}
	content, err := readInput(stdin, m.jwksFile)
	if err != nil {
		return nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(content, &keys); err != nil {
		return nil, fmt.Errorf("%s does not hold a JSON object: %w", m.jwksFile, err)
	}
	in["jwks"], in["jwks_uri"] = keys, nil
	return in, nil
}
