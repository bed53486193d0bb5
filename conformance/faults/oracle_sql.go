//go:build linux

package faults

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Rows compares the journal with the rows of the database: a second opinion that does not
// depend on anything that the server says.
func (o *Oracle) Rows(database string) ([]Violation, error) {
	o.found = nil
	db, err := openRows(database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := db.QueryContext(ctx, `SELECT id, generation, code_spent_at, revoked_at FROM authorizations`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	seen := map[string]bool{}
	for rows.Next() {
		var id string
		var generation, spent, revoked int64
		if err := rows.Scan(&id, &generation, &spent, &revoked); err != nil {
			return nil, err
		}
		seen[id] = true
		h := o.families[id]
		if h == nil {
			continue
		}
		if generation < h.highest {
			o.broken("rows: no acknowledged write is lost", "authorization %s is at generation %d, and %d was given out", id, generation, h.highest)
		}
		if may := h.highest + h.unanswered(); h.highest > 0 && generation > may {
			o.broken("rows: one successor", "authorization %s is at generation %d, and nobody asked for more than %d", id, generation, may)
		}
		if slices.ContainsFunc(h.redeem, (*Request).OK) && spent == 0 {
			o.broken("rows: once only", "the code of authorization %s was redeemed and is not spent", id)
		}
		if slices.ContainsFunc(h.kills, func(r *Request) bool { return r.OK() && h.begun != nil && h.begun.To < r.From }) && revoked == 0 {
			o.broken("rows: nothing revoked is accepted", "authorization %s was revoked (%s) and is not", id, h.why)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(keysOf(o.families)) {
		if h := o.families[id]; slices.ContainsFunc(h.redeem, (*Request).OK) && !seen[id] {
			o.broken("rows: no acknowledged write is lost", "authorization %s is not there", id)
		}
	}
	err = o.integrity(ctx, db, database)
	return o.found, err
}

// unanswered is 1 if the newest refresh token was shown and the outcome is unknown: the family
// may have moved on, by one, however often that happened.
func (h *history) unanswered() int64 {
	for _, r := range h.refresh {
		if !r.Known() && generationOf(r.On) == h.highest {
			return 1
		}
	}
	return 0
}

// integrity lets SQLite check its own file.
func (o *Oracle) integrity(ctx context.Context, db *sql.DB, database string) error {
	if !strings.HasPrefix(database, "sqlite:") {
		return nil
	}
	var said string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		o.broken("rows: the file is whole", "SQLite says: %s", said)
	}
	return nil
}

func openRows(database string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	}
	return sql.Open("pgx", database)
}

// DatabaseOf is where a copy of `mintmark dev` on SQLite has its rows.
func DatabaseOf(n *Node) string { return fmt.Sprint("sqlite:", filepath.Join(n.Data, "mintmark.db")) }
