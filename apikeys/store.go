package apikeys

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Errors that callers branch on.
var (
	// ErrNotFound means that there is no such key or service account.
	ErrNotFound = errors.New("apikeys: not found")
	// ErrExists means that a key with that id or digest, or a service account with that name,
	// is there already.
	ErrExists = errors.New("apikeys: exists already")
	// ErrFull means that an owner has as many keys as the operator allows.
	ErrFull = errors.New("apikeys: the owner has too many keys")
	// ErrConflict means that somebody else was faster, or that what is revoked or replaced
	// can't be changed any more.
	ErrConflict = errors.New("apikeys: it was changed, replaced or revoked meanwhile")
)

// A Key is an API key as the database remembers it: everything but the key.
type Key struct {
	ID        string // 11 base62 characters, as inside the key
	Kind      string // secret.KindOrganizationKey and so on, or [KindImported]
	OwnerType string // "instance", "account" or "service"
	OwnerID   string // empty for the instance
	Name      string
	Digest    []byte   // SHA-256 of the whole key
	Scopes    []string // none: nothing
	Audience  []string // none: no resource that asks for its own name
	Allow     []string // networks it may be used from, in CIDR notation; none: from anywhere
	Deny      []string // networks it may not be used from; they win over Allow
	Limits    []string // as [Limit.String] writes them; none: no limit
	Quota     Quota    // its ID is empty if there is none
	Metadata  json.RawMessage

	CreatedAt  time.Time
	CreatedBy  string
	CreatedVia string
	UpdatedAt  time.Time
	NotBefore  time.Time     // zero: from the start
	ExpiresAt  time.Time     // zero: never. Only the operator's own admin key may be so
	IdleExpiry time.Duration // it is disabled when it was not used for so long; 0: it is not
	Disabled   bool
	RevokedAt  time.Time // zero if it is not revoked
	Leaked     bool      // it was revoked because somebody else has it
	Reason     string    // why it is disabled or revoked, for people
	Replaces   string    // the key that this one was rotated from
	ReplacedBy string    // the key that this one was rotated to
	GraceUntil time.Time // until when a replaced key still works
	Version    int64     // goes up with every change

	LastUsedAt  time.Time // zero: never. As exact as [FlushEvery]
	LastAddress string
	Uses        int64
}

// A Service is a program that owns keys: a service account.
type Service struct {
	ID          string // "svc_…"
	Name        string // no two have the same
	Description string
	CreatedAt   time.Time
	CreatedBy   string
	DisabledAt  time.Time // zero if it is enabled
}

// An Event is an entry of the audit log: who changed what, when and from where.
type Event struct {
	ID        string // in order of time
	At        time.Time
	Actor     string // the credential, account or part of the server that did it
	Via       string // "api", "server"
	Action    string // "key.add" and so on
	Ref       string // the id of what was changed
	Detail    string // what about it. Never a secret
	Address   string
	RequestID string
}

// A Use is what happened to a key since the last one.
type Use struct {
	ID      string
	At      time.Time // the last time
	Uses    int64
	Address string   // of the last time
	Scopes  []string // scopes that it was used for, and that no Use has told yet
}

// A Page asks for a part of a list: Limit entries after the id After, in order of id.
type Page struct {
	After string // empty: from the start
	Limit int    // 1 to 1000
}

