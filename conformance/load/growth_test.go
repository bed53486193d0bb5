package load_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"mintmark/storage/storagetest"
)

// BenchmarkGrowth measures every operation with a few people, applications, sessions and
// authorizations in the database, and again with MINTMARK_GROWTH of each (1000000, say).
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{1000}
	if text := os.Getenv("MINTMARK_GROWTH"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most <= sizes[0] {
			b.Fatalf("MINTMARK_GROWTH is %q, and not a number above %d", text, sizes[0])
		}
		sizes = append(sizes, most)
	}
	for _, engine := range []struct {
		name, driver string
		make         func(*testing.B) string
	}{
		{"SQLite", "sqlite", func(b *testing.B) string { return storagetest.SQLite(b) }},
		{"PostgreSQL", "pgx", durable},
	} {
		b.Run(engine.name, func(b *testing.B) {
			database := engine.make(b)
			s := start(b, database)
			cookie := s.furnish()
			if _, err := s.code(s.visit(b), "web-ES256", cookie); err != nil {
				b.Fatal(err)
			}
			db, err := sql.Open(engine.driver, strings.TrimPrefix(database, "sqlite:"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if engine.driver == "sqlite" {
				if _, err := db.Exec(`PRAGMA busy_timeout = 60000`); err != nil {
					b.Fatal(err)
				}
			}
			there := 0
			for _, size := range sizes {
				grow(b, db, there, size)
				there = size
				b.Run(fmt.Sprint(size), func(b *testing.B) {
					for _, one := range s.operations(cookie) {
						if !strings.Contains(one.name, "RS256") {
							b.Run(one.name, func(b *testing.B) { s.measure(b, one.prepare) })
						}
					}
					b.Run("revocation", func(b *testing.B) { s.measure(b, s.revoke(b, "web-ES256", cookie)) })
				})
			}
		})
	}
}

// crowds is what there can be a million of: copies of a row that is there, told apart by these
// columns. The numbers come in no order, as the ids of people do.
var crowds = []struct {
	table string
	told  map[string]string
}{
	{"accounts", map[string]string{"id": "'usr_crowd' || n.i", "email": "'crowd' || n.i || '@example.com'", "email_key": "'crowd' || n.i || '@example.com'"}},
	{"clients", map[string]string{"id": "'cli_crowd' || n.i"}},
	{"sessions", map[string]string{"id": "'ses_crowd' || n.i", "account_id": "'usr_crowd' || n.i"}},
	{"consents", map[string]string{"account_id": "'usr_crowd' || n.i", "client_id": "'cli_crowd' || n.i"}},
	{"authorizations", map[string]string{"id": "'crowd' || n.i", "account_id": "'usr_crowd' || n.i", "client_id": "'cli_crowd' || n.i", "session_id": "'ses_crowd' || n.i"}},
	{"access_tokens", map[string]string{"id": "'crowd' || n.i", "authorization_id": "'crowd' || n.i", "client_id": "'cli_crowd' || n.i"}},
}

// grow makes every crowd as large as it is to be.
func grow(b *testing.B, db *sql.DB, from, to int) {
	b.Helper()
	ctx := context.Background()
	for _, crowd := range crowds {
		rows, err := db.QueryContext(ctx, `SELECT * FROM `+crowd.table+` WHERE 1 = 0`)
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
			values = append(values, "t."+column)
		}
		for column, value := range crowd.told {
			values[slices.Index(columns, column)] = value
		}
		for at := from; at < to; at += 50_000 {
			// 7919 is prime: each number comes once, far from the one before.
			statement := fmt.Sprintf(`WITH RECURSIVE k(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM k WHERE i + 1 < %d),
				n(i) AS (SELECT (CAST(i AS BIGINT) * 7919) %% 10000019 FROM k)
				INSERT INTO %s (%s) SELECT %s FROM n, (SELECT * FROM %s LIMIT 1) t`,
				at, min(at+50_000, to), crowd.table, strings.Join(columns, ", "), strings.Join(values, ", "), crowd.table)
			if _, err := db.ExecContext(ctx, statement); err != nil {
				b.Fatalf("%s: %v", crowd.table, err)
			}
		}
	}
	if _, err := db.ExecContext(ctx, `ANALYZE`); err != nil { // PostgreSQL does it by itself, a minute later
		b.Fatal(err)
	}
}
