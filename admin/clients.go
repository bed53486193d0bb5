package admin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"mintmark/issuer"
)

// Metadata is what can be said about an application, under the names of RFC 7591 §2, OpenID
// Connect Dynamic Client Registration §2 and, where those have none, of our own.
//
// It describes the JSON. What is sent is read by [issuer.Client] itself; a test compares the two.
type Metadata struct {
	Name                   *string                `json:"client_name,omitempty" nullable:"true"`
	Type                   *string                `json:"client_type,omitempty" enum:"web,spa,native,device,service,mcp" doc:"Which defaults to start from. It can't be changed"`
	RedirectURIs           []string               `json:"redirect_uris,omitempty" doc:"Where people may be sent back to. Compared exactly"`
	PostLogoutRedirectURIs []string               `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string               `json:"grant_types,omitempty"`
	ResponseTypes          []string               `json:"response_types,omitempty"`
	AuthMethod             *string                `json:"token_endpoint_auth_method,omitempty" nullable:"true"`
	AnySecretMethod        *bool                  `json:"any_secret_method,omitempty" nullable:"true" doc:"Nobody chose the method: the secret may come in the header or in the body"`
	AuthSigningAlg         *string                `json:"token_endpoint_auth_signing_alg,omitempty" nullable:"true"`
	JWKS                   map[string]any         `json:"jwks,omitempty" nullable:"true" doc:"The client's public keys, RFC 7517 §5"`
	JWKSURI                *string                `json:"jwks_uri,omitempty" nullable:"true" doc:"Where the client's public keys are"`
	Scope                  *string                `json:"scope,omitempty" nullable:"true" doc:"What it may ask for, separated by spaces"`
	IDTokenAlg             *string                `json:"id_token_signed_response_alg,omitempty" nullable:"true"`
	AccessTokenFormat      *string                `json:"access_token_format,omitempty" nullable:"true" doc:"jwt or opaque"`
	AccessTokenAlg         *string                `json:"access_token_signed_response_alg,omitempty" nullable:"true"`
	RequirePKCE            *bool                  `json:"require_pkce,omitempty" nullable:"true" doc:"true unless it says false"`
	RequirePAR             *bool                  `json:"require_pushed_authorization_requests,omitempty" nullable:"true"`
	RequireDPoP            *bool                  `json:"dpop_bound_access_tokens,omitempty" nullable:"true"`
	Consent                *string                `json:"consent,omitempty" nullable:"true" doc:"Whether people are asked: once, always or never"`
	Audience               []string               `json:"audience,omitempty" doc:"The aud of its access tokens; the issuer if there is none"`
	DefaultMaxAge          *int64                 `json:"default_max_age,omitempty" nullable:"true"`
	RequireAuthTime        *bool                  `json:"require_auth_time,omitempty" nullable:"true"`
	DefaultIdP             *string                `json:"default_idp,omitempty" nullable:"true" doc:"The upstream provider that its people are sent to, by name"`
	UpstreamTokens         []issuer.UpstreamToken `json:"upstream_tokens,omitempty" doc:"At which upstream providers it may act for people who allow it, and with which of their scopes at most"`
	Contacts               []string               `json:"contacts,omitempty"`
	InitiateLoginURI       *string                `json:"initiate_login_uri,omitempty" nullable:"true" doc:"Where it begins a sign-in, OpenID Connect Core §4: people who sign in here by themselves may be sent there"`
	URI                    *string                `json:"client_uri,omitempty" nullable:"true"`
	LogoURI                *string                `json:"logo_uri,omitempty" nullable:"true"`
	PolicyURI              *string                `json:"policy_uri,omitempty" nullable:"true"`
	TermsURI               *string                `json:"tos_uri,omitempty" nullable:"true"`
}

// A Client is an application, as JSON.
type Client struct {
	ID string `json:"client_id" example:"cli_02eaH8NZTN8sO0qkq5Rm5c"`
	Metadata
	Secrets    []ClientSecret `json:"secrets" nullable:"false" doc:"The secrets that are good, without the secrets"`
	Disabled   bool           `json:"disabled"`
	DisabledAt time.Time      `json:"disabled_at,omitzero"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
}

// A RegisteredClient is an application that was registered just now.
type RegisteredClient struct {
	Client
	Secret          string `json:"client_secret,omitempty" doc:"Shown this once"`
	SecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty" doc:"0: it does not expire. RFC 7591 §3.2.1"`
	IDIssuedAt      int64  `json:"client_id_issued_at" doc:"In seconds since 1970, RFC 7591 §3.2.1"`
}

// A NewClient is an application to register.
type NewClient struct {
	ID     string `json:"client_id,omitempty" maxLength:"255" doc:"Made by the server if it is missing"`
	Secret string `json:"client_secret,omitempty" doc:"Made by the server if it is missing and the client needs one"`
	Metadata
}

func (a *api) showClient(c issuer.Client) Client {
	now := time.Now()
	out := Client{
		ID: c.ID, Secrets: []ClientSecret{}, Disabled: !c.DisabledAt.IsZero(), DisabledAt: orZero(c.DisabledAt),
		CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	for _, s := range c.Secrets {
		if s.Good(now) {
			out.Secrets = append(out.Secrets, ClientSecret{s.CreatedAt.UTC(), orZero(s.ExpiresAt)})
		}
	}
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &out.Metadata)
	}
	if err != nil {
		a.Log.Error("a client can't be shown as JSON", "client", c.ID, "err", err)
	}
	return out
}

