package upstream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mintmark/internal/fetch"
)

// A Revocation is tokens that were kept, and that are to be revoked at their provider because the link
// that they rested on is gone.
type Revocation struct {
	ID                             string
	ProviderID, Subject, AccountID string
	Sealed                         []byte    // as they were kept
	At                             time.Time // since when
	Attempts                       int64     // with the one that begins
}

// A RevocationStore remembers what is to be revoked. Whatever takes kept tokens away puts them there
// in the same transaction. Every method is one transaction.
type RevocationStore interface {
	// NextRevocation returns one whose time has come, and makes again the time of its next attempt. Of
	// any number of callers one gets it. some is false if there is none.
	NextRevocation(ctx context.Context, now, again time.Time) (r Revocation, some bool, err error)
	// PutOffRevocation makes next the time of the next attempt; and others, if it is not zero, that of
	// all for the same provider whose time has come.
	PutOffRevocation(ctx context.Context, r Revocation, next, others, now time.Time) error
	// ForgetRevocation forgets one: it is done, or given up.
	ForgetRevocation(ctx context.Context, id string) error
	// RemovedProvider returns a provider that is gone, as it was, while there is something to revoke
	// there, or [ErrNotFound].
	RemovedProvider(ctx context.Context, id string) (Provider, error)
}

// The times of revoking.
const (
	revokeAtOnce = 20               // in one round of one copy
	firstRetry   = 30 * time.Second // doubled with every attempt
	mostRetry    = 2 * time.Hour
	revokeFor    = 24 * time.Hour // after that it is given up
)

// RevokeDue revokes tokens whose time has come, at the providers that they are of. It is best effort, and
// for the background: a provider that does not answer is asked again for a day, the others meanwhile,
// and signing in notices nothing of it. What is given up is in the log. The error says that some could
// not be revoked yet.
func (g *Registry) RevokeDue(ctx context.Context, began time.Time) error {
	if g.Vault == nil {
		return nil
	}
	start := time.Now() // what passes is measured; what time it is, the caller said
	// Connections of their own: what fails here is not held against a provider in use.
	connections := map[string]*connection{}
	defer func() {
		for _, c := range connections {
			c.fetch.CloseIdle()
		}
	}()
	var failed error
	for range revokeAtOnce {
		now := began.Add(time.Since(start))
		r, some, err := g.Vault.NextRevocation(ctx, now, now.Add(time.Minute))
		if err != nil || !some {
			return errors.Join(failed, err)
		}
		err = g.revoke(ctx, connections, r, now)
		if err == nil {
			err = g.Vault.ForgetRevocation(ctx, r.ID)
		} else {
			failed = fmt.Errorf("attempt %d for %s: %w", r.Attempts, r.AccountID, err)
			err = g.putOff(ctx, r, err, now)
		}
		if err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

// putOff says when the next attempt is, if there is one.
func (g *Registry) putOff(ctx context.Context, r Revocation, why error, now time.Time) error {
	next := now.Add(min(firstRetry<<min(r.Attempts-1, 10), mostRetry))
	others := time.Time{}
	if errors.Is(why, errSilent) {
		others = now.Add(time.Minute) // it would not answer to those either
	}
	if err := g.Vault.PutOffRevocation(ctx, r, next, others, now); err != nil || next.Sub(r.At) < revokeFor {
		return err
	}
	g.Log.WarnContext(ctx, "upstream tokens of a link that is gone are not revoked, and it is given up: the person can do it at the provider",
		"provider", r.ProviderID, "account", r.AccountID, "err", why)
	return g.Vault.ForgetRevocation(ctx, r.ID)
}

// revoke revokes tokens at their provider. A provider without a place for it has nothing to be told.
func (g *Registry) revoke(ctx context.Context, connections map[string]*connection, r Revocation, now time.Time) error {
	p, err := g.everByID(ctx, r.ProviderID, now)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if kinds[p.Kind] == nil {
		return fmt.Errorf("the kind %.20q is one of a newer copy of the server", p.Kind)
	}
	tokens, err := g.openPair(Kept{ProviderID: r.ProviderID, Subject: r.Subject, AccountID: r.AccountID, Sealed: r.Sealed})
	if err != nil {
		return err
	}
	c := connections[p.ID]
	if c == nil {
		c = g.connect(&p, "")
		connections[p.ID] = c
	}
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	t := &talk{connection: c, ctx: ctx, p: &p, now: now}
	known, err := t.places()
	if err != nil || known.Revoke == "" {
		return err
	}
	how := revokers[p.Kind]
	if how == nil {
		how = (*Registry).revokeToken
	}
	return how(g, t, known, tokens)
}

// everByID returns a provider, whether it is enabled, disabled or gone.
func (g *Registry) everByID(ctx context.Context, id string, now time.Time) (Provider, error) {
	all, err := g.all(ctx, now)
	if err != nil {
		return Provider{}, err
	}
	if at := slices.IndexFunc(all, func(p Provider) bool { return p.ID == id }); at >= 0 {
		return all[at], nil
	}
	return g.Vault.RemovedProvider(ctx, id)
}

// revokers revoke where that is not RFC 7009.
var revokers = map[string]func(g *Registry, t *talk, known places, tokens pair) error{
	"github": (*Registry).revokeGrant,
}

// revokeToken is RFC 7009 §2.1, for the refresh token and then for the access token: that the one takes
// the other with it is a SHOULD.
func (g *Registry) revokeToken(t *talk, known places, tokens pair) error {
	for _, one := range []struct{ hint, token string }{{"refresh_token", tokens.Refresh}, {"access_token", tokens.Access}} {
		if one.token == "" {
			continue
		}
		form := url.Values{"token": {one.token}, "token_type_hint": {one.hint}}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
		if err := g.authenticate(t, known, form, header); err != nil {
			return err
		}
		answer, err := t.ask(fetch.Request{Method: http.MethodPost, URL: known.Revoke, Header: header, Body: []byte(form.Encode())})
		if err != nil {
			return err
		}
		if answer.Status/100 == 2 { // §2.2: "200 if the token has been revoked successfully or if the client submitted an invalid token"
			continue
		}
		code := ""
		if d, err := parseDocument(answer.Body); err == nil {
			code = d.text("error")
		}
		// §2.2.1, and what Google says of one that is over.
		if !slices.Contains([]string{"unsupported_token_type", "invalid_token", "invalid_grant"}, code) {
			return fmt.Errorf("%s says %d and %.60q", host(known.Revoke), answer.Status, code)
		}
	}
	return nil
}

// revokeGrant takes back at GitHub what the person allowed this client.
// https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-authorization
func (g *Registry) revokeGrant(t *talk, known places, tokens pair) error {
	secret, err := g.secretOf(t.p)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"access_token": tokens.Access})
	if err != nil {
		return errors.New("upstream: a token can't be written") // and no word of what it is
	}
	answer, err := t.ask(fetch.Request{Method: http.MethodDelete, URL: known.Revoke, Body: body, Header: http.Header{
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(t.p.ClientID+":"+secret))},
		"Content-Type":  {"application/json"}, "Accept": {"application/vnd.github+json"},
	}})
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusNoContent, http.StatusNotFound, http.StatusUnprocessableEntity: // the last two: the token is good no more
		return nil
	}
	return fmt.Errorf("%s says %d", host(known.Revoke), answer.Status)
}