// A Store remembers keys, service accounts and what was changed. Every method is one
// transaction. Whatever takes an [Event] happens together with its entry in the audit log, at
// the event's time, or neither happens; other copies of the server hear of it.
type Store interface {
	// Key returns a key by its id, and KeyByDigest by the SHA-256 of the whole key, whatever
	// its state, or [ErrNotFound].
	Key(ctx context.Context, id string) (Key, error)
	KeyByDigest(ctx context.Context, digest []byte) (Key, error)
	// Standing is Key for verification: it leaves out how the key was used, and says whether
	// its owner is there and enabled.
	Standing(ctx context.Context, id string) (k Key, owner bool, err error)
	// Keys lists keys by id; of one owner, or all if ownerID is empty.
	Keys(ctx context.Context, p Page, ownerID string) ([]Key, error)
	// Imported returns the id and the digest of every key of the kind [KindImported].
	Imported(ctx context.Context) (map[[32]byte]string, error)
	// OwnerStands says whether an account or a service account is there and enabled.
	OwnerStands(ctx context.Context, ownerType, ownerID string) (bool, error)

	// AddKey remembers a new key, with its quota if there is none with that ID yet, or returns
	// [ErrExists] and changes nothing. With most, so does [ErrFull] if the owner has that many keys
	// that are good or were made in the last day.
	AddKey(ctx context.Context, k Key, most int, e Event) error
	// SetKey sets the quota, too, unless its Amount is 0: then the quota with its ID stays as it is.
	// SetKey replaces Name, Scopes, Audience, Allow, Deny, Limits, Quota, Metadata, NotBefore,
	// ExpiresAt and IdleExpiry of a key that is still of the version of k and not revoked: [ErrConflict]
	// otherwise.
	SetKey(ctx context.Context, k Key, e Event) error
	// DisableKey and EnableKey refuse a key for a while. [ErrNotFound]; [ErrConflict] if it is
	// revoked. Doing it again changes nothing but the reason.
	DisableKey(ctx context.Context, id, reason string, e Event) error
	EnableKey(ctx context.Context, id string, e Event) error
	// RevokeKey revokes a key for good, or returns [ErrNotFound]. Doing it again changes
	// nothing, but that a revoked key can still turn out to be leaked. Of a leak it makes a notice.
	RevokeKey(ctx context.Context, id, reason string, leaked bool, e Event) error
	// NoteKey writes an event down about a key and changes nothing of it, or returns [ErrNotFound].
	NoteKey(ctx context.Context, id string, e Event) error
	// RotateKey adds next in place of the key that it Replaces, which works until grace ends.
	// Of any number of callers one wins; [ErrConflict] for the others, for a key that was
	// replaced or revoked before, and [ErrNotFound] for one that isn't there.
	RotateKey(ctx context.Context, next Key, grace time.Time, e Event) error

	// Quota returns a quota, or [ErrNotFound].
	Quota(ctx context.Context, id string) (Quota, error)
	// LeaseQuota takes a part off a quota for one copy of the server: a quarter of its share of what
	// is left, but not less than least, and not more than most, which is not less than least. It
	// fills the quota again first, if its period is over. Whatever happens at the same time, in all
	// copies, no more is lent in a period than there is: a Lease with nothing Lent if there is not
	// least. [ErrNotFound].
	LeaseQuota(ctx context.Context, id string, least, most int64, now time.Time) (Lease, error)
	// ReturnQuota gives back what was not spent of leases; of periods that are over, nothing.
	ReturnQuota(ctx context.Context, rests []Rest) error

	// TakeNotice returns a notice whose time to be told has come, of any number of callers to one: to
	// the others it comes again later, unless SetNotice says otherwise; with the zero time it never
	// does.
	TakeNotice(ctx context.Context, now, again time.Time) (n Notice, some bool, err error)
	SetNotice(ctx context.Context, id string, next time.Time) error
	// IdleKeys returns the ids of keys that were neither used nor changed for their IdleExpiry.
	// IdleKey disables one, if that is still so, and makes a notice of it.
	IdleKeys(ctx context.Context, now time.Time, most int) ([]string, error)
	IdleKey(ctx context.Context, id, reason string, e Event) error
	// RemindOfKeys makes a notice, once, of each good key that expires in less than before,
	// and not in less than after.
	RemindOfKeys(ctx context.Context, before, after time.Duration, now time.Time) error

	// UseKeys adds up how keys were used. It is no event.
	UseKeys(ctx context.Context, uses []Use) error
	// UsedScopes returns the scopes that keys with ids from from to to were ever used for.
	UsedScopes(ctx context.Context, from, to string) (map[string][]string, error)

	// Service returns a service account, or [ErrNotFound]. Services lists them by id; with a
	// name, that one.
	Service(ctx context.Context, id string) (Service, error)
	Services(ctx context.Context, p Page, name string) ([]Service, error)
	// AddService remembers a new service account, or returns [ErrExists].
	AddService(ctx context.Context, s Service, e Event) error
	// DisableService refuses every key of a service account, EnableService takes that back.
	DisableService(ctx context.Context, id string, e Event) error
	EnableService(ctx context.Context, id string, e Event) error
	// RemoveService forgets a service account and revokes its keys.
	RemoveService(ctx context.Context, id string, e Event) error

	// Events lists the audit log: the newest first and older than p.After or, with forward, the
	// oldest first and newer than it. A non-empty ref selects what happened to that.
	Events(ctx context.Context, p Page, ref string, forward bool) ([]Event, error)
}
