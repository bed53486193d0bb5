package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// These commands are for whoever holds a string that may be an API key: out of a log, a repository, a
// report. A key never stands on the command line, where every process of the machine can read it and
// the shell writes it down.

// public is what may be said aloud of a key: its id, or the SHA-256 of it in hexadecimal.
var public = regexp.MustCompile(`^([0-9A-Za-z]{11}|[0-9A-Fa-f]{64})$`)

var errKeyAloud = usageError("that is neither the id of an API key nor a SHA-256 in hexadecimal. The key itself does not belong on a command line: " +
	"leave the argument out, and give it on the standard input or with --file. If it was one, it is in the history of your shell now")

func keysFind(a *access) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "find [KEY|SHA256]", Short: "Say which API key it is that somebody found (by id, by its SHA-256, or by itself from a file)", Args: cobra.MaximumNArgs(1),
		Long: "Say which API key it is that somebody found. Its id or its SHA-256 can be an argument. The key itself comes from the " +
			"standard input or a file, and stays here: only its SHA-256 is sent to the server.",
		Example: "  mintmark keys find --file found.txt",
	}
	c.Flags().StringVar(&file, "file", "-", "file that holds what was found; - is the standard input")
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		what, err := shownOrRead(c.InOrStdin(), args, file)
		if err != nil {
			return err
		}
		answer, err := at.do(ctx, http.MethodPost, "/keys/lookup", map[string]any{"found": what})
		if err != nil {
			return err
		}
		return out.object(answer, "id")
	})
	return c
}

// shownOrRead is the argument, or the SHA-256 of what a file holds: a key of another system can look like
// anything, and stays here.
func shownOrRead(stdin io.Reader, args []string, file string) (string, error) {
	if len(args) == 1 {
		if !public.MatchString(args[0]) {
			return "", errKeyAloud
		}
		return args[0], nil
	}
	in := map[string]any{}
	if err := fromFiles(stdin, in, map[string]string{"found": file}); err != nil {
		return "", err
	}
	text, _ := in["found"].(string)
	digest := sha256.Sum256([]byte(strings.TrimSpace(text)))
	return hex.EncodeToString(digest[:]), nil
}

// leaksAtOnce is how many strings the server takes in one report.
const leaksAtOnce = 500

func keysLeaked(a *access) *cobra.Command {
	var file, where string
	c := &cobra.Command{
		Use: "leaked [KEY|SHA256]", Aliases: []string{"report-leak"}, Args: cobra.MaximumNArgs(1),
		Short: "Report that somebody else has API keys: each is revoked as leaked, and who is told of leaks is told",
		Long: "Report that somebody else has API keys. Each is revoked as leaked, whatever its state, and notices.url is told, as if a scanner " +
			"had reported it. The id or the SHA-256 of one can be an argument, with a token that has keys:read and keys:write. " +
			"The keys themselves come from the standard input or a file, one a line, with a token that has keys:leak: holding a key is " +
			"enough to end it. Fails if none of them is, or ever was, a key of this server.",
		Example: "  mintmark keys leaked --file found.txt --where https://git.example/repo/blob/main/.env",
	}
	c.Flags().StringVar(&file, "file", "-", "file that holds what was found, one a line; - is the standard input")
	c.Flags().StringVar(&where, "where", "", "URL at which it was found, for the audit log")
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		if len(args) == 1 {
			return at.leakedByName(ctx, out, args[0], where)
		}
		content, err := readInput(c.InOrStdin(), file)
		if err != nil {
			return err
		}
		var found []map[string]any
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); line != "" {
				found = append(found, map[string]any{"token": line, "url": where, "source": "cli"})
			}
		}
		if len(found) == 0 {
			return errors.New(file + " is empty")
		}
		return at.leaked(ctx, out, found)
	})
	return c
}

// leakedByName revokes the key of an id or a SHA-256. Who knows one of these has not the key: that
// takes the right to revoke keys.
func (s *remote) leakedByName(ctx context.Context, out *printer, name, where string) error {
	if !public.MatchString(name) {
		return errKeyAloud
	}
	answer, err := s.do(ctx, http.MethodPost, "/keys/lookup", map[string]any{"found": name})
	if err != nil {
		return err
	}
	var key struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &key); err != nil || key.ID == "" {
		return errors.New("the server's answer does not name a key")
	}
	reason := "reported by hand"
	if at, err := url.Parse(where); err == nil && at.Host != "" {
		reason += ": " + at.Host + at.Path
	}
	return s.oneKey(ctx, out, key.ID, "/revoke", map[string]any{"reason": reason[:min(len(reason), 200)], "leaked": true})
}

// leaked reports keys that somebody holds.
func (s *remote) leaked(ctx context.Context, out *printer, found []map[string]any) error {
	var all []json.RawMessage
	ours := 0
	for part := range slices.Chunk(found, leaksAtOnce) {
		answer, err := s.do(ctx, http.MethodPost, "/leaks", part)
		if err != nil {
			return err
		}
		var verdicts []json.RawMessage
		if err := json.Unmarshal(answer, &verdicts); err != nil {
			return errors.New("the server's answer is not a list")
		}
		for _, verdict := range verdicts {
			var one struct {
				Label string `json:"label"`
			}
			if json.Unmarshal(verdict, &one) == nil && one.Label == "true_positive" {
				ours++
			}
		}
		all = append(all, verdicts...)
	}
	if err := out.list(all, "token_hash", column{"LABEL", "label"}, column{"SHA256", "token_hash"}); err != nil {
		return err
	}
	if ours == 0 {
		return errors.New("nothing of that is a key of this server: nothing was revoked")
	}
	return nil
}
