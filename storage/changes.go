package storage

import (
	"context"
	"math"
	"time"

	"mintmark/internal/secret"
	"mintmark/revocations"
)

// Kinds of changes.
const (
	ClientChange     = "client"      // Ref is the client's id
	SigningKeyChange = "signing_key" // Ref is the kid
	APIKeyChange     = "api_key"     // Ref is the key's id
	ProviderChange   = "provider"    // Ref is an upstream provider's id
	OwnerChange      = "owner"       // Ref is an account or a service account that has API keys
	AskChange        = "ask"         // nothing changed: whoever reads this is asked to confirm it. See [DB.Ask]
	consentChange    = "consent"     // Ref is "account client"
)

// A Change says that something which a copy of the server may have cached is not as it was.
type Change struct {
	ID   string // names this change
	Kind string // [ClientChange] and so on
	Ref  string // which one
}

// Changes returns what became visible since a place, and the place after it. Programs older than
// this one say when they wrote, and not in which order: what they wrote since a time is returned
// every time. With again, so is everything since then, for a reader that lost its place. missed
// is true if there was more than can be read at once, or the place is of another epoch.
func (db *DB) Changes(ctx context.Context, from revocations.Place, since time.Time, again bool) (found []Change, to revocations.Place, missed bool, err error) {
	all := int64(math.MaxInt64)
	if again {
		all = micro(since)
	}
	to, err = db.news(ctx, "changes", `COALESCE(r.id, ''), COALESCE(r.kind, ''), COALESCE(r.ref, '')`,
		` OR r.seq = 0 AND r.at >= $3 OR r.at >= $4`, from,
		func(r row) error {
			var c Change
			err := r.into(&c.ID, &c.Kind, &c.Ref)
			found = append(found, c)
			return err
		}, since, all)
	return found, to, len(found) > revocations.MostNews || anotherEpoch(from, to), err
}

// changed announces a change, in the verb that makes it, and wakes the copies that listen. An
// announcement of what did not happen after all does no harm: somebody looks it up once more.
func (db *DB) changed(kind, ref string, at time.Time) statement {
	s := do(`INSERT INTO changes (id, kind, ref, at, seq) VALUES ($1, $2, $3, $4, `+db.numbered("changes")+`)`+db.engine.about().wake,
		secret.NewID(""), kind, ref, at)
	s.each = func(row) error { return nil }
	return s
}
