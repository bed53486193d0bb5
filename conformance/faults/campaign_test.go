//go:build linux

package faults

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"mintmark/storage/storagetest"
)

// length is how long a campaign takes: a few seconds, or MINTMARK_FAULTS.
func length(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	if testing.Short() {
		t.Skip("a campaign of faults takes its time")
	}
	text := os.Getenv("MINTMARK_FAULTS")
	if text == "" {
		return short
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MINTMARK_FAULTS is not a duration, such as 10m: %v", err)
	}
	return long
}

// seed is where a campaign's chances come from. It is printed, and MINTMARK_SEED repeats it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64N(1e9)
	if text := os.Getenv("MINTMARK_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MINTMARK_SEED is not a number: %v", err)
		}
	}
	t.Logf("MINTMARK_SEED=%d", n)
	return n
}

// elsewhere is how long another copy may take to hear that a client is gone.
const elsewhere = time.Second

// judge lets the oracle speak.
func judge(t *testing.T, w *World, workers Workers, database string) {
	t.Helper()
	for _, n := range w.Nodes {
		if err := n.Ready(10 * time.Second); err != nil {
			t.Error(err)
		}
	}
	found, err := w.Recheck(workers, elsewhere, database)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range found {
		if i == 30 {
			t.Errorf("and %d more", len(found)-i)
			break
		}
		t.Error(v)
	}
	counts, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(counts)
}

// chance is the schedule of a campaign's faults, from its seed.
func chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// A crash at any instruction loses nothing that was acknowledged, and nothing happens twice.
func TestKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		n := length(t, 8*time.Second)
		nodes := Dev(t, "")
		StartAll(t, nodes)
		kill(t, nodes, n, DatabaseOf(nodes[0]))
	})
	t.Run("postgres, three copies", func(t *testing.T) {
		n := length(t, 8*time.Second)
		database := storagetest.Postgres(t)
		nodes := Dev(t, database, database, database)
		StartAll(t, nodes)
		kill(t, nodes, n, database)
	})
}

func kill(t *testing.T, nodes []*Node, n time.Duration, database string) {
	w := NewWorld(t, nodes, seed(t))
	workers := w.NewWorkers(6)
	faults := chance(w.Seed)
	killed, stopped := 0, 0
	w.Run(workers, func() {
		for end := time.Now().Add(n); time.Now().Before(end); {
			time.Sleep(between(faults, 50*time.Millisecond, 400*time.Millisecond))
			node := nodes[faults.IntN(len(nodes))]
			if faults.IntN(4) > 0 {
				w.Restart(node)
				killed++
				continue
			}
			// A pause, as a virtual machine that is moved makes one: everything that was true
			// before may be false after it.
			if err := node.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			time.Sleep(between(faults, 100*time.Millisecond, 2500*time.Millisecond))
			if err := node.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
			stopped++
		}
	})
	t.Logf("killed %d times, stopped and continued %d times", killed, stopped)
	judge(t, w, workers, database)
}
