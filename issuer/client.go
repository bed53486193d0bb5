package issuer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Client is an application. Its members have the names of RFC 7591 §2 and OpenID
// Connect Dynamic Client Registration §2, and of our own where those have none.
//
// As JSON it is its metadata: never its secrets, and neither when it was made nor whether
// it is enabled. JSON that doesn't say require_pkce requires it.
type Client struct {
	ID   string `json:"client_id"`
	Name string `json:"client_name,omitempty"`
	Type string `json:"client_type,omitempty"` // web, spa, native, device, service, mcp

	RedirectURIs           []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string `json:"grant_types,omitempty"`
	ResponseTypes          []string `json:"response_types,omitempty"`
	AuthMethod             string   `json:"token_endpoint_auth_method,omitempty"`
	// AnySecretMethod says that nobody chose AuthMethod: the secret may come in the header or
	// in the body, because libraries differ in which they begin with.
	AnySecretMethod   bool            `json:"any_secret_method,omitempty"`
	AuthSigningAlg    string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	JWKS              json.RawMessage `json:"jwks,omitempty"`
	JWKSURI           string          `json:"jwks_uri,omitempty"`
	Scopes            []string        `json:"-"` // written as "scope", space-separated: what it may ask for
	IDTokenAlg        string          `json:"id_token_signed_response_alg,omitempty"`
	AccessTokenFormat string          `json:"access_token_format,omitempty"` // "jwt" or "opaque"
	AccessTokenAlg    string          `json:"access_token_signed_response_alg,omitempty"`
	RequirePKCE       bool            `json:"require_pkce"`
	RequirePAR        bool            `json:"require_pushed_authorization_requests,omitempty"`
	RequireDPoP       bool            `json:"dpop_bound_access_tokens,omitempty"`
	Consent           string          `json:"consent,omitempty"`  // "once" (remembered), "always", "never"
	Audience          []string        `json:"audience,omitempty"` // aud of its access tokens; empty: the issuer
	DefaultMaxAge     *int64          `json:"default_max_age,omitempty"`
	RequireAuthTime   bool            `json:"require_auth_time,omitempty"`
	// DefaultIdP is the name of the upstream provider that its people are sent to, if the
	// request has no idp_hint. It need not be there: then they get the sign-in page.
	DefaultIdP string `json:"default_idp,omitempty"`
	// UpstreamTokens are what it may do at upstream providers for people who allow it.
	UpstreamTokens []UpstreamToken `json:"upstream_tokens,omitempty"`
	Contacts       []string        `json:"contacts,omitempty"`
	// InitiateLoginURI is where the application begins a sign-in, OpenID Connect Core §4: whoever signs
	// in here by themselves can be sent there.
	InitiateLoginURI string         `json:"initiate_login_uri,omitempty"`
	URI              string         `json:"client_uri,omitempty"`
	LogoURI          string         `json:"logo_uri,omitempty"`
	PolicyURI        string         `json:"policy_uri,omitempty"`
	TermsURI         string         `json:"tos_uri,omitempty"`
	Secrets          []ClientSecret `json:"-"`
	CreatedAt        time.Time      `json:"-"`
	UpdatedAt        time.Time      `json:"-"`
	DisabledAt       time.Time      `json:"-"` // zero if enabled

	// Key is the API key that the client is: then it is in no database.
	Key *APIKey `json:"-"`
}

// A ClientSecret is one secret of a client. A client has two while one is being replaced.
type ClientSecret struct {
	// Hash is "sha256:" and 64 hex digits for a secret that we made or that is at least
	// 32 bytes long, otherwise a PHC string: what a person chose is hashed slowly.
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// Public says whether the client has no way to authenticate, RFC 6749 §2.1.
func (c *Client) Public() bool { return c.AuthMethod == "none" }

// MarshalJSON writes the metadata, with the scopes as one string. RFC 7591 §2.
func (c Client) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		metadata
		Scope string `json:"scope,omitempty"`
	}{metadata(c), strings.Join(c.Scopes, " ")})
}

// UnmarshalJSON reads metadata. Members that are not there leave c as it is, so that a
// change can be read over the client that it changes; of a new client, PKCE is required
// unless the JSON says false.
func (c *Client) UnmarshalJSON(b []byte) error {
	in := struct {
		metadata
		Scope *string `json:"scope"`
	}{metadata: metadata(c.clone())}
	if c.ID == "" && c.CreatedAt.IsZero() {
		in.RequirePKCE = true
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("reading client metadata: %w", err)
	}
	*c = Client(in.metadata)
	if in.Scope != nil {
		c.Scopes = strings.Fields(*in.Scope)
	}
	return nil
}

// clone returns a copy that shares nothing. encoding/json writes into the arrays and behind
// the pointers that it finds, and those may be of a client that others are reading.
func (c *Client) clone() Client {
	d := *c
	d.RedirectURIs = slices.Clone(c.RedirectURIs)
	d.PostLogoutRedirectURIs = slices.Clone(c.PostLogoutRedirectURIs)
	d.GrantTypes = slices.Clone(c.GrantTypes)
	d.ResponseTypes = slices.Clone(c.ResponseTypes)
	d.JWKS = slices.Clone(c.JWKS)
	d.Scopes = slices.Clone(c.Scopes)
	d.Audience = slices.Clone(c.Audience)
	d.Contacts = slices.Clone(c.Contacts)
	d.UpstreamTokens = slices.Clone(c.UpstreamTokens)
	for i := range d.UpstreamTokens {
		d.UpstreamTokens[i].Scopes = slices.Clone(d.UpstreamTokens[i].Scopes)
	}
	d.Secrets = slices.Clone(c.Secrets)
	if c.DefaultMaxAge != nil {
		age := *c.DefaultMaxAge
		d.DefaultMaxAge = &age
	}
	return d
}

// metadata is a Client without methods, for encoding/json.
type metadata Client

// allows says whether the client registered a grant type.
func (c *Client) allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
