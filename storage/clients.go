package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mintmark/issuer"
	"mintmark/revocations"
)

// issuing keeps what the issuer has promised.
type issuing struct{ db *DB }

// registry is how clients and consents are looked after.
type registry struct{ db *DB }

var (
	_ issuer.Store    = issuing{}
	_ issuer.Registry = registry{}
)

// storedClient is a client's metadata as this package writes it: the client, and its scopes
// under a name of their own. It is not the client's own JSON, so that a change to what
// applications are shown can't make a stored client unreadable.
type storedClient struct {
	plainClient
	Scopes []string `json:"scopes,omitempty"`
}

// plainClient has the members of a client without its methods.
type plainClient issuer.Client

func writeClient(c issuer.Client) (string, error) {
	text, err := json.Marshal(storedClient{plainClient(c), c.Scopes})
	if err != nil {
		return "", fmt.Errorf("storage: writing a client: %w", err)
	}
	return string(text), nil
}

// A clientRow is a client as it is stored.
type clientRow struct {
	client            issuer.Client
	metadata, secrets string
}

// columns is where the columns go, in the order of every SELECT here.
func (c *clientRow) columns() into {
	return into{&c.client.ID, &c.metadata, &c.secrets, &c.client.CreatedAt, &c.client.UpdatedAt, &c.client.DisabledAt}
}

func (c *clientRow) read() (issuer.Client, error) {
	var stored storedClient
	if err := json.Unmarshal([]byte(c.metadata), &stored); err != nil {
		return issuer.Client{}, fmt.Errorf("storage: reading client %s: %w", c.client.ID, err)
	}
	client := issuer.Client(stored.plainClient)
	client.Scopes = stored.Scopes
	if err := json.Unmarshal([]byte(c.secrets), &client.Secrets); err != nil {
		return issuer.Client{}, fmt.Errorf("storage: reading the secrets of client %s: %w", c.client.ID, err)
	}
	client.ID = c.client.ID
	client.CreatedAt, client.UpdatedAt, client.DisabledAt = c.client.CreatedAt, c.client.UpdatedAt, c.client.DisabledAt
	return client, nil
}

// Client implements [issuer.Store].
func (s issuing) Client(ctx context.Context, id string) (issuer.Client, error) {
	var c clientRow
	found, err := s.db.get(ctx, c.columns(), `
		SELECT id, metadata, secrets, created_at, updated_at, disabled_at
		FROM clients WHERE id = $1`,
		id)
	switch {
	case err != nil:
		return issuer.Client{}, err
	case !found:
		return issuer.Client{}, issuer.ErrNotFound
	}
	return c.read()
}

// Client implements [issuer.Registry].
func (s registry) Client(ctx context.Context, id string) (issuer.Client, error) {
	return issuing(s).Client(ctx, id)
}

// Clients implements [issuer.Registry].
func (s registry) Clients(ctx context.Context, p issuer.Page) ([]issuer.Client, error) {
	var found []issuer.Client
	err := s.db.list(ctx, func(r row) error {
		var c clientRow
		if err := r.into(c.columns()...); err != nil {
			return err
		}
		client, err := c.read()
		found = append(found, client)
		return err
	}, `
		SELECT id, metadata, secrets, created_at, updated_at, disabled_at
		FROM clients WHERE id > $1 ORDER BY id LIMIT $2`,
		p.After, limit(p.Limit))
	if err != nil {
		return nil, err
	}
	return found, nil
}

// AddClient implements [issuer.Registry].
func (s registry) AddClient(ctx context.Context, c issuer.Client) error {
	metadata, err := writeClient(c)
	if err != nil {
		return err
	}
	secrets, hashes, err := writeSecrets(c.Secrets)
	if err != nil {
		return err
	}
	return s.db.try(ctx, issuer.ErrExists,
		do(`INSERT INTO clients (id, metadata, secrets, secret_hashes, created_at, updated_at, disabled_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO NOTHING`,
			c.ID, metadata, secrets, hashes, c.CreatedAt, c.UpdatedAt, c.DisabledAt),
		s.db.changed(ClientChange, c.ID, c.CreatedAt))
}

// SetClient implements [issuer.Registry].
func (s registry) SetClient(ctx context.Context, c issuer.Client, was time.Time) error {
	metadata, err := writeClient(c)
	if err != nil {
		return err
	}
	var there int64
	n, err := s.db.write(ctx,
		do(`UPDATE clients SET metadata = $2, updated_at = $3
			WHERE id = $1 AND updated_at = $4`,
			c.ID, metadata, c.UpdatedAt, was),
		ask(into{&there}, `SELECT 1 FROM clients WHERE id = $1`, c.ID),
		s.db.changed(ClientChange, c.ID, c.UpdatedAt))
	switch {
	case err != nil:
		return err
	case n[0] == 1:
		return nil
	case n[1] == 1:
		return issuer.ErrChanged
	}
	return issuer.ErrNotFound
}

// SetClientSecrets implements [issuer.Registry].
func (s registry) SetClientSecrets(ctx context.Context, id string, was, secrets []issuer.ClientSecret, now time.Time) error {
	_, wasHashes, err := writeSecrets(was)
	if err != nil {
		return err
	}
	text, hashes, err := writeSecrets(secrets)
	if err != nil {
		return err
	}
	return s.db.try(ctx, issuer.ErrNotFound,
		do(`UPDATE clients SET secrets = $3, secret_hashes = $4, updated_at = $5
			WHERE id = $1 AND secret_hashes = $2`,
			id, wasHashes, text, hashes, now),
		s.db.changed(ClientChange, id, now))
}

// writeSecrets returns the secrets as JSON, and their hashes alone, by which a set of
// secrets is recognised.
func writeSecrets(secrets []issuer.ClientSecret) (text string, hashes []string, err error) {
	if secrets == nil {
		secrets = []issuer.ClientSecret{}
	}
	b, err := json.Marshal(secrets)
	if err != nil {
		return "", nil, fmt.Errorf("storage: writing client secrets: %w", err)
	}
	for _, secret := range secrets {
		hashes = append(hashes, secret.Hash)
	}
	return string(b), hashes, nil
}

// DisableClient implements [issuer.Registry].
func (s registry) DisableClient(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, issuer.ErrNotFound,
		do(`UPDATE clients SET updated_at = $2,
				disabled_at = CASE WHEN disabled_at = 0 THEN $2 ELSE disabled_at END
			WHERE id = $1`,
			id, now),
		s.db.standsIn("clients", revocations.Client, id, `disabled_at <> 0`, `TRUE`, now),
		s.db.changed(ClientChange, id, now))
}

// EnableClient implements [issuer.Registry].
func (s registry) EnableClient(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, issuer.ErrNotFound,
		do(`UPDATE clients SET updated_at = $2, disabled_at = 0 WHERE id = $1`, id, now),
		s.db.standsIn("clients", revocations.Client, id, `disabled_at <> 0`, `TRUE`, now),
		s.db.changed(ClientChange, id, now))
}

// RemoveClient implements [issuer.Registry].
func (s registry) RemoveClient(ctx context.Context, id string, now time.Time) error {
	return s.db.try(ctx, issuer.ErrNotFound,
		do(`DELETE FROM clients WHERE id = $1`, id),
		do(`DELETE FROM consents WHERE client_id = $1`, id),
		unhurried(do(`UPDATE authorizations SET revoked_at = $2, revoke_reason = 'client removed'
			WHERE client_id = $1 AND revoked_at = 0`,
			id, now)),
		s.db.goneFrom("clients", revocations.Client, id, now),
		s.db.changed(ClientChange, id, now))
}
