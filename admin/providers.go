package admin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

// Providers is how upstream providers are looked after. Every method is one transaction. What
// takes an event happens together with its entry in the audit log, or neither happens; other
// copies of the server hear of it. The errors are those of [upstream.Store].
type Providers interface {
	// Providers returns all, by name.
	Providers(ctx context.Context) ([]upstream.Provider, error)
	// AddProvider remembers a new one, or returns [upstream.ErrExists].
	AddProvider(ctx context.Context, p upstream.Provider, e apikeys.Event) error
	// SetProvider puts is in the place of was, if was is still what is there (its UpdatedAt and
	// its sealed secret say so); otherwise it returns [upstream.ErrChanged] or [upstream.ErrNotFound]. A name that is
	// taken is [upstream.ErrExists]. Disabling ends the sessions that began with it and revokes what was
	// allowed in them.
	SetProvider(ctx context.Context, is, was upstream.Provider, e apikeys.Event) error
	// RemoveProvider forgets a provider, the roles that its rules gave and the identities that name
	// it, but for those of people with no other way in, or returns [upstream.ErrNotFound]. Sessions end as
	// when it is disabled; tokens that were kept are to be revoked.
	RemoveProvider(ctx context.Context, id string, e apikeys.Event) error
}

// maxProviders bounds the list, which every copy of the server holds in memory.
const maxProviders = 200

// ProviderSettings is what can be said about a provider besides who it is.
//
// It describes the JSON. What is sent is read by [upstream.Provider] itself; a test compares the two.
type ProviderSettings struct {
	Title          *string              `json:"title,omitempty" nullable:"true" doc:"What its button says"`
	Scopes         []string             `json:"scopes,omitempty" doc:"What it is asked for; the kind's own if there are none"`
	AuthorizeURL   *string              `json:"authorize_url,omitempty" nullable:"true" doc:"In place of what its kind or its metadata says, as the other addresses"`
	TokenURL       *string              `json:"token_url,omitempty" nullable:"true"`
	UserInfoURL    *string              `json:"userinfo_url,omitempty" nullable:"true"`
	EmailsURL      *string              `json:"emails_url,omitempty" nullable:"true" doc:"GitHub's list of addresses"`
	JWKSURL        *string              `json:"jwks_url,omitempty" nullable:"true"`
	RevokeURL      *string              `json:"revoke_url,omitempty" nullable:"true" doc:"Where tokens that were kept are revoked (RFC 7009)"`
	ConnectorURL   *string              `json:"connector_url,omitempty" nullable:"true" doc:"Where a connector says whose a token is"`
	Mapping        map[string]*string   `json:"mapping,omitempty" nullable:"true" doc:"From a claim of ours to a path in its answer, with dots between the steps"`
	Algorithms     []string             `json:"algorithms,omitempty" doc:"That its ID tokens may be signed with"`
	Options        map[string]*string   `json:"options,omitempty" nullable:"true" doc:"The kind's own: host, tenant, team_id, key_id, guild, auth, email_verified"`
	LinkBy         *string              `json:"link_by,omitempty" nullable:"true" doc:"Whether a person who arrives is asked for the password of the account with the same verified address: none or verified-email"`
	Authoritative  []string             `json:"authoritative,omitempty" doc:"The e-mail domains for which it is believed; * is all of them"`
	SignUp         *string              `json:"sign_up,omitempty" nullable:"true" doc:"Who gets an account by arriving: open, invite or domains"`
	Domains        []string             `json:"domains,omitempty" doc:"The e-mail domains that may sign up, and that are sent to it from the sign-in page"`
	Roles          []upstream.RoleRule  `json:"roles,omitempty" doc:"Who gets a role of administration"`
	SessionLife    *string              `json:"session_life,omitempty" nullable:"true" doc:"follow-upstream: sessions are no longer than its tokens"`
	KeepTokens     *bool                `json:"keep_tokens,omitempty" nullable:"true" doc:"Keep its tokens, sealed"`
	TokenAudiences []string             `json:"token_audiences,omitempty" doc:"For whom tokens of its issuer must be that are exchanged for ours; none are taken if there are none"`
	Keys           any                  `json:"keys,omitempty" doc:"The public keys of such tokens: a JWK Set, or a text with PEM in it, public keys or certificates; at most 20, and never private ones. Then nothing is ever fetched because of a token"`
	TokenRules     []upstream.TokenRule `json:"token_rules,omitempty" doc:"Which programs such tokens are about, and which API key they are as good as. Then no people are taken from this row"`
	TokenSessions  *bool                `json:"token_sessions,omitempty" nullable:"true" doc:"A page of ours gets a session for such a token: POST /api/v1/session"`
	Organization   *string              `json:"organization,omitempty" nullable:"true" doc:"Whose it is; everybody's if missing"`
}

