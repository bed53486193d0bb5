//go:build linux

package faults

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"mintmark/conformance"
	"mintmark/storage"
	"mintmark/storage/storagetest"
)

// Somebody kills a migration again and again. Whenever that was, the next one goes on where it was, and
// the schema is the same as if nobody had.
func TestAMigrationIsKilled(t *testing.T) {
	length(t, 0)
	number := seed(t)
	for _, engine := range []struct {
		name, driver, schema string
		make                 func(testing.TB) string
	}{
		{"sqlite", "sqlite", `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY 1`, storagetest.SQLite},
		{"postgres", "pgx", `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
			FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`, storagetest.EmptyPostgres},
	} {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			whole := engine.make(t)
			if err := migrate(t, whole, time.Minute); err != nil {
				t.Fatal(err)
			}
			want := schema(t, engine.driver, whole, engine.schema)
			if len(want) < 50 {
				t.Fatalf("the schema has only %d lines", len(want))
			}
			faults := chance(number)
			var versions []int64
			for range 3 {
				database := engine.make(t)
				for after := 10 * time.Millisecond; ; after += 4 * time.Millisecond {
					if migrate(t, database, after+time.Duration(faults.Int64N(int64(4*time.Millisecond)))) == nil {
						break
					}
					versions = append(versions, version(t, database))
				}
				if got := schema(t, engine.driver, database, engine.schema); !slices.Equal(got, want) {
					t.Errorf("the schema is another than if nobody had killed it:\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			t.Logf("killed %d times, at versions %v", len(versions), versions)
		})
	}
}

// migrate migrates a database, and kills the process if that takes too long.
func migrate(t *testing.T, database string, most time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	if file, ok := strings.CutPrefix(database, "sqlite:"); ok { // the command looks after what is there
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	cmd := exec.CommandContext(ctx, conformance.Program(t), "db", "migrate", "--database", database)
	cmd.Env = conformance.Environment()
	return cmd.Run()
}

// version is the version of a database that was left in the middle, as somebody reads it who does not
// want to change it.
func version(t *testing.T, database string) int64 {
	t.Helper()
	cmd := exec.Command(conformance.Program(t), "db", "status", "--database", database, "--output", "json")
	cmd.Env = conformance.Environment()
	out, err := cmd.Output()
	var status storage.Status
	if err == nil {
		err = json.Unmarshal(out, &status)
	}
	if err != nil {
		t.Fatalf("nobody can say how far it got: %v\n%s", err, out)
	}
	return status.Version
}

func schema(t *testing.T, driver, database, query string) (lines []string) {
	t.Helper()
	db, err := sql.Open(driver, strings.TrimPrefix(database, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
