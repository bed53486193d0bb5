package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mintmark/internal/fetch"
	"mintmark/internal/secret"
)

// Errors of [Registry.Hand] and [Registry.Keep].
var (
	// ErrNotKept: there are no tokens of this person at this provider, or they are good no more.
	// Signing in with the provider again may bring new ones.
	ErrNotKept = errors.New("upstream: no tokens are kept")
	// ErrAway: the provider, the connector, or who is just refreshing the tokens, does not answer. It may later.
	ErrAway = errors.New("upstream: it does not answer now")
	// ErrOff: the provider is disabled or gone.
	ErrOff = errors.New("upstream: the provider is disabled or gone")
)

// Kept is the tokens of one identity as they are remembered.
type Kept struct {
	ProviderID, Subject, AccountID string
	// Sealed holds the tokens, bound to the three above: see [KeptAAD].
	Sealed    []byte
	Scopes    []string  // that the provider granted
	ExpiresAt time.Time // of the access token; zero: not said
	// Version grows whenever the tokens are replaced.
	Version int64
	// Lease names who is refreshing them, or is empty.
	Lease string
}

// A VaultStore remembers tokens. Every method is one transaction.
type VaultStore interface {
	// Keep remembers the tokens of an identity in place of older ones, if the identity is linked to
	// the account and both the account and the provider are enabled. Otherwise it changes nothing and
	// returns [ErrOff], if it is the provider, or [ErrNotKept]. What is still to be revoked of the
	// identity is not revoked any more.
	Keep(ctx context.Context, k Kept, now time.Time) error
	// Kept returns what was kept last for an account at a provider, while the link is there and both
	// are enabled, or [ErrNotKept].
	Kept(ctx context.Context, providerID, accountID string) (Kept, error)
	// LeaseKept makes lease the one who refreshes, if version and k.Lease are still what is
	// there, and says whether it was. Of any number of callers with the same k one wins.
	LeaseKept(ctx context.Context, k Kept, lease string) (bool, error)
	// Refreshed puts new tokens in the place of those that lease was refreshing and takes the lease
	// away, or returns [ErrNotKept] if the lease is another's by now or the tokens are gone. If they are
	// gone, the new ones are to be revoked.
	Refreshed(ctx context.Context, k Kept, lease string, now time.Time) error
	// ReleaseKept takes a lease away. gone takes the tokens with it.
	ReleaseKept(ctx context.Context, k Kept, lease string, gone bool) error

	RevocationStore
}

// Held is a token to act with at a provider for a person.
type Held struct {
	Access    secret.Token
	Scopes    []string
	ExpiresAt time.Time // zero: not said
}

// KeptAAD is the associated data that the tokens of an identity are sealed with: whoever can write
// to the database can't give one person the tokens of another.
func KeptAAD(providerID, accountID, subject string) string {
	return "upstream-token/" + providerID + "/" + accountID + "/" + subject
}

// The times of the vault.
const (
	// almostOver is how long before its end a token is replaced: who gets it has to use it yet.
	almostOver = 30 * time.Second
	// leaseTime is how long whoever refreshes is left alone. It is measured by who waits, from
	// when the lease was first seen, so that no two clocks are compared. It is longer than a refresh
	// can take.
	leaseTime = 12 * time.Second
	// handPatience is how long a caller waits for a refresh.
	handPatience = 8 * time.Second
	// lookAgain is the time between two looks at what another copy refreshes.
	lookAgain = 100 * time.Millisecond
)

// pair is what is sealed.
type pair struct {
	Access  string `json:"a"`
	Refresh string `json:"r,omitempty"`
}

// Keep seals and remembers what a provider gave us for a person, if its row says so. The person
// allowed it there, on the provider's own page. It returns [ErrOff] if the provider is disabled or gone, and
// [ErrNotKept] if the identity is not the account's, or the account is disabled.
func (g *Registry) Keep(ctx context.Context, accountID string, i Identity, now time.Time) error {
	if i.Tokens == nil || g.Vault == nil {
		return nil
	}
	k := Kept{ProviderID: i.ProviderID, Subject: i.Subject, AccountID: accountID, Scopes: i.Tokens.Scopes, ExpiresAt: i.Tokens.ExpiresAt}
	if err := g.sealPair(&k, pair{i.Tokens.Access.Reveal(), i.Tokens.Refresh.Reveal()}); err != nil {
		return err
	}
	return g.Vault.Keep(ctx, k, now)
}

