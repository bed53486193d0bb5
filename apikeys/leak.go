package apikeys

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"mintmark/internal/secret"
)

// Leaked is told that somebody else has a key, and where it was found. If it is, or once was, a key
// of ours, it is revoked as leaked, whatever its state, and ours is true. What only looks like a key
// is recognised without asking the database.
func (r *Registry) Leaked(ctx context.Context, found, source, where string, by By) (ours bool, err error) {
	digest := secret.Wrap(found).Digest()
	if _, _, form := address(found); form {
		if _, good := r.Mint.Parse(found[len(brand):len(brand)+2], found); !good {
			return false, nil
		}
	} else {
		if len(found) < 16 || len(found) > 512 || strings.HasPrefix(found, brand) {
			return false, nil
		}
		if id, err := r.cached().foreign.find(ctx, digest); err != nil || id == "" {
			return false, err
		}
	}
	k, err := r.Store.KeyByDigest(ctx, digest[:])
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case k.Leaked:
		return true, nil
	}
	by.Giver = nil // holding a key is enough to end it
	return true, r.Revoke(ctx, k.ID, fmt.Sprintf("reported by %s: %s", source, place(where)), true, by)
}

// place is where something was found, without what could be the secret itself.
func place(where string) string {
	u, err := url.Parse(where)
	switch {
	case err != nil || u.Host == "":
		return "somewhere"
	case strings.Contains(u.Path, brand) || len(u.Path) > 150:
		return u.Host
	}
	return u.Host + u.Path
}
