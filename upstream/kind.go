package upstream

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// A kind is what the documentation of a provider says, so that an operator need not.
type kind struct {
	title string
	// connect says that it speaks OpenID Connect: there is an ID token, and it decides. Otherwise
	// who has arrived is read from an address with the access token.
	connect bool
	// tokens says that nobody signs in with it: it is only somebody whose tokens are taken that others
	// bring along.
	tokens bool
	// connector says that nobody signs in with it: an address of its operator is asked whose a token is
	// that somebody brings along. There is no button, and no /login/NAME.
	connector bool
	// issuer is the issuer identifier, and places the addresses, if there is no discovery. {option}
	// stands for an option of the provider. The issuer of a discovery may have {tenantid} in it.
	issuer string
	places places
	scopes []string
	// options that there are, with their defaults; required is without one.
	options map[string]string
	// chooses says that it knows prompt=select_account. Others refuse a prompt that they don't know.
	chooses bool
	// secret says that there is no signing in without.
	secret bool
	// inBody sends the client secret in the body, as it wants it there.
	inBody bool
	// formPost has the answer come by POST, from the provider's site.
	formPost bool
	// ask are further parameters of the authorization request, and keep those with which a refresh
	// token is had.
	ask, keep url.Values
	// mapping is from our claims to paths in the provider's answer.
	mapping map[string]string
	// verified reads what the provider says about the address: ok is false if that is not clear.
	verified func(v any) (verified, ok bool)
	// mails says that it is one public service, which writes to an address before it calls it verified.
	mails bool
	// hosts are domains whose mail the provider runs itself; hd says that its claim hd is one more.
	hosts []string
	hd    bool
}

// readers read who has arrived, where that takes more than one document at UserInfo.
var readers = map[string]func(t *talk, access string) (document, error){
	"github":  readGitHub,
	"discord": readDiscord,
}

// signers make the client secret of what is stored as one.
var signers = map[string]func(p *Provider, stored string, now int64) (string, error){
	"apple": signApple,
}

// required marks an option without a default.
const required = "\x00"

// kinds is every kind of provider, and there is no other list: [Kinds] and the reference are
// read from it. What a provider's row says goes before.
var kinds = map[string]*kind{
	// https://developers.google.com/identity/openid-connect/openid-connect
	"google": {
		title: "Google", connect: true, secret: true, chooses: true,
		issuer:   "https://accounts.google.com",
		places:   places{Revoke: "https://oauth2.googleapis.com/revoke"},
		scopes:   []string{"openid", "email", "profile"},
		keep:     url.Values{"access_type": {"offline"}, "prompt": {"consent"}},
		mapping:  standard,
		mails:    true,
		verified: strictly,
		hosts:    []string{"gmail.com", "googlemail.com"}, hd: true,
	},
	// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
	"github": {
		title: "GitHub", secret: true, inBody: true,
		options: map[string]string{"host": "github.com"},
		places: places{
			Authorize: "https://{host}/login/oauth/authorize",
			Token:     "https://{host}/login/oauth/access_token",
			UserInfo:  "https://{host}/api/v3/user", // of an Enterprise Server; see placesOf
			Revoke:    "https://{host}/api/v3/applications/{client_id}/grant",
		},
		scopes: []string{"read:user", "user:email"},
		mapping: map[string]string{"sub": "id", "name": "name|login", "preferred_username": "login", "picture": "avatar_url",
			"profile": "html_url", "email": "email", "email_verified": "email_verified"},
		mails:    true,
		verified: strictly,
	},
	// https://discord.com/developers/docs/topics/oauth2, /docs/resources/user
	"discord": {
		title: "Discord", secret: true, inBody: true,
		options: map[string]string{"guild": ""},
		places: places{
			Authorize: "https://discord.com/oauth2/authorize",
			Token:     "https://discord.com/api/oauth2/token",
			UserInfo:  "https://discord.com/api/users/@me",
			Revoke:    "https://discord.com/api/oauth2/token/revoke",
		},
		scopes: []string{"identify", "email"},
		mapping: map[string]string{"sub": "id", "name": "global_name|username", "preferred_username": "username", "locale": "locale",
			"email": "email", "email_verified": "verified", "groups": "member.roles"},
		mails:    true,
		verified: strictly,
	},
	// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference. The address in
	// email may be anything that an administrator of any tenant wrote there (nOAuth, 2023): it
	// counts as verified only with xms_edov, which says that the tenant owns the domain.
	"microsoft": {
		title: "Microsoft", connect: true, secret: true, inBody: true, chooses: true,
		options:  map[string]string{"tenant": "common"},
		issuer:   "https://login.microsoftonline.com/{tenant}/v2.0",
		scopes:   []string{"openid", "profile", "email"},
		keep:     url.Values{"scope": {"offline_access"}},
		mapping:  with(standard, map[string]string{"email_verified": "xms_edov", "groups": "groups"}),
		mails:    true,
		verified: loosely,
	},
	// https://developer.apple.com/documentation/signinwithapple
	"apple": {
		title: "Apple", connect: true, secret: true, inBody: true, formPost: true,
		options: map[string]string{"team_id": required, "key_id": required},
		issuer:  "https://appleid.apple.com",
		places: places{
			Authorize: "https://appleid.apple.com/auth/authorize",
			Token:     "https://appleid.apple.com/auth/token",
			JWKS:      "https://appleid.apple.com/auth/keys",
			Revoke:    "https://appleid.apple.com/auth/revoke",
		},
		scopes:   []string{"name", "email"},
		mapping:  map[string]string{"sub": "sub", "email": "email", "email_verified": "email_verified"},
		mails:    true,
		verified: asText, // "The value of this claim is either a string or a Boolean"
		hosts:    []string{"icloud.com", "me.com", "mac.com", "privaterelay.appleid.com"},
	},
	// https://docs.gitlab.com/integration/openid_connect_provider/
	"gitlab": {
		title: "GitLab", connect: true, secret: true,
		options:  map[string]string{"host": "gitlab.com"},
		issuer:   "https://{host}",
		places:   places{Revoke: "https://{host}/oauth/revoke"},
		scopes:   []string{"openid", "profile", "email"},
		mapping:  with(standard, map[string]string{"groups": "groups_direct"}),
		mails:    true,
		verified: strictly,
	},
	"oidc": {
		title: "OpenID Connect", connect: true,
		scopes:   []string{"openid", "profile", "email"},
		keep:     url.Values{"scope": {"offline_access"}},
		mapping:  standard,
		verified: strictly,
	},
	"issuer": {
		title: "Token issuer", connect: true, tokens: true,
		mapping:  standard,
		verified: strictly,
	},
	"oauth2": {
		title:    "OAuth 2.0",
		verified: strictly,
	},
	// docs/how-to/connector.md
	"connector": {
		title: "Connector", connector: true,
		mapping:  with(standard, map[string]string{"groups": "groups"}),
		verified: strictly,
	},
}

