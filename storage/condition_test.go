package storage_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"mintmark/storage"
	"mintmark/storage/storagetest"
)

func TestConditionOfSQLite(t *testing.T) {
	db := storagetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "m.db"))
	c, err := db.Condition(t.Context())
	if err != nil || c.Engine != "sqlite" || !strings.HasPrefix(c.Version, "3.") || !c.Durable || len(c.Problems) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestConditionOfPostgreSQL(t *testing.T) {
	at, err := url.Parse(storagetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	says := func(c storage.Condition, what string) bool {
		return strings.Contains(strings.Join(c.Problems, " "), what)
	}
	for _, commit := range []string{"on", "off", "local"} {
		query := at.Query()
		query.Set("synchronous_commit", commit)
		at.RawQuery = query.Encode()
		c, err := storagetest.Open(t, at.String()).Condition(t.Context())
		if err != nil || c.Engine != "postgres" || c.Version == "" {
			t.Errorf("%+v, %v", c, err)
		}
		if says(c, "synchronous_commit is off") != (commit == "off") {
			t.Errorf("synchronous_commit is %s: %v", commit, c.Problems)
		}
		if c.Durable && (commit == "off" || says(c, "is off")) {
			t.Errorf("synchronous_commit is %s, and it is durable: %v", commit, c.Problems)
		}
		if says(c, "clock") {
			t.Errorf("the clock is this machine's: %v", c.Problems)
		}
	}
}
