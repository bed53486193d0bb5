package upstream

import (
	"crypto"
	_ "crypto/sha256" // the hashes of at_hash
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mintmark/bearer"
)

// skew is how far the clocks may be apart.
const skew = time.Minute

// An idToken is one whose signature is good, with everything that its claims are compared with.
type idToken struct {
	document
	alg string

	p      *Provider
	known  places
	a      *attempt
	access string
	now    time.Time
}

// idTokenChecks is everything that the claims of an ID token must satisfy, in order: OpenID Connect
// Core §3.1.3.7, by the numbers of its list. Numbers 1, 4 to 6 and 12 don't apply or come before:
// we ask for no encryption, use no extensions, and verify the signature whatever the way it came.
var idTokenChecks = []struct {
	section string
	code    string
	holds   func(t *idToken) bool
}{
	{"§3.1.3.7, 2: the issuer \"MUST exactly match\"", "id_token_issuer", func(t *idToken) bool {
		return isIssuer(t.known.Issuer, t.text("iss"), tenantOf(t))
	}},
	{"§3.1.3.7, 3: the audience has us", "id_token_audience", func(t *idToken) bool {
		list, ok := t.texts("aud")
		return ok && len(list) <= 100 && slices.Contains(list, t.p.ClientID)
	}},
	{"§3.1.3.7, 3: and nobody else, unless the token says that it was given to us", "id_token_azp", func(t *idToken) bool {
		list, _ := t.texts("aud")
		return len(list) == 1 || t.text("azp") == t.p.ClientID
	}},
	{"§2, azp: \"It MUST contain the OAuth 2.0 Client ID of this party\"", "id_token_azp", func(t *idToken) bool {
		_, there := t.document["azp"]
		return !there || t.text("azp") == t.p.ClientID
	}},
	{"§3.1.3.7, 9: exp", "id_token_expired", func(t *idToken) bool {
		exp, ok := t.moment("exp")
		return ok && !exp.IsZero() && t.now.Before(exp.Add(skew))
	}},
	{"RFC 7519 §4.1.5, nbf", "id_token_early", func(t *idToken) bool {
		nbf, ok := t.moment("nbf")
		return ok && !t.now.Add(skew).Before(nbf)
	}},
	{"§3.1.3.7, 10: iat, not in the future, and not before we asked", "id_token_issued", func(t *idToken) bool {
		iat, ok := t.moment("iat")
		return ok && !iat.IsZero() && !t.now.Add(skew).Before(iat) && !iat.Add(skew).Before(t.a.begun())
	}},
	{"§3.1.3.7, 11: nonce", "id_token_nonce", func(t *idToken) bool {
		return subtle.ConstantTimeCompare([]byte(t.text("nonce")), []byte(t.a.Nonce)) == 1
	}},
	{"§3.1.3.8, at_hash", "id_token_at_hash", func(t *idToken) bool {
		_, there := t.document["at_hash"]
		return !there || t.text("at_hash") == halfHash(t.alg, t.access)
	}},
	{"§2, sub: \"MUST NOT exceed 255 ASCII characters\"", "bad_subject", func(t *idToken) bool {
		return isSubject(t.text("sub"))
	}},
	{"§2, auth_time is a time", "bad_id_token", func(t *idToken) bool {
		_, ok := t.moment("auth_time")
		return ok
	}},
	{"§3.1.3.7, 13: auth_time, if we asked for it, is not too old", "id_token_auth_time", func(t *idToken) bool {
		at, _ := t.moment("auth_time")
		// In seconds: as a duration, a large max_age would overflow.
		return t.a.MaxAge == nil || !at.IsZero() && t.a.begun().Sub(at.Add(skew)).Seconds() <= float64(*t.a.MaxAge)
	}},
}

// tenantOf is the tenant that a token of Microsoft's claims to be of. Its issuer must name the same.
func tenantOf(t *idToken) string {
	if !strings.Contains(t.known.Issuer, tenantID) {
		return ""
	}
	if tid := t.text("tid"); tid != "" {
		return tid
	}
	return "none"
}

// verify returns the claims of an ID token, if all of it is as it must be.
func (t *talk) verify(known places, a *attempt, tokens *granted) (document, error) {
	if tokens.id == "" {
		return nil, t.refuse("no_id_token", nil)
	}
	jwt, err := bearer.ParseJWT(tokens.id)
	if err != nil {
		return nil, t.refuse("bad_id_token", err)
	}
	algorithms := algorithmsOf(t.p, known)
	switch {
	case !slices.Contains(algorithms, jwt.Algorithm): // RFC 8725 §3.1: never what the token says
		return nil, t.refuse("id_token_algorithm", fmt.Errorf("alg is %.20q, and not one of %v", jwt.Algorithm, algorithms))
	case jwt.Type != "" && !strings.EqualFold(jwt.Type, "JWT"):
		// RFC 8725 §3.11. A logout token and a JWT access token say what they are.
		return nil, t.refuse("id_token_type", fmt.Errorf("typ is %.40q", jwt.Type))
	}
	claims, err := t.keysAt(known.JWKS).Verify(t.ctx, jwt, algorithms, t.now)
	switch {
	case errors.Is(err, bearer.ErrUnavailable):
		if errors.Is(err, errSilent) {
			t.outcome = silent
		}
		return nil, t.refuse("id_token_keys", err)
	case err != nil:
		return nil, t.refuse("id_token_signature", err)
	}
	d, err := parseDocument(claims)
	if err != nil {
		return nil, t.refuse("bad_id_token", err)
	}
	token := &idToken{d, jwt.Algorithm, t.p, known, a, tokens.access, t.now}
	for _, c := range idTokenChecks {
		if !c.holds(token) {
			return nil, t.refuse(c.code, fmt.Errorf("it fails OpenID Connect Core %s", c.section))
		}
	}
	tokens.claimed, _ = d.moment("exp")
	return d, nil
}

// algorithmsOf are those that a provider may sign with: its row's; otherwise what its metadata
// lists, which came over TLS from its issuer; otherwise RS256, which everybody must have
// (Core §15.1).
func algorithmsOf(p *Provider, known places) []string {
	switch {
	case len(p.Algorithms) > 0:
		return p.Algorithms
	case len(known.Algorithms) > 0:
		return known.Algorithms
	}
	return []string{"RS256"}
}

// halfHash is §3.1.3.6: "the left-most half of the hash".
func halfHash(alg, text string) string {
	hash := crypto.SHA512 // of Ed25519
	switch {
	case strings.HasSuffix(alg, "256"):
		hash = crypto.SHA256
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write([]byte(text))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// isSubject says whether a text can be somebody's name for a person.
func isSubject(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