func (g *Registry) sealPair(k *Kept, tokens pair) error {
	plain, err := json.Marshal(tokens)
	if err != nil {
		return errors.New("upstream: tokens can't be written") // and no word of what they are
	}
	k.Sealed = g.Sealer.Seal(plain, KeptAAD(k.ProviderID, k.AccountID, k.Subject))
	return nil
}

func (g *Registry) openPair(k Kept) (tokens pair, err error) {
	plain, err := g.Sealer.Open(k.Sealed, KeptAAD(k.ProviderID, k.AccountID, k.Subject))
	if err != nil {
		return pair{}, fmt.Errorf("opening the tokens of %s at %s: %w", k.AccountID, k.ProviderID, err)
	}
	if json.Unmarshal(plain, &tokens) != nil {
		return pair{}, errors.New("upstream: kept tokens can't be read")
	}
	return tokens, nil
}

// Hand returns a token to act with at the provider of a name for the person of an account. It is
// refreshed if it is almost over: once, however many ask at the same time and on however many
// copies of the server. The errors are [ErrUnknown], [ErrNotKept], [ErrAway], or ours.
//
// Whether whoever asks may have it is for the caller to decide, by the scopes.
func (g *Registry) Hand(ctx context.Context, provider, accountID string, now time.Time) (Held, error) {
	if g.Vault == nil {
		return Held{}, ErrNotKept
	}
	p, err := g.ByName(ctx, provider, now)
	if err != nil {
		return Held{}, err
	}
	if !p.KeepTokens {
		return Held{}, ErrNotKept // not any more
	}
	k, err := g.Vault.Kept(ctx, p.ID, accountID)
	if err != nil {
		return Held{}, err
	}
	if k.fresh(now) {
		return g.held(k)
	}
	// Whoever asked first may hang up: the others wait for the same answer, and a refresh token that
	// was used must not be lost.
	done := g.refreshes.DoChan(p.ID+"/"+k.Subject, func() (any, error) {
		alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.leaseTime+2*mostTimeout)
		defer cancel()
		return g.renew(alone, &p, accountID, now)
	})
	wait := time.NewTimer(handPatience)
	defer wait.Stop()
	select {
	case answer := <-done:
		if answer.Err != nil {
			return Held{}, answer.Err
		}
		return g.held(answer.Val.(Kept))
	case <-wait.C:
		return Held{}, fmt.Errorf("%w: it takes too long", ErrAway)
	case <-ctx.Done():
		return Held{}, ctx.Err()
	}
}

// fresh says whether a token can be used for a while yet. One whose end nobody knows can.
func (k *Kept) fresh(now time.Time) bool {
	return k.ExpiresAt.IsZero() || now.Add(almostOver).Before(k.ExpiresAt)
}

func (g *Registry) held(k Kept) (Held, error) {
	tokens, err := g.openPair(k)
	return Held{secret.Wrap(tokens.Access), k.Scopes, k.ExpiresAt}, err
}

// renew returns fresh tokens: those that this copy gets with the lease, or those that another one
// got meanwhile. A lease that does not move for longer than a refresh can take is of a copy that
// is gone, and is taken over.
func (g *Registry) renew(ctx context.Context, p *Provider, accountID string, began time.Time) (Kept, error) {
	mine := secret.NewID("")
	start := time.Now() // what passes is measured; what time it is, the caller said
	theirs, since := "", start
	for {
		k, err := g.Vault.Kept(ctx, p.ID, accountID)
		now := began.Add(time.Since(start))
		if err != nil || k.fresh(now) {
			return k, err
		}
		if k.Lease != theirs {
			theirs, since = k.Lease, time.Now()
		}
		if k.Lease == "" || time.Since(since) >= g.leaseTime {
			won, err := g.Vault.LeaseKept(ctx, k, mine)
			if err != nil {
				return Kept{}, err
			}
			if won {
				return g.refresh(ctx, p, k, mine, now)
			}
		}
		select {
		case <-ctx.Done():
			return Kept{}, fmt.Errorf("%w: another copy of the server does not get on", ErrAway)
		case <-time.After(lookAgain):
		}
	}
}

