package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mintmark/bearer"
)

// ErrOutside: a token that somebody brings along is not good, whatever is wrong with it. What it is,
// is in the error, for the log.
var ErrOutside = errors.New("upstream: the token is not good")

// maxOutside is how far ahead the end of a token may be that is brought along. Whoever steals
// one has it for so long.
const maxOutside = time.Hour

// An outsider is a token whose signature is good, with what its claims are compared with.
type outsider struct {
	document
	p     *Provider
	known places
	now   time.Time
}

// outsideChecks is everything that the claims of a token must satisfy that somebody brings along, in
// order: RFC 7523 §3, by the numbers of its list.
var outsideChecks = []struct {
	section string
	holds   func(t *outsider) bool
}{
	{"RFC 7523 §3, 1: iss, byte for byte", func(t *outsider) bool { return t.text("iss") == t.p.KnownIssuer() }},
	{"RFC 7523 §3, 2: sub", func(t *outsider) bool { return isSubject(t.text("sub")) }},
	// A second audience is somebody to whom it was sent as well, and who could show it to us.
	{"RFC 7523 §3, 3: aud is one of ours, alone", func(t *outsider) bool {
		list, ok := t.texts("aud")
		return ok && len(list) == 1 && slices.Contains(t.p.TokenAudiences, list[0])
	}},
	{"RFC 7523 §3, 4: exp, not too far ahead", func(t *outsider) bool {
		exp, ok := t.moment("exp")
		return ok && t.now.Before(exp) && !exp.After(t.now.Add(maxOutside+skew))
	}},
	{"RFC 7523 §3, 5: nbf", func(t *outsider) bool {
		nbf, ok := t.moment("nbf")
		return ok && !t.now.Add(skew).Before(nbf)
	}},
	{"RFC 7523 §3, 6: iat", func(t *outsider) bool {
		iat, ok := t.moment("iat")
		return ok && !t.now.Add(skew).Before(iat)
	}},
	{"RFC 7523 §3, 7: jti is a text", func(t *outsider) bool {
		_, there := t.document["jti"]
		return !there || t.text("jti") != "" && len(t.text("jti")) <= 255
	}},
	{"OpenID Connect Core §2: auth_time is a time, and not to come", func(t *outsider) bool {
		at, ok := t.moment("auth_time")
		return ok && !t.now.Add(skew).Before(at)
	}},
	// RFC 8725 §3.12: what tells of an event (RFC 8417, logout tokens) says nothing about who shows it.
	{"RFC 8417 §2.2: no events", func(t *outsider) bool { _, told := t.document["events"]; return !told }},
	// RFC 7800 §3.1: it is good only with a proof that we can't check here.
	{"RFC 7800 §3.1: no cnf", func(t *outsider) bool { _, bound := t.document["cnf"]; return !bound }},
}

// Outside says who a token is about that somebody brings along from a provider, whose row says
// for which audience (TokenAudiences). It is good once: a second time, on whatever copy of the
// server, is refused.
//
// Nobody is asked for anything because of a token of an issuer that is in no row. The error is
// [ErrOutside], [ErrAway] if the keys can't be had, or ours.
func (g *Registry) Outside(ctx context.Context, token string, now time.Time) (Provider, Identity, error) {
	return g.person(ctx, token, false, now)
}

// OutsideForSession is Outside for whoever wants a session for the token, which is more than a client of
// ours gets for it: the row must say TokenSessions.
func (g *Registry) OutsideForSession(ctx context.Context, token string, now time.Time) (Provider, Identity, error) {
	return g.person(ctx, token, true, now)
}

func (g *Registry) person(ctx context.Context, token string, session bool, now time.Time) (Provider, Identity, error) {
	var who Identity
	p, err := g.brought(ctx, token, now, func(t *talk, known places, claims document) (once bool, err error) {
		if session && !t.p.TokenSessions {
			return false, fmt.Errorf("%w: the row of %s does not say token_sessions", ErrOutside, t.p.Name)
		}
		if len(t.p.TokenRules) > 0 {
			// Of an issuer whose customers choose the audience, anybody in the world could arrive.
			return false, fmt.Errorf("%w: the row of %s is for programs, and not for people", ErrOutside, t.p.Name)
		}
		if who, err = t.identify([]document{claims}, known); err != nil {
			return false, fmt.Errorf("%w: %w", ErrOutside, err)
		}
		who.ExpiresAt, _ = claims.moment("exp")
		who.AuthTime = provedBy(who.AuthTime, claims, now)
		return true, nil
	})
	return p, who, err
}

// provedBy is when the person of a token has proved who they are, at the latest: when the token was made, if it
// does not say. One that says neither proves nothing fresh.
func provedBy(said time.Time, claims document, now time.Time) time.Time {
	if !said.IsZero() {
		return said
	}
	made, _ := claims.moment("iat")
	switch {
	case made.IsZero():
		return time.Unix(1, 0)
	case made.After(now): // its clock is ahead
		return now
	}
	return made
}

