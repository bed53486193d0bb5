package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"mintmark/internal/secret"
)

// A Connector says whose a token is, for a system whose tokens say nothing by themselves: a random
// text that only that system knows. It must be safe for concurrent use.
//
// Connectors of a program that embeds this package are in [Config.Connectors]. For every other row of
// the kind connector, its ConnectorURL is asked: docs/how-to/connector.md.
type Connector interface {
	// Identify says who a token is about: Subject, Email, EmailVerified, Name, Claims, Groups, Limits
	// and ExpiresAt of an identity. Nothing else of it is looked at, and these are checked as those of a
	// stranger: roles come from the rules of the provider's row, and from nowhere else. Claims may have more members
	// than the standard ones, for those rules.
	//
	// [ErrOutside] means that the token is nobody's, or no longer good. Every other error means that it
	// can't be said now; it goes to the log, and the token must not be in it.
	//
	// The token is of a stranger: 1 to 8,192 bytes of UTF-8 without control characters. The server also asks about
	// a token that it made up, to see whether there is an answer. The context ends after 5 seconds at most.
	Identify(ctx context.Context, token string) (Identity, error)
}

// The limits of what connectors are asked.
const (
	maxBrought = 8 << 10 // bytes of a token
	// answerAge is how long an answer is believed, if what it says does not end before: so long is a
	// token good here that was withdrawn there.
	answerAge = time.Minute
	// refusalAge is the same for a token that is not good. It may be a moment later: whoever just got it
	// must not be refused for long.
	refusalAge = 2 * time.Second
	// That are remembered, on each copy of the server. Refusals have a place of their own: whoever makes up
	// tokens must not make the good ones forgotten.
	answers = 500
)

// introductions are what connectors said a moment ago, and are being asked.
type introductions struct {
	flight  singleflight.Group
	held    *lru.Cache[string, heard] // of somebody
	refused *lru.Cache[string, heard]
	askers  *askers
}

// heard is an answer: an identity, or that there is none.
type heard struct {
	who    Identity
	nobody error
	until  time.Time
}

func newIntroductions() (*introductions, error) {
	held, err := lru.New[string, heard](answers)
	refused, err2 := lru.New[string, heard](answers)
	askers, err3 := newAskers()
	return &introductions{held: held, refused: refused, askers: askers}, errors.Join(err, err2, err3)
}

// Shown is a token that a client shows, for which a connector is to be asked.
type Shown struct {
	Provider string // the name of the connector's row
	Client   string // the id of the client: what strangers make up costs it, and not the others
	Token    string
}

// Identify says who a token is about that somebody brings along, of the connector of a name. Who asks about
// one token at the same time, or soon after, gets the same answer, which is not to be changed.
//
// The error is [ErrOutside], [ErrAway] if the connector does not answer as it should or is asked too often, or ours.
func (g *Registry) Identify(ctx context.Context, s Shown, now time.Time) (Provider, Identity, error) {
	all, err := g.all(ctx, now)
	if err != nil {
		return Provider{}, Identity{}, err
	}
	p, ok := pick(all, s.Provider)
	switch {
	case !ok || !p.Enabled() || !kinds[p.Kind].connector:
		return Provider{}, Identity{}, fmt.Errorf("%w: there is no connector of this name", ErrOutside)
	case s.Token == "" || len(s.Token) > maxBrought || !utf8.ValidString(s.Token) || strings.ContainsFunc(s.Token, unicode.IsControl):
		return Provider{}, Identity{}, fmt.Errorf("%w: it is no text of 1 to %d bytes", ErrOutside, maxBrought)
	}
	// Of the row as it is: an answer of other settings is none.
	key := digest(fmt.Sprintf("identify/%s/%d/%s", p.ID, p.UpdatedAt.UnixMicro(), s.Token))
	who, err, known := g.introductions.answer(key, now)
	if known {
		return p, who, err
	}
	// Whoever asked first may hang up: the others wait for the same answer.
	answer := g.introductions.flight.DoChan(key, func() (any, error) {
		if who, err, known := g.introductions.answer(key, now); known {
			return who, err
		}
		alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience+g.Timeout)
		defer cancel()
		who, err := g.identify(alone, &p, s, now)
		g.introductions.remember(key, who, err, now)
		return who, err
	})
	enough := time.NewTimer(3*patience + g.Timeout) // for a connector of a program that does not look at its context
	defer enough.Stop()
	select {
	case r := <-answer:
		return p, r.Val.(Identity), r.Err
	case <-enough.C:
		return p, Identity{}, fmt.Errorf("%w: it takes too long", ErrAway)
	case <-ctx.Done():
		return p, Identity{}, ctx.Err()
	}
}

// answer returns what is remembered, if something is.
func (a *introductions) answer(key string, now time.Time) (who Identity, nobody error, known bool) {
	for _, list := range []*lru.Cache[string, heard]{a.held, a.refused} {
		if h, ok := list.Get(key); ok && now.Before(h.until) {
			return h.who, h.nobody, true
		}
	}
	return Identity{}, nil, false
}

