package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("accounts: not found")
	ErrExists   = errors.New("accounts: that e-mail address is taken")
	// ErrChanged means that the account was changed since it was read.
	ErrChanged = errors.New("accounts: it was changed meanwhile")
	// ErrLastAdmin means that nobody would be left who can look after this server.
	ErrLastAdmin = errors.New("accounts: the last enabled administrator must stay")
)

// An Account is a person.
type Account struct {
	ID            string // "usr_…", the sub claim
	Email         string // as the person writes it
	EmailKey      string // canonical form, unique: what sign-in and limits go by
	EmailVerified bool
	Name          string
	Role          string          // "" or "admin"
	Claims        json.RawMessage // further standard claims, OpenID Connect Core §5.1, as one JSON object; never email, email_verified, name, sub
	PasswordHash  string          // PHC string (argon2id) or an imported bcrypt hash; empty: no password
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DisabledAt    time.Time // zero if enabled
}

// A Session is a browser that a person signed in with.
type Session struct {
	ID        string // "ses_…", the sid claim; the 22 characters behind the prefix are the id inside the cookie
	AccountID string
	Digest    []byte    // SHA-256 of the cookie
	AuthTime  time.Time // when the person last signed in here
	AMR       []string  // RFC 8176
	ACR       string
	CreatedAt time.Time
	SeenAt    time.Time // written at most once a minute
	ExpiresAt time.Time // absolute end of life
	Address   string
	UserAgent string // at most 200 bytes
	EndedAt   time.Time
	EndReason string // "logout", "revoked", "replaced", "expired"

	// ProviderID is the upstream provider that says who it is, and IdP its name at that time.
	// Both are empty if the person proved it here.
	ProviderID string
	// Subject is the identity there by whose link they are signed in: the session ends with the link,
	// and when the provider is disabled or removed. Empty: there is none.
	Subject string
	IdP     string
	// ProvedAt is when the person proved it to that provider: zero if it did not say.
	ProvedAt time.Time
	// Limits are what that provider says they may do, as one JSON object, or empty: the limits claim.
	Limits string
}

// A Page asks for a part of a list: Limit entries after the id After, in order of id.
type Page struct {
	After string // empty: from the start
	Limit int    // 1 to 1000
}

// A Store remembers people and their sessions.
//
// Every method is one transaction: it happens completely or not at all, however many
// copies of the server there are. Implementations pass storagetest.Run.
type Store interface {
	Links

	// AddAccount remembers a new account, or returns [ErrExists] if its EmailKey is taken.
	AddAccount(ctx context.Context, a Account) error
	// AddFirstAdmin is AddAccount, but only while there is no account with the role
	// "admin": otherwise [ErrExists]. Of any number of callers one wins.
	AddFirstAdmin(ctx context.Context, a Account) error
	// HasAdmin says whether there is an account with the role "admin".
	HasAdmin(ctx context.Context) (bool, error)

	// Account and AccountByEmail return an account, disabled or not, or [ErrNotFound].
	Account(ctx context.Context, id string) (Account, error)
	AccountByEmail(ctx context.Context, emailKey string) (Account, error)
	// Accounts lists accounts by id. A non-empty emailKey selects that one.
	Accounts(ctx context.Context, p Page, emailKey string) ([]Account, error)

	// SetAccount replaces everything of an account but ID, CreatedAt, DisabledAt and
	// PasswordHash. It returns [ErrNotFound], [ErrExists] if the new address is taken,
	// [ErrChanged] if the stored UpdatedAt is another than was, or [ErrLastAdmin].
	//
	// ErrLastAdmin, here and below, means that the account is the only enabled one with the role
	// "admin", and would not be so any more: nothing changes. Of any number of callers who
	// between them would leave no such account, one is refused.
	SetAccount(ctx context.Context, a Account, was time.Time) error
	// SetPassword replaces the hash. If was is not empty, only while the stored hash
	// still equals it (a rehash at sign-in must not undo a change). If endSessions,
	// every session ends and every authorization is revoked in the same transaction.
	// It returns [ErrNotFound] if nothing was changed.
	SetPassword(ctx context.Context, id, was, hash string, endSessions bool, now time.Time) error
	// DisableAccount disables an account, ends its sessions and revokes its
	// authorizations, or returns [ErrNotFound] or [ErrLastAdmin]. EnableAccount enables it
	// again; what was ended stays ended.
	DisableAccount(ctx context.Context, id string, now time.Time) error
	EnableAccount(ctx context.Context, id string, now time.Time) error
	// RemoveAccount forgets an account with its sessions and consents and revokes its
	// authorizations, or returns [ErrNotFound] or [ErrLastAdmin].
	RemoveAccount(ctx context.Context, id string, now time.Time) error

	// StartSession remembers a new session of an account, or returns [ErrNotFound] if the
	// account is disabled or gone, or has another password hash than of: then it is not
	// known any more who is at the browser. One with a Subject begins by a link: it returns
	// [ErrProviderOff] if the provider is disabled or gone, and [ErrChanged] if the link is gone. If
	// endID is not empty, that session ends in the same transaction, with the reason "replaced".
	StartSession(ctx context.Context, s Session, of Account, endID string) error
	// RenewSession gives an unended session of the same account a new cookie digest, AuthTime,
	// AMR, ACR, SeenAt, ExpiresAt, Address, UserAgent, ProviderID, Subject, IdP, ProvedAt and Limits, or returns
	// [ErrNotFound], also if the link that Subject names is not good as in StartSession. The old cookie is dead from then on.
	// Whatever disables the account or changes its password ends the session, and so this needs no more.
	RenewSession(ctx context.Context, s Session) error
	// Session returns a session and its account, in any state, or [ErrNotFound].
	Session(ctx context.Context, id string) (Session, Account, error)
	// TouchSession moves SeenAt forward; never back.
	TouchSession(ctx context.Context, id string, now time.Time) error
	// EndSession ends a session, or returns [ErrNotFound]. The first reason stays. With the
	// reason "revoked" every authorization of that session is revoked in the same
	// transaction; with "logout" only those without offline access.
	EndSession(ctx context.Context, id, reason string, now time.Time) error
	// EndSessions ends every session of an account, as EndSession does.
	EndSessions(ctx context.Context, accountID, reason string, now time.Time) error
	// Sessions lists sessions that have not ended, by id; of one account, or of all if
	// accountID is empty.
	Sessions(ctx context.Context, p Page, accountID string, now time.Time) ([]Session, error)

	// Count adds one to the counter of key and returns its new value and the end of its
	// window. A counter whose window (of the given length) is over begins again at one.
	// Concurrent callers get different values.
	Count(ctx context.Context, key string, window time.Duration, now time.Time) (n int64, resets time.Time, err error)
	// Uncount takes one back from a counter, never below zero.
	Uncount(ctx context.Context, key string) error
	// ResetCount forgets a counter.
	ResetCount(ctx context.Context, key string) error

	// PutSetupCode remembers the digest of a one-time set-up code in place of any older one.
	PutSetupCode(ctx context.Context, digest []byte, expires time.Time) error
	// SetupWithCode spends the set-up code and adds the first admin, both or neither:
	// [ErrNotFound] if the code is unknown, spent or expired, [ErrExists] if there is an admin
	// or the address is taken.
	SetupWithCode(ctx context.Context, digest []byte, a Account, now time.Time) error
}
