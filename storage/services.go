package storage

import (
	"context"

	"mintmark/apikeys"
)

const serviceColumns = `SELECT id, name, description, created_at, created_by, disabled_at FROM service_accounts`

func intoService(a *apikeys.Service) into {
	return into{&a.ID, &a.Name, &a.Description, &a.CreatedAt, &a.CreatedBy, &a.DisabledAt}
}

// Service implements [apikeys.Store].
func (s apiKeys) Service(ctx context.Context, id string) (apikeys.Service, error) {
	var a apikeys.Service
	found, err := s.db.get(ctx, intoService(&a), serviceColumns+` WHERE id = $1 AND removed_at = 0`, id)
	switch {
	case err != nil:
		return apikeys.Service{}, err
	case !found:
		return apikeys.Service{}, apikeys.ErrNotFound
	}
	return a, nil
}

// Services implements [apikeys.Store].
func (s apiKeys) Services(ctx context.Context, p apikeys.Page, name string) ([]apikeys.Service, error) {
	var found []apikeys.Service
	each := func(r row) error {
		var a apikeys.Service
		err := r.into(intoService(&a)...)
		found = append(found, a)
		return err
	}
	var err error
	if name != "" {
		err = s.db.list(ctx, each, serviceColumns+` WHERE name = $1 AND removed_at = 0 AND id > $2`, name, p.After)
	} else {
		err = s.db.list(ctx, each, serviceColumns+` WHERE id > $1 AND removed_at = 0 ORDER BY id LIMIT $2`, p.After, limit(p.Limit))
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// AddService implements [apikeys.Store].
func (s apiKeys) AddService(ctx context.Context, a apikeys.Service, e apikeys.Event) error {
	n, err := s.db.write(ctx,
		do(`INSERT INTO service_accounts (id, name, description, created_at, created_by, disabled_at, removed_at, event)
			VALUES ($1, $2, $3, $4, $5, 0, 0, $6)
			ON CONFLICT DO NOTHING`,
			a.ID, a.Name, a.Description, a.CreatedAt, a.CreatedBy, e.ID),
		audited("service_accounts", e))
	switch {
	case err != nil:
		return err
	case n[0] == 0:
		return apikeys.ErrExists
	}
	return nil
}

// DisableService implements [apikeys.Store].
func (s apiKeys) DisableService(ctx context.Context, id string, e apikeys.Event) error {
	return s.serviceChange(s.db.write(ctx,
		do(`UPDATE service_accounts SET event = $3, disabled_at = CASE WHEN disabled_at = 0 THEN $2 ELSE disabled_at END
			WHERE id = $1 AND removed_at = 0`,
			id, e.At, e.ID),
		audited("service_accounts", e),
		s.db.serviceStands(id, e),
		s.db.changed(OwnerChange, id, e.At)))
}

// EnableService implements [apikeys.Store].
func (s apiKeys) EnableService(ctx context.Context, id string, e apikeys.Event) error {
	return s.serviceChange(s.db.write(ctx,
		do(`UPDATE service_accounts SET event = $2, disabled_at = 0 WHERE id = $1 AND removed_at = 0`, id, e.ID),
		audited("service_accounts", e),
		s.db.serviceStands(id, e),
		s.db.changed(OwnerChange, id, e.At)))
}

// RemoveService implements [apikeys.Store].
func (s apiKeys) RemoveService(ctx context.Context, id string, e apikeys.Event) error {
	return s.serviceChange(s.db.write(ctx,
		do(`UPDATE service_accounts SET event = $3, removed_at = $2 WHERE id = $1 AND removed_at = 0`, id, e.At, e.ID),
		audited("service_accounts", e),
		do(`UPDATE api_keys SET revoked_at = $2, updated_at = $2, reason = 'its owner was removed', event = $3, version = version + 1
			WHERE owner_type = 'service' AND owner_id = $1 AND revoked_at = 0
			AND EXISTS (SELECT 1 FROM service_accounts WHERE id = $1 AND event = $3)`,
			id, e.At, e.ID),
		// An entry for each key. Their ids come after that of the event and are hexadecimal, too.
		do(`INSERT INTO audit (id, at, actor, via, action, ref, detail, address, request_id)
			SELECT $1 || CAST(ROW_NUMBER() OVER (ORDER BY id) AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT), 'key.revoke', id,
				'its owner was removed', CAST($6 AS TEXT), CAST($7 AS TEXT)
			FROM api_keys WHERE owner_type = 'service' AND owner_id = $2 AND event = $1`,
			e.ID, id, e.At, e.Actor, e.Via, e.Address, e.RequestID),
		s.db.serviceStands(id, e),
		s.db.changed(OwnerChange, id, e.At)))
}

func (apiKeys) serviceChange(n []int64, err error) error {
	switch {
	case err != nil:
		return err
	case n[0] == 0:
		return apikeys.ErrNotFound
	}
	return nil
}
