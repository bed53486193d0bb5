package storage

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCopyToKnowsEveryColumn(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"), Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := map[string][]string{}
	var flags []string
	err = db.list(t.Context(), func(r row) error {
		table, column, kind := r[0].(string), r[1].(string), r[2].(string)
		schema[table] = append(schema[table], column)
		if kind == "BOOLEAN" && !slices.Contains(flags, column) {
			flags = append(flags, column)
		}
		return nil
	}, `SELECT t.name, c.name, c.type FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"changes", "leases", "copies", "confirmations", versionTable, "sqlite_sequence"} {
		delete(schema, left)
	}
	for _, table := range everything {
		columns := strings.Split(table.key+", "+table.rest, ", ")
		slices.Sort(columns)
		slices.Sort(schema[table.name])
		if !slices.Equal(columns, schema[table.name]) {
			t.Errorf("%s has the columns %v, and %v are copied", table.name, schema[table.name], columns)
		}
		delete(schema, table.name)
	}
	for table := range schema {
		t.Errorf("%s is not copied", table)
	}
	slices.Sort(flags)
	if want := slices.Sorted(slices.Values(booleans)); !slices.Equal(flags, want) {
		t.Errorf("the booleans of the schema are %v", flags)
	}
}
