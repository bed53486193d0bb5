package issuer

import (
	"slices"
)

// The paths of the endpoints, below the issuer.
const (
	PathAuthorize  = "/authorize"
	PathToken      = "/oauth/token"
	PathUserInfo   = "/userinfo"
	PathRevoke     = "/revoke"
	PathIntrospect = "/introspect"
	PathEndSession = "/end_session"
	PathJWKS       = "/.well-known/jwks.json"
)

// The pages that people are sent to, below the issuer. Each takes the sealed request in
// the parameter "request".
const (
	pathLogin   = "/login"
	pathConsent = "/consent"
	pathLogout  = "/logout"
)

// The authentication contexts. See [RFC 8176] for what amr says about the same sign-in.
//
// [RFC 8176]: https://www.rfc-editor.org/rfc/rfc8176
const (
	// ACRPassword is a sign-in with a password: one factor that somebody can phish.
	ACRPassword = "urn:mintmark:acr:pwd"
	// ACRFederated is a sign-in with an upstream provider: as strong as it is there, which
	// we take its word for.
	ACRFederated = "urn:mintmark:acr:federated"
)

// offlineAccess is the scope of OpenID Connect Core §11.
const offlineAccess = "offline_access"

// scopeClaims is every scope that we know the meaning of, in the order in which they are
// published, with the claims that it asks for. OpenID Connect Core §5.4. A client can have
// scopes of its own besides: their meaning is its own.
var scopeClaims = []struct {
	scope  string
	claims []string
}{
	{"openid", []string{"sub"}},
	{"profile", []string{
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username",
		"profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	}},
	{"email", []string{"email", "email_verified"}},
	{"address", []string{"address"}},
	{"phone", []string{"phone_number", "phone_number_verified"}},
	{offlineAccess, nil},
}

// idTokenClaims is everything that an ID token says besides what it says about the person, in
// the order in which it is published. OpenID Connect Core §2, Front-Channel Logout §3 for sid; idp is ours.
var idTokenClaims = []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "idp", "sid", "at_hash"}

// claimLimits is what a provider said that the person may do, in access tokens, userinfo and
// introspection. No scope asks for it: it is there if something was said.
const claimLimits = "limits"

var (
	responseTypes    = []string{"code"}
	responseModes    = []string{"query", "form_post"}
	prompts          = []string{"none", "login", "consent", "select_account"}
	displays         = []string{"page", "popup", "touch", "wap"}
	challengeMethods = []string{"S256"}
	acrValues        = []string{ACRPassword, ACRFederated}
	authMethods      = []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
	// assertionAlgs are the signatures of a client assertion: asymmetric ones only, RFC 8725 §3.2.
	assertionAlgs = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "RS384", "RS512", "PS384", "PS512", "EdDSA"}
)

// knownResponseTypes are the response types that others speak, OAuth 2.0 Multiple Response
// Types §3 and §5. We don't, and say so with another error than for nonsense.
var knownResponseTypes = []string{
	"token", "id_token", "id_token token", "code id_token", "code token", "code id_token token", "none",
}

// Scopes returns every scope whose meaning is ours.
func Scopes() []string {
	var names []string
	for _, row := range scopeClaims {
		names = append(names, row.scope)
	}
	return names
}

// ScopeClaims returns the claims that a scope asks for, OpenID Connect Core §5.4.
func ScopeClaims(scope string) []string {
	for _, row := range scopeClaims {
		if row.scope == scope {
			return slices.Clone(row.claims)
		}
	}
	return nil
}

// Claims returns every claim about a person that there is, "sub" first.
func Claims() []string {
	var names []string
	for _, row := range scopeClaims {
		names = append(names, row.claims...)
	}
	return names
}

// IDTokenClaims returns the claims of an ID token that are about the sign-in and the token
// itself, and not about the person.
func IDTokenClaims() []string { return slices.Clone(idTokenClaims) }

// OtherClaims returns the claims that neither a scope asks for nor an ID token has.
func OtherClaims() []string { return []string{claimLimits} }

// ResponseTypes returns what response_type may be.
func ResponseTypes() []string { return slices.Clone(responseTypes) }

// ResponseModes returns what response_mode may be.
func ResponseModes() []string { return slices.Clone(responseModes) }

// Prompts returns what prompt may hold.
func Prompts() []string { return slices.Clone(prompts) }

// Displays returns the values of display that are known. Others are ignored.
func Displays() []string { return slices.Clone(displays) }

// ChallengeMethods returns the PKCE methods, RFC 7636 §4.3. "plain" is none of them.
func ChallengeMethods() []string { return slices.Clone(challengeMethods) }

// ACRValues returns the authentication contexts that a person can be signed in with.
func ACRValues() []string { return slices.Clone(acrValues) }

// AuthMethods returns the ways in which a client can authenticate, or can't ("none").
func AuthMethods() []string { return slices.Clone(authMethods) }

// AuthSigningAlgs returns the signature algorithms of client assertions.
func AuthSigningAlgs() []string { return slices.Clone(assertionAlgs) }
