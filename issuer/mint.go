package issuer

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"mintmark/internal/secret"
	"mintmark/keys"
)

// A minting is what tokens are made of.
type minting struct {
	client   *Client
	a        *Authorization // nil: the client has it for itself
	scopes   []string
	audience []string // empty: the issuer
	now      time.Time
	most     time.Duration // how long the access token may be good; 0: as long as every one
}

// life is how long the access token is good.
func (p *Provider) life(m minting) time.Duration {
	if m.most > 0 {
		return m.most
	}
	if m.client.Key == nil {
		return p.AccessTTL
	}
	return m.client.Key.tokenLife(p.AccessTTL, m.now)
}

// mintAccess makes an access token. An opaque one comes with the row to remember: it is good
// only after that was stored.
func (p *Provider) mintAccess(m minting) ([]byte, *AccessToken, error) {
	if m.client.AccessTokenFormat == "opaque" {
		token, row := p.mintOpaque(m)
		return token, row, nil
	}
	o := newObject()
	defer o.free()
	p.accessClaims(o, m, secret.NewID(""))
	alg := keys.Alg(cmp.Or(m.client.AccessTokenAlg, string(keys.ES256)))
	token, err := p.Keys.Append(nil, alg, "at+jwt", o.end()) // RFC 9068 §2.1
	return token, nil, err
}

// accessClaims writes the claims of RFC 9068 §2.2, and ours: sid; what the token came from
// and is gone with: aid, the authorization, or akid, the API key; and limits.
func (p *Provider) accessClaims(o *object, m minting, jti string) {
	o.str("iss", p.Issuer)
	if key := m.client.Key; key != nil {
		o.str("sub", key.Subject)
	} else if m.a == nil {
		// §2.2: without a resource owner, "the value of sub SHOULD correspond to an identifier
		// the authorization server uses to indicate the client application".
		o.str("sub", m.client.ID)
	} else {
		o.str("sub", m.a.AccountID)
	}
	if len(m.audience) == 0 {
		o.str("aud", p.Issuer)
	} else {
		o.oneOrMany("aud", m.audience)
	}
	o.str("client_id", m.client.ID)
	o.num("exp", m.now.Add(p.life(m)).Unix())
	o.num("iat", m.now.Unix())
	o.str("jti", jti)
	if len(m.scopes) > 0 {
		o.words("scope", m.scopes)
	}
	if m.client.Key != nil {
		o.str("akid", m.client.Key.ID)
	}
	if m.a == nil {
		return
	}
	o.set("sid", m.a.SessionID)
	m.a.appendAuthentication(o)
	o.str("aid", m.a.ID)
	o.raw(claimLimits, m.a.Limits)
}

// appendAuthentication writes when and how the person signed in.
func (a *Authorization) appendAuthentication(o *object) {
	o.num("auth_time", a.AuthTime.Unix())
	o.set("acr", a.ACR)
	if len(a.AMR) > 0 {
		o.list("amr", a.AMR)
	}
}

func (p *Provider) mintOpaque(m minting) ([]byte, *AccessToken) {
	id := secret.NewID("")
	token := p.Mint.Issue(secret.KindAccess, id)
	digest := token.Digest()
	row := &AccessToken{
		ID:        id,
		Digest:    digest[:],
		ClientID:  m.client.ID,
		Scopes:    m.scopes,
		Audience:  m.audience,
		IssuedAt:  m.now,
		ExpiresAt: m.now.Add(p.life(m)),
	}
	if m.a != nil {
		row.AuthorizationID = m.a.ID
	}
	return []byte(token.Reveal()), row
}

// mintID makes an ID token, OpenID Connect Core §2, that goes with an access token. The
// nonce is empty at a refresh: Core §12.2, "it SHOULD NOT have a nonce Claim".
func (p *Provider) mintID(m minting, person *Person, access []byte, nonce string) ([]byte, error) {
	o := newObject()
	defer o.free()
	o.str("iss", p.Issuer)
	o.str("sub", m.a.AccountID)
	o.str("aud", m.client.ID) // the only audience, so that there is no azp
	o.num("exp", m.now.Add(p.IDTTL).Unix())
	o.num("iat", m.now.Unix())
	m.a.appendAuthentication(o) // auth_time always, so also if max_age was asked for
	o.set("idp", m.a.IdP)
	o.set("nonce", nonce)
	o.set("sid", m.a.SessionID)
	o.str("at_hash", halfHash(access))
	if m.a.Claims != "" {
		// Core §5.4: with an access token, what the scopes ask for is at the userinfo endpoint. Here
		// is only what the claims parameter wants here.
		asked, err := parseClaims(m.a.Claims)
		if err != nil {
			return nil, err
		}
		if err := tell(o, person, asked.IDToken, nil, m.client.Scopes); err != nil {
			return nil, err
		}
	}
	return p.Keys.Append(nil, keys.Alg(cmp.Or(m.client.IDTokenAlg, string(keys.RS256))), "JWT", o.end())
}

// halfHash is at_hash, Core §3.1.3.6: both of our algorithms hash with SHA-256.
func halfHash(token []byte) string {
	sum := sha256.Sum256(token)
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// mintAll makes the tokens that an authorization gives: an access token and, if the scopes
// hold openid, an ID token.
func (p *Provider) mintAll(m minting, person *Person, nonce string) (tokens, *AccessToken, error) {
	if refusal := p.stillRegistered(&m); refusal != nil {
		return tokens{}, nil, refusal
	}
	access, row, err := p.mintAccess(m)
	if err != nil {
		return tokens{}, nil, err
	}
	got := tokens{access: access, life: p.AccessTTL, scopes: m.scopes}
	if slices.Contains(m.scopes, "openid") {
		if got.id, err = p.mintID(m, person, access, nonce); err != nil {
			return tokens{}, nil, err
		}
	}
	return got, row, nil
}

// stillRegistered takes away what the client was registered for when the person allowed it, and
// is not any more: an operator who takes a scope or an audience back takes it from the tokens of
// a refresh too.
func (p *Provider) stillRegistered(m *minting) *Error {
	had := len(m.scopes)
	m.scopes = keep(m.scopes, func(s string) bool { return slices.Contains(m.client.Scopes, s) })
	if had > 0 && len(m.scopes) == 0 {
		return refuse("invalid_scope", "This client may use none of these scopes any more.")
	}
	had = len(m.audience)
	m.audience = keep(m.audience, func(s string) bool {
		return slices.Contains(m.client.Audience, s) || len(m.a.Audience) == 0 // the issuer, asked for by name
	})
	if had > 0 && len(m.audience) == 0 {
		// No audience would mean the issuer, and that was never allowed.
		return refuse("invalid_target", "This client may use none of these resources any more.")
	}
	return nil
}

// keep returns those of all that are wanted. What is given is not changed, and is returned
// itself if nothing has to go.
func keep(all []string, wanted func(string) bool) []string {
	if !slices.ContainsFunc(all, func(s string) bool { return !wanted(s) }) {
		return all
	}
	var kept []string
	for _, s := range all {
		if wanted(s) {
			kept = append(kept, s)
		}
	}
	return kept
}
