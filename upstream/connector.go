package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
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
	// The token is of a stranger: 1 to 8,192 bytes of UTF-8. The context ends after 5 seconds at most.
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
	answers    = 500 // that are remembered, on each copy of the server
)

// introductions are what connectors said a moment ago, and are being asked.
type introductions struct {
	flight singleflight.Group
	held   *lru.Cache[string, heard]
}

// heard is an answer: an identity, or that there is none.
type heard struct {
	who    Identity
	nobody error
	until  time.Time
}

func newIntroductions() (*introductions, error) {
	held, err := lru.New[string, heard](answers)
	return &introductions{held: held}, err
}

// Identify says who a token is about that somebody brings along, of the connector of a name. Who asks about
// one token at the same time, or soon after, gets the same answer, which is not to be changed.
//
// The error is [ErrOutside], [ErrAway] if the connector does not answer as it should, or ours.
func (g *Registry) Identify(ctx context.Context, name, token string, now time.Time) (Provider, Identity, error) {
	all, err := g.all(ctx, now)
	if err != nil {
		return Provider{}, Identity{}, err
	}
	p, ok := pick(all, name)
	switch {
	case !ok || !p.Enabled() || !kinds[p.Kind].connector:
		return Provider{}, Identity{}, fmt.Errorf("%w: there is no connector of this name", ErrOutside)
	case token == "" || len(token) > maxBrought || !utf8.ValidString(token):
		return Provider{}, Identity{}, fmt.Errorf("%w: it has %d bytes", ErrOutside, len(token))
	}
	// Of the row as it is: an answer of other settings is none.
	key := digest(fmt.Sprintf("identify/%s/%d/%s", p.ID, p.UpdatedAt.UnixMicro(), token))
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
		who, err := g.identify(alone, &p, token, now)
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
	h, ok := a.held.Get(key)
	if !ok || !now.Before(h.until) {
		return Identity{}, nil, false
	}
	return h.who, h.nobody, true
}

// remember keeps an answer for a while. That there was none is not kept: the breaker looks after that.
func (a *introductions) remember(key string, who Identity, err error, now time.Time) {
	until := now.Add(answerAge)
	switch {
	case errors.Is(err, ErrOutside):
		until = now.Add(refusalAge)
	case err != nil:
		return
	case !who.ExpiresAt.IsZero() && who.ExpiresAt.Before(until):
		until = who.ExpiresAt
	}
	a.held.Add(key, heard{who, err, until})
}

// identify asks the connector of a row.
func (g *Registry) identify(ctx context.Context, p *Provider, token string, now time.Time) (who Identity, err error) {
	t := &talk{connection: g.connection(p), ctx: ctx, p: p, now: now}
	err = t.bounded(func() error {
		if c := g.Connectors[p.Name]; c != nil {
			who, err = t.consult(c, token)
			return err
		}
		c, err := g.signed(t)
		if err == nil {
			who, err = c.Identify(t.ctx, token)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrOutside) {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	if err != nil {
		return Identity{}, err
	}
	return who, nil
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
