package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mintmark/apikeys"
	"mintmark/upstream"
)

// Providers keeps what package upstream remembers, and is how its providers are looked after. What
// takes an event happens together with its entry in the audit log, or neither happens.
type Providers struct{ db *DB }

var _ upstream.Store = Providers{}

// Upstream returns what package upstream remembers.
func (db *DB) Upstream() Providers { return Providers{db} }

// Providers implements [upstream.Store].
func (s Providers) Providers(ctx context.Context) ([]upstream.Provider, error) {
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

// AddProvider remembers a new one, or returns [upstream.ErrExists].
func (s Providers) AddProvider(ctx context.Context, p upstream.Provider, e apikeys.Event) error {
	config, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("storage: writing a provider: %w", err)
	}
	return s.db.try(ctx, upstream.ErrExists,
		do(`INSERT INTO providers (id, name, config, sealed, created_at, updated_at, disabled_at, event)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT DO NOTHING`,
			p.ID, p.Name, string(config), p.SealedSecret, p.CreatedAt, p.UpdatedAt, p.DisabledAt, e.ID),
		audited("providers", e),
		s.db.changed(ProviderChange, p.ID, p.UpdatedAt))
}

// SetProvider puts is in the place of was, if was is still what is there (its UpdatedAt and its sealed
// secret say so: one that was sealed anew meanwhile must not be lost); otherwise it returns [upstream.ErrChanged] or [upstream.ErrNotFound]. A name that is taken is
// [upstream.ErrExists].
func (s Providers) SetProvider(ctx context.Context, is, was upstream.Provider, e apikeys.Event) error {
	config, err := json.Marshal(is)
	if err != nil {
		return fmt.Errorf("storage: writing a provider: %w", err)
	}
	var there int64
	verb := []statement{
		do(`UPDATE providers SET name = $2, config = $3, sealed = $4, updated_at = $5, disabled_at = $6, event = $8
			WHERE id = $1 AND updated_at = $7 AND sealed = $9`,
			was.ID, is.Name, string(config), is.SealedSecret, is.UpdatedAt, is.DisabledAt, was.UpdatedAt, e.ID, was.SealedSecret),
		ask(into{&there}, `SELECT 1 FROM providers WHERE id = $1`, was.ID),
		audited("providers", e),
		s.db.changed(ProviderChange, was.ID, is.UpdatedAt),
	}
	if !is.Enabled() && !withdrawn(is, was) {
		verb = append(verb, s.endBegun(was.ID, `EXISTS (SELECT 1 FROM providers WHERE id = $1 AND disabled_at <> 0)`, "provider disabled", e.At)...)
	}
	n, err := s.db.write(ctx, verb...)
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

// withdrawn says whether a provider is disabled because the configuration does not have it any more.
// That may be one copy with half a configuration, which must not sign everybody out.
func withdrawn(is, was upstream.Provider) bool {
	return is.Managed == upstream.ManagedNoLonger && was.Managed != upstream.ManagedNoLonger
}

// endBegun ends the sessions that began with a provider, and what was allowed in them, if this is so:
// whoever signs people in for it may be somebody else, and so it is a matter of trust and not of who
// is present. The id of the provider is $1 of this.
func (s Providers) endBegun(id, this, why string, now time.Time) []statement {
	return []statement{
		unhurried(do(`UPDATE sessions SET ended_at = $2, end_reason = 'revoked'
			WHERE provider_id = $1 AND provider_id <> '' AND ended_at = 0 AND `+this, id, now)),
		unhurried(do(`UPDATE authorizations SET revoked_at = $2, revoke_reason = $3
			WHERE provider_id = $1 AND provider_id <> '' AND revoked_at = 0 AND `+this, id, now, why)),
		unhurried(s.db.revokedAuthorizations(now, `provider_id = $3 AND provider_id <> '' AND revoked_at = $4`, id, now)),
	}
}

// RemoveProvider forgets a provider and the identities that name it, or returns [upstream.ErrNotFound].
// Sessions that began with it end as when it is disabled. Tokens that were kept are to be revoked, for
// which the provider is remembered as long as it takes.
// The identity stays of whoever has no other way in: their account was somebody's, and must not look
// like one that was made for whoever comes first.
func (s Providers) RemoveProvider(ctx context.Context, id string, e apikeys.Event) error {
	verb := []statement{
		adminsTurn(),
		// Of any number who remove it, the one who still finds it here does.
		do(`UPDATE providers SET event = $2 WHERE id = $1`, id, e.ID),
		audited("providers", e),
		// The roles that its rules gave go with it, unless nobody would be left to look after this server.
		do(`UPDATE accounts SET updated_at = updated_at + 1, role = ''
			WHERE role = 'admin' AND id IN (SELECT account_id FROM identities WHERE provider_id = $1 AND role = 'admin')
			AND EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND disabled_at = 0
				AND id NOT IN (SELECT account_id FROM identities WHERE provider_id = $1 AND role = 'admin'))
			AND EXISTS (SELECT 1 FROM providers WHERE id = $1 AND event = $2)`, id, e.ID),
		do(`INSERT INTO removed_providers (id, name, config, sealed, removed_at)
			SELECT id, name, config, sealed, CAST($3 AS BIGINT) FROM providers WHERE id = $1 AND event = $2
			AND (EXISTS (SELECT 1 FROM upstream_tokens WHERE provider_id = $1) OR EXISTS (SELECT 1 FROM upstream_revocations WHERE provider_id = $1))
			ON CONFLICT DO NOTHING`, id, e.ID, e.At),
		do(`DELETE FROM providers WHERE id = $1`, id),
		unhurried(do(`DELETE FROM identities
			WHERE provider_id = $1 AND NOT EXISTS (SELECT 1 FROM providers WHERE id = $1)
			AND (EXISTS (SELECT 1 FROM accounts a WHERE a.id = identities.account_id AND a.password_hash <> '')
				OR EXISTS (SELECT 1 FROM identities o WHERE o.account_id = identities.account_id AND o.provider_id <> $1))`, id)),
		s.db.changed(ProviderChange, id, e.At),
	}
	const gone = `NOT EXISTS (SELECT 1 FROM providers WHERE id = $1)`
	for _, one := range forgetTokens(e.At, `provider_id = $1 AND `+gone, id) {
		verb = append(verb, unhurried(one))
	}
	n, err := s.db.write(ctx, append(verb, s.endBegun(id, gone, "provider removed", e.At)...)...)
	switch {
	case err != nil:
		return err
	case n[1] == 0:
		return upstream.ErrNotFound
	}
	return nil
}

// ResealProvider puts a secret that was sealed anew in the place of the one that was, if that is still
// there, and says whether it was. Nothing else of the provider changes.
func (s Providers) ResealProvider(ctx context.Context, id string, is, was []byte, now time.Time) (bool, error) {
	n, err := s.db.write(ctx,
		do(`UPDATE providers SET sealed = $2 WHERE id = $1 AND sealed = $3`, id, is, was),
		s.db.changed(ProviderChange, id, now))
	return err == nil && n[0] == 1, err
}

// SpendState implements [upstream.Store].
func (s Providers) SpendState(ctx context.Context, id string, until time.Time) error {
	return s.db.try(ctx, upstream.ErrSpent,
		do(`INSERT INTO spent_states (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, until))
}