// refresh gets new tokens with the lease, and remembers them before anybody gets them: RFC 6749 §6,
// "the client MUST discard the old refresh token and replace it with the new refresh token".
func (g *Registry) refresh(ctx context.Context, p *Provider, k Kept, lease string, now time.Time) (Kept, error) {
	old, err := g.openPair(k)
	if err == nil && old.Refresh == "" {
		err = ErrNotKept
	}
	var got *granted
	if err == nil {
		got, err = g.askAgain(ctx, p, old.Refresh, now)
	}
	if err != nil {
		free, gone := context.WithoutCancel(ctx), errors.Is(err, ErrNotKept)
		if gone {
			g.Log.InfoContext(ctx, "upstream tokens are over: they can't be refreshed any more, and are forgotten", "provider", p.Name, "account", k.AccountID)
		}
		if g.Vault.ReleaseKept(free, k, lease, gone) != nil {
			g.Log.WarnContext(ctx, "the lease on upstream tokens stays until it is over", "provider", p.Name, "account", k.AccountID)
		}
		return Kept{}, err
	}
	if got.refresh == "" {
		got.refresh = old.Refresh // §6: "the authorization server MAY issue a new refresh token"
	}
	if len(got.scopes) > 0 {
		k.Scopes = got.scopes
	}
	k.ExpiresAt = got.expires
	if err := g.sealPair(&k, pair{got.access, got.refresh}); err != nil {
		return Kept{}, err
	}
	for pause := lookAgain; ; pause *= 2 {
		err = g.Vault.Refreshed(ctx, k, lease, now)
		if err == nil || errors.Is(err, ErrNotKept) || pause > 3*time.Second {
			return k, err
		}
		// The old refresh token may be spent: a database that is away for a moment must not cost the
		// person a sign-in.
		time.Sleep(pause)
	}
}

// askAgain takes a refresh token to the token endpoint, RFC 6749 §6.
func (g *Registry) askAgain(ctx context.Context, p *Provider, refresh string, now time.Time) (got *granted, err error) {
	t := &talk{connection: g.connection(p), ctx: ctx, p: p, now: now}
	err = t.bounded(func() error {
		known, err := t.places()
		if err != nil {
			return err
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
		if err := g.authenticate(t, known, form, header); err != nil {
			return err
		}
		answer, err := t.ask(fetch.Request{Method: http.MethodPost, URL: known.Token, Header: header, Body: []byte(form.Encode())})
		if err != nil {
			return err
		}
		d, err := parseDocument(answer.Body)
		if err != nil || !isJSON(answer.Header) {
			return t.refuse("bad_token_answer", fmt.Errorf("the token endpoint says %d to a refresh token", answer.Status))
		}
		switch code := d.text("error"); {
		case code == "invalid_grant", code == "bad_refresh_token": // §5.2, and GitHub's
			return ErrNotKept
		case code != "":
			return t.notGranted(code)
		case answer.Status != http.StatusOK:
			return t.refuse("bad_token_answer", fmt.Errorf("the token endpoint says %d to a refresh token", answer.Status))
		}
		if got, err = readGranted(d, now); err != nil {
			return t.refuse("bad_token_answer", err)
		}
		return nil
	})
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		g.Log.WarnContext(ctx, "upstream tokens can't be refreshed", "provider", p.Name, "err", refusal)
		err = fmt.Errorf("%w: %w", ErrAway, refusal)
	}
	return got, err
}

// grantedScopes is what a provider granted: RFC 6749 §5.1, what it doesn't say is what was asked for.
func grantedScopes(p *Provider, known places, said []string) []string {
	if len(said) > 0 {
		return said
	}
	scopes := scopesOf(p)
	if k := kinds[p.Kind]; k != nil {
		scopes = append(scopes, asked(p, k, known)["scope"]...)
	}
	return strings.Fields(strings.Join(scopes, " "))
}
