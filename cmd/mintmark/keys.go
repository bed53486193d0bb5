package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func keysCommand() *cobra.Command {
	return apiGroup("keys", "API keys", keysList, keysGet, keysAdd, keysImport, keysSet, keysRotate,
		keysRevoke, keysDisable, keysEnable, keysVerify, keysFind, keysLeaked, keysReport)
}

var keyColumns = []column{{"ID", "id"}, {"NAME", "name"}, {"STATUS", "status"}, {"OWNER", "owner_id"}, {"SCOPES", "scopes"}, {"EXPIRES", "expires_at"}, {"USED", "last_used_at"}}

func keysList(a *access) *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use: "list", Short: "List API keys", Args: cobra.NoArgs,
		Example: "  mintmark keys list --owner deployer",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			query := url.Values{}
			if owner != "" {
				_, id, err := at.owner(ctx, owner)
				if err != nil {
					return err
				}
				query.Set("owner_id", id)
			}
			items, err := at.list(ctx, "/keys", query)
			if err != nil {
				return err
			}
			return out.list(items, "id", keyColumns...)
		}),
	}
	c.Flags().StringVar(&owner, "owner", "", "only of this person or service account")
	return c
}

func keysGet(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Look at an API key (by id)", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys get 0Ab3dE6gH9k",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			answer, err := at.do(ctx, http.MethodGet, "/keys/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			return out.object(answer, "id")
		}),
	}
}

func keysRotate(a *access) *cobra.Command {
	var grace string
	c := &cobra.Command{
		Use: "rotate KEY", Short: "Make an API key in place of another; it is shown this once", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys rotate 0Ab3dE6gH9k --grace 24h",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			life, err := days(grace)
			if err != nil {
				return err
			}
			answer, err := at.do(ctx, http.MethodPost, "/keys/"+url.PathEscape(args[0])+"/rotate", map[string]any{"grace_seconds": int64(life / time.Second)})
			if err != nil {
				return err
			}
			return out.object(answer, "id")
		}),
	}
	c.Flags().StringVar(&grace, "grace", "0s", "how long the old one goes on to work, at most 30d")
	return c
}

func keysRevoke(a *access) *cobra.Command {
	var reason string
	var leaked, wait bool
	c := &cobra.Command{
		Use: "revoke KEY", Short: "Refuse an API key for good", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys revoke 0Ab3dE6gH9k --wait --leaked --reason published",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			what := "/revoke"
			if wait {
				what += "?wait=true"
			}
			answer, err := at.do(ctx, http.MethodPost, "/keys/"+url.PathEscape(args[0])+what, map[string]any{"reason": reason, "leaked": leaked})
			if err != nil {
				return err
			}
			if err := out.object(answer, "id"); err != nil || !wait {
				return err
			}
			var revoked struct {
				Propagated bool `json:"propagated"`
			}
			if err := json.Unmarshal(answer, &revoked); err != nil || !revoked.Propagated {
				return errors.New("the key is revoked, but a copy of the server did not confirm it within 3 seconds: it may be cut off from the database, and then takes the key for up to a minute more")
			}
			return nil
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	c.Flags().BoolVar(&leaked, "leaked", false, "somebody else has it")
	c.Flags().BoolVar(&wait, "wait", false, "return when every copy of the server refuses it; fails if one has not said so after 3 seconds")
	return c
}

func keysDisable(a *access) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "disable KEY", Short: "Refuse an API key for a while", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys disable 0Ab3dE6gH9k --reason holiday",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.oneKey(ctx, out, args[0], "/disable", map[string]any{"reason": reason})
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}

func keysEnable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "enable KEY", Short: "Take an API key again", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys enable 0Ab3dE6gH9k",
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.oneKey(ctx, out, args[0], "/enable", nil)
		}),
	}
}

func keysVerify(a *access) *cobra.Command {
	var file, scope, audience, address string
	var cost int64
	c := &cobra.Command{
		Use: "verify", Short: "Say who shows an API key, and whether it is good for something", Args: cobra.NoArgs,
		Example: "  mintmark keys verify --key-file key.txt --scope deploy:write",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in := map[string]any{"scope": scope, "audience": audience, "address": address, "cost": cost}
		if err := fromFiles(c.InOrStdin(), in, map[string]string{"key": file}); err != nil {
			return err
		}
		answer, err := at.do(ctx, http.MethodPost, "/keys/verify", in)
		if err != nil {
			return err
		}
		if err := out.object(answer, "id"); err != nil {
			return err
		}
		var verdict struct {
			Active bool   `json:"active"`
			Code   string `json:"code"`
		}
		if err := json.Unmarshal(answer, &verdict); err != nil || !verdict.Active {
			return fmt.Errorf("the key is not good for that: %s", printable(verdict.Code))
		}
		return nil
	})
	f := c.Flags()
	f.StringVar(&file, "key-file", "-", "file that holds the key; - is the standard input")
	f.StringVar(&scope, "scope", "", "what it must be allowed to do, separated by spaces")
	f.StringVar(&audience, "audience", "", "the service that asks")
	f.Int64Var(&cost, "cost", 1, "how much of its quota that takes")
	f.StringVar(&address, "address", "", "where the key was shown from")
	return c
}

// oneKey does something to one key whose answer is the key.
func (s *remote) oneKey(ctx context.Context, out *printer, id, what string, in any) error {
	answer, err := s.do(ctx, http.MethodPost, "/keys/"+url.PathEscape(id)+what, in)
	if err != nil {
		return err
	}
	return out.object(answer, "id")
}

// owner finds who is meant: a person by id or e-mail address, a service account by id or name.
func (s *remote) owner(ctx context.Context, ref string) (kind, id string, err error) {
	if strings.Contains(ref, "@") || strings.HasPrefix(ref, "usr_") {
		id, err = s.userID(ctx, ref)
		return "account", id, err
	}
	id, err = s.serviceID(ctx, ref)
	return "service", id, err
}

// words splits lists that somebody wrote in one piece.
func words(lists []string) (all []string) {
	for _, list := range lists {
		all = append(all, strings.Fields(list)...)
	}
	return all
}

// days reads a duration that may be in days.
func days(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 10_000 {
			return 0, usageError(printable(text) + " is not a duration like 90d or 12h")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, usageError(printable(text) + " is not a duration like 90d or 12h")
	}
	return d, nil
}
