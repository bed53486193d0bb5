package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func signingCommand() *cobra.Command {
	return apiGroup("signing", "The keys that sign tokens", signingList, signingRotate, signingRevoke)
}

var signingColumns = []column{{"KID", "kid"}, {"ALG", "alg"}, {"STATE", "state"}, {"GENERATION", "generation"}, {"SIGNS", "signs_at"}, {"RETIRES", "retires_at"}, {"GONE", "gone_at"}}

func signingList(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List signing keys", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			items, err := at.list(ctx, "/signing-keys", nil)
			if err != nil {
				return err
			}
			return out.list(items, "kid", signingColumns...)
		}),
	}
}

func signingRotate(a *access) *cobra.Command {
	var now bool
	var alg string
	c := &cobra.Command{
		Use: "rotate", Short: "Make the next signing keys: announced first, or signing at once with --now", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			in := map[string]any{"immediately": now}
			if alg != "" {
				in["alg"] = alg
			}
			answer, err := at.do(ctx, http.MethodPost, "/signing-keys/rotate", in)
			if err != nil {
				return err
			}
			var made struct {
				Items []json.RawMessage `json:"items"`
			}
			if err := json.Unmarshal(answer, &made); err != nil {
				return err
			}
			return out.list(made.Items, "kid", signingColumns...)
		}),
	}
	c.Flags().BoolVar(&now, "now", false, "sign with the new keys at once: verifiers meet a key that they have not cached, and must fetch the JWKS again")
	c.Flags().StringVar(&alg, "alg", "", "ES256 or RS256; both if it is missing")
	return c
}

func signingRevoke(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "revoke KID", Short: "Refuse a signing key and every token that it signed; another one signs at once", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			if _, err := at.do(ctx, http.MethodPost, "/signing-keys/"+url.PathEscape(args[0])+"/revoke", nil); err != nil {
				return err
			}
			return out.did("kid", args[0], "was revoked")
		}),
	}
}
