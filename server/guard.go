package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
)

// guards are the ways in for a credential: the same checks of how it is sent, and other
// verifiers behind them.
type guards struct {
	api     *bearer.Guard // of the admin API: keys only
	people  *bearer.Guard // of what people do for themselves over the API: everything but cookies
	forward *bearer.Guard // of /auth/verify: everything we issue
}

// newGuards makes the guards. What is refused is logged with the request, so that they log nothing.
func (s *Server) newGuards(at *url.URL) (g guards, err error) {
	keys := s.apiKeys.Verifier()
	common := bearer.Config{
		Keys:           keys,
		Realm:          "mintmark",
		Proxies:        s.cfg.TrustedProxies,
		ProxiesHaveTLS: s.https, // what else would an https issuer be behind
		Address:        address,
		Exposed:        newSeen(s).tell,
		Log:            slog.New(slog.DiscardHandler),
	}
	if g.api, err = bearer.New(common); err != nil {
		return guards{}, err
	}
	common.Keys = anyOfOurs{keys.(knower), s.provider, s.keyMint}
	common.Tokens = s.provider
	if g.people, err = bearer.New(common); err != nil {
		return guards{}, err
	}
	common.Session = s.sessionOf
	common.Origins = []string{at.Scheme + "://" + at.Host} // a session is of our own host only
	g.forward, err = bearer.New(common)
	return g, err
}

// A knower verifies credentials, and recognises them where they should not be.
type knower interface {
	bearer.Verifier
	Recognise(context.Context, bearer.Credential, time.Time) (bearer.Principal, error)
}

// anyOfOurs verifies whatever begins as our secrets do: API keys, and opaque access tokens.
type anyOfOurs struct {
	knower
	tokens knower
	mint   *secret.Mint
}

// Recognise implements [knower].
func (v anyOfOurs) Recognise(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	if _, opaque := v.mint.Parse(secret.KindAccess, c.Text); opaque {
		return v.tokens.Recognise(ctx, c, now)
	}
	return v.knower.Recognise(ctx, c, now)
}

// Verify implements [bearer.Verifier].
func (v anyOfOurs) Verify(ctx context.Context, c bearer.Credential, now time.Time) (bearer.Principal, error) {
	if _, opaque := v.mint.Parse(secret.KindAccess, c.Text); opaque {
		return v.tokens.Verify(ctx, c, now)
	}
	p, err := v.knower.Verify(ctx, c, now)
	if err == nil && apikeys.OwnerType(p) == apikeys.OwnerInstance {
		return bearer.Principal{}, bearer.ErrMethod // it opens the admin API, and nothing else
	}
	return p, err
}

// sessionOf says who is signed in at the browser of a request.
func (s *Server) sessionOf(r *http.Request, now time.Time) (bearer.Principal, bool, error) {
	x, who, ok, err := s.sessions.Current(r, now)
	if err != nil || !ok {
		return bearer.Principal{}, false, err
	}
	return bearer.Principal{
		Subject: who.ID, Method: bearer.MethodSession, Credential: x.ID, Session: x.ID, ExpiresAt: x.ExpiresAt,
		ACR: x.ACR, AMR: x.AMR, AuthTime: x.AuthTime,
	}, true, nil
}

// seen looks after good credentials that others may have seen.
type seen struct {
	s    *Server
	told *lru.Cache[string, time.Time] // of which in clear text, and when
}

const (
	tellEvery = time.Hour // of a credential in clear text, which may come with every request
	tellMost  = 4096
)

func newSeen(s *Server) *seen {
	told, _ := lru.New[string, time.Time](tellMost) // only a size below one is an error
	return &seen{s, told}
}

// tell revokes what was in an address: those are in the logs and histories of everybody on the
// way. What came in clear text is written down, for its owner to replace.
func (e *seen) tell(ctx context.Context, p bearer.Principal, how *bearer.Error) {
	// Whoever hangs up does not keep it alive.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedPatience)
	defer cancel()
	now := time.Now()
	by := apikeys.By{Actor: "server", Via: "server", RequestID: RequestID(ctx), At: now}
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		by.Address = x.address.String()
	}
	inURL := errors.Is(how, bearer.ErrInURL)
	if !inURL {
		if at, ok := e.told.Get(p.Credential); ok && now.Sub(at) < tellEvery {
			return
		}
		e.told.Add(p.Credential, now)
	}
	var err error
	switch {
	case p.Method == bearer.MethodAPIKey && inURL:
		err = e.s.apiKeys.Revoke(ctx, p.Credential, "was sent in an address", true, by)
	case p.Method == bearer.MethodAPIKey:
		err = e.s.apiKeys.NoteClearText(ctx, p.Credential, by)
	case p.Method == bearer.MethodBearer && inURL:
		err = e.s.db.Issuer().RevokeToken(ctx, p.Credential, p.ExpiresAt)
	}
	level, done := slog.LevelWarn, "noted"
	if inURL {
		done = "revoked"
	}
	if err != nil {
		level, done = slog.LevelError, "not "+done
	}
	line := []slog.Attr{slog.String("how", how.Code), slog.String("credential", p.Credential), slog.String("kind", string(p.Method)),
		slog.String("it_is", done), slog.String("request_id", by.RequestID)}
	if err != nil {
		line = append(line, slog.Any("err", err))
	}
	e.s.log.LogAttrs(ctx, level, "a credential was sent so that others may have read it", line...)
}

// address is where a request comes from, as the edge sees it.
func address(r *http.Request) netip.Addr {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x.address
	}
	return remote(r)
}
