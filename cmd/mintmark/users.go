package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func usersCommand() *cobra.Command {
	return apiGroup("users", "People who can sign in",
		usersList, usersGet, usersAdd, usersSet, usersDisable, usersEnable, usersRemove, usersSessions, usersIdentities)
}

var userColumns = []column{{"ID", "id"}, {"EMAIL", "email"}, {"VERIFIED", "email_verified"}, {"NAME", "name"}, {"ROLE", "role"}, {"DISABLED", "disabled"}, {"CREATED", "created_at"}}

func usersList(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List people", Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			items, err := at.list(ctx, "/users", nil)
			if err != nil {
				return err
			}
			return out.list(items, "id", userColumns...)
		}),
	}
}

func usersGet(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "get USER", Short: "Look at a person (by id or e-mail address)", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.user(ctx, out, http.MethodGet, args[0], "")
		}),
	}
}

func usersAdd(a *access) *cobra.Command {
	var name, role, passwordFile, hashFile, claimsFile string
	var verified bool
	c := &cobra.Command{
		Use: "add EMAIL", Short: "Add a person", Args: cobra.ExactArgs(1),
		Example: "  mintmark users add ada@example.com --name 'Ada Lovelace' --verified --password-file password.txt",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in := map[string]any{"email": args[0]}
		if name != "" {
			in["name"] = name
		}
		if verified {
			in["email_verified"] = true
		}
		if role != "" {
			in["role"] = role
		}
		if passwordFile != "" && hashFile != "" {
			return usageError("--password-file and --password-hash-file can't be given together")
		}
		if err := fromFiles(c.InOrStdin(), in, map[string]string{"password": passwordFile, "password_hash": hashFile}); err != nil {
			return err
		}
		if err := addClaims(c.InOrStdin(), in, claimsFile); err != nil {
			return err
		}
		answer, err := at.do(ctx, http.MethodPost, "/users", in)
		if err != nil {
			return err
		}
		if passwordFile == "" && hashFile == "" {
			out.note("%s has no password yet: mintmark users set %s --password-file FILE", args[0], args[0])
		}
		return out.object(answer, "id")
	})
	f := c.Flags()
	f.StringVar(&name, "name", "", "full name")
	f.StringVar(&passwordFile, "password-file", "", "file that holds the password; - is the standard input")
	f.StringVar(&hashFile, "password-hash-file", "", "file that holds what another system remembered of the password: bcrypt or argon2id; - is the standard input")
	f.BoolVar(&verified, "verified", false, "the e-mail address is known to be theirs")
	f.StringVar(&role, "role", "", "admin, or nothing")
	f.StringVar(&claimsFile, "claims", "", "JSON file of standard claims (OpenID Connect Core §5.1); - is the standard input")
	return c
}

func usersSet(a *access) *cobra.Command {
	var name, email, role, passwordFile, claimsFile string
	var verified bool
	c := &cobra.Command{
		Use: "set USER", Short: "Change a person; what is not said stays as it is", Args: cobra.ExactArgs(1),
		Example: "  mintmark users set ada@example.com --password-file password.txt",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		in := map[string]any{}
		for _, said := range []struct {
			flag, member string
			value        any
		}{
			{"name", "name", name}, {"email", "email", email}, {"role", "role", role}, {"verified", "email_verified", verified},
		} {
			if c.Flags().Changed(said.flag) {
				in[said.member] = said.value
			}
		}
		if err := addClaims(c.InOrStdin(), in, claimsFile); err != nil {
			return err
		}
		secret := map[string]any{}
		if err := fromFiles(c.InOrStdin(), secret, map[string]string{"password": passwordFile}); err != nil {
			return err
		}
		if len(in) == 0 && len(secret) == 0 {
			return usageError("what is to be changed?")
		}
		id, err := at.userID(ctx, args[0])
		if err != nil {
			return err
		}
		if len(secret) > 0 {
			if _, err := at.do(ctx, http.MethodPut, "/users/"+url.PathEscape(id)+"/password", secret); err != nil {
				return err
			}
			out.note("The password was changed, and %s is signed out everywhere.", args[0])
		}
		if len(in) == 0 {
			return at.user(ctx, out, http.MethodGet, id, "")
		}
		answer, err := at.do(ctx, http.MethodPatch, "/users/"+url.PathEscape(id), in)
		if err != nil {
			return err
		}
		return out.object(answer, "id")
	})
	f := c.Flags()
	f.StringVar(&name, "name", "", "full name")
	f.StringVar(&email, "email", "", "new e-mail address, unverified unless --verified")
	f.BoolVar(&verified, "verified", false, "the e-mail address is known to be theirs (or --verified=false)")
	f.StringVar(&role, "role", "", `admin, or "" for none`)
	f.StringVar(&passwordFile, "password-file", "", "file that holds the new password; - is the standard input. Signs the person out everywhere")
	f.StringVar(&claimsFile, "claims", "", "JSON file of standard claims, merged into those there are; null removes one")
	return c
}

