package issuer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mintmark/internal/secret"
	"mintmark/keys"
)

// An Invalid says which member of a client's metadata is wrong, and how to put it right.
type Invalid struct {
	Field   string // the name in JSON
	Problem string // what it must be; goes after the name
}

// Error returns a sentence for whoever wrote the metadata.
func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

func invalid(field, format string, args ...any) *Invalid {
	return &Invalid{field, fmt.Sprintf(format, args...)}
}

// A clientType is what a type of client gets where its metadata says nothing, and what it
// may choose.
type clientType struct {
	name    string
	grants  []string
	method  string
	methods []string
	private bool // may have redirect URIs with schemes of its own, RFC 8252 §7.1
}

var clientTypes = []clientType{
	{"web", []string{"authorization_code", "refresh_token"}, "client_secret_basic", authMethods, false},
	{"spa", []string{"authorization_code", "refresh_token"}, "none", []string{"none"}, false},
	{"native", []string{"authorization_code", "refresh_token"}, "none", authMethods, true},
	{"mcp", []string{"authorization_code", "refresh_token"}, "none", authMethods, true},
	{"device", []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}, "none", authMethods, false},
	{"service", []string{"client_credentials"}, "client_secret_basic", []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}, false},
}

var consents = []string{"once", "always", "never"}

// Register checks the metadata of a new client, fills in what its type decides where the
// metadata says nothing, and returns it with an id and, if it authenticates with one and
// brings none in Secrets, a secret that is shown this once. It stores nothing. What is
// wrong is an [Invalid].
func (p *Provider) Register(spec Client, now time.Time) (Client, secret.Token, error) {
	c := spec.clone()
	if err := p.complete(&c); err != nil {
		return Client{}, secret.Token{}, err
	}
	if c.ID == "" {
		c.ID = secret.NewID("cli")
	}
	c.CreatedAt, c.UpdatedAt, c.DisabledAt = now, now, time.Time{}
	var shown secret.Token
	if c.HasSecret() && len(c.Secrets) == 0 {
		var kept ClientSecret
		shown, kept = NewClientSecret(p.Mint, now)
		c.Secrets = []ClientSecret{kept}
	}
	if !c.HasSecret() && len(c.Secrets) > 0 {
		return Client{}, secret.Token{}, invalid("token_endpoint_auth_method", "is %s, which needs no secret", c.AuthMethod)
	}
	return c, shown, nil
}

// Revise checks the metadata that is to replace that of a client. The id, the secrets and
// whether it is enabled stay as they were.
func (p *Provider) Revise(was, spec Client, now time.Time) (Client, error) {
	c := spec.clone()
	c.ID, c.Secrets = was.ID, slices.Clone(was.Secrets)
	c.CreatedAt, c.UpdatedAt, c.DisabledAt = was.CreatedAt, now, was.DisabledAt
	if c.AuthMethod != was.AuthMethod {
		c.AnySecretMethod = false // now somebody chose
	}
	if err := p.complete(&c); err != nil {
		return Client{}, err
	}
	return c, nil
}

// HasSecret says whether the client authenticates with a secret.
func (c *Client) HasSecret() bool {
	return c.AuthMethod == "client_secret_basic" || c.AuthMethod == "client_secret_post"
}

