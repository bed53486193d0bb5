package accounts

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// Why a session ended. What each reason does to the authorizations that began in the session
// is told at [Store].EndSession.
const (
	ReasonLogout   = "logout"   // the person signed out
	ReasonRevoked  = "revoked"  // somebody ended it from elsewhere
	ReasonReplaced = "replaced" // somebody else signed in at that browser
	ReasonExpired  = "expired"
)

const (
	defaultIdle = 12 * time.Hour
	defaultMax  = 30 * 24 * time.Hour
	touchEvery  = time.Minute
)

// Sessions remembers at which browsers somebody is signed in. It is safe for concurrent use.
//
// A session begins when a person shows who they are, and only then. It ends when it was not
// used for Idle, when the last sign-in is Max ago, when they sign out, when somebody
// ends it, and with their account. A person can have any number of sessions, one
// for each browser.
type Sessions struct {
	Store Store
	Mint  *secret.Mint

	// Idle is how long a session lasts unused: 12 hours if it is zero.
	Idle time.Duration
	// Max is how long a session lasts after the person last showed who they are, however
	// much it is used: 30 days if it is zero. A shorter one counts for the sessions
	// that there are, too.
	Max time.Duration

	// Secure is false only for an issuer on plain http, which is one on this machine.
	Secure bool

	// Log is [slog.Default] if it is nil.
	Log *slog.Logger
}

// CookieName returns the name of the cookie. With the prefix __Host- the browser takes it
// from nobody but this very host, and over TLS only (RFC 6265bis §4.1.3.2).
func (s *Sessions) CookieName() string {
	if s.Secure {
		return "__Host-mintmark_session"
	}
	return "mintmark_session"
}

// Begin makes the browser that sent r the browser of a, who has just shown who they are: amr
// is how (RFC 8176), acr what that is worth, address where from.
//
// The cookie is a new one each time, and the one before it is dead: whoever planted or read
// it has nothing (session fixation). If the browser's session was a's already, it goes on
// under the same id, so that its applications know it (sid), with its whole Max before it
// again. If it was somebody else's, it is replaced.
//
// It returns [ErrNotFound] if a was disabled or removed, or got another password, since a was
// read; [ErrProviderOff] or [ErrChanged] if it is by a link, and that is not good any more.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, a Account, amr []string, acr, address string, now time.Time) (Session, error) {
	return s.BeginWith(w, r, a, Proof{AMR: amr, ACR: acr}, address, now)
}

// A Proof is how a person has just shown who they are.
type Proof struct {
	AMR []string // RFC 8176
	ACR string
	// ProviderID, Subject, IdP, ProvedAt and Limits are those of [Session], if a provider says who it is.
	ProviderID, Subject, IdP, Limits string
	ProvedAt                         time.Time
	// Until is when the session ends at the latest, if that is before Max is over. Zero: it is not.
	Until time.Time
}

// BeginWith is [Sessions.Begin] with everything that can be said of the sign-in.
func (s *Sessions) BeginWith(w http.ResponseWriter, r *http.Request, a Account, how Proof, address string, now time.Time) (Session, error) {
	ctx := r.Context()
	old, _, state, err := s.presented(r, now)
	if err != nil {
		return Session{}, err
	}
	if state == good && old.AccountID == a.ID {
		renewed := s.fill(old, r, how, address, now)
		cookie := s.sign(&renewed)
		err := s.Store.RenewSession(ctx, renewed)
		if err == nil {
			s.give(w, cookie)
			return renewed, nil
		}
		// It ended a moment ago: they begin anew.
		if !errors.Is(err, ErrNotFound) {
			return Session{}, err
		}
	}
	fresh := s.fill(Session{ID: secret.NewID("ses"), AccountID: a.ID, CreatedAt: now}, r, how, address, now)
	cookie := s.sign(&fresh)
	endID := ""
	if state != none && old.EndedAt.IsZero() {
		endID = old.ID
	}
	if err := s.Store.StartSession(ctx, fresh, a, endID); err != nil {
		return Session{}, err
	}
	s.give(w, cookie)
	return fresh, nil
}