// A Provider is somebody who signs people in for us, as JSON.
type Provider struct {
	ID          string `json:"id" doc:"It never changes" example:"prv_02eaH8NZTN8sO0qkq5Rm5c"`
	Name        string `json:"name" doc:"The name in /login/{name}"`
	Kind        string `json:"kind"`
	Issuer      string `json:"issuer,omitempty" doc:"Its issuer identifier, or its kind's"`
	ClientID    string `json:"client_id" doc:"Who we are there; empty for the kind issuer"`
	HasSecret   bool   `json:"has_secret" doc:"There is a client secret. It is never shown"`
	RedirectURI string `json:"redirect_uri,omitempty" doc:"Where it sends browsers back to: register this there. Missing where nobody signs in: issuer, connector"`
	ProviderSettings
	Managed    string    `json:"managed,omitempty" doc:"configuration: its client is the configuration's. withdrawn: it was, and is disabled because it is gone from there"`
	Disabled   bool      `json:"disabled"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// A NewProvider is a provider to add.
type NewProvider struct {
	Name      string  `json:"name" doc:"1 to 40 lower-case letters, digits and hyphens"`
	Kind      string  `json:"kind" doc:"google, github, discord, microsoft, apple, gitlab, oidc, oauth2; or issuer or connector: nobody signs in with it, and its tokens are exchanged"`
	Issuer    *string `json:"issuer,omitempty" nullable:"true" doc:"The address that an OpenID Connect provider calls itself"`
	ClientID  string  `json:"client_id,omitempty" doc:"Missing for the kind issuer; a connector needs none"`
	Secret    string  `json:"client_secret,omitempty" doc:"For apple, the content of the .p8 file; for a connector, what signs the questions. Kept sealed and never shown"`
	Disabled  bool    `json:"disabled,omitempty"`
	Unchecked bool    `json:"unchecked,omitempty" doc:"Do not ask the provider now whether it is one"`
	ProviderSettings
}

// A ProviderChange is what to make different of a provider. What is left out stays as it is.
type ProviderChange struct {
	Name     *string `json:"name,omitempty" doc:"Changes the redirect URI with it"`
	ClientID *string `json:"client_id,omitempty"`
	Secret   *string `json:"client_secret,omitempty" nullable:"true"`
	Disabled *bool   `json:"disabled,omitempty" doc:"Nobody can sign in with it. Disabling it ends the sessions that began with it, and revokes what was allowed in them"`
	ProviderSettings
}

type (
	providerInput struct {
		ID string `path:"provider_id" maxLength:"100" doc:"The id or the name"`
	}
	providersInput   struct{ Paging }
	addProviderInput struct {
		Body    NewProvider
		RawBody []byte
	}
	setProviderInput struct {
		ID      string `path:"provider_id" maxLength:"100" doc:"The id or the name"`
		IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of what you read: then a change that somebody else made since is not overwritten"`
		Body    ProviderChange
		RawBody []byte
	}
	providerOutput struct {
		ETag string `header:"ETag"`
		Body Provider
	}
)

