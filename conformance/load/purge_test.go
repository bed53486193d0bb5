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
	db.walk(b, clients, newPace(500, 2*time.Second), life) // fills caches and pools
	db.db.grow(b, size+1, map[string]string{"expires_at": "1", "forget_at": "1"})

	// Everybody is watched a second at a time: those in which nothing was forgotten yet are as it is always.
	var quiet, busy spread
	var began time.Time
	for left := size; left > 0; {
		if b.Elapsed() > time.Hour || b.Failed() {
			b.Fatalf("%d rows are left", left)
		}
		p := newPace(500, time.Second)
		db.walk(b, clients, p, life)
		now := 0
		for _, table := range []string{"sessions", "authorizations", "access_tokens"} {
			now = max(now, db.db.count(b, table, "expires_at = 1"))
		}
		_, all := p.report()
		if now == size {
			quiet.merge(&all)
		} else {
			busy.merge(&all)
			if began.IsZero() {
				began = time.Now().Add(-time.Second)
			}
		}
		left = now
	}
	b.Logf("before:    %v   longest %v", &quiet, quiet.at(1).Round(100*time.Microsecond))
	b.Logf("meanwhile: %v   longest %v", &busy, busy.at(1).Round(100*time.Microsecond))
	b.ReportMetric(time.Since(began).Seconds(), "s")
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
