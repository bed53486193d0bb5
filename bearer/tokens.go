package bearer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// An Issuer is somebody whose JWTs are believed, and what they must be like. URL and
// Audiences have no default.
type Issuer struct {
	// URL is the claim iss, byte for byte. The keys are found from it by OpenID Connect
	// Discovery, unless one of the fields below says where they are.
	URL string
	// Audiences are the names of this service. A token must be for one of them.
	Audiences []string
	// Algorithms are the only ones that are believed, whatever a token says: of HS, RS, PS and
	// ES with 256, 384 and 512, and EdDSA. The default is ES256.
	Algorithms []string
	// Types are the values of the header typ that are believed, RFC 8725 §3.11. An empty string
	// allows tokens without typ. The default is at+jwt, RFC 9068, so that an ID token is not
	// taken for an access token. A foreign issuer may need {"JWT", ""}.
	Types []string

	// At most one of these. JWKSURL is where the keys are. JWKS, PEM (public keys or
	// certificates) and Secret (for HS256 and its like) are the keys.
	JWKSURL string
	JWKS    []byte
	PEM     []byte
	Secret  []byte

	// Skew is how far the clocks may be apart. The default, and the most, is 60 s.
	Skew time.Duration
	// StaleFor is how long after their max-age keys are still used while the issuer can't be
	// reached. The default is one hour; less than nothing means not at all.
	StaleFor time.Duration
	// Claims, if there is one, reads what else a principal needs from verified claims (JSON), and
	// may refuse it with ErrInvalid. It is asked once for each token, not once for each request.
	Claims func(claims []byte, p *Principal) error
	// Client fetches the keys. The default follows no redirects.
	Client *http.Client
}

// The bounds of the cache.
const (
	shards   = 16
	perShard = 1024 // verified tokens
	headers  = 256
	longText = 1 << 10 // of a token: of a longer one the digest is kept
)

// Tokens verifies the JWTs of the issuers that it was told to trust, and remembers each
// until it expires. It is a [Verifier].
type Tokens struct {
	issuers map[string]*trusted
	seed    maphash.Seed
	cache   [shards]*lru.Cache[uint64, *verified] // by the hash of the token
	headers *lru.Cache[string, header]            // of tokens that were good
}

type digest = [sha256.Size]byte

// A verified token.
type verified struct {
	text       string // the token, or nothing if it is long
	sum        digest // of a long one
	principal  Principal
	issuer     *trusted
	until      time.Time
	generation uint64 // of the keys that verified it
}

// trusted is an Issuer with its keys.
type trusted struct {
	Issuer
	keys *keySource
}

// NewTokens returns a verifier, or an error that says in one sentence what is wrong. It
// fetches nothing: an issuer that is away does not keep a service from starting.
func NewTokens(issuers ...Issuer) (*Tokens, error) {
	if len(issuers) == 0 {
		return nil, errors.New("bearer: there is no issuer whose tokens are to be believed")
	}
	t := &Tokens{issuers: map[string]*trusted{}, seed: maphash.MakeSeed()}
	for _, issuer := range issuers {
		if t.issuers[issuer.URL] != nil {
			return nil, fmt.Errorf("bearer: the issuer %s is there twice", issuer.URL)
		}
		i, err := trust(issuer)
		if err != nil {
			return nil, fmt.Errorf("bearer: the issuer %q: %w", issuer.URL, err)
		}
		t.issuers[issuer.URL] = i
	}
	for i := range t.cache {
		cache, err := lru.New[uint64, *verified](perShard)
		if err != nil {
			return nil, err
		}
		t.cache[i] = cache
	}
	var err error
	t.headers, err = lru.New[string, header](headers)
	return t, err
}

func trust(i Issuer) (*trusted, error) {
	if i.URL == "" {
		return nil, errors.New("it has no URL")
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return nil, errors.New("without Audiences, a token for any other service would be let in")
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{"ES256"}
	}
	hmac := 0
	for _, alg := range i.Algorithms {
		if algorithms[alg] == nil {
			return nil, fmt.Errorf("%q is not an algorithm that we verify", alg)
		}
		if strings.HasPrefix(alg, "HS") {
			hmac++
		}
	}
	if hmac > 0 && hmac < len(i.Algorithms) {
		// RFC 8725 §2.1: a public key must never be taken for a secret.
		return nil, errors.New("a shared secret and public keys can't both be trusted")
	}
	if len(i.Types) == 0 {
		i.Types = []string{"at+jwt"}
	}
	if i.Skew == 0 {
		i.Skew = time.Minute
	}
	if i.Skew < 0 || i.Skew > time.Minute {
		return nil, errors.New("the Skew is more than 60 s")
	}
	if i.StaleFor == 0 {
		i.StaleFor = time.Hour
	}
	keys, err := newKeySource(&i, hmac > 0)
	if err != nil {
		return nil, err
	}
	return &trusted{i, keys}, nil
}

// Verify says who shows a JWT.
func (t *Tokens) Verify(ctx context.Context, c Credential, now time.Time) (Principal, error) {
	p, err := t.lend(ctx, c, now)
	if err != nil {
		return Principal{}, err
	}
	return *p, nil
}

