package upstream

import (
	"cmp"
	"encoding/json"
	"time"
)

// A Provider is somebody who signs people in for us, as it is stored and shown to operators.
// The secret is sealed and never in JSON.
type Provider struct {
	// ID is "prv_…". It never changes: identities name it.
	ID string `json:"id"`
	// Name is the {provider} of /login/{provider}: a lower-case letter or digit and up to 39 more,
	// or hyphens. It is unique.
	Name string `json:"name"`
	// Title is what the button says. Empty: the kind's own.
	Title string `json:"title,omitempty"`
	// Kind is a row of the table of kinds: see [Kinds].
	Kind string `json:"kind"`
	// Issuer is the issuer identifier of OpenID Connect providers, compared byte for byte. Empty:
	// the kind's own.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is who we are there.
	ClientID string `json:"client_id"`
	// SealedSecret is the client secret (for apple, the .p8 private key; for a connector, the key that signs
	// what it is asked), sealed with the associated data of [SecretAAD]. Empty: a public client.
	SealedSecret []byte `json:"-"`
	// Scopes are asked for. Empty: the kind's own.
	Scopes []string `json:"scopes,omitempty"`

	// The addresses override the kind's or the discovery's.
	AuthorizeURL string `json:"authorize_url,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	UserInfoURL  string `json:"userinfo_url,omitempty"`
	EmailsURL    string `json:"emails_url,omitempty"` // GitHub's list of addresses
	JWKSURL      string `json:"jwks_url,omitempty"`
	RevokeURL    string `json:"revoke_url,omitempty"` // where kept tokens are revoked, RFC 7009
	// ConnectorURL is where a connector says whose a token is. Empty: the program has the connector,
	// [Config.Connectors].
	ConnectorURL string `json:"connector_url,omitempty"`

	// Mapping is from a claim of ours to a path in the provider's answer, with dots between its
	// steps: "sub": "id", "email": "user.mail". It goes before the kind's own.
	Mapping map[string]string `json:"mapping,omitempty"`
	// Algorithms are the ones that its ID tokens may be signed with: of RS, PS and ES with 256, 384
	// and 512, and EdDSA. Empty: those that its metadata lists; without metadata, RS256; with Keys, those of
	// the keys.
	Algorithms []string `json:"algorithms,omitempty"`
	// Options are the kind's own: apple's team_id and key_id, discord's guild, github's host,
	// gitlab's host, microsoft's tenant. See docs/how-to/providers.md.
	Options map[string]string `json:"options,omitempty"`

	// LinkBy says how a person who arrives finds an account that is there: one of the Link…
	// constants. Empty: never.
	LinkBy string `json:"link_by,omitempty"`
	// Authoritative are the e-mail domains for which the provider is believed. "*" is all of them.
	Authoritative []string `json:"authoritative,omitempty"`
	// SignUp says who may make an account by arriving: one of the SignUp… constants. Empty: open.
	SignUp string `json:"sign_up,omitempty"`
	// Domains limit SignUp, and suggest the provider on the sign-in page.
	Domains []string `json:"domains,omitempty"`
	// Roles give roles of administration, by explicit rule only.
	Roles []RoleRule `json:"roles,omitempty"`
	// SessionLife is SessionFollows, or empty: as long as every session.
	SessionLife string `json:"session_life,omitempty"`
	// KeepTokens asks for the provider's tokens to be handed out in [Identity.Tokens].
	KeepTokens bool `json:"keep_tokens,omitempty"`
	// TokenAudiences are for whom tokens of its issuer must be that somebody brings along, to have one of
	// ours for them: RFC 7523, RFC 8693. Empty: none are taken.
	TokenAudiences []string `json:"token_audiences,omitempty"`
	// Keys are the public keys with which such tokens are signed, as [ReadKeys] returns them: then nothing is
	// ever fetched because of one. Empty: those at JWKSURL, or where its metadata says.
	Keys json.RawMessage `json:"keys,omitempty"`
	// TokenRules say which programs such tokens are about, that have an API key here.
	TokenRules []TokenRule `json:"token_rules,omitempty"`
	// TokenSessions says that a page of ours gets a session for such a token, and not only a client a token
	// of ours.
	TokenSessions bool `json:"token_sessions,omitempty"`
	// Organization is whose provider it is. Empty: everybody's.
	Organization string `json:"organization,omitempty"`
	// Managed is [ManagedByConfiguration], [ManagedNoLonger], or empty: an operator added it by hand.
	Managed string `json:"managed,omitempty"`

	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	DisabledAt time.Time `json:"disabled_at,omitzero"` // zero: it is enabled
}

// The values of [Provider.LinkBy], [Provider.SignUp] and [Provider.SessionLife].
const (
	LinkNone          = "none"
	LinkVerifiedEmail = "verified-email"

	SignUpOpen    = "open"
	SignUpInvite  = "invite"  // only accounts that are there already
	SignUpDomains = "domains" // only e-mail addresses of Domains, verified

	SessionFollows = "follow-upstream" // no longer than the provider's token says
)

// The values of [Provider.Managed].
const (
	ManagedByConfiguration = "configuration" // its client and its secret are the configuration's
	ManagedNoLonger        = "withdrawn"     // they were, and are gone from there: it is disabled
)

// A RoleRule gives a role to whoever has a value in a claim, or in a list of values. The
// claim "groups" is [Identity.Groups].
type RoleRule struct {
	Claim string `json:"claim"`
	Value string `json:"value"`
	Role  string `json:"role"`
}

// Enabled says whether people may sign in with it.
func (p *Provider) Enabled() bool { return p.DisabledAt.IsZero() }

// SecretAAD is the associated data that the secret of a provider is sealed with.
func SecretAAD(id string) string { return "provider/" + id }

// ProvesMail says whether an address that it calls verified is one that it has written to: it is a
// public service as its kind describes it, and not something at another address.
func (p *Provider) ProvesMail() bool {
	k := kinds[p.Kind]
	return k != nil && k.mails && (p.Options["host"] == "" || p.Options["host"] == k.options["host"]) &&
		p.Issuer == "" && p.AuthorizeURL+p.TokenURL+p.UserInfoURL+p.EmailsURL+p.JWKSURL == ""
}

// TokensOnly says that nobody signs in with it: it only has tokens that others bring along.
func (p *Provider) TokensOnly() bool {
	k := kinds[p.Kind]
	return k != nil && (k.tokens || k.connector)
}

// Label is what people call it: its title, or its kind's.
func (p *Provider) Label() string {
	if k := kinds[p.Kind]; p.Title == "" && k != nil && k.title != "" {
		return k.title
	}
	return cmp.Or(p.Title, p.Name)
}

// SaysWhen says whether the provider can tell when somebody proved who they are: whether it has ID
// tokens. Without, it can't satisfy prompt=login or max_age.
func (p *Provider) SaysWhen() bool {
	k := kinds[p.Kind]
	return k != nil && k.connect
}
