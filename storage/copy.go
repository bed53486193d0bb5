package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A table is what CopyTo must know of a table: its name, the columns of its primary key, and
// its other columns.
type table struct {
	name string
	key  string
	rest string
}

// numbered is the table whose first column is a number of its database, and means nothing in another: its
// rows get numbers of the one that they are copied to. Of several of one page that are about the same the
// last is copied: there they could have one number, and it tells how things stand.
const numbered = "revocations"

// everything is every table but changes, leases, copies and confirmations, which matter only to servers that run. A
// test compares it with the schema.
var everything = []table{
	{"signing_keys", "id", "alg, generation, public, sealed, created_at, signs_at, revoked_at"},
	{"named_keys", "name", "sealed, created_at"},
	{"accounts", "id", "email, email_key, email_verified, name, role, claims, password_hash, created_at, updated_at, disabled_at"},
	{"sessions", "id", "account_id, digest, auth_time, amr, acr, created_at, seen_at, expires_at, address, user_agent, ended_at, end_reason, " +
		"provider_id, subject, idp, proved_at, limits"},
	{"providers", "id", "name, config, sealed, created_at, updated_at, disabled_at, event"},
	{"identities", "provider_id, subject", "account_id, email, role, linked_at, used_at"},
	{"upstream_tokens", "provider_id, subject", "account_id, sealed, scopes, expires_at, version, lease, kept_at"},
	{"upstream_revocations", "id", "provider_id, subject, account_id, sealed, at, attempts, next_at"},
	{"removed_providers", "id", "name, config, sealed, removed_at"},
	{"spent_states", "id", "expires_at"},
	{"counters", "key", "n, resets_at"},
	{"setup_codes", "id", "digest, expires_at"},
	{"clients", "id", "metadata, secrets, secret_hashes, created_at, updated_at, disabled_at"},
	{"consents", "account_id, client_id", "scopes, granted_at, updated_at"},
	{"authorizations", "id", "client_id, account_id, session_id, scopes, audience, claims, auth_time, acr, amr, nonce, offline, created_at, " +
		"redirect_uri, challenge, code_digest, code_expires_at, code_spent_at, bought, seed, generation, rotated_at, idle_until, expires_at, " +
		"revoked_at, revoke_reason, forget_at, idp, limits, provider_id, subject"},
	{"access_tokens", "id", "digest, authorization_id, client_id, scopes, audience, issued_at, expires_at"},
	{"revoked_tokens", "jti", "expires_at"},
	{"revocations", "seq, kind, ref", "until, revoked"},
	{"assertions", "client_id, jti", "expires_at"},
	{"api_keys", "id", "kind, owner_type, owner_id, name, digest, scopes, audience, created_at, created_by, expires_at, disabled, revoked_at, version, " +
		"allow, deny, limits, metadata, created_via, updated_at, not_before, leaked, reason, replaces, replaced_by, grace_until, event, quota_id, idle_expiry"},
	{"quotas", "id", "amount, period, period_start, spent, lent"},
	{"notices", "id", "kind, ref, detail, at, attempts, next_at"},
	{"api_key_usage", "id", "last_used_at, last_address, uses"},
	{"api_key_scopes", "key_id, scope", "at"},
	{"service_accounts", "id", "name, description, created_at, created_by, disabled_at, removed_at, event"},
	{"audit", "id", "at, actor, via, action, ref, detail, address, request_id"},
}

// booleans are the columns that SQLite gives back as numbers.
var booleans = []string{"email_verified", "offline", "disabled", "leaked", "revoked"}

// copyPage is how many rows are read, and written in one transaction, at a time.
const copyPage = 200

// ErrNotEmpty means that there is something in a database that was to be filled.
var ErrNotEmpty = errors.New("the database to copy to is not empty")

