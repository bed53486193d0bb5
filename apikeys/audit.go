package apikeys

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"mintmark/internal/secret"
)

// A By says who makes a change, and from where: what the audit log keeps of it.
type By struct {
	Actor     string // the credential, account or part of the server
	Via       string // "api" or "server"
	Address   string
	RequestID string
	At        time.Time // now, if it is zero

	// Giver is the key that makes the change: it gives no other what it has not itself. Nil: whoever
	// it is has every right.
	Giver *Key
}

// event is the entry for a change.
func (b By) event(action, ref, format string, args ...any) Event {
	at := instant(b.At)
	return Event{
		// Hexadecimal sorts the same in every database, and so by time.
		ID: fmt.Sprintf("%014x", at.UnixMicro()) + hex.EncodeToString(secret.Bytes(6)),
		At: at, Actor: b.Actor, Via: b.Via, Address: b.Address, RequestID: b.RequestID,
		Action: action, Ref: ref, Detail: fmt.Sprintf(format, args...),
	}
}

// Event is the entry for a change that another package makes, in the words of its own.
func (b By) Event(action, ref, detail string) Event { return b.event(action, ref, "%s", detail) }

// instant is t as exactly as it is remembered, or now.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now()
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Events lists the audit log, see [Store.Events].
func (r *Registry) Events(ctx context.Context, p Page, ref string, forward bool) ([]Event, error) {
	return r.Store.Events(ctx, p, ref, forward)
}
