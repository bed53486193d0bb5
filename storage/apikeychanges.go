package storage

import (
	"context"
	"time"

	"mintmark/apikeys"
)

// Every change below writes the id of its event into the row that it changes. What follows in
// the same verb happens only if it finds that id: if the change did.

// AddKey implements [apikeys.Store].
func (s apiKeys) AddKey(ctx context.Context, k apikeys.Key, most int, e apikeys.Event) error {
	var held int64
	bounded := most > 0 && k.OwnerType != "instance"
	owners := "service_accounts"
	if k.OwnerType == "account" {
		owners = "accounts"
	}
	verb := []statement{
		// Of those who count the keys of an owner, one goes after the other.
		lock(`SELECT 1 FROM `+owners+` WHERE id = $1 FOR UPDATE`, k.OwnerID),
		do(`INSERT INTO api_keys (`+newKey+`)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29
			WHERE NOT $30 OR $31 > (SELECT COUNT(*) FROM api_keys
				WHERE owner_type = $3 AND owner_id = $4 AND (revoked_at = 0 AND (expires_at = 0 OR expires_at > $13) OR created_at > $32))
			ON CONFLICT DO NOTHING`, append(newKeyArgs(k, e), bounded, most, e.At.Add(-24*time.Hour))...),
		audited("api_keys", e),
		s.db.changed(APIKeyChange, k.ID, e.At),
		ask(into{&held}, `SELECT COUNT(*) FROM api_keys WHERE id = $1 OR digest = $2`, k.ID, k.Digest),
	}
	if k.Quota.ID != "" {
		verb = append(verb, addsQuota(k, e))
	}
	n, err := s.db.write(ctx, verb...)
	switch {
	case err != nil:
		return err
	case n[1] == 0 && held == 0:
		return apikeys.ErrFull
	case n[1] == 0:
		return apikeys.ErrExists
	}
	return nil
}

const newKey = `id, kind, owner_type, owner_id, name, digest, scopes, audience, allow, deny, limits, metadata,
	created_at, created_by, created_via, updated_at, not_before, expires_at, disabled, revoked_at, leaked, reason,
	replaces, replaced_by, grace_until, version, event, quota_id, idle_expiry`

func newKeyArgs(k apikeys.Key, e apikeys.Event) []any {
	return []any{k.ID, k.Kind, k.OwnerType, k.OwnerID, k.Name, k.Digest, k.Scopes, k.Audience, k.Allow, k.Deny, k.Limits, k.Metadata,
		k.CreatedAt, k.CreatedBy, k.CreatedVia, k.UpdatedAt, k.NotBefore, k.ExpiresAt, k.Disabled, k.RevokedAt, k.Leaked, k.Reason,
		k.Replaces, k.ReplacedBy, k.GraceUntil, k.Version, e.ID, k.Quota.ID, k.IdleExpiry}
}

// SetKey implements [apikeys.Store].
func (s apiKeys) SetKey(ctx context.Context, k apikeys.Key, e apikeys.Event) error {
	verb := []statement{
		do(`UPDATE api_keys SET name = $3, scopes = $4, audience = $5, allow = $6, deny = $7, limits = $8, metadata = $9,
				not_before = $10, expires_at = $11, updated_at = $12, event = $13, quota_id = $14, idle_expiry = $15, version = version + 1
			WHERE id = $1 AND version = $2 AND revoked_at = 0`,
			k.ID, k.Version, k.Name, k.Scopes, k.Audience, k.Allow, k.Deny, k.Limits, k.Metadata, k.NotBefore, k.ExpiresAt, e.At, e.ID,
			k.Quota.ID, k.IdleExpiry),
		audited("api_keys", e),
		isThere(k.ID),
		s.db.keyStands(k.ID, e),
		s.db.changed(APIKeyChange, k.ID, e.At),
	}
	if k.Quota.Amount != 0 {
		verb = append(verb, setsQuota(k, e))
	}
	return s.keyChange(s.db.write(ctx, verb...))
}

// DisableKey implements [apikeys.Store].
func (s apiKeys) DisableKey(ctx context.Context, id, reason string, e apikeys.Event) error {
	return s.setDisabled(ctx, id, reason, true, e)
}

// EnableKey implements [apikeys.Store].
func (s apiKeys) EnableKey(ctx context.Context, id string, e apikeys.Event) error {
	return s.setDisabled(ctx, id, "", false, e)
}