// common are the options of every kind. auth is "basic" or "post": where the client secret goes.
// email_verified is "boolean", "text" (the strings "true" and "false" too, as some send
// them), or "always": every address that the provider names counts as verified.
var common = map[string]string{"auth": "", "email_verified": ""}

// Kinds returns the names of the kinds of providers, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// standard is OpenID Connect Core §5.1, as far as it says who somebody is.
var standard = func() map[string]string {
	m := map[string]string{"sub": "sub", "email": "email", "email_verified": "email_verified"}
	for _, name := range claimNames {
		m[name] = name
	}
	return m
}()

// claimNames are the claims that are taken over as texts.
var claimNames = []string{"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile",
	"picture", "website", "gender", "birthdate", "zoneinfo", "locale"}

func with(m, more map[string]string) map[string]string {
	m = maps.Clone(m)
	maps.Copy(m, more)
	return m
}

// strictly is OpenID Connect Core §5.1: a JSON boolean. What is missing is false.
func strictly(v any) (verified, ok bool) {
	if v == nil {
		return false, true
	}
	verified, ok = v.(bool)
	return verified, ok
}

// asText takes the texts too.
func asText(v any) (verified, ok bool) {
	if s, text := v.(string); text {
		return s == "true", s == "true" || s == "false"
	}
	return strictly(v)
}

// loosely is xms_edov, which is documented as a boolean and was seen as 1: everything else is no.
func loosely(v any) (verified, ok bool) {
	return v == true || v == json.Number("1") || v == "1", true
}

// option returns an option of the provider, or the kind's default.
func (p *Provider) option(name string) string {
	fallback := ""
	if k := kinds[p.Kind]; k != nil && k.options[name] != required {
		fallback = k.options[name]
	}
	value := cmp.Or(p.Options[name], fallback)
	if name == "tenant" && value == "consumers" {
		return consumers
	}
	return value
}

// consumers is the tenant of personal accounts at Microsoft, which its metadata goes by.
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// fill puts the provider's options into an address of its kind.
func (p *Provider) fill(address string) string {
	for name := range kinds[p.Kind].options {
		address = strings.ReplaceAll(address, "{"+name+"}", p.option(name))
	}
	return address
}

// issuer returns who must have signed its ID tokens, and who has the discovery document.
func (p *Provider) issuer() string { return cmp.Or(p.Issuer, p.fill(kinds[p.Kind].issuer)) }

// placesOf returns the addresses that are known without asking: the row's, then its kind's.
func placesOf(p *Provider) places {
	k := kinds[p.Kind]
	known := places{
		Authorize: cmp.Or(p.AuthorizeURL, p.fill(k.places.Authorize)),
		Token:     cmp.Or(p.TokenURL, p.fill(k.places.Token)),
		UserInfo:  cmp.Or(p.UserInfoURL, p.fill(k.places.UserInfo)),
		JWKS:      cmp.Or(p.JWKSURL, p.fill(k.places.JWKS)),
	}
	public := p.Kind == "github" && p.option("host") == "github.com"
	if public && p.UserInfoURL == "" {
		known.UserInfo = "https://api.github.com/user"
	}
	known.Revoke = p.RevokeURL
	// Tokens of a server somewhere else are not shown to the one that it speaks like.
	if p.RevokeURL == "" && p.Issuer == "" && p.TokenURL == "" {
		known.Revoke = strings.ReplaceAll(p.fill(k.places.Revoke), "{client_id}", url.PathEscape(p.ClientID))
		if public {
			known.Revoke = strings.Replace(known.Revoke, "github.com/api/v3", "api.github.com", 1)
		}
	}
	return known
}

// path returns where one of our claims is in the provider's answer, or "".
func (p *Provider) path(claim string) string {
	return cmp.Or(p.Mapping[claim], kinds[p.Kind].mapping[claim])
}

// reader returns how the provider says that an address was verified.
func (p *Provider) reader() func(v any) (verified, ok bool) {
	switch p.option("email_verified") {
	case "boolean":
		return strictly
	case "text":
		return asText
	case "always":
		return func(any) (bool, bool) { return true, true }
	}
	return kinds[p.Kind].verified
}
