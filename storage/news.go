package storage

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"mintmark/revocations"
)

// Two tables are read by every copy of the server again and again: changes and revocations. In
// both, seq is the number of the transaction that wrote a row.
//
// On PostgreSQL that is its transaction id. Transactions become visible in another order than
// they got their numbers, so a reader does not remember the last number that it saw, and miss the
// slow ones, but its snapshot: pg_snapshot names the transactions that were not over then. What
// is new is what that snapshot did not see, and these rows alone are read: the index finds them.
//
// Rows with a number that no transaction has yet came from another database, with a backup. They
// are not news.
//
// SQLite has one writer, which commits in the order of its numbers, and there a snapshot is
// the last one.
//
// PostgreSQL gives a number again if the transaction that had it was undone and a crash, or a failover,
// forgot it; and so does SQLite when the file is an older one. All that is certain is that neither
// happens to a server that goes on running. So a place has an epoch: when PostgreSQL was started, and when it
// last had to recover, which is when it forgets its statistics; for SQLite, when we opened the file.

// numbered is an expression for the number of the transaction that writes a row of a table.
func (db *DB) numbered(table string) string {
	return strings.ReplaceAll(db.engine.about().number, "%s", table)
}

// snapshot is a query for epoch, low, seen and next of a table.
func (db *DB) snapshot(table string) string {
	return strings.ReplaceAll(db.engine.about().snapshot, "%s", table)
}

// news reads the rows of a table that became visible since a place, and the place after it.
// what stands for its columns; older says, with $3 and $4, which others are to be read once more.
func (db *DB) news(ctx context.Context, table, what, older string, from revocations.Place, each func(row) error, args ...any) (revocations.Place, error) {
	next, open, err := parseSnapshot(from.Seen)
	if err != nil {
		return from, err
	}
	to := from
	err = db.list(ctx, func(r row) error {
		var there int64
		if err := r[:4].into(&to.Epoch, &to.Low, &to.Seen, &there); err != nil {
			return err
		}
		if there == 0 {
			return nil // nothing is new: this row has the place alone
		}
		return each(r[4:])
	}, `SELECT s.epoch, s.low, s.seen, CASE WHEN r.seq IS NULL THEN 0 ELSE 1 END, `+what+`
		FROM (`+db.snapshot(table)+`) s
		LEFT JOIN `+table+` r ON r.seq >= $1 AND r.seq < s.next OR r.seq `+db.engine.about().among+older+`
		ORDER BY r.seq LIMIT `+strconv.Itoa(revocations.MostNews+1),
		append([]any{next, open}, args...)...)
	if err != nil {
		return from, err
	}
	return to, nil
}

// parseSnapshot reads a snapshot as PostgreSQL writes it: xmin:xmax:xip,xip. Nothing below xmin
// is new; of what is below xmax, the xip are.
func parseSnapshot(seen string) (next int64, open string, err error) {
	if seen == "" {
		return math.MaxInt64, "", nil // from now on
	}
	part := strings.Split(seen, ":")
	if len(part) != 3 {
		return 0, "", fmt.Errorf("storage: %q is not a snapshot", seen)
	}
	next, err = strconv.ParseInt(part[1], 10, 64)
	return next, part[2], err
}

// anotherEpoch says whether the database may have forgotten transactions, and given their numbers again:
// what is new can't be found by them.
func anotherEpoch(from, to revocations.Place) bool {
	return from.Seen != "" && from.Epoch != to.Epoch
}

// standsNow says whether what a row r of revocations is about is good no longer. What can be given
// back is looked up where it is: of two transactions that change it at the same moment, the one with
// the lower number may be the later, and then the row that is read last does not have the last word.
// It is read in the snapshot in which the rows are, and so never older than any of them. Whether the
// grace of a replaced key was over is decided by when the key was changed last.
const standsNow = `CASE r.kind
	WHEN 'key' THEN COALESCE((SELECT k.disabled OR k.revoked_at <> 0 OR k.replaced_by <> '' AND k.grace_until <= k.updated_at
		FROM api_keys k WHERE k.id = r.ref), TRUE)
	WHEN 'client' THEN COALESCE((SELECT c.disabled_at <> 0 FROM clients c WHERE c.id = r.ref), TRUE)
	WHEN 'account' THEN COALESCE((SELECT a.disabled_at <> 0 FROM accounts a WHERE a.id = r.ref),
		(SELECT a.disabled_at <> 0 OR a.removed_at <> 0 FROM service_accounts a WHERE a.id = r.ref), TRUE)
	ELSE COALESCE(r.revoked, FALSE) END`

// told keeps revocations for the verifiers that are told of them.
type told struct{ db *DB }

var _ revocations.Store = told{}

// News implements [revocations.Store].
func (s told) News(ctx context.Context, from revocations.Place) (found []revocations.Revocation, to revocations.Place, more bool, err error) {
	to, err = s.db.news(ctx, "revocations", `COALESCE(r.kind, ''), COALESCE(r.ref, ''), COALESCE(r.until, 0), `+standsNow, "", from,
		func(r row) error {
			var one revocations.Revocation
			err := r.into(&one.Kind, &one.Ref, &one.Until, &one.Revoked)
			found = append(found, one)
			return err
		})
	more = len(found) > revocations.MostNews || anotherEpoch(from, to)
	return found, to, more, err
}

// Live implements [revocations.Store].
func (s told) Live(ctx context.Context, after revocations.At, limit int, now time.Time) (found []revocations.Revocation, at []revocations.At, here revocations.Place, err error) {
	err = s.db.list(ctx, func(r row) error {
		var one revocations.Revocation
		var where revocations.At
		if err := r.into(&here.Epoch, &here.Low, &here.Seen, &where.Seq, &where.Kind, &where.Ref, &one.Until, &one.Revoked); err != nil {
			return err
		}
		if where.Kind == "" {
			return nil // the place alone
		}
		one.Kind, one.Ref = where.Kind, where.Ref
		found, at = append(found, one), append(at, where)
		return nil
	}, `SELECT s.epoch, s.low, s.seen, COALESCE(r.seq, 0), COALESCE(r.kind, ''), COALESCE(r.ref, ''), COALESCE(r.until, 0), `+standsNow+`
		FROM (`+s.db.snapshot("revocations")+`) s
		LEFT JOIN (SELECT seq, kind, ref, until, revoked FROM revocations
			WHERE (seq, kind, ref) > ($1, $2, $3) AND until > $4
			ORDER BY seq, kind, ref LIMIT $5) r ON TRUE
		ORDER BY r.seq, r.kind, r.ref`,
		after.Seq, after.Kind, after.Ref, now, limit)
	return found, at, here, err
}
