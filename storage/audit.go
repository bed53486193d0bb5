package storage

import (
	"context"

	"mintmark/apikeys"
)

// audited writes an event down if the row that it is about, in that table, says that it happened.
func audited(table string, e apikeys.Event) statement {
	return do(`INSERT INTO audit (id, at, actor, via, action, ref, detail, address, request_id)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
		WHERE EXISTS (SELECT 1 FROM `+table+` WHERE id = $6 AND event = $1)`,
		e.ID, e.At, e.Actor, e.Via, e.Action, e.Ref, e.Detail, e.Address, e.RequestID)
}

// Audit writes an event down that changes nothing else.
func (db *DB) Audit(ctx context.Context, e apikeys.Event) error {
	_, err := db.write(ctx, do(`INSERT INTO audit (id, at, actor, via, action, ref, detail, address, request_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.ID, e.At, e.Actor, e.Via, e.Action, e.Ref, e.Detail, e.Address, e.RequestID))
	return err
}

// Events implements [apikeys.Store].
func (s apiKeys) Events(ctx context.Context, p apikeys.Page, ref string, forward bool) ([]apikeys.Event, error) {
	var found []apikeys.Event
	each := func(r row) error {
		var e apikeys.Event
		err := r.into(&e.ID, &e.At, &e.Actor, &e.Via, &e.Action, &e.Ref, &e.Detail, &e.Address, &e.RequestID)
		found = append(found, e)
		return err
	}
	const columns = `SELECT id, at, actor, via, action, ref, detail, address, request_id FROM audit `
	const last = "g" // after every id: they are hexadecimal
	before := p.After
	if before == "" {
		before = last
	}
	var err error
	switch {
	case forward && ref != "":
		err = s.db.list(ctx, each, columns+`WHERE ref = $1 AND id > $2 ORDER BY id LIMIT $3`, ref, p.After, limit(p.Limit))
	case forward:
		err = s.db.list(ctx, each, columns+`WHERE id > $1 ORDER BY id LIMIT $2`, p.After, limit(p.Limit))
	case ref != "":
		err = s.db.list(ctx, each, columns+`WHERE ref = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, ref, before, limit(p.Limit))
	default:
		err = s.db.list(ctx, each, columns+`WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit(p.Limit))
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}
