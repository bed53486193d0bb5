package storage

import (
	"context"
	"time"

	"mintmark/internal/secret"
)

// Kinds of changes.
const (
	ClientChange     = "client"      // Ref is the client's id
	SigningKeyChange = "signing_key" // Ref is the kid
	APIKeyChange     = "api_key"     // Ref is the key's id
	OwnerChange      = "owner"       // Ref is an account or a service account that has API keys
	consentChange    = "consent"     // Ref is "account client"
)

// A Change says that something which a copy of the server may have cached is not as it was.
type Change struct {
	ID   string // names this change: readers skip what they have seen
	Kind string // [ClientChange] and so on
	Ref  string // which one
}

// Changes returns what was changed at or after a time, oldest first. Clocks differ and
// transactions overtake each other, so readers look some seconds further back than they
// have to and skip the ids that they know.
func (db *DB) Changes(ctx context.Context, since time.Time) ([]Change, error) {
	columns := func(c *Change) into { return into{&c.ID, &c.Kind, &c.Ref} }
	return all(ctx, db, columns, `SELECT id, kind, ref FROM changes WHERE at >= $1 ORDER BY at, id`, since)
}

// changed announces a change, in the verb that makes it. An announcement of what did not
// happen after all does no harm: somebody looks it up once more.
func changed(kind, ref string, at time.Time) statement {
	return do(`INSERT INTO changes (id, kind, ref, at) VALUES ($1, $2, $3, $4)`,
		secret.NewID(""), kind, ref, at)
}