// complete fills in defaults and checks the result.
func (p *Provider) complete(c *Client) error {
	if c.Type == "" {
		c.Type = "web"
	}
	at := slices.IndexFunc(clientTypes, func(t clientType) bool { return t.name == c.Type })
	if at < 0 {
		return invalid("client_type", "must be web, spa, native, device, service or mcp")
	}
	kind := clientTypes[at]
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = slices.Clone(kind.grants)
	}
	if c.AuthMethod == "" {
		c.AuthMethod, c.AnySecretMethod = kind.method, true
	}
	c.AnySecretMethod = c.AnySecretMethod && c.HasSecret()
	code := c.allows("authorization_code")
	if len(c.ResponseTypes) == 0 && code {
		c.ResponseTypes = []string{"code"}
	}
	if c.Scopes == nil && code {
		c.Scopes = Scopes()
	}
	c.IDTokenAlg = cmp.Or(c.IDTokenAlg, string(keys.RS256)) // OpenID Connect Dynamic Client Registration §2
	c.AccessTokenAlg = cmp.Or(c.AccessTokenAlg, string(keys.ES256))
	c.AccessTokenFormat = cmp.Or(c.AccessTokenFormat, "jwt")
	if c.Consent == "" {
		c.Consent = "once"
		if c.Public() && kind.private && !slices.ContainsFunc(c.RedirectURIs, isHTTPS) {
			// RFC 8252 §8.6: any program on the device can show this client_id and take the answer
			// at its own port or scheme, so that a remembered yes would be a yes for all of them.
			c.Consent = "always"
		}
	}
	if c.Public() {
		c.RequirePKCE = true // RFC 9700 §2.1.1: no exception for public clients
	}
	switch {
	case c.Name == "" || utf8.RuneCountInString(c.Name) > 100 || !plainText(c.Name):
		return invalid("client_name", "must be 1 to 100 printable characters: people see it on the consent page")
	case c.ID != "" && (!validClientID(c.ID) || len(c.ID) > 128):
		return invalid("client_id", "must be 1 to 128 printable ASCII characters without spaces")
	case strings.HasPrefix(strings.ToLower(c.ID), "https:") || strings.HasPrefix(strings.ToLower(c.ID), "http:"):
		return invalid("client_id", "must not be a URL: those are client metadata documents")
	case !slices.Contains(authMethods, c.AuthMethod):
		return invalid("token_endpoint_auth_method", "must be one of: %s", strings.Join(authMethods, ", "))
	case !slices.Contains(kind.methods, c.AuthMethod):
		return invalid("token_endpoint_auth_method", "of the type %s must be one of: %s", c.Type, strings.Join(kind.methods, ", "))
	case !containsAll(Grants(), c.GrantTypes):
		return invalid("grant_types", "may hold: %s", strings.Join(Grants(), ", "))
	case c.Public() && c.allows("client_credentials"):
		return invalid("grant_types", "must not hold client_credentials without client authentication") // RFC 6749 §4.4
	case c.allows("refresh_token") && len(c.GrantTypes) == 1:
		return invalid("grant_types", "need a grant that gets the first refresh token")
	case !code && len(c.ResponseTypes) > 0 || !containsAll(responseTypes, c.ResponseTypes):
		return invalid("response_types", "may hold code, and only with the grant authorization_code")
	case !slices.Contains(algNames(), c.IDTokenAlg):
		return invalid("id_token_signed_response_alg", "must be one of: %s", strings.Join(algNames(), ", "))
	case !slices.Contains(algNames(), c.AccessTokenAlg):
		return invalid("access_token_signed_response_alg", "must be one of: %s", strings.Join(algNames(), ", "))
	case c.AccessTokenFormat != "jwt" && c.AccessTokenFormat != "opaque":
		return invalid("access_token_format", "must be jwt or opaque")
	case !slices.Contains(consents, c.Consent):
		return invalid("consent", "must be one of: %s", strings.Join(consents, ", "))
	case c.AuthSigningAlg != "" && !slices.Contains(assertionAlgs, c.AuthSigningAlg):
		return invalid("token_endpoint_auth_signing_alg", "must be one of: %s", strings.Join(assertionAlgs, ", "))
	case c.RequirePAR:
		return invalid("require_pushed_authorization_requests", "is not supported by this version")
	case c.RequireDPoP:
		return invalid("dpop_bound_access_tokens", "is not supported by this version")
	case c.DefaultMaxAge != nil && (*c.DefaultMaxAge < 0 || *c.DefaultMaxAge > math.MaxInt32):
		return invalid("default_max_age", "must be a number of seconds, not negative")
	case c.DefaultIdP != "" && !providerName(c.DefaultIdP):
		return invalid("default_idp", "must be the name of a provider: lower-case letters, digits and hyphens")
	case len(c.Contacts) > 10 || slices.ContainsFunc(c.Contacts, func(s string) bool { return s == "" || len(s) > 320 || !plainText(s) }):
		return invalid("contacts", "must be at most 10 addresses")
	}
	if err := checkLists(c); err != nil {
		return err
	}
	if err := checkUpstreamTokens(c); err != nil {
		return err
	}
	if err := p.checkKeys(c); err != nil {
		return err
	}
	for _, u := range []struct{ field, uri string }{
		{"initiate_login_uri", c.InitiateLoginURI}, {"client_uri", c.URI}, {"logo_uri", c.LogoURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TermsURI},
	} {
		if u.uri == "" {
			continue
		}
		if err := checkURI(u.field, u.uri, false); err != nil {
			return err
		}
	}
	return checkRedirects(c, code, kind.private)
}

func checkLists(c *Client) error {
	switch {
	case len(c.Scopes) > 100:
		return invalid("scope", "must name at most 100 scopes")
	case !unique(c.Scopes):
		return invalid("scope", "names a scope twice")
	case len(c.Audience) > 20:
		return invalid("audience", "must have at most 20 entries")
	case !unique(c.Audience) || !unique(c.GrantTypes) || !unique(c.ResponseTypes):
		return invalid("audience, grant_types or response_types", "has an entry twice")
	}
	for _, s := range c.Scopes {
		// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
		if s == "" || len(s) > 128 || !visible(s) || strings.ContainsAny(s, `"\`) {
			return invalid("scope", "must consist of printable ASCII without quotes and backslashes, each at most 128 characters")
		}
	}
	for _, a := range c.Audience {
		// RFC 8707 §2 wants an absolute URI without a fragment; services that were named otherwise
		// before it keep their names, they just can't be asked for with resource.
		if a == "" || len(a) > 512 || strings.Contains(a, "#") || !visible(a) {
			return invalid("audience", "must be URIs without a fragment, each at most 512 characters")
		}
	}
	return nil
}

// checkKeys checks how the client's own signatures are to be verified.
func (p *Provider) checkKeys(c *Client) error {
	switch {
	case len(c.JWKS) > 0 && c.JWKSURI != "":
		return invalid("jwks", "must not be given together with jwks_uri") // RFC 7591 §2
	case c.AuthMethod == "private_key_jwt" && len(c.JWKS) == 0 && c.JWKSURI == "":
		return invalid("jwks", "or jwks_uri is required by private_key_jwt")
	case len(c.JWKS) > 0:
		return checkJWKS(c.JWKS)
	case c.JWKSURI == "":
		return nil
	}
	if err := checkURI("jwks_uri", c.JWKSURI, false); err != nil {
		return err
	}
	if !strings.HasPrefix(c.JWKSURI, "https://") && p.secure {
		return invalid("jwks_uri", "must begin with https://")
	}
	return nil
}

// providerName says whether a text could be the name of an upstream provider. Whether there is
// one, package web finds out when a person needs it.
func providerName(s string) bool {
	return s != "" && len(s) <= 40 && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func unique(list []string) bool {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			return false
		}
	}
	return true
}

func algNames() []string {
	var names []string
	for _, a := range keys.Algs {
		names = append(names, string(a))
	}
	return names
}

// visible says whether s consists of visible ASCII, so without spaces.
func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) < 0
}

// plainText says whether a person can be shown s: no control characters, none that turn
// the direction of what follows.
func plainText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r)
	}) < 0
}
