package load_test

import (
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// BenchmarkPurge lets clients live at 500 requests a second while the server forgets MINTMARK_GROWTH
// sessions, authorizations and access tokens that have expired (1000000 of each, say), and tells the
// longest that anybody waited, then and before. It is run once, with -benchtime 1x.
func BenchmarkPurge(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { purge(b, "sqlite", storagetest.SQLite(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { purge(b, "pgx", durable(b)) })
}

func purge(b *testing.B, driver, database string) {
	size := crowdSize(b, few)
	db := startCrowded(b, driver, database, 1)
	life := db.life(db.cookie)
	var quiet, busy spread
	watch := func(into *spread) {
		p := newPace(500, time.Second)
		db.walk(b, clients, p, life)
		_, _, all := p.report() // not those that were late because the client overslept
		into.merge(&all)
	}
	watch(&spread{}) // fills caches and pools
	for range 10 {
		watch(&quiet)
	}
	began := time.Now()
	db.db.grow(b, size+1, map[string]string{"expires_at": "1", "forget_at": "1"})
	made := time.Now()
	for left := size; left > 0; {
		if b.Elapsed() > time.Hour || b.Failed() {
			b.Fatalf("%d rows are left", left)
		}
		watch(&busy)
		left = 0
		for _, table := range []string{"sessions", "authorizations", "access_tokens"} {
			left = max(left, db.db.count(b, table, "expires_at = 1"))
		}
	}
	b.Logf("%d of each came within %s, and were gone %s later", size, made.Sub(began).Round(time.Second), time.Since(made).Round(time.Second))
	b.Logf("before:    %v   longest %v", &quiet, quiet.at(1).Round(100*time.Microsecond))
	b.Logf("meanwhile: %v   longest %v", &busy, busy.at(1).Round(100*time.Microsecond))
	b.ReportMetric(time.Since(made).Seconds(), "s")
	b.ReportMetric(float64(quiet.at(1).Microseconds())/1000, "longest-before-ms")
	b.ReportMetric(float64(busy.at(1).Microseconds())/1000, "longest-ms")
	b.ReportMetric(float64(busy.at(.99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// merge adds what another spread has counted.
func (s *spread) merge(other *spread) {
	for i, n := range other.n {
		s.n[i] += n
	}
}
