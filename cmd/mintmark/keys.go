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
	return apiGroup("keys", "API keys", keysList, keysGet, keysAdd, keysSet, keysRotate, keysRevoke, keysDisable, keysEnable, keysVerify, keysReport)
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

func keysAdd(a *access) *cobra.Command {
	var owner, expires, sha256, quota, quotaID, idle string
	var scopes, audience, allow, deny, limits []string
	c := &cobra.Command{
		Use: "add NAME", Short: "Make an API key; it is shown this once", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys add ci --owner deployer --scope deploy:write --expires 90d",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in := map[string]any{"name": args[0]}
		if owner != "" {
			kind, id, err := at.owner(ctx, owner)
			if err != nil {
				return err
			}
			in["owner_type"], in["owner_id"] = kind, id
		}
		for member, list := range map[string][]string{"scopes": words(scopes), "audience": audience, "allow": allow, "deny": deny, "rate_limits": limits} {
			if len(list) > 0 {
				in[member] = list
			}
		}
		if expires != "" {
			life, err := days(expires)
			if err != nil {
				return err
			}
			in["expires_at"] = time.Now().Add(life)
		}
		if idle != "" {
			life, err := days(idle)
			if err != nil {
				return err
			}
			in["idle_expiry_seconds"] = int64(life / time.Second)
		}
		for member, text := range map[string]string{"sha256": sha256, "quota": quota, "quota_id": quotaID} {
			if text != "" {
				in[member] = text
			}
		}
		answer, err := at.do(ctx, http.MethodPost, "/keys", in)
		if err != nil {
			return err
		}
		return out.object(answer, "id")
	})
	f := c.Flags()
	f.StringVar(&owner, "owner", "", "person (id or e-mail address) or service account (id or name); nobody: a key of this server's own for the admin API")
	f.StringArrayVar(&scopes, "scope", nil, "what it may do; can be repeated")
	f.StringArrayVar(&audience, "audience", nil, "service that may take it; can be repeated")
	f.StringVar(&expires, "expires", "", "how long it is good, like 90d or 12h (the default is 90 days)")
	f.StringArrayVar(&allow, "allow-ip", nil, "network that it may be used from, like 192.0.2.0/24; can be repeated")
	f.StringArrayVar(&deny, "deny-ip", nil, "network that it may not be used from; can be repeated")
	f.StringArrayVar(&limits, "rate-limit", nil, "how often it may be used, like 600/m or daily:100000/d; can be repeated")
	f.StringVar(&quota, "quota", "", "how much it may be used on all copies of the server together, like 100000/30d; it fills again after that time")
	f.StringVar(&quotaID, "quota-id", "", "share the quota with this id, that another key has")
	f.StringVar(&idle, "idle-expiry", "", "disable it when it was not used for so long, like 90d")
	f.StringVar(&sha256, "sha256", "", "import a key of another system, of which this is the SHA-256 in hexadecimal")
	return c
}

// keyLists are the lists that `keys set` replaces, by their flags.
var keyLists = map[string]struct{ member, about string }{
	"scope":      {"scopes", "what it may do; can be repeated, and replaces all; \"\" for nothing"},
	"audience":   {"audience", "service that may take it; can be repeated, and replaces all"},
	"allow-ip":   {"allow", "network that it may be used from; can be repeated, and replaces all; \"\" for anywhere"},
	"deny-ip":    {"deny", "network that it may not be used from; can be repeated, and replaces all"},
	"rate-limit": {"rate_limits", "how often it may be used; can be repeated, and replaces all; \"\" for no limit"},
}

func keysSet(a *access) *cobra.Command {
	var name, expires, quota, idle string
	c := &cobra.Command{
		Use: "set KEY", Short: "Change an API key; what is not named stays as it is", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys set 0Ab3dE6gH9k --quota 200000/30d --allow-ip 192.0.2.0/24",
	}
	lists := map[string]*[]string{}
	f := c.Flags()
	for flag, list := range keyLists {
		lists[flag] = f.StringArray(flag, nil, list.about)
	}
	f.StringVar(&name, "name", "", "what people call it")
	f.StringVar(&expires, "expires", "", "how long it is good from now, like 90d or 12h")
	f.StringVar(&quota, "quota", "", "how much it may be used, like 100000/30d, together with every key that shares the quota; \"\" for any number")
	f.StringVar(&idle, "idle-expiry", "", "disable it when it was not used for so long, like 90d; 0s for never")
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in := map[string]any{}
		for flag, list := range lists {
			if f.Changed(flag) {
				in[keyLists[flag].member] = append([]string{}, words(*list)...)
			}
		}
		for flag, text := range map[string]string{"name": name, "quota": quota} {
			if f.Changed(flag) {
				in[flag] = text
			}
		}
		for flag, set := range map[string]struct {
			text string
			to   func(time.Duration)
		}{
			"expires":     {expires, func(d time.Duration) { in["expires_at"] = time.Now().Add(d) }},
			"idle-expiry": {idle, func(d time.Duration) { in["idle_expiry_seconds"] = int64(d / time.Second) }},
		} {
			if !f.Changed(flag) {
				continue
			}
			d, err := days(set.text)
			if err != nil {
				return err
			}
			set.to(d)
		}
		if len(in) == 0 {
			return usageError("nothing is to be changed: name what")
		}
		answer, err := at.do(ctx, http.MethodPatch, "/keys/"+url.PathEscape(args[0]), in)
		if err != nil {
			return err
		}
		return out.object(answer, "id")
	})
	return c
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
