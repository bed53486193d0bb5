package storage

import (
	"context"
	"strings"
	"time"

	"mintmark/issuer"
)

// Consent implements [issuer.Store].
func (s issuing) Consent(ctx context.Context, accountID, clientID string) (issuer.Consent, error) {
	var c issuer.Consent
	found, err := s.db.get(ctx, consentColumns(&c), `
		SELECT account_id, client_id, scopes, granted_at, updated_at
		FROM consents WHERE account_id = $1 AND client_id = $2`,
		accountID, clientID)
	switch {
	case err != nil:
		return issuer.Consent{}, err
	case !found:
		return issuer.Consent{}, issuer.ErrNotFound
	}
	return c, nil
}

// consentColumns is where the columns of a consent go, in the order of every SELECT here.
func consentColumns(c *issuer.Consent) into {
	return into{&c.AccountID, &c.ClientID, &c.Scopes, &c.GrantedAt, &c.UpdatedAt}
}

// remember is the part of the verb that answers a request which remembers the consent. It
// does nothing unless the answer, known by the digest of its code, is there.
func remember(c issuer.Consent, answer issuer.Authorization) []statement {
	verb := []statement{
		do(`INSERT INTO consents (account_id, client_id, scopes, granted_at, updated_at)
			SELECT $1, $2, '', $3, $4
			WHERE EXISTS (SELECT 1 FROM authorizations WHERE id = $5 AND code_digest = $6)
			ON CONFLICT (account_id, client_id) DO UPDATE SET updated_at = excluded.updated_at`,
			c.AccountID, c.ClientID, c.GrantedAt, c.UpdatedAt, answer.ID, answer.CodeDigest),
	}
	for _, scope := range c.Scopes {
		// Adds a word to the list if it is not in it: taking it out would change nothing.
		verb = append(verb, do(`
			UPDATE consents SET scopes = TRIM(scopes || ' ' || $3)
			WHERE account_id = $1 AND client_id = $2
			AND REPLACE(' ' || scopes || ' ', ' ' || $3 || ' ', '') = ' ' || scopes || ' '
			AND EXISTS (SELECT 1 FROM authorizations WHERE id = $4 AND code_digest = $5)`,
			c.AccountID, c.ClientID, scope, answer.ID, answer.CodeDigest))
	}
	return verb
}

// Consents implements [issuer.Registry].
func (s registry) Consents(ctx context.Context, p issuer.Page, accountID, clientID string) ([]issuer.Consent, error) {
	afterAccount, afterClient, _ := strings.Cut(p.After, " ")
	switch {
	case accountID != "" && clientID != "":
		return all(ctx, s.db, consentColumns, `
			SELECT account_id, client_id, scopes, granted_at, updated_at
			FROM consents
			WHERE account_id = $1 AND client_id = $2 AND (account_id, client_id) > ($3, $4)`,
			accountID, clientID, afterAccount, afterClient)
	case accountID != "":
		return all(ctx, s.db, consentColumns, `
			SELECT account_id, client_id, scopes, granted_at, updated_at
			FROM consents
			WHERE account_id = $1 AND (account_id, client_id) > ($2, $3)
			ORDER BY account_id, client_id LIMIT $4`,
			accountID, afterAccount, afterClient, limit(p.Limit))
	case clientID != "":
		return all(ctx, s.db, consentColumns, `
			SELECT account_id, client_id, scopes, granted_at, updated_at
			FROM consents
			WHERE client_id = $1 AND (account_id, client_id) > ($2, $3)
			ORDER BY account_id, client_id LIMIT $4`,
			clientID, afterAccount, afterClient, limit(p.Limit))
	}
	return all(ctx, s.db, consentColumns, `
		SELECT account_id, client_id, scopes, granted_at, updated_at
		FROM consents
		WHERE (account_id, client_id) > ($1, $2)
		ORDER BY account_id, client_id LIMIT $3`,
		afterAccount, afterClient, limit(p.Limit))
}

// RevokeConsent implements [issuer.Registry].
func (s registry) RevokeConsent(ctx context.Context, accountID, clientID string, now time.Time) error {
	n, err := s.db.write(ctx,
		do(`DELETE FROM consents WHERE account_id = $1 AND client_id = $2`, accountID, clientID),
		do(`UPDATE authorizations SET revoked_at = $3, revoke_reason = 'consent revoked'
			WHERE account_id = $1 AND client_id = $2 AND revoked_at = 0`,
			accountID, clientID, now),
		s.db.revokedAuthorizations(now, `account_id = $3 AND client_id = $4 AND revoked_at = $5`, accountID, clientID, now),
		s.db.changed(consentChange, accountID+" "+clientID, now))
	switch {
	case err != nil:
		return err
	case n[0]+n[1] == 0:
		return issuer.ErrNotFound
	}
	return nil
}
