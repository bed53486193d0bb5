package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// anAsking is a request of a client, with parameters changed: name and value in turn; the value
// "-" leaves a parameter out.
func anAsking(t *testing.T, c *Client, changes ...string) *asking {
	t.Helper()
	values := url.Values{
		"client_id": {c.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"},
		"scope": {"openid profile"}, "state": {"the state"}, "nonce": {"the nonce"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i+1] == "-" {
			values.Del(changes[i])
		} else {
			values.Add(changes[i], changes[i+1])
			if changes[i] != "resource" && !strings.HasSuffix(changes[i+1], " again") {
				values[changes[i]] = values[changes[i]][len(values[changes[i]])-1:]
			}
		}
	}
	f, err := decodePairs(values.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return &asking{
		client: c, form: f, issuer: "https://op.example",
		req: &request{Mode: "query", State: f.get("state")},
		verify: func(token, typ string) ([]byte, error) {
			body, ok := strings.CutPrefix(token, "signed:")
			if !ok || typ != "JWT" {
				return nil, errors.New("not ours")
			}
			return []byte(body), nil
		},
	}
}

func TestChecks(t *testing.T) {
	anAge := int64(77)
	web := &Client{
		ID: "web", Type: "web", AuthMethod: "client_secret_basic", RequirePKCE: true,
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		Scopes:   []string{"openid", "profile", "email", "offline_access", "orders:read"},
		Audience: []string{"https://api.example", "https://API.example/v1/"},
	}
	with := func(change func(*Client)) *Client {
		c := web.clone()
		change(&c)
		return &c
	}
	exempt := with(func(c *Client) { c.RequirePKCE = false })
	plain := with(func(c *Client) { c.Scopes = []string{"orders:read"} })
	alone := with(func(c *Client) { c.Audience = nil })
	hint := func(iss, aud, sub string) string {
		return fmt.Sprintf(`signed:{"iss":%q,"aud":%s,"sub":%q,"exp":1}`, iss, aud, sub)
	}
	for _, tt := range []struct {
		name    string
		client  *Client
		changes []string
		want    string // the code of the refusal, or a part of the request as JSON
	}{
		{"as it should be", web, nil, `"sc":["openid","profile"]`},
		{"the nonce is kept", web, nil, `"n":"the nonce"`},
		{"RFC 6749 3.1, repeated", web, []string{"prompt", "login", "prompt", "consent again"}, "invalid_request"},
		{"RFC 6749 3.1, an unknown one repeated", web, []string{"x", "1", "x", "2 again"}, "invalid_request"},

		{"Core 6.1", web, []string{"request", "x"}, "request_not_supported"},
		{"Core 6.2", web, []string{"request_uri", "urn:x"}, "request_uri_not_supported"},
		{"Core 7.2.1", web, []string{"registration", "{}"}, "registration_not_supported"},
		{"RFC 9126 6", with(func(c *Client) { c.RequirePAR = true }), nil, "invalid_request"},

		{"RFC 6749 3.1.1, missing", web, []string{"response_type", "-"}, "invalid_request"},
		{"RFC 6749 3.1.1, another", web, []string{"response_type", "token"}, "unsupported_response_type"},
		{"Multiple Response Types 5, any order", web, []string{"response_type", "id_token code"}, "unsupported_response_type"},
		{"RFC 6749 3.1.1, nonsense", web, []string{"response_type", "cod"}, "unsupported_response_type"},
		{"RFC 6749 3.1.1, not of this client", with(func(c *Client) { c.ResponseTypes = nil }), nil, "unauthorized_client"},
		{"RFC 6749 4.1.2.1, the grant is not of this client", with(func(c *Client) { c.GrantTypes = []string{"client_credentials"} }), nil, "unauthorized_client"},
		{"Multiple Response Types 2.1, query", web, []string{"response_mode", "query"}, `"m":"query"`},
		{"Multiple Response Types 2.1, fragment", web, []string{"response_mode", "fragment"}, "invalid_request"},
		{"Multiple Response Types 2.1, unknown", web, []string{"response_mode", "pigeon"}, "invalid_request"},
		{"Form Post, to a private scheme", web, []string{"response_mode", "form_post"}, "invalid_request"},

		{"Core 3.1.2.1, unknown scopes are ignored", web, []string{"scope", "openid pigeon"}, `"sc":["openid"]`},
		{"RFC 6749 3.3, a scope of its own", web, []string{"scope", "orders:read openid"}, `"sc":["orders:read","openid"]`},
		{"RFC 6749 3.3, twice", web, []string{"scope", "openid openid"}, `"sc":["openid"]`},
		{"RFC 6749 3.3, what is not registered is dropped", plain, []string{"scope", "email orders:read"}, `"sc":["orders:read"]`},
		{"RFC 6749 3.3, nothing is left", web, []string{"scope", "pigeon"}, "invalid_scope"},
		{"RFC 6749 3.3, openid is not registered", plain, []string{"scope", "openid orders:read"}, "invalid_scope"},
		{"RFC 6749 3.3, no scope is nothing", web, []string{"scope", "-"}, `"m":"query"`},
		{"RFC 6749 3.3, too long", web, []string{"scope", "openid " + strings.Repeat("x", 2048)}, "invalid_scope"},
		{"Core 11, offline_access", web, []string{"scope", "openid offline_access"}, `"sc":["openid","offline_access"]`},
		{"Core 11, offline_access without refresh tokens is ignored", with(func(c *Client) { c.GrantTypes = []string{"authorization_code"} }), []string{"scope", "openid offline_access"}, `"sc":["openid"]`},

		{"a state of 2 KiB", web, []string{"state", strings.Repeat("s", 2048)}, `"s":"sssss`},
		{"an enormous state", web, []string{"state", strings.Repeat("s", 4097)}, "invalid_request"},
		{"an enormous nonce", web, []string{"nonce", strings.Repeat("n", 1025)}, "invalid_request"},

		{"RFC 7636 4.3", web, nil, `"pk":"AAAAA`},
		{"RFC 7636 4.4.1, missing", web, []string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
		{"RFC 7636 4.4.1, missing, exempt", exempt, []string{"code_challenge", "-", "code_challenge_method", "-"}, `"n":"the nonce"`},
		{"RFC 9700 2.1.1, missing, public", with(func(c *Client) { c.RequirePKCE, c.AuthMethod = false, "none" }), []string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
		{"RFC 7636 4.3, only a method", exempt, []string{"code_challenge", "-"}, "invalid_request"},
		{"RFC 7636 4.2, plain", exempt, []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"RFC 7636 4.3, plain by default", exempt, []string{"code_challenge_method", "-"}, "invalid_request"},
		{"RFC 7636 4.2, too short", web, []string{"code_challenge", strings.Repeat("A", 42)}, "invalid_request"},
		{"RFC 7636 4.2, too long", web, []string{"code_challenge", strings.Repeat("A", 44)}, "invalid_request"},
		{"RFC 7636 4.2, another alphabet", web, []string{"code_challenge", strings.Repeat("A", 42) + "+"}, "invalid_request"},

		{"Core 3.1.2.1, prompt", web, []string{"prompt", "login consent login"}, `"p":["login","consent"]`},
		{"Core 3.1.2.1, unknown prompt", web, []string{"prompt", "create"}, "invalid_request"},
		{"Core 3.1.2.1, none and more", web, []string{"prompt", "none consent"}, "invalid_request"},
		{"Core 3.1.2.1, none twice", web, []string{"prompt", "none none"}, `"p":["none"]`},
		{"Core 3.1.2.1, max_age", web, []string{"max_age", "60"}, `"ma":60`},
		{"Core 3.1.2.1, max_age=0", web, []string{"max_age", "0"}, `"ma":0`},
		{"Core 3.1.2.1, an enormous max_age", web, []string{"max_age", "99999999999999999999"}, `"ma":9223372036854775807`},
		{"Core 3.1.2.1, negative max_age", web, []string{"max_age", "-1"}, "invalid_request"},
		{"Core 3.1.2.1, broken max_age", web, []string{"max_age", "1.5"}, "invalid_request"},
		{"Registration 2, default_max_age", with(func(c *Client) { c.DefaultMaxAge = &anAge }), nil, `"ma":77`},
		{"Registration 2, max_age overrides it", with(func(c *Client) { c.DefaultMaxAge = &anAge }), []string{"max_age", "60"}, `"ma":60`},
		{"Core 3.1.2.1, display", web, []string{"display", "popup"}, `"d":"popup"`},
		{"Core 3.1.2.1, unknown display", web, []string{"display", "hologram"}, `"n":"the nonce"`},
		{"Core 3.1.2.1, hints never fail", web, []string{"ui_locales", "se de-CH", "acr_values", "1 2", "claims_locales", "se", "login_hint", "x@y", "dpop_jkt", "x"}, `"lh":"x@y","l":["se","de-CH"]`},
		{"an enormous login_hint", web, []string{"login_hint", strings.Repeat("x", 400)}, `"n":"the nonce"`},

		{"Core 5.5", web, []string{"claims", `{"userinfo":{"name":{"essential":true},"nickname":null},"x":1}`}, `"cl":{"userinfo":{"name":{"essential":true},"nickname":null}}`},
		{"Core 5.5, without openid it means nothing", plain, []string{"scope", "orders:read", "claims", "{"}, `"sc":["orders:read"]`},
		{"Core 5.5, not JSON", web, []string{"claims", `{"userinfo":`}, "invalid_request"},
		{"Core 5.5, not an object", web, []string{"claims", `null`}, "invalid_request"},
		{"Core 5.5, a claim that is a string", web, []string{"claims", `{"userinfo":{"name":"x"}}`}, "invalid_request"},
		{"Core 5.5, too deep", web, []string{"claims", `{"userinfo":{"name":{"value":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}}}`}, "invalid_request"},
		{"Core 5.5, one that grows when it is kept", web, []string{"claims", `{"userinfo":{"x":{"value":"` + strings.Repeat("<", 4000) + `"}}}`}, "invalid_request"},
		{"Core 5.5.1, a certain person", web, []string{"claims", `{"id_token":{"sub":{"value":"usr_1"}}}`}, `"su":"usr_1"`},
		{"Core 5.5.1, a person that is a number", web, []string{"claims", `{"id_token":{"sub":{"value":1}}}`}, "invalid_request"},
		{"Core 5.5.1, two people", web, []string{"claims", `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`}, "invalid_request"},
		{"idp_hint", web, []string{"idp_hint", "corp-1"}, `"ip":"corp-1"`},
		{"idp_hint that can't be one", web, []string{"idp_hint", "../evil", "ui_locales", "se"}, `"l":["se"],"b"`},
		{"default_idp", with(func(c *Client) { c.DefaultIdP = "corp" }), nil, `"ip":"corp"`},
		{"idp_hint goes before default_idp", with(func(c *Client) { c.DefaultIdP = "corp" }), []string{"idp_hint", "other"}, `"ip":"other"`},
		{"organization", web, []string{"organization", "org_1"}, `"o":"org_1"`},
		{"Core 5.5.1.1, essential acr", web, []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["x","urn:mintmark:acr:pwd"]}}}`}, `"ac":["urn:mintmark:acr:pwd"]`},
		{"Core 5.5.1.1, essential acr of one value", web, []string{"claims", `{"id_token":{"acr":{"essential":true,"value":"urn:mintmark:acr:pwd"}}}`}, `"ac":["urn:mintmark:acr:pwd"]`},
		{"Core 5.5.1.1, essential acr that can't be", web, []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["x"]}}}`}, "unmet_authentication_requirements"},
		{"Core 5.5.1.1, voluntary acr", web, []string{"claims", `{"id_token":{"acr":{"values":["x"]}}}`}, `"cl":`},
		{"Core 5.5.1.1, any acr", web, []string{"claims", `{"id_token":{"acr":{"essential":true}}}`}, `"cl":`},

		{"Core 3.1.2.1, id_token_hint that has expired", web, []string{"id_token_hint", hint("https://op.example", `"web"`, "usr_1")}, `"su":"usr_1"`},
		{"Core 3.1.2.1, id_token_hint of several", web, []string{"id_token_hint", hint("https://op.example", `["x","web"]`, "usr_1")}, `"su":"usr_1"`},
		{"Core 3.1.2.1, id_token_hint of another client", web, []string{"id_token_hint", hint("https://op.example", `"x"`, "usr_1")}, "invalid_request"},
		{"Core 3.1.2.1, id_token_hint of another issuer", web, []string{"id_token_hint", hint("https://evil.example", `"web"`, "usr_1")}, "invalid_request"},
		{"Core 3.1.2.1, id_token_hint that we did not sign", web, []string{"id_token_hint", "x.y.z"}, "invalid_request"},
		{"Core 3.1.2.1, id_token_hint about nobody", web, []string{"id_token_hint", hint("https://op.example", `"web"`, "")}, "invalid_request"},
		{"Core 3.1.2.1, hint and claims disagree", web, []string{"claims", `{"id_token":{"sub":{"value":"usr_2"}}}`, "id_token_hint", hint("https://op.example", `"web"`, "usr_1")}, "invalid_request"},

		{"RFC 8707 2, none: everything registered", web, nil, `"a":["https://api.example","https://API.example/v1/"]`},
		{"RFC 8707 2, one", web, []string{"resource", "https://api.example"}, `"a":["https://api.example"]`},
		{"RFC 8707 2, as URL libraries write it", web, []string{"resource", "HTTPS://Api.example/"}, `"a":["https://api.example"]`},
		{"RFC 8707 2, the registered form", web, []string{"resource", "https://api.example/v1/"}, `"a":["https://API.example/v1/"]`},
		{"RFC 8707 2, but a path is a path", web, []string{"resource", "https://api.example/v1"}, "invalid_target"},
		{"RFC 8707 2, several", web, []string{"resource", "https://api.example/v1/", "resource", "https://api.example"}, `"a":["https://API.example/v1/","https://api.example"]`},
		{"RFC 8707 2, none is registered: the issuer", alone, []string{"resource", "https://op.example"}, `"a":["https://op.example"]`},
		{"RFC 8707 2, none is registered: not another", alone, []string{"resource", "https://api.example"}, "invalid_target"},
		{"RFC 8707 2, a wrong one among them", web, []string{"resource", "https://api.example", "resource", "https://evil.example"}, "invalid_target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := anAsking(t, tt.client, tt.changes...)
			if refusal := a.check(); refusal != nil {
				if refusal.Code != tt.want {
					t.Errorf("got %v, want %s", refusal, tt.want)
				}
				if printable(refusal.Description) != refusal.Description {
					t.Errorf("RFC 6749 4.1.2.1: the description is %q", refusal.Description)
				}
				return
			}
			got, err := json.Marshal(a.req)
			if err != nil || !strings.Contains(string(got), tt.want) {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestARepeatedStateIsNotReturned(t *testing.T) {
	a := anAsking(t, &Client{}, "state", "1", "state", "2 again")
	if refusal := a.check(); refusal == nil || a.req.State != "" {
		t.Errorf("%v, state %q", refusal, a.req.State)
	}
}

func TestEveryCheckCitesItsSection(t *testing.T) {
	for i, row := range checks {
		if !strings.Contains(row.section, "§") {
			t.Errorf("row %d cites %q", i, row.section)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(`{"userinfo":{"name":{"essential":true}},"id_token":{"acr":{"values":["1"]},"sub":{"value":"x"}}}`)
	f.Add(`{"id_token":{"sub":{"value":{"a":[1]}}}}`)
	f.Add(strings.Repeat("[", 9000))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims(text)
		if err != nil {
			return
		}
		c.subject()
		c.essentialACR()
		kept, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("%q was read and can't be written: %v", text, err)
		}
		again, err := parseClaims(string(kept))
		if err != nil {
			// Escapes may have made it longer than what may come from outside.
			if len(kept) <= maxClaims {
				t.Fatalf("%s was written and can't be read: %v", kept, err)
			}
			return
		}
		if twice, _ := json.Marshal(again); !slices.Equal(kept, twice) {
			t.Errorf("%s became %s", kept, twice)
		}
	})
}