// remember keeps an answer for a while. That there was none is not kept: the breaker looks after that.
func (a *introductions) remember(key string, who Identity, err error, now time.Time) {
	until, list := now.Add(answerAge), a.held
	switch {
	case errors.Is(err, ErrOutside):
		until, list = now.Add(refusalAge), a.refused
	case err != nil:
		return
	case !who.ExpiresAt.IsZero() && who.ExpiresAt.Before(until):
		until = who.ExpiresAt
	}
	list.Add(key, heard{who, err, until})
}

// identify asks the connector of a row, if it may be asked.
func (g *Registry) identify(ctx context.Context, p *Provider, s Shown, now time.Time) (who Identity, err error) {
	leave, err := g.introductions.askers.enter(ctx, p.ID, s.Client, now)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer func() {
		// Whom the breaker held back asked nothing.
		leave(err != nil && !errors.Is(err, errAway) && !errors.Is(err, errBusy))
	}()
	t := &talk{connection: g.connection(p), ctx: ctx, p: p, now: now}
	err = t.bounded(func() error {
		who, err = g.told(t, s.Token)
		return err
	})
	if err == nil {
		return who, nil
	}
	return Identity{}, withoutToken(s.Token, err)
}

// told asks the connector of a row about a token.
func (g *Registry) told(t *talk, token string) (Identity, error) {
	if c := g.Connectors[t.p.Name]; c != nil {
		return t.consult(c, token)
	}
	c, err := g.signed(t)
	if err != nil {
		return Identity{}, err
	}
	return c.Identify(t.ctx, token)
}

// ownQuestion asks a connector about a token that nobody has, as [Registry.knock] asks other providers: a
// stranger's token that something on the way drops must not keep the others out.
func (g *Registry) ownQuestion(c *connection, p *Provider) outcome {
	ctx, cancel := context.WithTimeout(g.running, c.timeout)
	defer cancel()
	t := &talk{connection: c, ctx: ctx, p: p, now: time.Now()}
	said := make(chan outcome, 1)
	go func() {
		_, _ = g.told(t, secret.Random62(43)) // what it says does not matter
		said <- t.outcome
	}()
	select {
	case o := <-said:
		return g.unlessEnding(o)
	case <-ctx.Done(): // one in Go may hang for ever
		return g.unlessEnding(silent)
	}
}

// withoutToken is an error for the log, which does not get the token: what does not speak our protocol may send
// back what it was sent, and that is in the texts of errors.
func withoutToken(token string, err error) error {
	kind := ErrAway
	if errors.Is(err, ErrOutside) {
		kind = ErrOutside
	}
	quoted := strconv.Quote(token)
	if text := err.Error(); strings.Contains(text, token) || strings.Contains(text, quoted[1:len(quoted)-1]) {
		return fmt.Errorf("%w: what it says has the token in it", kind)
	}
	if kind == ErrOutside {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// consult asks a connector of the program that embeds us.
func (t *talk) consult(c Connector, token string) (who Identity, err error) {
	defer func() {
		// It runs in a goroutine of ours, where its panic would end the server.
		if r := recover(); r != nil {
			t.outcome, who, err = silent, Identity{}, errors.New("the connector panicked")
		}
	}()
	said, err := c.Identify(t.ctx, token)
	t.outcome = answered
	if err != nil {
		if !errors.Is(err, ErrOutside) {
			t.outcome = silent
		}
		return Identity{}, err
	}
	d, err := retold(said)
	if err != nil {
		return Identity{}, err
	}
	plain := *t.p
	plain.Mapping = nil // it speaks our words
	t.p = &plain
	if who, err = t.introduced(d); err != nil {
		return Identity{}, err
	}
	who.ExpiresAt = said.ExpiresAt
	return who, t.over(who)
}

// retold is an identity in the words of the protocol: it is looked at like every other answer.
func retold(said Identity) (document, error) {
	d := map[string]any{}
	if len(said.Claims) > 0 {
		if err := json.Unmarshal(said.Claims, &d); err != nil || d == nil {
			return nil, errDocument
		}
	}
	more := map[string]any{"sub": said.Subject}
	if said.Name != "" {
		more["name"] = said.Name
	}
	delete(d, "email_verified") // of another address
	if said.Email != "" {
		more["email"], more["email_verified"] = said.Email, said.EmailVerified
	}
	if len(said.Groups) > 0 {
		more["groups"] = said.Groups
	}
	if len(said.Limits) > 0 {
		more["limits"] = said.Limits
	}
	maps.Copy(d, more)
	text, err := json.Marshal(d)
	if err != nil || len(text) > maxAnswer {
		return nil, errDocument
	}
	return parseDocument(text)
}

// introduced reads an identity from what a connector says.
func (t *talk) introduced(d document) (Identity, error) {
	who, err := t.identify([]document{d}, places{})
	if err != nil {
		return Identity{}, err
	}
	if who.Limits, err = limitsOf(d["limits"]); err != nil {
		return Identity{}, err
	}
	return who, nil
}

// over refuses who was somebody until now.
func (t *talk) over(who Identity) error {
	if !who.ExpiresAt.IsZero() && !t.now.Before(who.ExpiresAt) {
		return fmt.Errorf("%w: it is over", ErrOutside)
	}
	return nil
}
