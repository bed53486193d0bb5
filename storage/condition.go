package storage

import (
	"context"
	"strings"
	"time"
)

// A Condition is what an operator should know about a database.
type Condition struct {
	Engine   string   // "sqlite" or "postgres"
	Version  string   // of the engine
	Durable  bool     // what was committed survives a power failure, as far as the database can tell
	Problems []string // what is wrong with it, and what to do; sentences
}

// Condition asks the database how it is set up.
func (db *DB) Condition(ctx context.Context) (Condition, error) {
	c := Condition{Engine: db.engine.about().name, Durable: true}
	examine := db.examineSQLite
	if c.Engine == "postgres" {
		examine = db.examinePostgres
	}
	err := examine(ctx, &c)
	return c, err
}

func (db *DB) examinePostgres(ctx context.Context, c *Condition) error {
	var fsync, fullPages, commit, collation string
	var now time.Time
	before := time.Now()
	_, err := db.get(ctx, into{&c.Version, &fsync, &fullPages, &commit, &collation, &now}, `
		SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
			current_setting('synchronous_commit'), datcollate,
			CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)
		FROM pg_database WHERE datname = current_database()`)
	if err != nil {
		return err
	}
	for _, danger := range []struct {
		name, value string
		loses       string
	}{
		{"fsync", fsync, "a power failure can destroy the database"},
		{"full_page_writes", fullPages, "a power failure can destroy the database"},
		{"synchronous_commit", commit, "a crash forgets what was just promised: a code could be redeemed twice, and a revoked token be good again"},
	} {
		if danger.value == "off" {
			c.Durable = false
			c.Problems = append(c.Problems, danger.name+" is off in PostgreSQL: "+danger.loses+". Set it to on.")
		}
	}
	if collation != "C" && collation != "POSIX" && !strings.HasPrefix(collation, "C.") {
		c.Problems = append(c.Problems, "The database sorts text by "+collation+
			", which comes from the operating system: an upgrade of that can break its indexes, until REINDEX DATABASE. Make the database with LC_COLLATE 'C' to be rid of it.")
	}
	if problem := clockProblem(now, before, time.Since(before)); problem != "" {
		c.Problems = append(c.Problems, problem)
	}
	return nil
}

// maxClockSkew is how far apart two clocks may be before somebody should look.
const maxClockSkew = 5 * time.Second

// clockProblem says what is wrong with one of two clocks: there is the database's, at some moment in the
// time that the question took, which began at asked by ours. Nothing here relies on the database's clock; but where it
// is another, ours may be wrong, and that of the next copy.
func clockProblem(there, asked time.Time, took time.Duration) string {
	off := there.Sub(asked.Add(took / 2))
	if off.Abs() <= maxClockSkew+took/2 {
		return ""
	}
	return "The clock of PostgreSQL is " + off.Round(time.Second).String() + " off this server's: let NTP set both."
}

func (db *DB) examineSQLite(ctx context.Context, c *Condition) error {
	var mode string
	if _, err := db.get(ctx, into{&c.Version}, `SELECT sqlite_version()`); err != nil {
		return err
	}
	if _, err := db.get(ctx, into{&mode}, `PRAGMA journal_mode`); err != nil {
		return err
	}
	if mode != "wal" {
		c.Problems = append(c.Problems, "SQLite could not use its write-ahead log (journal_mode is "+mode+"): the file system does not support it. Put the file on a local disk.")
	}
	if at, ok := db.engine.(*sqliteDB); ok {
		if name := networkFileSystem(at.path); name != "" {
			c.Durable = false
			c.Problems = append(c.Problems, "The SQLite file is on "+name+
				": locks do not work reliably there, and two programs that write can destroy it. Put it on a local disk, or use PostgreSQL.")
		}
	}
	return nil
}
