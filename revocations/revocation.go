package revocations

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// The kinds of things that are revoked, and the claim that a token has of them.
const (
	Key           = "key"           // an API key: akid, or the key itself
	Authorization = "authorization" // what a person allowed an application: aid
	Session       = "session"       // a sign-in at a browser: sid
	Token         = "token"         // one access token: jti
	Account       = "account"       // a person or a service account: sub
	Client        = "client"        // an application: client_id
)

// A Revocation says that something is good no longer or, if it is not Revoked, that it is good
// again or was changed: what is remembered of it must be asked for anew.
type Revocation struct {
	Kind    string
	Ref     string    // the id of what was revoked
	Until   time.Time // from then on it does not matter: everything that it could concern has expired
	Revoked bool
}

// MarshalJSON writes it as services read it. The time is a NumericDate, RFC 7519 §2, rounded up.
func (r Revocation) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind    string `json:"kind"`
		Ref     string `json:"ref"`
		Until   int64  `json:"until"`
		Revoked bool   `json:"revoked"`
	}{r.Kind, r.Ref, (r.Until.UnixMicro() + 999_999) / 1_000_000, r.Revoked})
}

// A Place is up to where somebody has read. The zero value is now: what comes after it.
type Place struct {
	// Epoch names whoever gave the numbers: a database from its start to its end or its crash. In
	// another epoch the same number can be given once more, to something else.
	Epoch string
	// Low is below everything that may be new. It never decreases in an epoch, and is the same for all copies.
	Low int64
	// Seen says, in the words of the store, what at and above Low is old.
	Seen string
}

// Cursor is what services remember of a place.
func (p Place) Cursor() string { return p.Epoch + "." + strconv.FormatInt(p.Low, 10) }

// An At is one revocation in the order of all that there are.
type At struct {
	Seq       int64
	Kind, Ref string
}

// A Store remembers revocations. It is asked by every copy of the server on its own.
type Store interface {
	// News returns what became visible since a place, in order, and the place after it. Every
	// transaction is returned once, however long it took to become visible. If there is more
	// than [MostNews], or the place is of another epoch, more is true, and what is missing can be
	// had from Live only.
	News(ctx context.Context, from Place) (found []Revocation, to Place, more bool, err error)
	// Live returns at most limit revocations that matter at a time, after a position, in order;
	// the positions of each; and the place of this reading.
	Live(ctx context.Context, after At, limit int, now time.Time) (found []Revocation, at []At, here Place, err error)
}

// MostNews is how much is read in one go.
const MostNews = 20_000
