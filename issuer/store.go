package issuer

import (
	"context"
	"errors"
	"time"
)

// What a store answers and its callers branch on.
var (
	ErrNotFound = errors.New("issuer: not found")
	ErrExists   = errors.New("issuer: exists already")
	ErrAnswered = errors.New("issuer: the request was answered before")
	ErrSpent    = errors.New("issuer: spent, or no longer good")
	ErrReplayed = errors.New("issuer: used before")
	ErrChanged  = errors.New("issuer: it was changed meanwhile")
)

// A Store remembers what the issuer has promised.
//
// Every method is one transaction. It happens completely or not at all, and only
// once, whatever else is happening at the same time and in however many copies
// of the server. That is the only defence against two requests racing to spend
// the same code, so implementations must pass storagetest.Run. A write has been
// made durable when its method returns nil. An error that is none of this package's
// means that the outcome is unknown.
type Store interface {
	// Client returns a client with its secrets, disabled or not, or [ErrNotFound].
	Client(ctx context.Context, id string) (Client, error)

	// Consent returns what a person allowed a client, or [ErrNotFound].
	Consent(ctx context.Context, accountID, clientID string) (Consent, error)

	// Answer remembers an authorization with its unspent code and, if consent is not nil,
	// the consent (its scopes are added to those remembered). It returns [ErrAnswered] and
	// changes nothing if there is an authorization with that id: a request is answered
	// once. It returns [ErrSpent] and changes nothing if the account, the client or the
	// session is no longer good.
	Answer(ctx context.Context, a Authorization, consent *Consent) error

	// AnswerAgain is Answer for a person who is not asked, because they allowed the client as
	// much before: relied is that consent, as it was read. It returns [ErrNotFound] and changes
	// nothing if the consent was revoked since, also when another was given after it. If both
	// happen at the same moment, either the consent is gone first, or the authorization is
	// there and [Registry].RevokeConsent revokes it.
	AnswerAgain(ctx context.Context, a Authorization, relied Consent) error

	// Refuse remembers that the request of that id was denied, so that it can't be
	// answered any more, or returns [ErrAnswered].
	Refuse(ctx context.Context, id, clientID string, now, forgetAt time.Time) error

	// Standing returns an authorization, in any state, with its person and what stands
	// against it at that moment, or [ErrNotFound]. jti may be empty.
	Standing(ctx context.Context, id, jti string, now time.Time) (Standing, error)

	// RedeemCode spends the code and stores what it bought. It returns [ErrSpent] and
	// changes nothing if the code is spent or expired, the digest is another one, or the
	// authorization, its client, account or session (unless Offline) is no longer good.
	RedeemCode(ctx context.Context, r Redemption) error

	// RotateRefresh moves a family from r.Generation to the next. It returns [ErrSpent] and
	// changes nothing if the family is at another generation, past its times or no longer
	// good. Of any number of callers with the same generation one wins.
	RotateRefresh(ctx context.Context, r Rotation) error

	// SaveAccessToken remembers an opaque access token that no code or refresh token bought.
	SaveAccessToken(ctx context.Context, t AccessToken) error
	// AccessToken returns an opaque access token and, if it has an authorization, its
	// standing; without one only ClientGone and TokenRevoked of the standing are set. Or [ErrNotFound].
	AccessToken(ctx context.Context, id string, now time.Time) (AccessToken, Standing, error)

	// ClientTokenStanding says what stands against a JWT access token that a client got for
	// itself: ClientGone, TokenRevoked.
	ClientTokenStanding(ctx context.Context, clientID, jti string) (Standing, error)

	// RevokeToken puts the jti of an access token, JWT or opaque, on the deny list until it
	// would have expired.
	RevokeToken(ctx context.Context, jti string, until time.Time) error

	// RevokeAuthorization revokes an authorization and so everything that came from it. The
	// first reason stays. An unknown id changes nothing.
	RevokeAuthorization(ctx context.Context, id, reason string, now time.Time) error

	// UseAssertion remembers the jti of a client assertion until it expires, or returns
	// [ErrReplayed] if it was used before, on any copy.
	UseAssertion(ctx context.Context, clientID, jti string, until time.Time) error
}

// A Redemption is the spending of a code, and what it buys.
type Redemption struct {
	ID         string // of the authorization
	CodeDigest []byte
	Now        time.Time

	// A family of refresh tokens begins if Seed is not empty.
	Seed      []byte
	IdleUntil time.Time
	ExpiresAt time.Time // absolute
	ForgetAt  time.Time

	Access *AccessToken // an opaque access token to remember, or nil
}

// A Rotation is one use of a refresh token.
type Rotation struct {
	ID         string // of the authorization
	Generation int64  // of the token that was shown
	Now        time.Time
	IdleUntil  time.Time
	Access     *AccessToken
}

// A Page asks for a part of a list: Limit entries after the id After, in order of id.
type Page struct {
	After string
	Limit int // 1 to 1000
}

// A Registry is how clients and consents are looked after. Every method is one transaction
// and is announced to every copy of the server, which forgets what it had cached.
type Registry interface {
	Client(ctx context.Context, id string) (Client, error)
	Clients(ctx context.Context, p Page) ([]Client, error)
	// AddClient returns [ErrExists] if the id is taken.
	AddClient(ctx context.Context, c Client) error
	// SetClient replaces everything of a client but ID, Secrets, CreatedAt and DisabledAt. It
	// returns [ErrNotFound], or [ErrChanged] if the stored UpdatedAt is another than was.
	SetClient(ctx context.Context, c Client, was time.Time) error
	// SetClientSecrets replaces the secrets, if the stored ones still were the given ones
	// (compared by their hashes): otherwise [ErrNotFound] and nothing changes.
	SetClientSecrets(ctx context.Context, id string, was, secrets []ClientSecret, now time.Time) error
	// DisableClient disables a client; its tokens are refused while it is disabled.
	DisableClient(ctx context.Context, id string, now time.Time) error
	EnableClient(ctx context.Context, id string, now time.Time) error
	// RemoveClient forgets a client and its consents and revokes its authorizations.
	RemoveClient(ctx context.Context, id string, now time.Time) error

	// Consents lists what people allowed which clients, by account and client; only of one
	// account or client if given. After is "account client" of the last entry.
	Consents(ctx context.Context, p Page, accountID, clientID string) ([]Consent, error)
	// RevokeConsent forgets a consent and revokes every authorization of that person for
	// that client, or returns [ErrNotFound] if there is neither.
	RevokeConsent(ctx context.Context, accountID, clientID string, now time.Time) error
}