type (
	clientInput struct {
		ID string `path:"client_id" maxLength:"255"`
	}
	clientsInput   struct{ Paging }
	addClientInput struct {
		Body    NewClient
		RawBody []byte
	}
	setClientInput struct {
		ID      string `path:"client_id" maxLength:"255"`
		IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of what you read: then a change that somebody else made since is not overwritten"`
		Body    Metadata
		RawBody []byte
	}
	clientOutput struct {
		ETag string `header:"ETag"`
		Body Client
	}
	registeredOutput struct{ Body RegisteredClient }
)

func (a *api) listClients(ctx context.Context, in *clientsInput) (*pageOutput[Client], error) {
	page, err := a.reads(ctx, "clients", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.Registry.Clients(ctx, issuer.Page{After: page.after, Limit: page.more()})
	if err != nil {
		return nil, err
	}
	return part(page, found, func(c issuer.Client) string { return c.ID }, a.showClient), nil
}

func (a *api) getClient(ctx context.Context, in *clientInput) (*clientOutput, error) {
	client, err := a.Registry.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	shown := a.showClient(client)
	return &clientOutput{etag(shown), shown}, nil
}

func (a *api) addClient(ctx context.Context, in *addClientInput) (*registeredOutput, error) {
	now := time.Now().Truncate(time.Microsecond) // as it will be remembered
	spec, err := patch(issuer.Client{}, in.RawBody)
	if err != nil {
		return nil, err
	}
	if in.Body.Secret != "" {
		hashed, err := issuer.HashClientSecret(ctx, a.Accounts.Hasher, in.Body.Secret, now)
		if err != nil {
			return nil, err
		}
		spec.Secrets = []issuer.ClientSecret{hashed}
	}
	client, made, err := a.Provider.Register(spec, now)
	if err != nil {
		return nil, err
	}
	if err := a.Registry.AddClient(ctx, client); err != nil {
		return nil, err
	}
	// The id may be one that was unknown until now and was asked about.
	a.Provider.ForgetClient(client.ID)
	out := RegisteredClient{Client: a.showClient(client), Secret: made.Reveal(), IDIssuedAt: client.CreatedAt.Unix()}
	if out.Secret == "" {
		out.Secret = in.Body.Secret
	}
	if out.Secret != "" {
		out.SecretExpiresAt = new(int64)
	}
	return &registeredOutput{out}, nil
}

// setClient makes changes at the same moment one after the other, each to what the one before
// has left.
func (a *api) setClient(ctx context.Context, in *setClientInput) (*clientOutput, error) {
	defer a.Provider.ForgetClient(in.ID)
	for {
		was, err := a.Registry.Client(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := unchanged(in.IfMatch, a.showClient(was)); err != nil {
			return nil, err
		}
		client, err := a.revise(was, in)
		if err != nil {
			return nil, err
		}
		err = a.Registry.SetClient(ctx, client, was.UpdatedAt)
		switch {
		case err == nil:
			return a.getClient(ctx, &clientInput{in.ID})
		case !errors.Is(err, issuer.ErrChanged):
			return nil, err
		}
		// Somebody else was faster, which is their change: this ends when they have made theirs.
	}
}

// revise returns a client with a change made.
func (a *api) revise(was issuer.Client, in *setClientInput) (issuer.Client, error) {
	if in.Body.Type != nil && *in.Body.Type != was.Type {
		return issuer.Client{}, wrong("client_type", "can't be changed; register another client")
	}
	spec, err := patch(was, in.RawBody)
	if err != nil {
		return issuer.Client{}, err
	}
	// Always later than before, so that no two states of a client are of the same time.
	now := time.Now().Truncate(time.Microsecond)
	if !now.After(was.UpdatedAt) {
		now = was.UpdatedAt.Add(time.Microsecond)
	}
	return a.Provider.Revise(was, spec, now)
}

func (a *api) removeClient(ctx context.Context, in *clientInput) (*done, error) {
	defer a.Provider.ForgetClient(in.ID)
	return &done{}, a.Registry.RemoveClient(ctx, in.ID, time.Now())
}

func (a *api) disableClient(ctx context.Context, in *clientInput) (*clientOutput, error) {
	defer a.Provider.ForgetClient(in.ID)
	if err := a.Registry.DisableClient(ctx, in.ID, time.Now()); err != nil {
		return nil, err
	}
	return a.getClient(ctx, in)
}

func (a *api) enableClient(ctx context.Context, in *clientInput) (*clientOutput, error) {
	defer a.Provider.ForgetClient(in.ID)
	if err := a.Registry.EnableClient(ctx, in.ID, time.Now()); err != nil {
		return nil, err
	}
	return a.getClient(ctx, in)
}

// patch returns a client's metadata with a JSON merge patch applied, RFC 7396: what is null
// goes, what is there replaces, the rest stays.
func patch(c issuer.Client, change []byte) (issuer.Client, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return issuer.Client{}, err
	}
	members := map[string]json.RawMessage{}
	// A new client has no members yet: who reads it knows the defaults.
	if c.ID != "" {
		if err := json.Unmarshal(text, &members); err != nil {
			return issuer.Client{}, err
		}
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(change, &set); err != nil {
		return issuer.Client{}, err
	}
	for name, value := range set {
		members[name] = value
		if string(value) == "null" {
			delete(members, name)
		}
	}
	if text, err = json.Marshal(members); err != nil {
		return issuer.Client{}, err
	}
	var changed issuer.Client
	err = json.Unmarshal(text, &changed)
	return changed, err
}
