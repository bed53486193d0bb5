package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"mintmark/apikeys"
)

// secretForm is what our keys, and our other secrets, look like wherever they are found.
var secretForm = regexp.MustCompile(`mm_[a-z]{2}_[0-9A-Za-z]{20,}`)

// exposedMost is how many keys of one address are looked at.
const exposedMost = 4

// exposed says whether there is a secret in the address of a request, and revokes it if it is
// a good API key: addresses are in the logs and histories of everybody on the way.
func (a *api) exposed(r *http.Request) bool {
	query := r.URL.RawQuery
	if plain, err := url.QueryUnescape(query); err == nil {
		query = plain
	}
	found := secretForm.FindAllString(r.URL.Path+"?"+query, exposedMost)
	for _, key := range found {
		if err := a.endExposed(r, key); err != nil {
			a.Log.ErrorContext(r.Context(), "a key in an address may not be revoked", "error", err, "request_id", a.RequestID(r.Context()))
		}
	}
	return len(found) > 0
}

func (a *api) endExposed(r *http.Request, key string) error {
	// Whoever hangs up does not keep the key alive.
	ctx := context.WithoutCancel(r.Context())
	from, _ := netip.ParseAddr(a.ClientAddress(r))
	// What is forged is known here without asking the database.
	_, err := a.APIKeys.Check(ctx, apikeys.Ask{Key: key, Address: from}, time.Now())
	_, denied := errors.AsType[*apikeys.Denied](err)
	_, limited := isLimited(err)
	switch {
	case errors.Is(err, apikeys.ErrInvalid):
		return nil
	case err != nil && !denied && !limited: // those two are about good keys
		return err
	}
	k, err := a.APIKeys.Find(ctx, key)
	if err != nil {
		return err
	}
	by := apikeys.By{Actor: "server", Via: "server", Address: a.ClientAddress(r), RequestID: a.RequestID(ctx)}
	if err := a.APIKeys.Revoke(ctx, k.ID, "was sent in an address", true, by); err != nil {
		return err
	}
	a.Log.WarnContext(ctx, "API key revoked, because it was sent in an address", "key", k.ID, "request_id", a.RequestID(ctx))
	return nil
}
