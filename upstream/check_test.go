package upstream_test

import (
	"errors"
	"strings"
	"testing"

	"mintmark/upstream"
)

func TestCheck(t *testing.T) {
	good := func() upstream.Provider {
		return upstream.Provider{Name: "acme", Kind: "oidc", Issuer: "https://id.acme.example", ClientID: "client"}
	}
	with := func(f func(p *upstream.Provider)) upstream.Provider {
		p := good()
		f(&p)
		return p
	}
	options := func(kind string, o map[string]string) upstream.Provider {
		return upstream.Provider{Name: "x", Kind: kind, ClientID: "c", SealedSecret: []byte{1}, Options: o}
	}
	oauth2 := func() upstream.Provider {
		return upstream.Provider{Name: "any", Kind: "oauth2", ClientID: "c", AuthorizeURL: "https://a.example/a", TokenURL: "https://a.example/t",
			UserInfoURL: "https://a.example/u", Mapping: map[string]string{"sub": "id"}}
	}
	for _, tt := range []struct {
		name  string
		field string // empty: it is good
		p     upstream.Provider
	}{
		{"an issuer alone", "", good()},
		{"everything", "", with(func(p *upstream.Provider) {
			p.Title, p.Scopes, p.Algorithms = "Acme", []string{"openid"}, []string{"EdDSA"}
			p.LinkBy, p.Authoritative, p.SignUp, p.Domains = upstream.LinkVerifiedEmail, []string{"acme.example", "*"}, upstream.SignUpDomains, []string{"acme.example"}
			p.Roles, p.SessionLife = []upstream.RoleRule{{Claim: "groups", Value: "ops", Role: "admin"}}, upstream.SessionFollows
			p.Options = map[string]string{"auth": "post", "email_verified": "text"}
		})},
		{"GitHub", "", options("github", nil)},
		{"GitHub Enterprise Server", "", options("github", map[string]string{"host": "git.acme.example:8443"})},
		{"GitLab of one's own", "", options("gitlab", map[string]string{"host": "[::1]:8080"})},
		{"Discord", "", options("discord", map[string]string{"guild": "41771983423143937"})},
		{"Microsoft", "", options("microsoft", map[string]string{"tenant": "3338040d-6c67-4c5b-b112-36a304b66dad", "email_verified": "always"})},
		{"Microsoft for consumers", "", options("microsoft", map[string]string{"tenant": "consumers"})},
		{"Apple", "", options("apple", map[string]string{"team_id": "A", "key_id": "B"})},
		{"any OAuth 2 service", "", oauth2()},
		{"an issuer on this machine", "", with(func(p *upstream.Provider) { p.Issuer = "http://127.0.0.1:9000" })},

		{"no name", "name", with(func(p *upstream.Provider) { p.Name = "" })},
		{"a name with a slash", "name", with(func(p *upstream.Provider) { p.Name = "a/b" })},
		{"a name with capitals", "name", with(func(p *upstream.Provider) { p.Name = "Acme" })},
		{"a name that begins with a hyphen", "name", with(func(p *upstream.Provider) { p.Name = "-a" })},
		{"a long name", "name", with(func(p *upstream.Provider) { p.Name = strings.Repeat("a", 41) })},
		{"an unknown kind", "kind", with(func(p *upstream.Provider) { p.Kind = "facebook" })},
		{"a title of two lines", "title", with(func(p *upstream.Provider) { p.Title = "a\nb" })},
		{"no client id", "client_id", with(func(p *upstream.Provider) { p.ClientID = "" })},
		{"Google without a secret", "client_secret", upstream.Provider{Name: "g", Kind: "google", ClientID: "c"}},
		{"two scopes in one", "scopes", with(func(p *upstream.Provider) { p.Scopes = []string{"openid email"} })},
		{"HS256", "algorithms", with(func(p *upstream.Provider) { p.Algorithms = []string{"HS256"} })},
		{"none", "algorithms", with(func(p *upstream.Provider) { p.Algorithms = []string{"none"} })},
		{"an unknown option", "options", options("github", map[string]string{"tenant": "x"})},
		{"Apple without its team", "options", options("apple", map[string]string{"key_id": "B"})},
		{"a host that is an address", "options", options("gitlab", map[string]string{"host": "https://gitlab.acme.example"})},
		{"a host with a path", "options", options("github", map[string]string{"host": "a.example/b"})},
		{"a host with a name before it", "options", options("github", map[string]string{"host": "github.com@evil.example"})},
		{"a tenant by its name", "options", options("microsoft", map[string]string{"tenant": "acme.onmicrosoft.com"})},
		{"nOAuth by option", "options", options("microsoft", map[string]string{"email_verified": "always"})},
		{"a guild that is a path", "options", options("discord", map[string]string{"guild": "../@me"})},
		{"an unknown way to authenticate", "options", with(func(p *upstream.Provider) { p.Options = map[string]string{"auth": "jwt"} })},
		{"no mapping of sub", "mapping", func() upstream.Provider { p := oauth2(); p.Mapping = nil; return p }()},
		{"a mapping of a claim that is not ours", "mapping", with(func(p *upstream.Provider) { p.Mapping = map[string]string{"role": "role"} })},
		{"a mapping to nothing", "mapping", with(func(p *upstream.Provider) { p.Mapping = map[string]string{"name": ""} })},
		{"an unknown policy", "link_by", with(func(p *upstream.Provider) { p.LinkBy = "email" })},
		{"a domain with an @", "authoritative", with(func(p *upstream.Provider) { p.Authoritative = []string{"@acme.example"} })},
		{"an unknown way to sign up", "sign_up", with(func(p *upstream.Provider) { p.SignUp = "closed" })},
		{"domains without domains", "domains", with(func(p *upstream.Provider) { p.SignUp = upstream.SignUpDomains })},
		{"a domain in capitals", "domains", with(func(p *upstream.Provider) { p.Domains = []string{"Acme.example"} })},
		{"a rule without a value", "roles", with(func(p *upstream.Provider) { p.Roles = []upstream.RoleRule{{Claim: "groups", Role: "admin"}} })},
		{"an unknown life", "session_life", with(func(p *upstream.Provider) { p.SessionLife = "long" })},
		{"no issuer", "issuer", with(func(p *upstream.Provider) { p.Issuer = "" })},
		{"an issuer in clear text", "issuer", with(func(p *upstream.Provider) { p.Issuer = "http://id.acme.example" })},
		{"an issuer with a query", "issuer", with(func(p *upstream.Provider) { p.Issuer = "https://id.acme.example?a" })},
		{"an issuer with a password", "issuer", with(func(p *upstream.Provider) { p.Issuer = "https://a:b@id.acme.example" })},
		{"an issuer that is none", "issuer", with(func(p *upstream.Provider) { p.Issuer = "acme" })},
		{"keys in a file", "jwks_url", with(func(p *upstream.Provider) { p.JWKSURL = "file:///etc/passwd" })},
		{"a script to authorize", "authorize_url", with(func(p *upstream.Provider) { p.AuthorizeURL = "javascript:alert(1)" })},
		{"no token endpoint", "token_url", func() upstream.Provider { p := oauth2(); p.TokenURL = ""; return p }()},
		{"no userinfo", "userinfo_url", func() upstream.Provider { p := oauth2(); p.UserInfoURL = ""; return p }()},
	} {
		err := tt.p.Check()
		e, ok := errors.AsType[*upstream.Invalid](err)
		switch {
		case tt.field == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.field != "" && (!ok || e.Field != tt.field):
			t.Errorf("%s: it is %v, and not %s", tt.name, err, tt.field)
		}
	}
}
