package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/web"
)

// ErrSetUp means that there is an administrator, so that no set-up link is given out.
var ErrSetUp = accounts.ErrSetupDone

// SetupLink returns a link with which one person can make themselves the first administrator,
// once, within 30 minutes, or [ErrSetUp]. The code is in the fragment, which browsers do not
// send: no proxy logs it. It replaces the link before it.
func (s *Server) SetupLink(ctx context.Context) (string, error) {
	code, err := s.directory.NewSetupCode(ctx, time.Now())
	if err != nil {
		return "", err
	}
	return s.cfg.Issuer + web.PathSetup + "#" + code.Reveal(), nil
}

// AdminKey makes an API key with every admin scope and writes it to a file that only its owner
// can read (mode 0600). If the file holds such a key already, and it is still good, that one stays.
func (s *Server) AdminKey(ctx context.Context, file string) error {
	old, err := os.ReadFile(file)
	switch {
	case err == nil:
		good, err := s.isAdminKey(ctx, strings.TrimSpace(string(old)))
		if err != nil {
			return err
		}
		if good {
			return os.Chmod(file, 0o600)
		}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the admin key can not be read: %w", err)
	}
	_, key, err := s.apiKeys.Make(ctx, apikeys.New{
		Kind:      secret.KindOrganizationKey,
		OwnerType: apikeys.OwnerInstance,
		Name:      "admin key in " + filepath.Base(file),
		Scopes:    apikeys.AdminScopes(),
		Forever:   true,
	}, apikeys.By{Actor: "server", Via: "server"})
	if err != nil {
		return err
	}
	return writeSecret(file, key.Reveal()+"\n")
}

// isAdminKey says whether a key is good and has every admin scope there is.
func (s *Server) isAdminKey(ctx context.Context, key string) (bool, error) {
	p, err := s.apiKeys.Verify(ctx, key, time.Now())
	if errors.Is(err, apikeys.ErrInvalid) {
		return false, nil
	}
	lacks := func(scope string) bool { return !p.May(scope) }
	return err == nil && !slices.ContainsFunc(apikeys.AdminScopes(), lacks), err
}

// writeSecret replaces a file as a whole: whoever reads it sees the old text or the new one.
func writeSecret(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
