package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A metadata is what the flags say about a client.
type metadata struct {
	redirects, logoutRedirects, scopes, grants, audience, upstreamTokens                                []string
	authMethod, jwksFile, jwksURI, idTokenAlg, accessToken, accessTokenAlg, consent, signed, defaultIdP string
	uri, logo, policy, terms, initiate                                                                  string
	requirePKCE, requirePAR, requireDPoP, requireAuthTime                                               bool
	defaultMaxAge                                                                                       time.Duration
}

func (m *metadata) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&m.redirects, "redirect", nil, "where people may be sent back to; can be repeated")
	f.StringArrayVar(&m.logoutRedirects, "post-logout-redirect", nil, "where people may be sent after signing out; can be repeated")
	f.StringArrayVar(&m.scopes, "scope", nil, "what it may ask for; can be repeated")
	f.StringArrayVar(&m.grants, "grant", nil, "grant type that it may use; can be repeated")
	f.StringArrayVar(&m.audience, "audience", nil, "aud of its access tokens; can be repeated")
	f.StringVar(&m.authMethod, "auth-method", "", "client_secret_basic, client_secret_post, private_key_jwt or none")
	f.StringVar(&m.signed, "auth-signing-alg", "", "algorithm of its private_key_jwt")
	f.StringVar(&m.jwksFile, "jwks-file", "", "file of its public keys (a JWK set)")
	f.StringVar(&m.jwksURI, "jwks-uri", "", "URL of its public keys")
	f.StringVar(&m.idTokenAlg, "id-token-alg", "", "RS256 or ES256")
	f.StringVar(&m.accessToken, "access-token", "", "jwt or opaque")
	f.StringVar(&m.accessTokenAlg, "access-token-alg", "", "ES256 or RS256")
	f.BoolVar(&m.requirePKCE, "require-pkce", true, "refuse it without PKCE")
	f.BoolVar(&m.requirePAR, "require-par", false, "refuse it without pushed authorization requests")
	f.BoolVar(&m.requireDPoP, "require-dpop", false, "refuse it without DPoP")
	f.BoolVar(&m.requireAuthTime, "require-auth-time", false, "put auth_time into every ID token")
	f.DurationVar(&m.defaultMaxAge, "default-max-age", 0, "how long ago a person may have signed in")
	f.StringVar(&m.consent, "consent", "", "whether people are asked: once, always or never")
	f.StringVar(&m.defaultIdP, "default-idp", "", "name of the provider that its people are sent to")
	f.StringArrayVar(&m.upstreamTokens, "upstream-token", nil, "PROVIDER:SCOPE,SCOPE: that it may act there for people who allow it, with these scopes of the provider; can be repeated")
	f.StringVar(&m.initiate, "initiate-login-uri", "", "where it begins a sign-in: people who sign in here by themselves may be sent there")
	f.StringVar(&m.uri, "client-uri", "", "its home page")
	f.StringVar(&m.logo, "logo-uri", "", "its logo")
	f.StringVar(&m.policy, "policy-uri", "", "its privacy policy")
	f.StringVar(&m.terms, "tos-uri", "", "its terms of service")
}

// members returns what was said, under the names of RFC 7591. An empty value becomes null.
func (m *metadata) members(c *cobra.Command, stdin io.Reader) (in map[string]any, err error) {
	if m.jwksFile != "" && m.jwksURI != "" {
		return nil, usageError("--jwks-file and --jwks-uri can't be given together")
	}
	in = map[string]any{}
	for _, said := range []struct {
		flag, member string
		value        any
	}{
		{"redirect", "redirect_uris", m.redirects},
		{"post-logout-redirect", "post_logout_redirect_uris", m.logoutRedirects},
		{"scope", "scope", strings.Join(m.scopes, " ")},
		{"grant", "grant_types", m.grants},
		{"audience", "audience", m.audience},
		{"auth-method", "token_endpoint_auth_method", m.authMethod},
		{"auth-signing-alg", "token_endpoint_auth_signing_alg", m.signed},
		{"jwks-uri", "jwks_uri", m.jwksURI},
		{"id-token-alg", "id_token_signed_response_alg", m.idTokenAlg},
		{"access-token", "access_token_format", m.accessToken},
		{"access-token-alg", "access_token_signed_response_alg", m.accessTokenAlg},
		{"require-pkce", "require_pkce", m.requirePKCE},
		{"require-par", "require_pushed_authorization_requests", m.requirePAR},
		{"require-dpop", "dpop_bound_access_tokens", m.requireDPoP},
		{"require-auth-time", "require_auth_time", m.requireAuthTime},
		{"default-max-age", "default_max_age", int64(m.defaultMaxAge / time.Second)},
		{"consent", "consent", m.consent},
		{"default-idp", "default_idp", m.defaultIdP},
		{"initiate-login-uri", "initiate_login_uri", m.initiate},
		{"client-uri", "client_uri", m.uri},
		{"logo-uri", "logo_uri", m.logo},
		{"policy-uri", "policy_uri", m.policy},
		{"tos-uri", "tos_uri", m.terms},
	} {
		if !c.Flags().Changed(said.flag) {
			continue
		}
		in[said.member] = said.value
		if list, ok := said.value.([]string); said.value == "" || ok && len(list) == 1 && list[0] == "" {
			in[said.member] = nil
		}
	}
	if c.Flags().Changed("upstream-token") {
		if in["upstream_tokens"], err = readUpstreamTokens(m.upstreamTokens); err != nil {
			return nil, err
		}
	}
	if m.jwksURI != "" {
		in["jwks"] = nil // a client has one or the other
	}
	if m.jwksFile == "" {
		return in, nil
	}
	content, err := readInput(stdin, m.jwksFile)
	if err != nil {
		return nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(content, &keys); err != nil {
		return nil, fmt.Errorf("%s does not hold a JSON object: %w", m.jwksFile, err)
	}
	in["jwks"], in["jwks_uri"] = keys, nil
	return in, nil
}

// readUpstreamTokens reads PROVIDER:SCOPE,SCOPE. Scopes may have colons in them, names of providers not.
func readUpstreamTokens(said []string) (any, error) {
	list := []map[string]any{}
	for _, one := range said {
		if one == "" {
			continue
		}
		provider, scopes, ok := strings.Cut(one, ":")
		if !ok || provider == "" || scopes == "" {
			return nil, usageError("--upstream-token is PROVIDER:SCOPE,SCOPE, like github:repo,read:user")
		}
		list = append(list, map[string]any{"provider": provider, "scopes": strings.Split(scopes, ",")})
	}
	return list, nil
}
