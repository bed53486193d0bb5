package upstream

import (
	"fmt"
	"slices"
	"strings"
)

// An Invalid is a provider that can't be one. Field is its JSON name; Problem goes on from
// there: "name is missing".
type Invalid struct{ Field, Problem string }

// Error returns both.
func (e *Invalid) Error() string { return e.Field + " " + e.Problem }

// The limits of a provider.
const (
	maxTexts = 50  // items of each list
	maxText  = 255 // bytes of each text
	maxURL   = 2048
)

// signing are the algorithms that a provider may sign ID tokens with. HS256 and its like are not among
// them: a client secret that signs would make everybody who has it the provider.
var signing = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Check says what is wrong with a provider, in the words of an operator. The error is an
// [*Invalid]. It asks nobody: whether there is a provider at its addresses, signing in shows.
// The secret is looked at only for being there.
func (p *Provider) Check() error {
	for _, c := range checks {
		if problem := c.problem(p); problem != "" {
			return &Invalid{c.field, problem}
		}
	}
	return p.checkAddresses()
}

// CheckSecret says what is wrong with a client secret, before it is sealed.
func (p *Provider) CheckSecret(secret string) error {
	k := kinds[p.Kind]
	switch {
	case k == nil:
		return &Invalid{"kind", oneOf(Kinds())}
	case k.connector:
		if _, ok := webhookKey(secret); !ok && (secret != "" || p.ConnectorURL != "") {
			return &Invalid{"client_secret", "is not base64 of 24 to 64 random bytes, which may begin with whsec_: `openssl rand -base64 32` makes one"}
		}
	case secret == "" && k.secret:
		return &Invalid{"client_secret", "is missing, and " + k.title + " has nobody sign in without one"}
	case len(secret) > 8<<10:
		return &Invalid{"client_secret", "is longer than 8 KiB"}
	case signers[p.Kind] != nil:
		if _, err := signers[p.Kind](p, secret, 0); err != nil {
			return &Invalid{"client_secret", "is not the private key in a .p8 file of " + k.title}
		}
	case strings.ContainsFunc(secret, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return &Invalid{"client_secret", "has a control character in it, such as the line's end"}
	}
	return nil
}

// checks is everything that a row must satisfy besides its addresses, in order.
var checks = []struct {
	field   string
	problem func(p *Provider) string
}{
	{"name", func(p *Provider) string {
		if !isName(p.Name) {
			return "must be 1 to 40 lower-case letters, digits and hyphens, and not begin with a hyphen"
		}
		return ""
	}},
	{"kind", func(p *Provider) string {
		if kinds[p.Kind] == nil {
			return oneOf(Kinds())
		}
		return ""
	}},
	{"title", func(p *Provider) string {
		if len(p.Title) > 100 || strings.ContainsFunc(p.Title, unprintable) {
			return "must be at most 100 printable characters"
		}
		return ""
	}},
	{"client_id", func(p *Provider) string {
		switch k := kinds[p.Kind]; {
		case k.tokens:
			return onlyTokens(p.ClientID == "")
		case k.connector: // which is told who we are in any case
			return printable(p.ClientID, 0)
		}
		return printable(p.ClientID, 1)
	}},
	{"client_secret", func(p *Provider) string {
		k := kinds[p.Kind]
		if k.secret && len(p.SealedSecret) == 0 {
			return "is missing, and " + k.title + " has nobody sign in without one"
		}
		if p.ConnectorURL != "" && len(p.SealedSecret) == 0 {
			return "is missing: it signs what a connector is asked"
		}
		return ""
	}},
	{"connector_url", func(p *Provider) string {
		if p.ConnectorURL != "" && !kinds[p.Kind].connector {
			return "is for the kind connector"
		}
		return ""
	}},
	{"kind", func(p *Provider) string {
		if kinds[p.Kind].connector && (len(p.Scopes)+len(p.Algorithms) > 0 || p.KeepTokens ||
			p.Issuer+p.AuthorizeURL+p.TokenURL+p.UserInfoURL+p.EmailsURL+p.JWKSURL != "") {
			return "connector has only connector_url: nobody signs in there, and no tokens of it are kept"
		}
		return ""
	}},
	{"client_secret", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || len(p.SealedSecret) == 0) }},
	{"scopes", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || len(p.Scopes) == 0) }},
	{"scopes", func(p *Provider) string { return each(p.Scopes, scopeToken) }},
	{"authorize_url", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || p.AuthorizeURL == "") }},
	{"token_url", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || p.TokenURL == "") }},
	{"userinfo_url", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || p.UserInfoURL == "") }},
	{"keep_tokens", func(p *Provider) string { return onlyTokens(!kinds[p.Kind].tokens || !p.KeepTokens) }},
	{"algorithms", func(p *Provider) string {
		return each(p.Algorithms, func(s string) string {
			if !slices.Contains(signing, s) {
				return oneOf(signing)
			}
			return ""
		})
	}},
	{"options", checkOptions},
	{"mapping", checkMapping},
	{"link_by", func(p *Provider) string { return oneOfThese(p.LinkBy, "", LinkNone, LinkVerifiedEmail) }},
	{"authoritative", func(p *Provider) string {
		return each(p.Authoritative, func(s string) string {
			if s == "*" {
				return ""
			}
			return domain(s)
		})
	}},
	{"token_audiences", func(p *Provider) string {
		if len(p.TokenAudiences) > 0 && !kinds[p.Kind].connect {
			return "are for OpenID Connect providers: others sign no tokens"
		}
		if len(p.TokenAudiences) > 0 && strings.Contains(p.KnownIssuer(), "{") || p.Kind == "microsoft" && len(p.TokenAudiences) > 0 {
			return "are for providers with one issuer: add it as kind oidc, with the issuer of your tenant"
		}
		if len(p.TokenAudiences) == 0 && kinds[p.Kind].tokens {
			return "are missing: for whom must its tokens be?"
		}
		return each(p.TokenAudiences, func(s string) string {
			if s == "" || len(s) > maxText || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
				return "must be printable, without spaces"
			}
			return ""
		})
	}},
	{"keys", checkKeys},
	{"token_rules", checkTokenRules},
	{"token_sessions", func(p *Provider) string {
		if p.TokenSessions && (len(p.TokenAudiences) == 0 || len(p.TokenRules) > 0) {
			return "are for tokens of people that others bring along: token_audiences, and no token_rules"
		}
		return ""
	}},
	{"sign_up", func(p *Provider) string { return oneOfThese(p.SignUp, "", SignUpOpen, SignUpInvite, SignUpDomains) }},
	{"domains", func(p *Provider) string {
		if p.SignUp == SignUpDomains && len(p.Domains) == 0 {
			return "are missing, so that nobody could sign up"
		}
		return each(p.Domains, domain)
	}},
	{"roles", func(p *Provider) string {
		if len(p.Roles) > maxTexts {
			return fmt.Sprintf("are more than %d", maxTexts)
		}
		for _, r := range p.Roles {
			if r.Claim == "" || r.Value == "" || r.Role == "" || len(r.Claim)+len(r.Value)+len(r.Role) > 3*maxText {
				return "each need a claim, a value and a role"
			}
		}
		return ""
	}},
	{"session_life", func(p *Provider) string { return oneOfThese(p.SessionLife, "", SessionFollows) }},
}

