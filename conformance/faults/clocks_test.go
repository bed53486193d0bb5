//go:build linux

package faults

import (
	"os"
	"strings"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// Three copies disagree about what time it is. Up to half a minute nobody notices. Beyond that a code
// can be too old for the copy that gets it before it is bought, and a token that is asked for again; but
// nothing happens twice, and nothing that was revoked is good again.
func TestClocksDiffer(t *testing.T) {
	n := length(t, 0)
	if os.Getenv("MINTMARK_FAULTS") == "" {
		t.Skip("the standard library is built once more for this: run it with MINTMARK_FAULTS=10s")
	}
	for _, tt := range []struct {
		name   string
		clocks []string
		late   bool
	}{
		{"by half a minute", []string{"-15", "0", "15"}, false},
		{"by a minute", []string{"-30", "0", "30"}, true},
		{"by two minutes", []string{"-60", "0", "60"}, true},
		{"and two are set while they run", []string{"-60 60 10", "0", "60 -60 15"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			database := storagetest.Postgres(t)
			nodes := Dev(t, database, database, database)
			for i, clock := range tt.clocks {
				nodes[i].SetClock(t, clock)
			}
			StartAll(t, nodes)
			w := NewWorld(t, nodes, seed(t))
			w.Late = tt.late
			workers := w.NewWorkers(6)
			w.Run(workers, func() { time.Sleep(n) })
			judge(t, w, workers, database)
			if said := nodes[0].log.String(); !strings.Contains(said, "The clock of PostgreSQL is") {
				t.Errorf("a copy whose clock is not the database's does not say so: %s", said)
			}
		})
	}
}
