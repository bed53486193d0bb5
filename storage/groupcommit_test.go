package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A bench is an SQLite database with a table to write to, and a hand on its lock.
type bench struct {
	t    *testing.T
	db   *DB
	w    *writer
	hand *sqliteConn
}

func newBench(t *testing.T) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(t.Context(), "sqlite:"+path, Options{Log: slog.New(slog.DiscardHandler), MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	hand, err := connectSQLite(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hand.close(); db.Close() })
	b := &bench{t: t, db: db, w: db.engine.(*sqliteDB).writer, hand: hand}
	if _, err := db.write(t.Context(), do(`CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY)`)); err != nil {
		t.Fatal(err)
	}
	return b
}

// hold keeps the writer from beginning; release lets it.
func (b *bench) hold()    { b.run(`BEGIN IMMEDIATE`) }
func (b *bench) release() { b.run(`ROLLBACK`) }

func (b *bench) run(sql string) {
	b.t.Helper()
	if _, err := b.hand.run(do(sql)); err != nil {
		b.t.Fatal(err)
	}
}

// queued waits until n verbs are in the queue.
func (b *bench) queued(n int) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(b.w.queue) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%d verbs are queued, want %d", len(b.w.queue), n)
		}
	}
}

// together runs verbs so that all but the first are in one group, and returns their errors.
func (b *bench) together(verbs ...[]statement) []error {
	b.t.Helper()
	b.hold()
	errs := make([]error, len(verbs)+1)
	var wg sync.WaitGroup
	wg.Go(func() { _, errs[0] = b.db.write(b.t.Context(), add("first")) }) // waits for the lock, alone
	for !b.begun() {
		time.Sleep(time.Millisecond)
	}
	for i, verb := range verbs {
		wg.Go(func() { _, errs[i+1] = b.db.write(b.t.Context(), verb...) })
		b.queued(i + 1) // in this order
	}
	b.release()
	wg.Wait()
	if errs[0] != nil {
		b.t.Fatal(errs[0])
	}
	return errs[1:]
}

// begun says whether the writer has taken the only verb there was.
func (b *bench) begun() bool { return b.db.Trips() == 3 && len(b.w.queue) == 0 }

