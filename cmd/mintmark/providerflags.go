package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mintmark/upstream"
)

// A providerSettings is what the flags say about a provider.
type providerSettings struct {
	title, clientID, secretFile, authorizeURL, tokenURL, userInfoURL, emailsURL, jwksURL, revokeURL, connectorURL string
	linkBy, signUp, sessionLife, organization                                                                     string
	scopes, algorithms, tokenAudiences, authoritative, domains, maps, roles, options                              []string
	host, tenant, teamID, keyID, guild                                                                            string
	tokenRules                                                                                                    []string
	keysFile                                                                                                      string
	keepTokens, disabled, tokenSessions                                                                           bool
}

func (p *providerSettings) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.title, "title", "", "what its button says")
	f.StringVar(&p.clientID, "client-id", "", "who we are there")
	f.StringVar(&p.secretFile, "client-secret-file", "", "file that holds the client secret (for apple, the .p8 file; for a connector, the secret that signs); - is the standard input")
	f.StringArrayVar(&p.scopes, "scope", nil, "scope to ask for, in place of the kind's own; can be repeated")
	f.StringVar(&p.authorizeURL, "authorize-url", "", "its authorization endpoint, in place of the kind's or the issuer's own; as the other URLs")
	f.StringVar(&p.tokenURL, "token-url", "", "its token endpoint")
	f.StringVar(&p.userInfoURL, "userinfo-url", "", "where it says who has arrived")
	f.StringVar(&p.emailsURL, "emails-url", "", "where GitHub lists somebody's addresses")
	f.StringVar(&p.jwksURL, "jwks-url", "", "where its public keys are")
	f.StringVar(&p.revokeURL, "revoke-url", "", "where tokens that were kept are revoked")
	f.StringVar(&p.connectorURL, "connector-url", "", "where a connector says whose a token is")
	f.StringArrayVar(&p.maps, "map", nil, "CLAIM=PATH: where a claim of ours is in its answer, like email=user.mail; can be repeated")
	f.StringArrayVar(&p.algorithms, "algorithm", nil, "that its ID tokens may be signed with; can be repeated")
	f.StringVar(&p.host, "host", "", "host of a GitHub Enterprise Server or of your own GitLab")
	f.StringVar(&p.tenant, "tenant", "", "tenant at Microsoft")
	f.StringVar(&p.teamID, "team-id", "", "team at Apple")
	f.StringVar(&p.keyID, "key-id", "", "id of the key at Apple")
	f.StringVar(&p.guild, "guild", "", "Discord server that people must be members of")
	f.StringArrayVar(&p.options, "option", nil, "NAME=VALUE: another option of the kind; can be repeated")
	f.StringVar(&p.linkBy, "link-by", "", "verified-email: who arrives with the verified address of an account is asked for its password, and then linked. none: they are not")
	f.StringArrayVar(&p.authoritative, "authoritative", nil, "e-mail domain for which it is believed, or * for all; can be repeated")
	f.StringVar(&p.signUp, "sign-up", "", "who gets an account by arriving: open, invite or domains")
	f.StringArrayVar(&p.domains, "domain", nil, "e-mail domain that may sign up, and that is sent to it from the sign-in page; can be repeated")
	f.StringArrayVar(&p.roles, "role-rule", nil, "CLAIM=VALUE:ROLE: who gets a role of administration, like groups=ops:admin; can be repeated")
	f.StringVar(&p.sessionLife, "session-life", "", "follow-upstream: sessions are no longer than its tokens")
	f.BoolVar(&p.keepTokens, "keep-tokens", false, "keep its tokens, sealed")
	f.StringArrayVar(&p.tokenAudiences, "token-audience", nil, "audience for which tokens of its issuer are exchanged for ours; can be repeated")
	f.StringArrayVar(&p.tokenRules, "token-rule", nil, "KEY:CLAIM=VALUE[,CLAIM=VALUE…][,reusable]: a program whose token has these claims has that API key (by id), like 0Ab3dE6gH9k:sub=repo:acme/app:ref:refs/heads/main; can be repeated")
	f.BoolVar(&p.tokenSessions, "token-sessions", false, "a page of ours gets a session for such a token")
	f.StringVar(&p.keysFile, "keys-file", "", "file with the public keys of such tokens: PEM (public keys or certificates) or a JWK Set; then nothing is fetched because of a token. - is the standard input")
	f.StringVar(&p.organization, "organization", "", "whose it is; everybody's if nothing is said")
	f.BoolVar(&p.disabled, "disabled", false, "nobody can sign in with it, and whoever has is signed out (--disabled=false: they can again)")
}

