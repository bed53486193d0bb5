package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// standbyName is what a standby calls itself. A cluster has one at a time.
const standbyName = "standby"

// AddStandby makes a standby of a running cluster and waits until every commit of the cluster waits
// for it: it is synchronous, so that no acknowledged commit can be lost.
func (c *Cluster) AddStandby(t testing.TB) *Cluster {
	t.Helper()
	s := newCluster(t)
	backup := program(s.dir, filepath.Join(s.bin, "pg_basebackup"), "-h", c.dir, "-U", "postgres", "-D", s.data(), "-c", "fast", "-X", "stream", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	// It is told here whom it follows, and not to wait for anybody when it is promoted: the copy has what
	// was set with ALTER SYSTEM in the original.
	settings := fmt.Sprintf("primary_conninfo = 'host=%s user=postgres application_name=%s'\n", c.dir, standbyName)
	if err := os.WriteFile(filepath.Join(s.data(), "postgresql.auto.conf"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.data(), "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgresql.auto.conf", "standby.signal"} {
		if err := giveAway(filepath.Join(s.data(), name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Start(t)
	c.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = '`+standbyName+`'`)
	c.Exec(t, `SELECT pg_reload_conf()`)
	c.await(t, `SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync') AND current_setting('synchronous_standby_names') <> ''`)
	return s
}

// Promote makes a standby the primary, and returns when it lets clients write.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	c.Exec(t, `SELECT pg_promote()`)
	c.await(t, `SELECT NOT pg_is_in_recovery()`)
}

// Kill ends every process of the server at once, as when its machine loses power.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	// First the one that would notice.
	if err := c.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, pid := range children(c.process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	if err := c.process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	c.process = nil
}

// children are the processes that a process has started. Each server of PostgreSQL is a session of its
// own, so that no signal to a group reaches them.
func children(of int) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (name) state ppid …
		after := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, err2 := strconv.Atoi(after[1])
		if err1 == nil && err2 == nil && parent == of {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Exec runs one statement on the server itself.
func (c *Cluster) Exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// await asks until the answer is yes.
func (c *Cluster) await(t testing.TB, question string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for yes := false; !yes; time.Sleep(5 * time.Millisecond) {
		if err := conn.QueryRow(ctx, question).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", question, err)
		}
	}
}

// Either is the address of the database on whichever of several servers is the primary.
func Either(of ...*Cluster) string {
	var folders []string
	for _, c := range of {
		folders = append(folders, c.dir)
	}
	at := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {strings.Join(folders, ",")}, "sslmode": {"disable"}}.Encode()}
	return at.String()
}
