package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	return apiGroup("token", "Get a token for a service, and look into tokens", tokenGet, tokenInspect)
}

// issuer returns a server that we speak to as applications do, without an API key.
func (a *access) issuer(given string) (*remote, string, error) {
	if given != "" {
		at, err := dial(given, "", a.caFile, nil)
		return at, given, err
	}
	p, err := a.find()
	if err != nil {
		return nil, "", err
	}
	at, err := dial(p.url, "", p.certificate, nil)
	return at, strings.TrimRight(p.issuer, "/"), err
}

func tokenGet(a *access) *cobra.Command {
	var issuer, id, secretFile, method string
	var scopes, resources []string
	c := &cobra.Command{
		Use: "get [CLIENT_ID]", Short: "Get an access token for a service itself (client_credentials, RFC 6749 §4.4)", Args: cobra.MaximumNArgs(1),
		Long: "Get an access token for a service itself (client_credentials, RFC 6749 §4.4).\n\n" +
			"The client id and secret are flags, or OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, as `mintmark clients add --output env` prints them.",
		Example: "  mintmark token get cli_02eaH8NZTN8sO0qkq5Rm5c --client-secret-file secret.txt --scope orders:read",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		out, err := a.printer(c)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			id = args[0]
		}
		if id == "" {
			id = os.Getenv("OIDC_CLIENT_ID")
		}
		if issuer == "" && a.server == "" && a.data == "" {
			issuer = os.Getenv("OIDC_ISSUER")
		}
		secret := map[string]any{"": os.Getenv("OIDC_CLIENT_SECRET")}
		if err := fromFiles(c.InOrStdin(), secret, map[string]string{"": secretFile}); err != nil {
			return err
		}
		form := url.Values{"grant_type": {"client_credentials"}, "resource": resources}
		if len(scopes) > 0 {
			form.Set("scope", strings.Join(scopes, " "))
		}
		switch {
		case id == "" || secret[""] == "":
			return usageError("which client? Say its id and --client-secret-file FILE, or set OIDC_CLIENT_ID and OIDC_CLIENT_SECRET")
		case method != "client_secret_basic" && method != "client_secret_post":
			return usageError("--auth-method is client_secret_basic or client_secret_post")
		}
		at, issuer, err := a.issuer(issuer)
		if err != nil {
			return err
		}
		answer, err := at.token(c.Context(), issuer, method, id, secret[""].(string), form)
		if err != nil {
			return err
		}
		if out.form == "table" {
			out.quiet = true // the token alone: it is meant to be used by the shell
		}
		return out.object(answer, "access_token")
	}
	f := c.Flags()
	f.StringVar(&issuer, "issuer", "", "the issuer, if it is not the server (OIDC_ISSUER)")
	f.StringVar(&id, "client-id", "", "the client (OIDC_CLIENT_ID)")
	f.StringVar(&secretFile, "client-secret-file", "", "file that holds its secret; - is the standard input (OIDC_CLIENT_SECRET)")
	f.StringVar(&method, "auth-method", "client_secret_basic", "client_secret_basic or client_secret_post")
	f.StringArrayVar(&scopes, "scope", nil, "what to ask for; can be repeated")
	f.StringArrayVar(&resources, "resource", nil, "for whom the token is (RFC 8707); can be repeated")
	return c
}

// token asks the token endpoint of an issuer.
func (s *remote) token(ctx context.Context, issuer, method, id, secret string, form url.Values) (json.RawMessage, error) {
	d, err := s.discover(ctx, issuer)
	if err != nil {
		return nil, err
	}
	if method == "client_secret_post" {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == "client_secret_basic" {
		// RFC 6749 §2.3.1: both are form-encoded before they become a user name and a password.
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	status, answer, err := s.send(r)
	if err != nil {
		return nil, err
	}
	if status == http.StatusOK {
		return answer, nil
	}
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(answer, &refusal) != nil || refusal.Error == "" {
		return nil, fmt.Errorf("the token endpoint answered with status %d", status)
	}
	return nil, fmt.Errorf("%s: %s", printable(refusal.Error), printable(refusal.Description))
}
