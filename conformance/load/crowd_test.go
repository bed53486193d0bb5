package load_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// A crowd is a database that is filled behind the server's back.
type crowd struct {
	db     *sql.DB
	driver string
	there  int
}

func openCrowd(b *testing.B, driver, database string) *crowd {
	b.Helper()
	db, err := sql.Open(driver, strings.TrimPrefix(database, "sqlite:"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	c := &crowd{db, driver, 0}
	if driver == "sqlite" {
		c.exec(b, `PRAGMA busy_timeout = 60000`)
	}
	return c
}

func (c *crowd) exec(b *testing.B, statement string) int64 {
	b.Helper()
	result, err := c.db.ExecContext(b.Context(), statement)
	if err != nil {
		b.Fatalf("%.200s: %v", statement, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpu is the processor time of the server's connections to PostgreSQL. SQLite's is its process's.
func (c *crowd) cpu(b *testing.B) (all time.Duration) {
	b.Helper()
	if c.driver == "sqlite" {
		return 0
	}
	rows, err := c.db.QueryContext(b.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s target
		if err := rows.Scan(&s.pid); err != nil {
			b.Fatal(err)
		}
		all += s.cpu()
	}
	return all
}

// name is the name of the n-th of a crowd: it begins with three letters that go up and down with n, so that
// these rows are between those of ids that are drawn by chance.
var name = func() string {
	const letters = `'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'`
	return fmt.Sprintf(`(substr(%s, CAST(1 + n.i %% 62 AS INTEGER), 1) || substr(%s, CAST(1 + (n.i / 62) %% 62 AS INTEGER), 1) ||
		substr(%s, CAST(1 + (n.i / 3844) %% 62 AS INTEGER), 1) || CAST(n.i AS TEXT))`, letters, letters, letters)
}()

// crowds is what there can be a million of: copies of a row that is there, told apart by these columns.
var crowds = []struct {
	table string
	told  map[string]string
}{
	{"accounts", map[string]string{"id": "'usr_' || " + name, "email": name + " || '@example.com'", "email_key": name + " || '@example.com'"}},
	{"clients", map[string]string{"id": "'cli_' || " + name}},
	{"sessions", map[string]string{"id": "'ses_' || " + name, "account_id": "'usr_' || " + name}},
	{"consents", map[string]string{"account_id": "'usr_' || " + name, "client_id": "'cli_' || " + name}},
	{"authorizations", map[string]string{"id": name, "account_id": "'usr_' || " + name, "client_id": "'cli_' || " + name, "session_id": "'ses_' || " + name}},
	{"access_tokens", map[string]string{"id": name, "authorization_id": name, "client_id": "'cli_' || " + name}},
}

// grow makes every crowd as large as it is to be. also is what else is told about them, by column.
func (c *crowd) grow(b *testing.B, to int, also map[string]string) {
	b.Helper()
	for _, one := range crowds {
		rows, err := c.db.QueryContext(b.Context(), `SELECT * FROM `+one.table+` WHERE 1 = 0`)
		if err != nil {
			b.Fatal(err)
		}
		columns, err := rows.Columns()
		rows.Close()
		if err != nil {
			b.Fatal(err)
		}
		var values []string
		for _, column := range columns {
			value, told := one.told[column]
			if other, ok := also[column]; ok && !told {
				value, told = other, true
			}
			if !told {
				value = "t." + column
			}
			values = append(values, value)
		}
		for at := c.there; at < to; at += 50_000 {
			// 7919 is prime: each number comes once, far from the one before.
			c.exec(b, fmt.Sprintf(`WITH RECURSIVE k(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM k WHERE i + 1 < %d),
				n(i) AS (SELECT (CAST(i AS BIGINT) * 7919) %% 10000019 FROM k)
				INSERT INTO %s (%s) SELECT %s FROM n, (SELECT * FROM %s LIMIT 1) t`,
				at, min(at+50_000, to), one.table, strings.Join(columns, ", "), strings.Join(values, ", "), one.table))
		}
	}
	c.there = to
	if c.driver != "sqlite" { // which needs no statistics, and forgets those that it finds
		c.exec(b, `VACUUM ANALYZE`) // PostgreSQL does it by itself, a minute later
	}
}

// count is how many rows there are that a condition holds for.
func (c *crowd) count(b *testing.B, table, where string) (n int) {
	b.Helper()
	if err := c.db.QueryRowContext(b.Context(), `SELECT COUNT(*) FROM `+table+` WHERE `+where).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}
