package apikeys

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound means that there is no such key.
var ErrNotFound = errors.New("apikeys: no such key")

// ErrExists means that a key with that id or digest is there already.
var ErrExists = errors.New("apikeys: that key exists already")

// A Key is an API key as the database remembers it: everything but the key.
type Key struct {
	ID        string // 11 base62 characters, as inside the key
	Kind      string // secret.KindOrganizationKey and so on
	OwnerType string // "instance", "account", "service" or "organization"
	OwnerID   string // empty for the instance
	Name      string
	Digest    []byte // SHA-256 of the whole key
	Scopes    []string
	Audience  []string
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time // zero: never. Only the operator's own admin key may be so
	Disabled  bool
	RevokedAt time.Time // zero if it is not revoked
	Version   int64     // goes up with every change
}

// A Store remembers keys. Every method is one transaction.
type Store interface {
	// Key returns a key by its id, whatever its state, or [ErrNotFound].
	Key(ctx context.Context, id string) (Key, error)

	// AddKey remembers a new key, or returns [ErrExists] and changes nothing.
	AddKey(ctx context.Context, k Key) error

	// RevokeKey revokes a key for good, or returns [ErrNotFound]. Doing it again changes nothing.
	RevokeKey(ctx context.Context, id string, now time.Time) error
}
