package wellknown

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/storage/storagetest"
)

func database(t testing.TB) keys.Store {
	t.Helper()
	return storagetest.Open(t, storagetest.SQLite(t)).Keys()
}

// published is the document as a stranger reads it.
func published(t *testing.T, iss string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(describe(iss).encode(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func words(t *testing.T, m map[string]any, name string) []string {
	t.Helper()
	list, ok := m[name].([]any)
	if !ok {
		t.Errorf("%s is %v and no array", name, m[name])
	}
	var out []string
	for _, word := range list {
		out = append(out, word.(string))
	}
	return out
}

func TestDiscoveryListsExactlyWhatTheTablesHold(t *testing.T) {
	m := published(t, iss)
	var claims []string
	for _, scope := range issuer.Scopes() {
		claims = append(claims, issuer.ScopeClaims(scope)...)
	}
	claims = append(claims, "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "idp", "sid", "at_hash", "limits")
	for name, want := range map[string][]string{
		"scopes_supported":                                         issuer.Scopes(),
		"claims_supported":                                         claims,
		"claim_types_supported":                                    {"normal"},
		"response_types_supported":                                 issuer.ResponseTypes(),
		"response_modes_supported":                                 issuer.ResponseModes(),
		"grant_types_supported":                                    issuer.Grants(),
		"prompt_values_supported":                                  issuer.Prompts(),
		"display_values_supported":                                 issuer.Displays(),
		"acr_values_supported":                                     issuer.ACRValues(),
		"code_challenge_methods_supported":                         issuer.ChallengeMethods(),
		"subject_types_supported":                                  {"public"},
		"id_token_signing_alg_values_supported":                    {"RS256", "ES256"},
		"request_object_signing_alg_values_supported":              {"RS256", "ES256"},
		"token_endpoint_auth_methods_supported":                    issuer.AuthMethods(),
		"revocation_endpoint_auth_methods_supported":               issuer.AuthMethods(),
		"token_endpoint_auth_signing_alg_values_supported":         issuer.AuthSigningAlgs(),
		"revocation_endpoint_auth_signing_alg_values_supported":    issuer.AuthSigningAlgs(),
		"introspection_endpoint_auth_signing_alg_values_supported": issuer.AuthSigningAlgs(),
		"introspection_endpoint_auth_methods_supported": slices.DeleteFunc(issuer.AuthMethods(), func(m string) bool {
			return m == "none" // RFC 7662 2.1
		}),
	} {
		if got := words(t, m, name); !slices.Equal(got, want) {
			t.Errorf("%s is %v and not %v", name, got, want)
		}
		delete(m, name)
	}
	for name, want := range map[string]any{
		"issuer":                                         iss,
		"authorization_endpoint":                         iss + "/authorize",
		"token_endpoint":                                 iss + "/oauth/token",
		"userinfo_endpoint":                              iss + "/userinfo",
		"revocation_endpoint":                            iss + "/revoke",
		"introspection_endpoint":                         iss + "/introspect",
		"end_session_endpoint":                           iss + "/end_session",
		"jwks_uri":                                       iss + "/.well-known/jwks.json",
		"claims_parameter_supported":                     true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
	} {
		if got, ok := m[name]; !ok || got != want {
			t.Errorf("%s is %v and not %v", name, got, want)
		}
		delete(m, name)
	}
	for name, value := range m {
		t.Errorf("nothing stands behind %s: %v", name, value)
	}
}

// What the OpenID Foundation's suite looks at in a discovery document.
func TestDiscoveryIsWhatClientsAndTheSuiteExpect(t *testing.T) {
	m := published(t, iss)
	for name, want := range map[string]string{
		"id_token_signing_alg_values_supported":       "RS256", // Discovery 3: "RS256 MUST be included"
		"request_object_signing_alg_values_supported": "RS256",
		"scopes_supported":                            "openid", // Discovery 3: "MUST support the openid scope value"
		"claims_supported":                            "sub",
		"response_types_supported":                    "code",
		"code_challenge_methods_supported":            "S256",
		"token_endpoint_auth_methods_supported":       "client_secret_basic",
		"grant_types_supported":                       "authorization_code",
	} {
		if got := words(t, m, name); !slices.Contains(got, want) {
			t.Errorf("%s of %v is missing", want, got)
		}
	}
	for name, value := range m {
		list, ok := value.([]any)
		if !ok {
			continue
		}
		got := words(t, m, name)
		slices.Sort(got)
		if len(list) == 0 || len(slices.Compact(got)) != len(list) {
			t.Errorf("%s is empty or repeats itself: %v", name, list)
		}
		if strings.Contains(name, "_alg_") && (slices.Contains(got, "none") || slices.ContainsFunc(got, func(alg string) bool { return strings.HasPrefix(alg, "HS") })) {
			t.Errorf("%s holds what nobody should sign with: %v", name, list)
		}
		if name == "code_challenge_methods_supported" && slices.Contains(got, "plain") {
			t.Error("plain is no challenge, RFC 9700 2.1.1")
		}
	}
}

func TestEveryAddressIsBelowTheIssuer(t *testing.T) {
	for _, iss := range []string{"https://id.example.com", "https://example.com/tenants/one", "http://127.0.0.1:8080"} {
		m := published(t, iss)
		if m["issuer"] != iss {
			t.Errorf("the issuer is %v and not %s", m["issuer"], iss)
		}
		addresses := 0
		for name, value := range m {
			if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
				continue
			}
			addresses++
			rest, found := strings.CutPrefix(value.(string), iss+"/")
			if u, err := url.Parse(value.(string)); err != nil || !found || strings.Contains(rest, "//") || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("%s is %v", name, value)
			}
		}
		if addresses != 7 {
			t.Errorf("there are %d addresses", addresses)
		}
	}
}
