package storage

import (
	"context"

	"mintmark/apikeys"
)

// apiKeys keeps what package apikeys remembers.
type apiKeys struct{ db *DB }

var _ apikeys.Store = apiKeys{}

// keyColumns are the columns of a key, with its quota, but for how it was used.
const keyColumns = `k.id, k.kind, k.owner_type, k.owner_id, k.name, k.digest, k.scopes, k.audience, k.allow, k.deny, k.limits, k.metadata,
	k.created_at, k.created_by, k.created_via, k.updated_at, k.not_before, k.expires_at, k.disabled, k.revoked_at, k.leaked, k.reason,
	k.replaces, k.replaced_by, k.grace_until, k.version, k.idle_expiry, k.quota_id,
	COALESCE(q.amount, 0), COALESCE(q.period, 0), COALESCE(q.period_start, 0), COALESCE(q.spent, 0)`

func intoKey(k *apikeys.Key) into {
	return into{&k.ID, &k.Kind, &k.OwnerType, &k.OwnerID, &k.Name, &k.Digest, &k.Scopes, &k.Audience, &k.Allow, &k.Deny, &k.Limits, &k.Metadata,
		&k.CreatedAt, &k.CreatedBy, &k.CreatedVia, &k.UpdatedAt, &k.NotBefore, &k.ExpiresAt, &k.Disabled, &k.RevokedAt, &k.Leaked, &k.Reason,
		&k.Replaces, &k.ReplacedBy, &k.GraceUntil, &k.Version, &k.IdleExpiry, &k.Quota.ID,
		&k.Quota.Amount, &k.Quota.Period, &k.Quota.Since, &k.Quota.Spent}
}

// usedKey is a key with how it was used.
const usedKey = `SELECT ` + keyColumns + `, COALESCE(u.last_used_at, 0), COALESCE(u.last_address, ''), COALESCE(u.uses, 0)
	FROM api_keys k LEFT JOIN quotas q ON q.id = k.quota_id LEFT JOIN api_key_usage u ON u.id = k.id`

func intoUsedKey(k *apikeys.Key) into {
	return append(intoKey(k), &k.LastUsedAt, &k.LastAddress, &k.Uses)
}

// Key implements [apikeys.Store].
func (s apiKeys) Key(ctx context.Context, id string) (apikeys.Key, error) {
	var k apikeys.Key
	found, err := s.db.get(ctx, intoUsedKey(&k), usedKey+` WHERE k.id = $1`, id)
	return foundKey(k, found, err)
}

// KeyByDigest implements [apikeys.Store].
func (s apiKeys) KeyByDigest(ctx context.Context, digest []byte) (apikeys.Key, error) {
	var k apikeys.Key
	found, err := s.db.get(ctx, intoUsedKey(&k), usedKey+` WHERE k.digest = $1`, digest)
	return foundKey(k, found, err)
}

func foundKey(k apikeys.Key, found bool, err error) (apikeys.Key, error) {
	switch {
	case err != nil:
		return apikeys.Key{}, err
	case !found:
		return apikeys.Key{}, apikeys.ErrNotFound
	}
	return k, nil
}

// Standing implements [apikeys.Store].
func (s apiKeys) Standing(ctx context.Context, id string) (apikeys.Key, bool, error) {
	var k apikeys.Key
	var owner bool
	found, err := s.db.get(ctx, append(intoKey(&k), &owner), `
		SELECT `+keyColumns+`, k.owner_type = 'instance'
			OR k.owner_type = 'account' AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = k.owner_id AND a.disabled_at = 0)
			OR k.owner_type = 'service' AND EXISTS (SELECT 1 FROM service_accounts a WHERE a.id = k.owner_id AND a.disabled_at = 0 AND a.removed_at = 0)
		FROM api_keys k LEFT JOIN quotas q ON q.id = k.quota_id WHERE k.id = $1`, id)
	k, err = foundKey(k, found, err)
	return k, owner && err == nil, err
}

// OwnerStands implements [apikeys.Store].
func (s apiKeys) OwnerStands(ctx context.Context, ownerType, ownerID string) (bool, error) {
	switch ownerType {
	case "account":
		return s.db.get(ctx, into{new(string)}, `SELECT id FROM accounts WHERE id = $1 AND disabled_at = 0`, ownerID)
	case "service":
		return s.db.get(ctx, into{new(string)}, `SELECT id FROM service_accounts WHERE id = $1 AND disabled_at = 0 AND removed_at = 0`, ownerID)
	}
	return false, nil
}

// Keys implements [apikeys.Store].
func (s apiKeys) Keys(ctx context.Context, p apikeys.Page, ownerID string) ([]apikeys.Key, error) {
	var found []apikeys.Key
	each := func(r row) error {
		var k apikeys.Key
		err := r.into(intoUsedKey(&k)...)
		found = append(found, k)
		return err
	}
	var err error
	if ownerID != "" {
		err = s.db.list(ctx, each, usedKey+` WHERE k.owner_type IN ('account', 'service') AND k.owner_id = $1 AND k.id > $2 ORDER BY k.id LIMIT $3`,
			ownerID, p.After, limit(p.Limit))
	} else {
		err = s.db.list(ctx, each, usedKey+` WHERE k.id > $1 ORDER BY k.id LIMIT $2`, p.After, limit(p.Limit))
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Imported implements [apikeys.Store].
func (s apiKeys) Imported(ctx context.Context) (map[[32]byte]string, error) {
	found := map[[32]byte]string{}
	err := s.db.list(ctx, func(r row) error {
		var id string
		var digest []byte
		err := r.into(&id, &digest)
		if len(digest) == 32 {
			found[[32]byte(digest)] = id
		}
		return err
	}, `SELECT id, digest FROM api_keys WHERE kind = 'im' AND revoked_at = 0`)
	if err != nil {
		return nil, err
	}
	return found, nil
}