func usersDisable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "disable USER", Short: "Lock a person out, at once and everywhere", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.user(ctx, out, http.MethodPost, args[0], "/disable")
		}),
	}
}

func usersEnable(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "enable USER", Short: "Let a person sign in again", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			return at.user(ctx, out, http.MethodPost, args[0], "/enable")
		}),
	}
}

func usersRemove(a *access) *cobra.Command {
	return &cobra.Command{
		Use: "rm USER", Short: "Forget a person, with everything of theirs", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			id, err := at.userID(ctx, args[0])
			if err != nil {
				return err
			}
			if _, err := at.do(ctx, http.MethodDelete, "/users/"+url.PathEscape(id), nil); err != nil {
				return err
			}
			return out.did("id", id, "was removed")
		}),
	}
}

func usersSessions(a *access) *cobra.Command {
	var revoke bool
	c := &cobra.Command{
		Use: "sessions USER", Short: "List where a person is signed in, or sign them out", Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
			id, err := at.userID(ctx, args[0])
			if err != nil {
				return err
			}
			path := "/users/" + url.PathEscape(id) + "/sessions"
			if revoke {
				if _, err := at.do(ctx, http.MethodDelete, path, nil); err != nil {
					return err
				}
				return out.did("id", id, "is signed out everywhere")
			}
			items, err := at.list(ctx, path, nil)
			if err != nil {
				return err
			}
			return out.list(items, "id", sessionColumns...)
		}),
	}
	c.Flags().BoolVar(&revoke, "revoke", false, "sign the person out everywhere")
	return c
}

var identityColumns = []column{{"PROVIDER", "provider"}, {"SUBJECT", "subject"}, {"EMAIL", "email"}, {"LINKED", "linked_at"}, {"USED", "last_used_at"}, {"PROVIDER_ID", "provider_id"}}

func usersIdentities(a *access) *cobra.Command {
	var unlink, subject string
	c := &cobra.Command{
		Use: "identities USER", Short: "List the accounts elsewhere that a person can sign in with, or take one away", Args: cobra.ExactArgs(1),
		Example: "  mintmark users identities ada@example.com\n  mintmark users identities ada@example.com --unlink github --subject 583231",
	}
	c.RunE = a.run(func(ctx context.Context, at *remote, out *printer, args []string) error {
		if (unlink == "") != (subject == "") {
			return usageError("--unlink and --subject go together")
		}
		id, err := at.userID(ctx, args[0])
		if err != nil {
			return err
		}
		path := "/users/" + url.PathEscape(id) + "/identities"
		if unlink != "" {
			if _, err := at.do(ctx, http.MethodDelete, path+"/"+url.PathEscape(unlink)+"/"+url.PathEscape(subject), nil); err != nil {
				return err
			}
			return out.did("subject", subject, "is not linked any more")
		}
		items, err := at.list(ctx, path, nil)
		if err != nil {
			return err
		}
		return out.list(items, "subject", identityColumns...)
	})
	c.Flags().StringVar(&unlink, "unlink", "", "take away the one of this provider (name or id)")
	c.Flags().StringVar(&subject, "subject", "", "what the provider calls the person, with --unlink")
	return c
}

// user does something to one person whose answer is the person.
func (s *remote) user(ctx context.Context, out *printer, method, ref, what string) error {
	id, err := s.userID(ctx, ref)
	if err != nil {
		return err
	}
	answer, err := s.do(ctx, method, "/users/"+url.PathEscape(id)+what, nil)
	if err != nil {
		return err
	}
	return out.object(answer, "id")
}

// userID returns the id of a person, of whom we know that or the e-mail address.
func (s *remote) userID(ctx context.Context, ref string) (string, error) {
	if !strings.Contains(ref, "@") {
		return ref, nil
	}
	items, err := s.list(ctx, "/users", url.Values{"email": {ref}})
	if err != nil {
		return "", err
	}
	if len(items) == 0 {
		return "", fmt.Errorf("there is no user %s", printable(ref))
	}
	found, err := parseObject(items[0])
	return plain(found.value("id")), err
}
