package storage

import (
	"context"
	"time"

	"mintmark/keys"
)

// signing keeps what package keys remembers. Nothing here can read a private key: the
// bytes come sealed.
type signing struct{ db *DB }

var _ keys.Store = signing{}

// SigningKeys implements [keys.Store].
func (s signing) SigningKeys(ctx context.Context) ([]keys.Record, error) {
	var found []keys.Record
	err := s.db.list(ctx, func(r row) error {
		var k keys.Record
		var alg string
		if err := r.into(&k.ID, &alg, &k.Generation, &k.Public, &k.Sealed, &k.CreatedAt, &k.SignsAt, &k.RevokedAt); err != nil {
			return err
		}
		k.Alg = keys.Alg(alg)
		found = append(found, k)
		return nil
	}, `
		SELECT id, alg, generation, public, sealed, created_at, signs_at, revoked_at
		FROM signing_keys
		ORDER BY alg, generation`)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// AddSigningKey implements [keys.Store].
func (s signing) AddSigningKey(ctx context.Context, k keys.Record) error {
	return s.db.try(ctx, keys.ErrConflict, do(`
		INSERT INTO signing_keys (id, alg, generation, public, sealed, created_at, signs_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT DO NOTHING`,
		k.ID, string(k.Alg), k.Generation, k.Public, k.Sealed, k.CreatedAt, k.SignsAt, k.RevokedAt),
		s.db.changed(SigningKeyChange, k.ID, k.CreatedAt))
}

// RevokeSigningKey implements [keys.Store].
func (s signing) RevokeSigningKey(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, keys.ErrNotFound, do(`
		UPDATE signing_keys SET revoked_at = CASE WHEN revoked_at = 0 THEN $2 ELSE revoked_at END
		WHERE id = $1`,
		id, now),
		s.db.changed(SigningKeyChange, id, now))
}

// ForgetSigningKeys implements [keys.Store].
func (s signing) ForgetSigningKeys(ctx context.Context, ids []string) error {
	var verb []statement
	for _, id := range ids {
		verb = append(verb, do(`DELETE FROM signing_keys WHERE id = $1`, id))
	}
	_, err := s.db.write(ctx, verb...)
	return err
}

// NamedKey implements [keys.Store].
func (s signing) NamedKey(ctx context.Context, name string, candidate []byte, now time.Time) ([]byte, error) {
	var sealed []byte
	_, err := s.db.write(ctx,
		// A copy that asks at the same time waits here until the other's is committed, and
		// then finds it below.
		do(`INSERT INTO named_keys (name, sealed, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO NOTHING`,
			name, candidate, now),
		ask(into{&sealed}, `SELECT sealed FROM named_keys WHERE name = $1`, name))
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// NamedKeys implements [keys.Store].
func (s signing) NamedKeys(ctx context.Context) (map[string][]byte, error) {
	found := map[string][]byte{}
	err := s.db.list(ctx, func(r row) error {
		var name string
		var sealed []byte
		if err := r.into(&name, &sealed); err != nil {
			return err
		}
		found[name] = sealed
		return nil
	}, `SELECT name, sealed FROM named_keys`)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Reseal implements [keys.Store].
func (s signing) Reseal(ctx context.Context, signing, named map[string][]byte) error {
	var verb []statement
	for id, sealed := range signing {
		verb = append(verb, do(`UPDATE signing_keys SET sealed = $2 WHERE id = $1`, id, sealed))
	}
	for name, sealed := range named {
		verb = append(verb, do(`UPDATE named_keys SET sealed = $2 WHERE name = $1`, name, sealed))
	}
	_, err := s.db.write(ctx, verb...)
	return err
}
