package wellknown

import (
	"encoding/json"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"mintmark/issuer"
	"mintmark/keys"
)

// metadata is what we say about ourselves: OpenID Connect Discovery §3, RFC 8414 §2, and
// what other standards registered. There are no names of our own.
type metadata struct {
	oidc.DiscoveryConfiguration

	// RequestParameterSupported hides the embedded member, which is left out when it is
	// false. Whoever reads this document is told explicitly.
	RequestParameterSupported bool `json:"request_parameter_supported"`
	// AuthorizationResponseIssParameterSupported is RFC 9207 §3.
	AuthorizationResponseIssParameterSupported bool `json:"authorization_response_iss_parameter_supported"`
	// PromptValuesSupported is Initiating User Registration via OpenID Connect §4.1.
	PromptValuesSupported []string `json:"prompt_values_supported"`
}

// describe computes the metadata of an issuer from the tables that run.
func describe(iss string) metadata {
	methods := as[oidc.AuthMethod](issuer.AuthMethods())
	algs := issuer.AuthSigningAlgs()
	return metadata{
		DiscoveryConfiguration: oidc.DiscoveryConfiguration{
			Issuer:                iss,
			AuthorizationEndpoint: iss + issuer.PathAuthorize,
			TokenEndpoint:         iss + issuer.PathToken,
			UserinfoEndpoint:      iss + issuer.PathUserInfo,
			RevocationEndpoint:    iss + issuer.PathRevoke,
			IntrospectionEndpoint: iss + issuer.PathIntrospect,
			EndSessionEndpoint:    iss + issuer.PathEndSession,
			JwksURI:               iss + issuer.PathJWKS,

			ScopesSupported:               issuer.Scopes(),
			ClaimsSupported:               slices.Concat(issuer.Claims(), issuer.IDTokenClaims(), issuer.OtherClaims()),
			ClaimTypesSupported:           []string{"normal"}, // OpenID Connect Core §5.6
			ClaimsParameterSupported:      true,
			ResponseTypesSupported:        issuer.ResponseTypes(),
			ResponseModesSupported:        issuer.ResponseModes(),
			GrantTypesSupported:           as[oidc.GrantType](issuer.Grants()),
			CodeChallengeMethodsSupported: as[oidc.CodeChallengeMethod](issuer.ChallengeMethods()),
			DisplayValuesSupported:        as[oidc.Display](issuer.Displays()),
			ACRValuesSupported:            issuer.ACRValues(),
			SubjectTypesSupported:         []string{"public"}, // one sub for all clients, Core §8

			IDTokenSigningAlgValuesSupported: as[string](keys.Algs),
			// Request objects are refused. Which algorithms they would have is published all the
			// same: where the member is absent, a client may assume that "none" is among them,
			// and try an unsigned one. Core §6.1, Discovery §3: "Servers SHOULD support none and RS256".
			RequestObjectSigningAlgValuesSupported: as[string](keys.Algs),

			TokenEndpointAuthMethodsSupported:               methods,
			TokenEndpointAuthSigningAlgValuesSupported:      algs,
			RevocationEndpointAuthMethodsSupported:          methods,
			RevocationEndpointAuthSigningAlgValuesSupported: algs,
			// RFC 7662 §2.1: who introspects must authenticate.
			IntrospectionEndpointAuthMethodsSupported: slices.DeleteFunc(slices.Clone(methods), func(m oidc.AuthMethod) bool {
				return m == oidc.AuthMethodNone
			}),
			IntrospectionEndpointAuthSigningAlgValuesSupported: algs,
		},
		AuthorizationResponseIssParameterSupported: true,
		PromptValuesSupported:                      issuer.Prompts(),
	}
}

// encode returns the document.
func (m metadata) encode() []byte {
	body, err := json.Marshal(m)
	if err != nil {
		panic("wellknown: " + err.Error()) // strings and booleans always encode; and we are at the start
	}
	return body
}

// as gives words the type that the library has for them.
func as[To, From ~string](words []From) []To {
	out := make([]To, len(words))
	for i, word := range words {
		out[i] = To(word)
	}
	return out
}
