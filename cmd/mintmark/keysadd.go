package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func keysAdd(a *access) *cobra.Command {
	var owner, expires, sha256, quota, quotaID, idle, metadata string
	var test bool
	var scopes, audience, allow, deny, limits []string
	c := &cobra.Command{
		Use: "add NAME", Short: "Make an API key; it is shown this once", Args: cobra.ExactArgs(1),
		Example: "  mintmark keys add ci --owner deployer --scope deploy:write --expires 90d",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in, err := lifeOf(expires)
		if err != nil {
			return err
		}
		in["name"] = args[0]
		if test {
			in["kind"] = "tk"
		}
		if err := addMetadata(c.InOrStdin(), in, metadata); err != nil {
			return err
		}
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
	f.BoolVar(&test, "test", false, "it is for tests: services can tell by its kind, tk")
	f.StringVar(&metadata, "metadata-file", "", metadataAbout)
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
	var name, expires, quota, idle, metadata string
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
	f.StringVar(&metadata, "metadata-file", "", metadataAbout+"; {} for none")
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
		if err := addMetadata(c.InOrStdin(), in, metadata); err != nil {
			return err
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

const metadataAbout = "file that holds a JSON object of yours to keep with it, at most 4 KiB; - is the standard input"

// addMetadata sets the member "metadata" to what a JSON file holds.
func addMetadata(stdin io.Reader, in map[string]any, file string) error {
	if file == "" {
		return nil
	}
	content, err := readInput(stdin, file)
	if err != nil {
		return err
	}
	if !json.Valid(content) {
		return errors.New(file + " does not hold JSON")
	}
	in["metadata"] = json.RawMessage(content)
	return nil
}

// lifeOf is the member "expires_at" for a key that is good for so long, or none.
func lifeOf(expires string) (map[string]any, error) {
	if expires == "" {
		return map[string]any{}, nil
	}
	life, err := days(expires)
	if err != nil {
		return nil, err
	}
	return map[string]any{"expires_at": time.Now().Add(life)}, nil
}
