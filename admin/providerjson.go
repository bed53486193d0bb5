package admin

import (
	"encoding/json"
	"time"

	"mintmark/upstream"
)

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