func (a *api) showProvider(p upstream.Provider) Provider {
	back := a.Upstream.RedirectURI(p.Name)
	if p.TokensOnly() {
		back = ""
	}
	return Provider{
		ID: p.ID, Name: p.Name, Kind: p.Kind, Issuer: p.KnownIssuer(), ClientID: p.ClientID, HasSecret: len(p.SealedSecret) > 0,
		RedirectURI: back,
		ProviderSettings: ProviderSettings{
			Title: said(p.Title), Scopes: p.Scopes, AuthorizeURL: said(p.AuthorizeURL), TokenURL: said(p.TokenURL),
			UserInfoURL: said(p.UserInfoURL), EmailsURL: said(p.EmailsURL), JWKSURL: said(p.JWKSURL), RevokeURL: said(p.RevokeURL), ConnectorURL: said(p.ConnectorURL), Mapping: table(p.Mapping),
			Algorithms: p.Algorithms, Options: table(p.Options), LinkBy: said(p.LinkBy), Authoritative: p.Authoritative,
			SignUp: said(p.SignUp), Domains: p.Domains, Roles: p.Roles, SessionLife: said(p.SessionLife),
			KeepTokens: said(p.KeepTokens), Organization: said(p.Organization), TokenAudiences: p.TokenAudiences, TokenRules: p.TokenRules, TokenSessions: said(p.TokenSessions),
			Keys: shownKeys(p.Keys),
		},
		Managed: p.Managed, Disabled: !p.Enabled(), DisabledAt: orZero(p.DisabledAt), CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

func shownKeys(set json.RawMessage) any {
	if len(set) == 0 {
		return nil // not a value without content, which would be shown
	}
	return set
}

// said leaves out what nobody said.
func said[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

func table(m map[string]string) map[string]*string {
	if len(m) == 0 {
		return nil
	}
	shown := map[string]*string{}
	for name, value := range m {
		shown[name] = &value
	}
	return shown
}

func (a *api) oneProvider(p upstream.Provider) *providerOutput {
	shown := a.showProvider(p)
	return &providerOutput{etag(shown), shown}
}

func (a *api) listProviders(ctx context.Context, in *providersInput) (*pageOutput[Provider], error) {
	page, err := a.reads(ctx, "providers", in.Paging)
	if err != nil {
		return nil, err
	}
	all, err := a.Providers.Providers(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p upstream.Provider) bool { return p.Name <= page.after })
	slices.SortFunc(all, func(p, q upstream.Provider) int { return strings.Compare(p.Name, q.Name) })
	return part(page, all[:min(len(all), page.more())], func(p upstream.Provider) string { return p.Name }, a.showProvider), nil
}

// provider returns the one with an id or a name. No name is like an id: that has an underscore.
func (a *api) provider(ctx context.Context, ref string) (upstream.Provider, error) {
	all, err := a.Providers.Providers(ctx)
	if err != nil {
		return upstream.Provider{}, err
	}
	at := slices.IndexFunc(all, func(p upstream.Provider) bool { return p.ID == ref || p.Name == ref })
	if at < 0 {
		return upstream.Provider{}, upstream.ErrNotFound
	}
	return all[at], nil
}

func (a *api) getProvider(ctx context.Context, in *providerInput) (*providerOutput, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.oneProvider(p), nil
}

func (a *api) addProvider(ctx context.Context, in *addProviderInput) (*providerOutput, error) {
	all, err := a.Providers.Providers(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(all) >= maxProviders:
		return nil, refuse(conflict, "There are %d providers, which is as many as there can be.", maxProviders)
	}
	now := time.Now().Truncate(time.Microsecond) // as it will be remembered
	p, err := mergeProvider(upstream.Provider{}, in.RawBody, "client_secret", "disabled", "unchecked")
	if err != nil {
		return nil, err
	}
	p.ID, p.CreatedAt, p.UpdatedAt = secret.NewID("prv"), now, now
	if in.Body.Disabled {
		p.DisabledAt = now
	}
	if err := a.seal(&p, in.Body.Secret); err != nil {
		return nil, err
	}
	if err := errors.Join(a.lends(ctx, upstream.Provider{}, p), a.meantOnce(ctx, p)); err != nil {
		return nil, err
	}
	if !in.Body.Unchecked {
		err := a.Upstream.Look(ctx, p, now)
		if e, ok := errors.AsType[*upstream.Invalid](err); ok {
			return nil, wrong(e.Field, e.Problem+" (if it is there later: say unchecked)")
		}
		if err != nil {
			return nil, err
		}
	}
	defer a.Upstream.Forget() // before we answer
	if err := a.Providers.AddProvider(ctx, p, a.by(ctx).Event("provider.add", p.ID, p.Name+" ("+p.Kind+")")); err != nil {
		return nil, err
	}
	return a.oneProvider(p), nil
}

// mergeProvider makes a change to a provider, and reads the keys in it.
func mergeProvider(was upstream.Provider, change []byte, without ...string) (upstream.Provider, error) {
	is, err := merge(was, change, without...)
	if err != nil || len(is.Keys) == 0 || !mentions(change, "keys") {
		return is, err
	}
	is.Keys, err = upstream.ReadKeys(is.Keys)
	return is, err
}

// seal checks a provider together with its client secret, and keeps the secret, sealed.
func (a *api) seal(p *upstream.Provider, plain string) error {
	p.SealedSecret = nil
	if plain != "" {
		p.SealedSecret = a.Upstream.Sealer.Seal([]byte(plain), upstream.SecretAAD(p.ID))
	}
	if err := p.Check(); err != nil {
		return err
	}
	return p.CheckSecret(plain)
}

// setProvider makes changes at the same moment one after the other, each to what the one before
// has left.
func (a *api) setProvider(ctx context.Context, in *setProviderInput) (*providerOutput, error) {
	defer a.Upstream.Forget()
	for {
		was, err := a.provider(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := unchanged(in.IfMatch, a.showProvider(was)); err != nil {
			return nil, err
		}
		is, err := a.reviseProvider(was, in)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(a.lends(ctx, was, is), a.meantOnce(ctx, is)); err != nil {
			return nil, err
		}
		err = a.Providers.SetProvider(ctx, is, was, a.by(ctx).Event(eventOf(was, is), is.ID, is.Name))
		switch {
		case err == nil:
			return a.oneProvider(is), nil
		case !errors.Is(err, upstream.ErrChanged):
			return nil, err
		}
		// Somebody else was faster, which is their change: this ends when they have made theirs.
	}
}

// eventOf is what the audit log calls a change.
func eventOf(was, is upstream.Provider) string {
	switch {
	case was.Enabled() && !is.Enabled():
		return "provider.disable"
	case !was.Enabled() && is.Enabled():
		return "provider.enable"
	}
	return "provider.set"
}

// reviseProvider returns a provider with a change made.
func (a *api) reviseProvider(was upstream.Provider, in *setProviderInput) (upstream.Provider, error) {
	if err := ofConfiguration(was, in); err != nil {
		return upstream.Provider{}, err
	}
	is, err := mergeProvider(was, in.RawBody, "client_secret", "disabled")
	if err != nil {
		return upstream.Provider{}, err
	}
	if host := "host"; was.Options[host] != is.Options[host] {
		return upstream.Provider{}, wrong("options", "host can't be changed, because people are known by what it calls them there; add another provider")
	}
	is.ID, is.Managed, is.CreatedAt, is.DisabledAt = was.ID, was.Managed, was.CreatedAt, was.DisabledAt
	is.SealedSecret = was.SealedSecret
	// Always later than before, so that no two states of a provider are of the same time.
	is.UpdatedAt = time.Now().Truncate(time.Microsecond)
	if !is.UpdatedAt.After(was.UpdatedAt) {
		is.UpdatedAt = was.UpdatedAt.Add(time.Microsecond)
	}
	switch disabled := in.Body.Disabled; {
	case disabled != nil && !*disabled:
		is.DisabledAt = time.Time{}
	case disabled != nil && was.Enabled():
		is.DisabledAt = is.UpdatedAt
	}
	if mentions(in.RawBody, "client_secret") {
		plain := ""
		if in.Body.Secret != nil {
			plain = *in.Body.Secret
		}
		if err := a.seal(&is, plain); err != nil {
			return upstream.Provider{}, err
		}
		return is, nil
	}
	return is, is.Check()
}

// ofConfiguration refuses a change of what the configuration says: it would be undone at the
// next start.
func ofConfiguration(was upstream.Provider, in *setProviderInput) error {
	theirs := slices.ContainsFunc([]string{"name", "client_id", "client_secret", "options"}, func(name string) bool { return mentions(in.RawBody, name) })
	switch {
	case was.Managed == upstream.ManagedByConfiguration && theirs:
		return refuse(managed, "The name, the client and the options of this provider come from the configuration, providers.%s: change them there and restart the server.", was.Kind)
	case was.Managed == upstream.ManagedNoLonger && in.Body.Disabled != nil && !*in.Body.Disabled:
		return refuse(managed, "This provider is disabled because providers.%s is not in the configuration any more: put it back there, or remove this one and add your own.", was.Kind)
	}
	return nil
}

// removeProvider takes a provider away. Whoever had no other way in has none.
func (a *api) removeProvider(ctx context.Context, in *providerInput) (*done, error) {
	p, err := a.provider(ctx, in.ID)
	switch {
	case err != nil:
		return nil, err
	case p.Managed == upstream.ManagedByConfiguration:
		return nil, refuse(managed, "This provider comes from the configuration, providers.%s, and would be back at the next start: take it out there, or disable it here.", p.Kind)
	}
	defer a.Upstream.Forget()
	return &done{}, a.Providers.RemoveProvider(ctx, p.ID, a.by(ctx).Event("provider.remove", p.ID, p.Name))
}