// fill writes down one sign-in.
func (s *Sessions) fill(x Session, r *http.Request, how Proof, address string, now time.Time) Session {
	x.AuthTime, x.SeenAt, x.ExpiresAt = now, now, now.Add(s.max())
	if !how.Until.IsZero() && how.Until.Before(x.ExpiresAt) {
		x.ExpiresAt = how.Until
	}
	x.AMR, x.ACR = how.AMR, how.ACR
	x.ProviderID, x.Subject, x.IdP, x.ProvedAt, x.Limits = how.ProviderID, how.Subject, how.IdP, how.ProvedAt, how.Limits
	x.Address = printable(address, 64)
	x.UserAgent = printable(r.UserAgent(), 200)
	return x
}

// sign mints the cookie of a session.
func (s *Sessions) sign(x *Session) secret.Token {
	cookie := s.Mint.Issue(secret.KindSession, strings.TrimPrefix(x.ID, sessionPrefix))
	digest := cookie.Digest()
	x.Digest = digest[:]
	return cookie
}

const sessionPrefix = "ses_"

// Current returns the session of the browser that sent r and whose it is. It is false for
// anything that is not good: no cookie, one that can't be read, two, one that was replaced, a
// session that ended or was unused for too long, a disabled account. The error is one of
// the store: then nobody is signed in either.
//
// It marks the session as used, at most once a minute.
func (s *Sessions) Current(r *http.Request, now time.Time) (Session, Account, bool, error) {
	x, a, state, err := s.presented(r, now)
	if err != nil || state != good {
		return Session{}, Account{}, false, err
	}
	if now.Sub(x.SeenAt) >= touchEvery {
		// A mark that is not made shortens the session, at worst.
		if err := s.Store.TouchSession(r.Context(), x.ID, now); err != nil {
			logger(s.Log).WarnContext(r.Context(), "a session is not marked as used", "session", x.ID, "err", err)
		} else {
			x.SeenAt = now
		}
	}
	return x, a, true, nil
}

// A state is what the cookie of a request is worth.
type state int

const (
	none state = iota // no session: no cookie, or none that we gave and still stand by
	past              // the cookie of a session that is over
	good
)

// presented finds the session whose cookie a request carries, and says what it is worth.
func (s *Sessions) presented(r *http.Request, now time.Time) (Session, Account, state, error) {
	cookie := s.cookie(r)
	id, ok := s.Mint.Parse(secret.KindSession, cookie)
	if !ok {
		return Session{}, Account{}, none, nil
	}
	x, a, err := s.Store.Session(r.Context(), sessionPrefix+id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, Account{}, none, nil
	case err != nil:
		return Session{}, Account{}, none, err
	case !secret.Wrap(cookie).Digest().Matches(x.Digest):
		return Session{}, Account{}, none, nil
	case !x.EndedAt.IsZero(), !s.alive(x, now), !a.DisabledAt.IsZero(), a.ID != x.AccountID:
		return x, a, past, nil
	}
	return x, a, good, nil
}

// alive says whether a session that nobody ended has not ended by itself.
func (s *Sessions) alive(x Session, now time.Time) bool {
	return now.Before(x.ExpiresAt) && now.Sub(x.AuthTime) < s.max() && now.Sub(x.SeenAt) < s.idle()
}

// End ends a session for a reason, and takes the cookie from the browser if w is not nil. It
// returns [ErrNotFound] if there is no such session.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, id, reason string, now time.Time) error {
	if err := s.Store.EndSession(ctx, id, reason, now); err != nil {
		return err
	}
	if w != nil {
		s.Clear(w)
	}
	return nil
}

// EndAll ends every session of an account, for a reason.
func (s *Sessions) EndAll(ctx context.Context, accountID, reason string, now time.Time) error {
	return s.Store.EndSessions(ctx, accountID, reason, now)
}

// List returns the sessions that have not ended, by id; of one account, or of all if accountID
// is empty. The limit of the page is held to 1 to 1000. Sessions that were unused for too
// long are among them until they are forgotten: [Sessions.Alive] tells.
func (s *Sessions) List(ctx context.Context, p Page, accountID string, now time.Time) ([]Session, error) {
	p.Limit = min(max(p.Limit, 1), 1000)
	return s.Store.Sessions(ctx, p, accountID, now)
}

// Alive says whether a browser could still go on with a session.
func (s *Sessions) Alive(x Session, now time.Time) bool {
	return x.EndedAt.IsZero() && s.alive(x, now)
}

func (s *Sessions) idle() time.Duration {
	if s.Idle > 0 {
		return s.Idle
	}
	return defaultIdle
}

func (s *Sessions) max() time.Duration {
	if s.Max > 0 {
		return s.Max
	}
	return defaultMax
}
