package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mintmark/upstream"
)

// providers keeps what package upstream remembers.
type providers struct{ db *DB }

var _ upstream.Store = providers{}

// Upstream returns what package upstream remembers.
func (db *DB) Upstream() upstream.Store { return providers{db} }

// Providers implements [upstream.Store].
func (s providers) Providers(ctx context.Context) ([]upstream.Provider, error) {
	var found []upstream.Provider
	err := s.db.list(ctx, func(r row) error {
		var p, columns upstream.Provider
		var config string
		if err := r.into(&columns.ID, &columns.Name, &config, &columns.SealedSecret, &columns.CreatedAt, &columns.UpdatedAt, &columns.DisabledAt); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(config), &p); err != nil {
			return fmt.Errorf("storage: reading provider %s: %w", columns.ID, err)
		}
		p.ID, p.Name, p.SealedSecret = columns.ID, columns.Name, columns.SealedSecret
		p.CreatedAt, p.UpdatedAt, p.DisabledAt = columns.CreatedAt, columns.UpdatedAt, columns.DisabledAt
		if len(p.SealedSecret) == 0 {
			p.SealedSecret = nil
		}
		found = append(found, p)
		return nil
	}, `SELECT id, name, config, sealed, created_at, updated_at, disabled_at FROM providers ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// AddProvider implements [upstream.Store].
func (s providers) AddProvider(ctx context.Context, p upstream.Provider) error {
	config, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("storage: writing a provider: %w", err)
	}
	return s.db.try(ctx, upstream.ErrExists,
		do(`INSERT INTO providers (id, name, config, sealed, created_at, updated_at, disabled_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT DO NOTHING`,
			p.ID, p.Name, string(config), p.SealedSecret, p.CreatedAt, p.UpdatedAt, p.DisabledAt),
		s.db.changed(ProviderChange, p.ID, p.UpdatedAt))
}

// SetProvider implements [upstream.Store].
func (s providers) SetProvider(ctx context.Context, is, was upstream.Provider) error {
	config, err := json.Marshal(is)
	if err != nil {
		return fmt.Errorf("storage: writing a provider: %w", err)
	}
	var there int64
	n, err := s.db.write(ctx,
		do(`UPDATE providers SET name = $2, config = $3, sealed = $4, updated_at = $5, disabled_at = $6
			WHERE id = $1 AND updated_at = $7`,
			was.ID, is.Name, string(config), is.SealedSecret, is.UpdatedAt, is.DisabledAt, was.UpdatedAt),
		ask(into{&there}, `SELECT 1 FROM providers WHERE id = $1`, was.ID),
		s.db.changed(ProviderChange, was.ID, is.UpdatedAt))
	switch {
	case errors.Is(err, errTaken):
		return upstream.ErrExists
	case err != nil:
		return err
	case n[0] == 1:
		return nil
	case n[1] == 1:
		return upstream.ErrChanged
	}
	return upstream.ErrNotFound
}

// RemoveProvider implements [upstream.Store].
func (s providers) RemoveProvider(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, upstream.ErrNotFound,
		do(`DELETE FROM providers WHERE id = $1`, id),
		do(`DELETE FROM identities WHERE provider_id = $1 AND NOT EXISTS (SELECT 1 FROM providers WHERE id = $1)`, id),
		s.db.changed(ProviderChange, id, now))
}

// SpendState implements [upstream.Store].
func (s providers) SpendState(ctx context.Context, id string, until time.Time) error {
	return s.db.try(ctx, upstream.ErrSpent,
		do(`INSERT INTO spent_states (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, until))
}
