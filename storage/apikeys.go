package storage

import (
	"context"
	"time"

	"mintmark/apikeys"
)

// apiKeys keeps what package apikeys remembers.
type apiKeys struct{ db *DB }

var _ apikeys.Store = apiKeys{}

// Key implements [apikeys.Store].
func (s apiKeys) Key(ctx context.Context, id string) (apikeys.Key, error) {
	var k apikeys.Key
	found, err := s.db.get(ctx,
		into{&k.ID, &k.Kind, &k.OwnerType, &k.OwnerID, &k.Name, &k.Digest, &k.Scopes, &k.Audience,
			&k.CreatedAt, &k.CreatedBy, &k.ExpiresAt, &k.Disabled, &k.RevokedAt, &k.Version}, `
		SELECT id, kind, owner_type, owner_id, name, digest, scopes, audience,
			created_at, created_by, expires_at, disabled, revoked_at, version
		FROM api_keys WHERE id = $1`,
		id)
	switch {
	case err != nil:
		return apikeys.Key{}, err
	case !found:
		return apikeys.Key{}, apikeys.ErrNotFound
	}
	return k, nil
}

// AddKey implements [apikeys.Store].
func (s apiKeys) AddKey(ctx context.Context, k apikeys.Key) error {
	return s.db.try(ctx, apikeys.ErrExists,
		do(`INSERT INTO api_keys (id, kind, owner_type, owner_id, name, digest, scopes, audience,
				created_at, created_by, expires_at, disabled, revoked_at, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT DO NOTHING`,
			k.ID, k.Kind, k.OwnerType, k.OwnerID, k.Name, k.Digest, k.Scopes, k.Audience,
			k.CreatedAt, k.CreatedBy, k.ExpiresAt, k.Disabled, k.RevokedAt, k.Version),
		changed(apiKeyChange, k.ID, k.CreatedAt))
}

// RevokeKey implements [apikeys.Store].
func (s apiKeys) RevokeKey(ctx context.Context, id string, now time.Time) error {
	var there int64
	n, err := s.db.write(ctx,
		do(`UPDATE api_keys SET revoked_at = $2, version = version + 1
			WHERE id = $1 AND revoked_at = 0`,
			id, now),
		ask(into{&there}, `SELECT 1 FROM api_keys WHERE id = $1`, id),
		changed(apiKeyChange, id, now))
	switch {
	case err != nil:
		return err
	case n[1] == 0:
		return apikeys.ErrNotFound
	}
	return nil
}
