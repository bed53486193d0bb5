package storagetest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mintmark/internal/secret"
	"mintmark/storage"
)

// howToInstall is what to do where there is no PostgreSQL.
const howToInstall = "PostgreSQL is not installed: apt-get install -y --no-install-recommends postgresql (or set PG_BIN to the folder of its programs, or TEST_POSTGRES to the URL of a server)"

// server is the one server of this test program. A sync.OnceValues could not be asked
// again, but nobody does: what can't start once does not start later.
var server = sync.OnceValues(startServer)

// A template is a server's migrated empty database, from which tests get their copies.
type template struct {
	url  *url.URL // of the server, as an administrator
	name string
}

// Postgres returns the URL of an empty database that has the current schema and is
// dropped when the test ends. It skips the test where there is no PostgreSQL, or fails it
// if MINTMARK_REQUIRE_POSTGRES is 1.
func Postgres(t testing.TB) string {
	t.Helper()
	from, err := server()
	switch {
	case err != nil:
		t.Fatal(err)
	case from == nil && os.Getenv("MINTMARK_REQUIRE_POSTGRES") == "1":
		t.Fatal(howToInstall)
	case from == nil:
		t.Skip(howToInstall)
	}
	name := "t_" + strings.ToLower(secret.NewShortID()) + strconv.FormatInt(time.Now().UnixNano()%1e6, 36)
	if err := from.admin(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy", name, from.name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := from.admin(fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Error(err)
		}
	})
	return from.database(name)
}

// EmptyPostgres is [Postgres] for a database without a schema.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	full := Postgres(t)
	at, err := url.Parse(full)
	if err != nil {
		t.Fatal(err)
	}
	from, err := server()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(at.Path, "/")
	for _, sql := range []string{
		fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name),
		fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0", name),
	} {
		if err := from.admin(sql); err != nil {
			t.Fatal(err)
		}
	}
	return full
}

// startServer starts a server, or finds the one of TEST_POSTGRES, and makes the template.
// It returns nil if there is no PostgreSQL.
func startServer() (*template, error) {
	at := os.Getenv("TEST_POSTGRES")
	if at == "" {
		bin := findPrograms()
		if bin == "" {
			return nil, nil
		}
		var err error
		if at, err = startCluster(bin); err != nil {
			return nil, fmt.Errorf("starting PostgreSQL for tests: %w", err)
		}
	}
	parsed, err := url.Parse(at)
	if err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES: %w", err)
	}
	made := &template{url: parsed, name: fmt.Sprintf("mintmark_template_%d", os.Getpid())}
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + made.name,
		"CREATE DATABASE " + made.name + " TEMPLATE template0",
	} {
		if err := made.admin(sql); err != nil {
			return nil, err
		}
	}
	db, err := storage.Open(context.Background(), made.database(made.name), storage.Options{Log: slog.New(slog.DiscardHandler), Migrate: true, MaxConns: 2})
	if err != nil {
		return nil, err
	}
	db.Close() // nobody may be connected to a template that is being copied
	return made, nil
}

func (s *template) database(name string) string {
	at := *s.url
	at.Path = "/" + name
	return at.String()
}

// admin runs one statement for which no connection is worth keeping.
func (s *template) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// findPrograms returns the folder of the newest initdb and postgres, or "".
func findPrograms() string {
	folders := []string{os.Getenv("PG_BIN")}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are good
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(major(b), major(a)) })
		folders = append(folders, found...)
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if real, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres")); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	for _, folder := range folders {
		if isProgram(folder, "initdb") && isProgram(folder, "postgres") {
			return folder
		}
	}
	return ""
}

func isProgram(folder, name string) bool {
	if folder == "" {
		return false
	}
	info, err := os.Stat(filepath.Join(folder, name))
	return err == nil && !info.IsDir()
}

// major is the first number in a path: the version.
func major(path string) int {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(digits[0])
	return n
}
