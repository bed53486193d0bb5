package issuer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// A Vault holds what upstream providers gave us to act there for people. Its implementation must
// be safe for concurrent use.
type Vault interface {
	// Hand returns a token of the person of an account at the provider of a name, refreshed if it
	// has to be. [ErrNotFound] means that there is none, or none that is good any more. An [*Error]
	// is for whoever asks.
	Hand(ctx context.Context, provider, accountID string, now time.Time) (Held, error)
	// Note writes down that a client is about to get a token, before it does. Whoever can't write that
	// down hands nothing out.
	Note(ctx context.Context, h HandOut) error
}

// A HandOut is a token of a provider that a client gets, for the person of an account.
type HandOut struct {
	ClientID, AccountID, Provider string
	Held
	Address netip.Addr // where the client asks from
	At      time.Time
}

// vaultHaste is how old an answer may be about whether an access token is good: what is revoked is
// refused within a second.
const vaultHaste = 500 * time.Millisecond

// Held is a token of an upstream provider.
type Held struct {
	Token     secret.Token
	Scopes    []string  // that the provider granted
	ExpiresAt time.Time // zero: the provider did not say
}

// An UpstreamToken says of a client at which provider it may act for people, and with what rights
// at most.
type UpstreamToken struct {
	Provider string   `json:"provider"` // its name
	Scopes   []string `json:"scopes"`   // the provider's
}

const (
	// TargetProvider and the name of a provider are the audience of a token exchange that asks for
	// a token of that provider.
	TargetProvider = "urn:mintmark:provider:"
	// ScopeProvider and the name of a provider are the scope with which a person allows a client to
	// act for them there.
	ScopeProvider = "upstream:"
)

// exchangeHeld gives a client a token of an upstream provider for the person whose access token it
// shows, RFC 8693 §2. All of this must be true:
//
//   - the client authenticates, and is registered for the provider;
//   - the access token is ours, the client's own, and good at this moment: whatever revokes the
//     authorization ends this too;
//   - the person allowed the client the scope upstream:NAME, on the consent page;
//   - what the provider granted is no more than what the client is registered for, because
//     nobody can take rights out of a token of somebody else.
//
// The refresh token stays here. If the provider had to be waited for, we look again at the end whether
// the access token is good.
func (p *Provider) exchangeHeld(ctx context.Context, x *exchange) (tokens, error) {
	s, ok, err := p.recognise(ctx, x.subject, x.now)
	if err != nil {
		return tokens{}, err
	}
	if !ok || s.Authorization == "" || s.ClientID != x.client.ID {
		// One answer: what somebody else's token is, is not told.
		return tokens{}, refuse("invalid_request", "The subject_token is not a valid access token of a person for this client.")
	}
	why, err := p.against(ctx, &s, x.now)
	if err != nil {
		return tokens{}, err
	}
	if why != "" {
		return tokens{}, refuse("invalid_request", "The subject_token is not valid any more.").because(errors.New(why))
	}
	name, refusal := x.provider()
	if refusal != nil {
		return tokens{}, refusal
	}
	may, refusal := x.client.mayActAt(name, &s)
	if refusal != nil {
		return tokens{}, refusal
	}
	if p.Vault == nil {
		return tokens{}, refuse("invalid_target", "This server keeps no tokens of providers.")
	}
	held, err := p.Vault.Hand(ctx, name, s.Subject, x.now)
	if errors.Is(err, ErrNotFound) {
		return tokens{}, refuse("invalid_target", "There is no token of %s for this person. They get one by signing in with it.", name).because(err)
	}
	if err != nil {
		return tokens{}, err
	}
	if time.Since(x.now) > vaultHaste {
		// The provider took its time: what was allowed may have been taken back meanwhile.
		s.standing = nil
		if why, err = p.against(ctx, &s, time.Now()); err != nil {
			return tokens{}, err
		}
		if why != "" {
			return tokens{}, refuse("invalid_request", "The subject_token is not valid any more.").because(errors.New(why))
		}
	}
	asked := strings.Fields(x.form.get("scope"))
	switch {
	case !containsAll(held.Scopes, asked):
		return tokens{}, refuse("invalid_scope", "The person did not grant all of that at %s.", name)
	case !containsAll(may, held.Scopes):
		return tokens{}, refuse("invalid_scope", "The token of %s has more scopes than this client is registered for.", name)
	}
	err = p.Vault.Note(ctx, HandOut{ClientID: x.client.ID, AccountID: s.Subject, Provider: name, Held: held, Address: x.address, At: x.now})
	if err != nil {
		return tokens{}, err
	}
	return tokens{foreign: held.Token, scopes: held.Scopes, ends: held.ExpiresAt, life: held.ExpiresAt.Sub(x.now)}, nil
}

// provider returns the name of the one provider that an exchange is for. A token for two
// audiences there is not.
func (x *exchange) provider() (string, *Error) {
	targets := append(x.form.all("audience"), x.form.all("resource")...)
	name, ours := "", false
	if len(targets) == 1 {
		name, ours = strings.CutPrefix(targets[0], TargetProvider)
	}
	if !ours || !providerName(name) {
		return "", refuse("invalid_target", "Name one provider, as audience=%sNAME.", TargetProvider)
	}
	return name, nil
}

// mayActAt returns the scopes that a client may have at a provider for the person of a token.
func (c *Client) mayActAt(name string, s *shown) ([]string, *Error) {
	at := slices.IndexFunc(c.UpstreamTokens, func(u UpstreamToken) bool { return u.Provider == name })
	switch {
	case c.Public():
		return nil, refuse("unauthorized_client", "Tokens of providers are for clients that authenticate.")
	case at < 0:
		return nil, refuse("invalid_target", "This client is not registered for tokens of that provider (upstream_tokens).")
	case !slices.Contains(s.scopes(), ScopeProvider+name):
		return nil, refuse("invalid_target", "The person has not allowed it: the access token needs the scope %s%s.", ScopeProvider, name)
	}
	return c.UpstreamTokens[at].Scopes, nil
}

// checkUpstreamTokens checks what a client is registered for at providers.
func checkUpstreamTokens(c *Client) error {
	const field = "upstream_tokens"
	switch {
	case len(c.UpstreamTokens) == 0:
		return nil
	case len(c.UpstreamTokens) > 20:
		return invalid(field, "must have at most 20 entries")
	case c.Public():
		return invalid(field, "are for clients that authenticate")
	case !c.allows(grantExchange):
		return invalid(field, "need the grant type %s", grantExchange)
	case c.Consent == "never":
		return invalid(field, "need the person's consent: consent must not be never")
	}
	for i, u := range c.UpstreamTokens {
		switch {
		case !providerName(u.Provider):
			return invalid(field, "must name a provider: lower-case letters, digits and hyphens")
		case slices.ContainsFunc(c.UpstreamTokens[:i], func(other UpstreamToken) bool { return other.Provider == u.Provider }):
			return invalid(field, "name a provider twice")
		case len(u.Scopes) == 0 || len(u.Scopes) > 100 || !unique(u.Scopes) || slices.ContainsFunc(u.Scopes, func(s string) bool { return !scopeToken(s) }):
			return invalid(field, "need 1 to 100 scopes of the provider, each once")
		case !slices.Contains(c.Scopes, ScopeProvider+u.Provider):
			return invalid(field, "need the scope %s%s, with which people allow it", ScopeProvider, u.Provider)
		}
	}
	return nil
}

// scopeToken is RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
func scopeToken(s string) bool {
	return s != "" && len(s) <= 255 && visible(s) && !strings.ContainsAny(s, `"\`)
}