func (b *bench) things() (names []string) {
	b.t.Helper()
	err := b.db.list(b.t.Context(), func(r row) error {
		var name string
		err := r.into(&name)
		names = append(names, name)
		return err
	}, `SELECT name FROM things ORDER BY name`)
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

func add(name string) statement { return do(`INSERT INTO things (name) VALUES ($1)`, name) }

func TestManyVerbsShareACommit(t *testing.T) {
	b := newBench(t)
	before := b.w.commits.Load()
	var verbs [][]statement
	for i := range 100 {
		verbs = append(verbs, []statement{add(fmt.Sprint("a", i)), add(fmt.Sprint("b", i))})
	}
	for _, err := range b.together(verbs...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := b.w.commits.Load() - before; n != 2 {
		t.Errorf("1 and 100 verbs took %d commits, want 2", n)
	}
	if n := len(b.things()); n != 201 {
		t.Errorf("%d rows, want 201", n)
	}
}

func TestAFailingVerbHurtsNobodyElse(t *testing.T) {
	b := newBench(t)
	errs := b.together(
		[]statement{add("a")},
		[]statement{add("half"), add("a")}, // its second statement fails
		[]statement{add("a")},
		[]statement{do(`INSERT INTO nowhere VALUES (1)`)},
		[]statement{add("c"), do(`INSERT INTO things (name) VALUES ($1)`, nil)},
		[]statement{add("half"), add("z")}, // what was undone is not in the way
	)
	for i, want := range []error{nil, errTaken, errTaken, errors.New("any"), errors.New("any"), nil} {
		switch {
		case want == nil && errs[i] != nil, want == errTaken && !errors.Is(errs[i], errTaken), want != nil && errs[i] == nil:
			t.Errorf("verb %d: got %v, want %v", i, errs[i], want)
		case errors.Is(errs[i], ErrUnavailable):
			t.Errorf("verb %d: its own fault is blamed on the database: %v", i, errs[i])
		}
	}
	if got := fmt.Sprint(b.things()); got != "[a first half z]" {
		t.Errorf("there are %s", got)
	}
}

func TestAFailedCommitIsEverybodysError(t *testing.T) {
	b := newBench(t)
	// The only failure of a commit that can be had at will: a constraint that is checked there.
	b.run(`CREATE TABLE promises (thing TEXT NOT NULL REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED)`)
	errs := b.together(
		[]statement{add("a")},
		[]statement{do(`INSERT INTO promises (thing) VALUES ('never')`)},
		[]statement{add("b"), add("c")},
	)
	for i, err := range errs {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("verb %d: %v", i, err)
		}
	}
	if _, err := b.db.write(t.Context(), add("after")); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(b.things()); got != "[after first]" {
		t.Errorf("there are %s", got)
	}
}

func TestAFullDiskIsNobodysSuccess(t *testing.T) {
	b := newBench(t)
	limit := func(pages int) {
		b.t.Helper()
		// The limit belongs to the writer's connection, which is idle.
		if _, err := b.w.conn.run(do(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // which means: no more than there are
	errs := b.together(
		[]statement{add("a")},
		[]statement{add("b"), add(strings.Repeat("large", 100_000))},
		[]statement{add("c")},
	)
	for i, err := range errs {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("verb %d: %v", i, err)
		}
	}
	if got := fmt.Sprint(b.things()); got != "[first]" {
		t.Errorf("there are %s", got)
	}
	limit(1_000_000)
	if _, err := b.db.write(t.Context(), add("again")); err != nil {
		t.Error(err)
	}
}

func TestWhoGivesUpInTheQueueGetsNothing(t *testing.T) {
	b := newBench(t)
	b.hold()
	var wg sync.WaitGroup
	var first error
	wg.Go(func() { _, first = b.db.write(t.Context(), add("first")) })
	for !b.begun() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		b.queued(1)
		cancel()
	})
	// Returns while the lock is still held.
	if _, err := b.db.write(ctx, add("second")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.release()
	wg.Wait()
	if first != nil {
		t.Error(first)
	}
	if _, err := b.db.write(t.Context(), add("third")); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(b.things()); got != "[first third]" {
		t.Errorf("there are %s", got)
	}
}

// Another program holds the lock for longer than anybody waits for an answer: nobody is left hanging, and
// what was refused does not happen later.
func TestWhoseTurnDoesNotComeGetsNothing(t *testing.T) {
	b := newBench(t)
	b.hold()
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 2000 { // more than there is room for in the queue
		wg.Go(func() {
			if _, err := b.db.write(t.Context(), add(fmt.Sprint(i))); !errors.Is(err, ErrUnavailable) {
				t.Errorf("verb %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	// SQLite itself waits for five seconds, and each group of verbs would again.
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("they were refused after %s", took)
	}
	b.release()
	if _, err := b.db.write(t.Context(), add("later")); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(b.things()); got != "[later]" {
		t.Errorf("there are %s", got)
	}
}

// SQLite's own $name parameters are found by order of appearance in some drivers, and then
// the wrong row is changed without a word. This one counts as PostgreSQL does.
func TestParametersAreFoundByTheirNumber(t *testing.T) {
	b := newBench(t)
	var one, two, three, four string
	_, err := b.db.get(t.Context(), into{&one, &two, &three, &four}, `SELECT $2, $1, $2, $3`, "1", "2", "3")
	if err != nil || one+two+three+four != "2123" {
		t.Errorf("got %s, %v", one+two+three+four, err)
	}
	if _, err := b.db.write(t.Context(), add("a"), add("b")); err != nil {
		t.Fatal(err)
	}
	var renamed string
	n, err := b.db.write(t.Context(), ask(into{&renamed}, `UPDATE things SET name = name || $2 WHERE name = $1 RETURNING name`, "b", "!"))
	if err != nil || n[0] != 1 || renamed != "b!" {
		t.Errorf("%d rows became %q, %v", n, renamed, err)
	}
}
