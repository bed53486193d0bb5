package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func keysImport(a *access) *cobra.Command {
	var owner, expires string
	var scopes, audience []string
	c := &cobra.Command{
		Use: "import FILE", Short: "Take API keys of another system, by their SHA-256", Args: cobra.ExactArgs(1),
		Long: "Take API keys of another system: FILE (- is the standard input) has the SHA-256 of one whole key in hexadecimal on each line, and then, if you like, " +
			"its name. They go on to work. One that is there already is left as it is, so that an import which broke off can be run again.",
		Example: "  mintmark keys import hashes.txt --owner deployer --scope deploy:write",
	}
	f := c.Flags()
	f.StringVar(&owner, "owner", "", "person (id or e-mail address) or service account (id or name) that they belong to")
	f.StringArrayVar(&scopes, "scope", nil, "what they may do; can be repeated")
	f.StringArrayVar(&audience, "audience", nil, "service that may take them; can be repeated")
	f.StringVar(&expires, "expires", "", "how long they are good, like 90d or 12h (the default is 90 days)")
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		if owner == "" {
			return usageError("whose keys are they? Say --owner")
		}
		in, err := lifeOf(expires)
		if err != nil {
			return err
		}
		content, err := readInput(c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		kind, id, err := at.owner(ctx, owner)
		if err != nil {
			return err
		}
		in["owner_type"], in["owner_id"], in["scopes"], in["audience"] = kind, id, words(scopes), audience
		return at.importKeys(ctx, out, string(content), in)
	})
	return c
}

// importKeys adds a key for each line.
func (s *remote) importKeys(ctx context.Context, out *printer, lines string, in map[string]any) error {
	added, there, number := 0, 0, 0
	for line := range strings.Lines(lines) {
		number++
		digest, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if digest == "" {
			continue
		}
		if len(digest) != 64 || !public.MatchString(digest) {
			// Not the line: whoever takes the wrong file may have given us the keys.
			return fmt.Errorf("line %d does not begin with a SHA-256 in hexadecimal (%d keys were imported before it)", number, added)
		}
		if name = strings.TrimSpace(name); name == "" {
			name = "imported " + strings.ToLower(digest[:8])
		}
		in["sha256"], in["name"] = digest, name
		answer, err := s.do(ctx, http.MethodPost, "/keys", in)
		if refused, ok := errors.AsType[*refusal](err); ok && refused.Status == http.StatusConflict && refused.Code == "exists" {
			there++
			continue
		}
		if err != nil {
			return fmt.Errorf("line %d (%d keys were imported before it): %w", number, added, err)
		}
		added++
		if out.quiet {
			if err := out.object(answer, "id"); err != nil {
				return err
			}
		}
	}
	if out.quiet {
		return nil
	}
	return out.object(fmt.Appendf(nil, `{"imported":%d,"already_there":%d}`, added, there), "imported")
}