// lend implements [lender].
//
// A remembered token is found by a hash whose seed nobody knows, and then compared, byte for byte.
// The comparison takes longer the more they have in common, which is of no use to anybody: it only
// takes place if the hashes of the whole texts are the same. A SHA-256 of the token would take most
// of the time that a guard takes.
func (t *Tokens) lend(ctx context.Context, c Credential, now time.Time) (*Principal, error) {
	token := c.Text
	if len(token) > maxToken {
		return nil, ErrInvalid.because(errShape)
	}
	hash := maphash.String(t.seed, token)
	cache := t.cache[hash%shards]
	if v, ok := cache.Get(hash); ok && v.is(token) {
		set, err := v.issuer.keys.current(ctx, now)
		if err != nil {
			return nil, err
		}
		if v.generation == set.generation && now.Before(v.until) {
			return &v.principal, nil
		}
		cache.Remove(hash)
	}
	v, err := t.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	v.remember(token)
	cache.Add(hash, v)
	return &v.principal, nil
}

// remember keeps what [verified.is] compares. The text is cloned: it is a part of everything that
// the request had in its head.
func (v *verified) remember(token string) {
	if len(token) > longText {
		v.sum = sha256.Sum256([]byte(token))
		return
	}
	v.text = strings.Clone(token)
}

// is says whether it was this token that was verified.
func (v *verified) is(token string) bool {
	if len(token) > longText {
		sum := sha256.Sum256([]byte(token))
		return subtle.ConstantTimeCompare(sum[:], v.sum[:]) == 1
	}
	return v.text == token
}

// Forget forgets the verified tokens of these: a jti, sid, aid, akid, client or subject.
func (t *Tokens) Forget(ids ...string) {
	for _, cache := range t.cache {
		for _, hash := range cache.Keys() {
			if v, ok := cache.Peek(hash); ok && v.principal.goesBy(ids) {
				cache.Remove(hash)
			}
		}
	}
}

// verify checks a token that is not remembered. What is cheap comes first; the claims are
// believed only at the end, when the signature was good.
func (t *Tokens) verify(ctx context.Context, token string, now time.Time) (*verified, error) {
	j, err := parse(token, maxToken, t.headers.Get)
	if err != nil {
		return nil, ErrInvalid.because(err)
	}
	claims, err := parseClaims(j.payload)
	if err != nil {
		return nil, ErrInvalid.because(err)
	}
	issuer := t.issuers[claims.Issuer]
	if issuer == nil {
		return nil, ErrInvalid.because(errIssuer)
	}
	for _, c := range checks {
		if !c.holds(issuer, j, claims, now) {
			return nil, ErrInvalid.because(errors.New("it fails " + c.section))
		}
	}
	generation, err := issuer.keys.verify(ctx, j, now)
	if err != nil {
		return nil, err
	}
	// Only now: what anybody can send is not kept.
	if !t.headers.Contains(j.segment) {
		t.headers.Add(strings.Clone(j.segment), j.header)
	}
	v := &verified{
		principal: claims.principal(), issuer: issuer, generation: generation,
		until: claims.Expires.time().Add(issuer.Skew),
	}
	if issuer.Claims != nil {
		if err := issuer.Claims(j.payload, &v.principal); err != nil {
			return nil, err
		}
	}
	v.principal.Scopes = slices.Clip(v.principal.Scopes)
	return v, nil
}

var errIssuer = errors.New("its issuer is none that is trusted")

// checks is everything that a token must satisfy besides its signature, in order.
var checks = []struct {
	section string
	holds   func(i *trusted, j *jws, c *claimSet, now time.Time) bool
}{
	{"RFC 8725 §3.1, alg: the issuer's, not what the token says", func(i *trusted, j *jws, _ *claimSet, _ time.Time) bool {
		return slices.Contains(i.Algorithms, j.header.Alg)
	}},
	{"RFC 8725 §3.11, typ", func(i *trusted, j *jws, _ *claimSet, _ time.Time) bool {
		return slices.ContainsFunc(i.Types, func(typ string) bool { return sameType(typ, j.header.Typ) })
	}},
	{"RFC 9068 §2.2, sub", func(_ *trusted, _ *jws, c *claimSet, _ time.Time) bool { return c.Subject != "" }},
	{"RFC 9068 §4, aud", func(i *trusted, _ *jws, c *claimSet, _ time.Time) bool {
		return slices.ContainsFunc(c.Audience, func(name string) bool { return slices.Contains(i.Audiences, name) })
	}},
	{"RFC 7519 §4.1.4, exp, without which it would be good for ever", func(i *trusted, _ *jws, c *claimSet, now time.Time) bool {
		return c.Expires != nil && now.Before(c.Expires.time().Add(i.Skew))
	}},
	{"RFC 7519 §4.1.5, nbf", func(i *trusted, _ *jws, c *claimSet, now time.Time) bool {
		return c.NotBefore == nil || !now.Add(i.Skew).Before(c.NotBefore.time())
	}},
	{"RFC 7519 §4.1.6, iat, in the future", func(i *trusted, _ *jws, c *claimSet, now time.Time) bool {
		return c.IssuedAt == nil || !now.Add(i.Skew).Before(c.IssuedAt.time())
	}},
	// RFC 9449 §7.1, RFC 8705 §3: it is good only with a proof that this guard can't check. To
	// let it in without would make a bearer token of it.
	{"RFC 7800 §3.1, cnf", func(_ *trusted, _ *jws, c *claimSet, _ time.Time) bool { return c.Confirmation == nil }},
}

// sameType compares media types, RFC 7515 §4.1.9: "application/" may be left out, and the
// case does not matter.
func sameType(want, got string) bool {
	const prefix = "application/"
	if len(got) > len(prefix) && strings.EqualFold(got[:len(prefix)], prefix) {
		got = got[len(prefix):]
	}
	return strings.EqualFold(want, got)
}