// onlyTokens refuses what a kind can't use with which nobody signs in.
func onlyTokens(ok bool) string {
	if ok {
		return ""
	}
	return "is for signing in, and nobody signs in with this kind"
}

func checkOptions(p *Provider) string {
	known := with(common, kinds[p.Kind].options)
	for name, value := range p.Options {
		if _, ok := known[name]; !ok {
			return "have no " + name + " for this kind"
		}
		if problem := printable(value, 0); problem != "" {
			return name + " " + problem
		}
	}
	for name, fallback := range known {
		if fallback == required && p.Options[name] == "" {
			return "need a " + name + " for this kind"
		}
	}
	if problem := oneOfThese(p.Options["auth"], "", "basic", "post"); problem != "" {
		return "auth " + problem
	}
	if problem := oneOfThese(p.Options["email_verified"], "", "boolean", "text", "always"); problem != "" {
		return "email_verified " + problem
	}
	if p.Kind == "microsoft" && p.Options["email_verified"] == "always" && !isUUID(p.option("tenant")) {
		// nOAuth: administrators of any tenant write into email what they like.
		return "email_verified can't be always with a tenant that is everybody's"
	}
	if host := p.Options["host"]; host != "" && !isHost(host) {
		return "host must be a host name, with a port if need be"
	}
	if tenant := p.option("tenant"); tenant != "" && !isUUID(tenant) && !slices.Contains([]string{"common", "organizations", "consumers"}, tenant) {
		return "tenant must be the id of the tenant in lower case, or common, organizations or consumers"
	}
	for _, name := range []string{"guild", "team_id", "key_id"} {
		// They become part of an address, or of a token.
		if strings.Trim(strings.ToLower(p.Options[name]), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			return name + " must be letters, digits, dots and hyphens"
		}
	}
	return ""
}

func checkMapping(p *Provider) string {
	if len(p.Mapping) > maxTexts {
		return fmt.Sprintf("has more than %d claims", maxTexts)
	}
	for claim, path := range p.Mapping {
		if !slices.Contains(claimNames, claim) && !slices.Contains([]string{"sub", "email", "email_verified", "groups"}, claim) {
			return "has no claim " + claim + " of ours"
		}
		if problem := printable(path, 1); problem != "" {
			return "of " + claim + " " + problem
		}
	}
	if p.path("sub") == "" {
		return `must say where "sub" is: what the provider calls a person, and never anybody else`
	}
	return ""
}

// checkAddresses refuses addresses that are not plain https (or http on this machine), and finds
// the ones that are missing.
func (p *Provider) checkAddresses() error {
	k, known := kinds[p.Kind], placesOf(p)
	for _, a := range []struct{ field, address string }{
		{"issuer", p.issuer()}, {"authorize_url", known.Authorize}, {"token_url", known.Token},
		{"userinfo_url", known.UserInfo}, {"emails_url", p.EmailsURL}, {"jwks_url", known.JWKS}, {"revoke_url", known.Revoke}, {"connector_url", p.ConnectorURL},
	} {
		if a.address == "" {
			continue
		}
		if problem := address(a.address); problem != "" {
			return &Invalid{a.field, problem}
		}
	}
	switch {
	case k.connector:
		return nil
	case k.connect && p.issuer() == "":
		return &Invalid{"issuer", "is missing: it is the address that the provider calls itself"}
	case k.connect && strings.ContainsAny(p.issuer(), "?#"):
		return &Invalid{"issuer", "can't have a query or a fragment"} // OpenID Connect Discovery §3
	case k.connect:
		return nil // the rest is found from there
	case known.Authorize == "":
		return &Invalid{"authorize_url", "is missing"}
	case known.Token == "":
		return &Invalid{"token_url", "is missing"}
	case known.UserInfo == "":
		return &Invalid{"userinfo_url", "is missing: it is where it says who has arrived"}
	}
	return nil
}