// CopyTo copies everything to another database, whatever the engines, and returns how many rows
// that were. Both must have the schema of this program, and the other must be empty: otherwise
// [ErrNotEmpty], and nothing is changed. A copy that fails in the middle leaves a part of it
// behind. What is written while it runs may be missing: no server may be running.
func (db *DB) CopyTo(ctx context.Context, to *DB) (rows int64, err error) {
	for _, d := range []*DB{db, to} {
		status, err := d.Status(ctx)
		if err != nil {
			return 0, err
		}
		if status.Version != status.Latest {
			return 0, fmt.Errorf("storage: a database is at version %d and not at %d: run `mintmark db migrate` on it first", status.Version, status.Latest)
		}
	}
	for _, t := range everything {
		n, err := to.count(ctx, t)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return 0, fmt.Errorf("storage: %w: it has rows in %s", ErrNotEmpty, t.name)
		}
	}
	for _, t := range everything {
		left, err := db.copyTable(ctx, to, t)
		if err != nil {
			return rows, fmt.Errorf("storage: copying %s (empty the other database before trying again): %w", t.name, err)
		}
		was, err := db.count(ctx, t)
		if err != nil {
			return rows, err
		}
		is, err := to.count(ctx, t)
		if err != nil {
			return rows, err
		}
		if was != is+left {
			return rows, fmt.Errorf("storage: %s has %d rows and its copy %d: something was writing meanwhile; end every server, empty the other database and try again", t.name, was, is)
		}
		rows += is
	}
	return rows, nil
}

func (db *DB) count(ctx context.Context, t table) (n int64, err error) {
	_, err = db.get(ctx, into{&n}, `SELECT COUNT(*) FROM `+t.name)
	return n, err
}

// copyTable copies the rows in the order of their keys, a page at a time, and returns how many it
// left out.
func (db *DB) copyTable(ctx context.Context, to *DB, t table) (left int64, err error) {
	columns := strings.Split(t.key+", "+t.rest, ", ")
	keys := strings.Count(t.key, ",") + 1
	first := fmt.Sprintf(`SELECT %s, %s FROM %s ORDER BY %s LIMIT %d`, t.key, t.rest, t.name, t.key, copyPage)
	next := fmt.Sprintf(`SELECT %s, %s FROM %s WHERE (%s) > (%s) ORDER BY %s LIMIT %d`,
		t.key, t.rest, t.name, t.key, parameters(keys), t.key, copyPage)
	insert := fmt.Sprintf(`INSERT INTO %s (%s, %s) VALUES (%s)`, t.name, t.key, t.rest, parameters(len(columns)))
	if t.name == numbered {
		// The number that it had is not used, and has to be: PostgreSQL wants to know of what type it is.
		insert = fmt.Sprintf(`INSERT INTO %s (%s, %s) SELECT %s, $2, $3, CAST($4 AS BIGINT), CAST($5 AS BOOLEAN) WHERE CAST($1 AS BIGINT) IS NOT NULL`,
			t.name, t.key, t.rest, to.numbered(t.name))
	}
	query, after := first, []any(nil)
	for {
		var page []statement
		err := db.list(ctx, func(r row) error {
			args := make([]any, len(columns))
			for i, value := range r {
				args[i] = value
				switch v := value.(type) {
				case []byte:
					args[i] = slices.Clone(v) // the row is only lent to us
				case int64:
					if slices.Contains(booleans, columns[i]) {
						args[i] = v != 0
					}
				}
			}
			page = append(page, do(insert, args...))
			return nil
		}, query, after...)
		if err != nil || len(page) == 0 {
			return left, err
		}
		query, after = next, slices.Clone(page[len(page)-1].args[:keys])
		if t.name == numbered {
			n := len(page)
			page = newestOf(page)
			left += int64(n - len(page))
		}
		if _, err := to.write(ctx, page...); err != nil {
			return left, err
		}
	}
}

// newestOf leaves out what a later row of the page is about too: the same kind and ref.
func newestOf(page []statement) (kept []statement) {
	seen := map[[2]any]bool{}
	for _, s := range slices.Backward(page) {
		if of := [2]any{s.args[1], s.args[2]}; !seen[of] {
			seen[of] = true
			kept = append(kept, s)
		}
	}
	slices.Reverse(kept)
	return kept
}

// parameters returns "$1, $2, …".
func parameters(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(all, ", ")
}