// members returns what was said, under the names of the admin API. An empty value becomes null.
func (p *providerSettings) members(c *cobra.Command, stdin io.Reader) (map[string]any, error) {
	in := map[string]any{}
	for _, said := range []struct {
		flag, member string
		value        any
	}{
		{"title", "title", p.title},
		{"client-id", "client_id", p.clientID},
		{"scope", "scopes", words(p.scopes)},
		{"authorize-url", "authorize_url", p.authorizeURL},
		{"token-url", "token_url", p.tokenURL},
		{"userinfo-url", "userinfo_url", p.userInfoURL},
		{"emails-url", "emails_url", p.emailsURL},
		{"jwks-url", "jwks_url", p.jwksURL},
		{"revoke-url", "revoke_url", p.revokeURL},
		{"connector-url", "connector_url", p.connectorURL},
		{"algorithm", "algorithms", p.algorithms},
		{"link-by", "link_by", p.linkBy},
		{"authoritative", "authoritative", p.authoritative},
		{"sign-up", "sign_up", p.signUp},
		{"domain", "domains", p.domains},
		{"session-life", "session_life", p.sessionLife},
		{"keep-tokens", "keep_tokens", p.keepTokens},
		{"token-audience", "token_audiences", p.tokenAudiences},
		{"token-sessions", "token_sessions", p.tokenSessions},
		{"organization", "organization", p.organization},
		{"disabled", "disabled", p.disabled},
	} {
		if !c.Flags().Changed(said.flag) {
			continue
		}
		in[said.member] = said.value
		list, ok := said.value.([]string)
		switch {
		case said.value == "":
			in[said.member] = nil
		case ok && !slices.ContainsFunc(list, func(s string) bool { return s != "" }):
			in[said.member] = []string{}
		}
	}
	if err := p.tables(c, in); err != nil {
		return nil, err
	}
	if err := p.keys(c, stdin, in); err != nil {
		return nil, err
	}
	return in, fromFiles(stdin, in, map[string]string{"client_secret": p.secretFile})
}

// keys adds public keys. They are read here already: a private key by mistake does not leave this machine.
func (p *providerSettings) keys(c *cobra.Command, stdin io.Reader, in map[string]any) error {
	if !c.Flags().Changed("keys-file") {
		return nil
	}
	if p.keysFile == "" {
		in["keys"] = nil
		return nil
	}
	text, err := readInput(stdin, p.keysFile)
	if err != nil {
		return err
	}
	set, err := upstream.ReadKeys(text)
	if wrong, ok := errors.AsType[*upstream.Invalid](err); ok {
		return fmt.Errorf("the keys in %s %s", p.keysFile, wrong.Problem)
	}
	in["keys"] = json.RawMessage(set)
	return err
}

// tables adds what is said as NAME=VALUE.
func (p *providerSettings) tables(c *cobra.Command, in map[string]any) error {
	options := slices.Clone(p.options)
	for flag, value := range map[string]string{"host": p.host, "tenant": p.tenant, "team-id": p.teamID, "key-id": p.keyID, "guild": p.guild} {
		if c.Flags().Changed(flag) {
			options = append(options, strings.ReplaceAll(flag, "-", "_")+"="+value)
		}
	}
	for member, list := range map[string][]string{"mapping": p.maps, "options": options} {
		entries := map[string]any{}
		for _, one := range list {
			name, value, ok := strings.Cut(one, "=")
			switch {
			case !ok || name == "":
				return usageError("--map and --option are NAME=VALUE")
			case value == "":
				entries[name] = nil
			default:
				entries[name] = value
			}
		}
		if len(entries) > 0 {
			in[member] = entries
		}
	}
	if err := p.programs(c, in); err != nil || !c.Flags().Changed("role-rule") {
		return err
	}
	rules := []map[string]string{}
	for _, one := range p.roles {
		if one == "" {
			continue
		}
		claim, rest, ok := strings.Cut(one, "=")
		at := strings.LastIndexByte(rest, ':') // a value may have a colon in it
		if !ok || at < 0 {
			return usageError("--role-rule is CLAIM=VALUE:ROLE, like groups=ops:admin")
		}
		rules = append(rules, map[string]string{"claim": claim, "value": rest[:at], "role": rest[at+1:]})
	}
	in["roles"] = rules
	return nil
}

// programs adds which programs have which API key. The id comes first: a value may have a colon in it.
func (p *providerSettings) programs(c *cobra.Command, in map[string]any) error {
	if !c.Flags().Changed("token-rule") {
		return nil
	}
	rules := []upstream.TokenRule{}
	for _, one := range p.tokenRules {
		if one == "" {
			continue
		}
		key, conditions, ok := strings.Cut(one, ":")
		rule := upstream.TokenRule{Key: key, Claims: map[string]string{}}
		for condition := range strings.SplitSeq(conditions, ",") {
			claim, value, is := strings.Cut(condition, "=")
			if !is && condition == "reusable" {
				rule.Reusable = true
				continue
			}
			ok = ok && is
			rule.Claims[claim] = value
		}
		if !ok {
			return usageError("--token-rule is KEY:CLAIM=VALUE[,CLAIM=VALUE…][,reusable], like 0Ab3dE6gH9k:sub=repo:acme/app:ref:refs/heads/main")
		}
		rules = append(rules, rule)
	}
	in["token_rules"] = rules
	return nil
}
