package journal_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/internal/journal"
)

// file is what has been written, and in how many writes.
type file struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (f *file) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	return f.text.Write(b)
}

func (f *file) has(t *testing.T, text string, writes int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.text.String() != text || f.writes != writes {
		t.Errorf("%q in %d writes, want %q in %d", f.text.String(), f.writes, text, writes)
	}
}

func write(t *testing.T, w io.Writer, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := io.WriteString(w, line); err != nil || n != len(line) {
			t.Fatal(n, err)
		}
	}
}

func TestLinesOfTheSameMomentAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{}
		w := journal.NewWriter(f)
		write(t, w, "1 ", "2 ")
		f.has(t, "1 2 ", 2) // it has not begun
		w.Begin()
		write(t, w, "3 ", "4 ", "5 ")
		f.has(t, "1 2 3 ", 3) // the first does not wait
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		f.has(t, "1 2 3 4 5 ", 4)
		write(t, w, "6 ")
		f.has(t, "1 2 3 4 5 ", 4) // there was one a moment ago
		time.Sleep(time.Second)
		f.has(t, "1 2 3 4 5 6 ", 5)
		write(t, w, "7 ", "8 ")
		f.has(t, "1 2 3 4 5 6 7 ", 6)
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		f.has(t, "1 2 3 4 5 6 7 8 ", 7)
		write(t, w, "9 ", "10")
		f.has(t, "1 2 3 4 5 6 7 8 9 10", 9)
	})
}

func TestAWarningIsWrittenAtOnceAndAllBeforeIt(t *testing.T) {
	for _, inJSON := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := &file{}
			w := journal.NewWriter(f)
			w.Begin()
			defer w.End()
			log := slog.New(journal.NewHandler(w, slog.LevelInfo, inJSON))
			for range 3 {
				log.Info("request")
			}
			if n := strings.Count(f.text.String(), "\n"); n != 1 {
				t.Errorf("%d lines", n)
			}
			log.With("a", 1).WithGroup("g").Warn("slow")
			if n := strings.Count(f.text.String(), "\n"); n != 4 {
				t.Errorf("%d lines", n)
			}
		})
	}
}

func TestNoLineIsLostOrTorn(t *testing.T) {
	f := &file{}
	w := journal.NewWriter(f)
	w.Begin()
	const writers, lines = 8, 5000
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for n := range lines {
				fmt.Fprintf(w, "%d %d %s\n", i, n, strings.Repeat("x", 100))
			}
		})
	}
	group.Wait()
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	var next [writers]int
	for line := range strings.Lines(f.text.String()) {
		var i, n int
		if _, err := fmt.Sscanf(line, "%d %d", &i, &n); err != nil || len(line) < 105 || n != next[i] {
			t.Fatalf("%q: %v", line, err)
		}
		next[i]++
	}
	for i, n := range next {
		if n != lines {
			t.Errorf("%d lines of %d", n, i)
		}
	}
}

// stuck takes nothing until it is told to.
type stuck struct {
	file
	on chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.on
	return s.file.Write(b)
}

func TestAFileThatTakesNothingHoldsWritersUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &stuck{on: make(chan struct{})}
		w := journal.NewWriter(f)
		w.Begin()
		line, written := strings.Repeat("x", 1023)+"\n", 0
		go func() {
			io.WriteString(w, line)
		}()
		synctest.Wait()
		go func() {
			for range 1000 {
				io.WriteString(w, line)
				written++
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if written > 256 {
			t.Errorf("%d KiB are held", written)
		}
		close(f.on)
		synctest.Wait()
		w.End()
		if n := f.text.Len(); n != 1001<<10 {
			t.Errorf("%d bytes were written", n)
		}
	})
}