func (s apiKeys) setDisabled(ctx context.Context, id, reason string, disabled bool, e apikeys.Event) error {
	return s.keyChange(s.db.write(ctx,
		do(`UPDATE api_keys SET disabled = $2, reason = $3, updated_at = $4, event = $5, version = version + 1
			WHERE id = $1 AND revoked_at = 0`,
			id, disabled, reason, e.At, e.ID),
		audited("api_keys", e),
		isThere(id),
		s.db.keyStands(id, e),
		s.db.changed(APIKeyChange, id, e.At)))
}

// RevokeKey implements [apikeys.Store].
func (s apiKeys) RevokeKey(ctx context.Context, id, reason string, leaked bool, e apikeys.Event) error {
	verb := []statement{
		do(`UPDATE api_keys SET leaked = $5, reason = $4, updated_at = $2, event = $3, version = version + 1,
				revoked_at = CASE WHEN revoked_at = 0 THEN $2 ELSE revoked_at END
			WHERE id = $1 AND (revoked_at = 0 OR $5 AND NOT leaked)`,
			id, e.At, e.ID, reason, leaked),
		audited("api_keys", e),
		isThere(id),
		s.db.keyStands(id, e),
		s.db.changed(APIKeyChange, id, e.At),
	}
	if leaked {
		verb = append(verb, notice(apikeys.NoticeLeaked, e))
	}
	n, err := s.db.write(ctx, verb...)
	switch {
	case err != nil:
		return err
	case n[2] == 0:
		return apikeys.ErrNotFound
	}
	return nil
}

// NoteKey implements [apikeys.Store].
func (s apiKeys) NoteKey(ctx context.Context, id string, e apikeys.Event) error {
	n, err := s.db.write(ctx,
		do(`UPDATE api_keys SET event = $2 WHERE id = $1`, id, e.ID),
		audited("api_keys", e))
	switch {
	case err != nil:
		return err
	case n[0] == 0:
		return apikeys.ErrNotFound
	}
	return nil
}

// RotateKey implements [apikeys.Store].
func (s apiKeys) RotateKey(ctx context.Context, next apikeys.Key, grace time.Time, e apikeys.Event) error {
	return s.keyChange(s.db.write(ctx,
		do(`UPDATE api_keys SET replaced_by = $2, grace_until = $3, updated_at = $4, event = $5, version = version + 1
			WHERE id = $1 AND replaced_by = '' AND revoked_at = 0`,
			next.Replaces, next.ID, grace, e.At, e.ID),
		audited("api_keys", e),
		isThere(next.Replaces),
		do(`INSERT INTO api_keys (`+newKey+`)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29
			WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $23 AND event = $27)`,
			newKeyArgs(next, e)...),
		s.db.keyStands(next.Replaces, e),
		s.db.changed(APIKeyChange, next.Replaces, e.At)))
}

// keyChange turns the answer of a verb that changes a key, audits that and looks whether the
// key is there into an error.
func (apiKeys) keyChange(n []int64, err error) error {
	switch {
	case err != nil:
		return err
	case n[2] == 0:
		return apikeys.ErrNotFound
	case n[0] == 0:
		return apikeys.ErrConflict
	}
	return nil
}

func isThere(id string) statement {
	return ask(into{new(int64)}, `SELECT 1 FROM api_keys WHERE id = $1`, id)
}

// UseKeys implements [apikeys.Store].
func (s apiKeys) UseKeys(ctx context.Context, uses []apikeys.Use) error {
	var verb []statement
	for _, u := range uses {
		verb = append(verb, do(`
			INSERT INTO api_key_usage (id, last_used_at, last_address, uses) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET uses = api_key_usage.uses + excluded.uses,
				last_address = CASE WHEN excluded.last_used_at >= api_key_usage.last_used_at THEN excluded.last_address ELSE api_key_usage.last_address END,
				last_used_at = CASE WHEN excluded.last_used_at >= api_key_usage.last_used_at THEN excluded.last_used_at ELSE api_key_usage.last_used_at END`,
			u.ID, u.At, u.Address, u.Uses))
		for _, scope := range u.Scopes {
			verb = append(verb, do(`INSERT INTO api_key_scopes (key_id, scope, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, u.ID, scope, u.At))
		}
	}
	if len(verb) == 0 {
		return nil
	}
	_, err := s.db.write(ctx, verb...)
	return err
}

// UsedScopes implements [apikeys.Store].
func (s apiKeys) UsedScopes(ctx context.Context, from, to string) (map[string][]string, error) {
	found := map[string][]string{}
	err := s.db.list(ctx, func(r row) error {
		var id, scope string
		err := r.into(&id, &scope)
		found[id] = append(found[id], scope)
		return err
	}, `SELECT key_id, scope FROM api_key_scopes WHERE key_id >= $1 AND key_id <= $2 ORDER BY key_id, scope`, from, to)
	if err != nil {
		return nil, err
	}
	return found, nil
}