// brought checks a token that somebody brings along, and has read say whom it is about, and whether it is
// good only once: then it is spent.
func (g *Registry) brought(ctx context.Context, token string, now time.Time, read func(*talk, places, document) (once bool, err error)) (Provider, error) {
	p, jwt, err := g.issuerOf(ctx, token, now)
	if err != nil {
		return Provider{}, err
	}
	t := &talk{connection: g.connection(&p), ctx: ctx, p: &p, now: now}
	bounded := t.bounded
	if len(p.Keys) > 0 {
		bounded = func(f func() error) error { return f() } // nobody is asked, who could be away
	}
	err = bounded(func() error {
		known, err := t.signedAt()
		if err != nil {
			return err
		}
		claims, err := t.outsideClaims(known, jwt)
		if err != nil {
			return err
		}
		once, err := read(t, known, claims)
		if err != nil || !once {
			return err
		}
		return g.spend(t, token, claims)
	})
	if refusal, ok := errors.AsType[*Refusal](err); ok && !errors.Is(err, ErrOutside) {
		err = fmt.Errorf("%w: %w", ErrAway, refusal)
	}
	return p, err
}

// spend takes note that a token was used, or refuses one that was used before, on whatever copy.
func (g *Registry) spend(t *talk, token string, claims document) error {
	// Of the text without its signature: some signatures can be written in two ways.
	once := "token/" + token[:strings.LastIndexByte(token, '.')]
	if id := claims.text("jti"); id != "" {
		once = "jti/" + id
	}
	until, _ := claims.moment("exp")
	// By issuer: a row that was removed and added again must not take it a second time.
	err := g.Store.SpendState(t.ctx, digest("outside/"+t.p.KnownIssuer()+" "+once), until.Add(2*skew))
	if errors.Is(err, ErrSpent) {
		return fmt.Errorf("%w: it was used before", ErrOutside)
	}
	return err
}

// issuerOf finds the provider that a token says it is from, and believes nothing of it yet.
func (g *Registry) issuerOf(ctx context.Context, token string, now time.Time) (Provider, *bearer.JWT, error) {
	jwt, err := bearer.ParseJWT(token)
	if err != nil {
		return Provider{}, nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Provider{}, nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	claims, err := parseDocument(text)
	if err != nil {
		return Provider{}, nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	all, err := g.enabled(ctx, now)
	if err != nil {
		return Provider{}, nil, err
	}
	all = slices.DeleteFunc(all, func(p Provider) bool {
		return len(p.TokenAudiences) == 0 || !kinds[p.Kind].connect || p.KnownIssuer() != claims.text("iss")
	})
	if len(all) == 0 {
		return Provider{}, nil, fmt.Errorf("%w: its issuer is none whose tokens are taken", ErrOutside)
	}
	// There may be several rows of an issuer, for different audiences.
	meant, _ := claims.texts("aud") // more than one is refused later
	at := slices.IndexFunc(all, func(p Provider) bool { return len(meant) == 1 && slices.Contains(p.TokenAudiences, meant[0]) })
	return all[max(at, 0)], jwt, nil
}

// signedAt returns what has to be known of the issuer to check its tokens. Nobody is asked if the row has
// its keys.
func (t *talk) signedAt() (places, error) {
	if len(t.p.Keys) > 0 {
		return places{Issuer: t.p.issuer(), Algorithms: usualAlgorithms(t.p)}, nil
	}
	return t.places()
}

// signedWith returns the keys of the issuer's tokens.
func (t *talk) signedWith(known places) (*bearer.PublicKeys, error) {
	switch {
	case len(t.p.Keys) == 0:
		return t.keysAt(known.JWKS), nil
	case t.given == nil:
		return nil, fmt.Errorf("%w: the keys of its row can't be read", ErrAway)
	}
	return t.given, nil
}

// outsideClaims returns the claims of a token if it is signed and says what it must.
func (t *talk) outsideClaims(known places, jwt *bearer.JWT) (document, error) {
	algorithms := algorithmsOf(t.p, known)
	switch {
	case !slices.Contains(algorithms, jwt.Algorithm): // RFC 8725 §3.1: never what the token says
		return nil, fmt.Errorf("%w: alg is %.20q, and not one of %v", ErrOutside, jwt.Algorithm, algorithms)
	case !slices.Contains([]string{"", "jwt", "at+jwt"}, strings.ToLower(jwt.Type)): // §3.11
		return nil, fmt.Errorf("%w: typ is %.40q", ErrOutside, jwt.Type)
	}
	keys, err := t.signedWith(known)
	if err != nil {
		return nil, err
	}
	text, err := keys.Verify(t.ctx, jwt, algorithms, t.now)
	switch {
	case errors.Is(err, bearer.ErrUnavailable):
		if errors.Is(err, errSilent) {
			t.outcome = silent
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	d, err := parseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	for _, c := range outsideChecks {
		if !c.holds(&outsider{d, t.p, known, t.now}) {
			return nil, fmt.Errorf("%w: it fails %s", ErrOutside, c.section)
		}
	}
	return d, nil
}
