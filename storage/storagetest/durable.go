package storagetest

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A Cluster is a PostgreSQL server of a test's own, which keeps what it has acknowledged, as
// one in production does, and can be stopped and started again.
type Cluster struct {
	dir, bin string
	process  *os.Process
	ended    chan error
}

// StartCluster makes and starts a cluster. It ends with the test. Where there is no PostgreSQL
// the test is skipped, as in [Postgres].
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := newCluster(t)
	initdb := program(c.dir, filepath.Join(c.bin, "initdb"),
		"-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.Start(t)
	return c
}

// newCluster makes a folder for a cluster, which ends with the test.
func newCluster(t testing.TB) *Cluster {
	t.Helper()
	bin := findPrograms()
	switch {
	case bin == "" && os.Getenv("MINTMARK_REQUIRE_POSTGRES") == "1":
		t.Fatal(howToInstall)
	case bin == "":
		t.Skip(howToInstall)
	}
	dir, err := os.MkdirTemp("/tmp", "mintmark-pg") // the path of a socket has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	if err := giveAway(dir); err != nil {
		t.Fatal(err)
	}
	if err := removeAfterUs(dir); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{dir: dir, bin: bin}
	t.Cleanup(c.stop)
	return c
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Start starts the server and waits until it lets somebody in: it has recovered then.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	// After a kill its children may be there a moment longer, and it does not start until they are gone.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := c.start(t)
		if err == nil {
			return
		}
		select {
		case <-c.ended:
		default:
			t.Fatal(err) // it runs, and lets nobody in
		}
		if c.process = nil; time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func (c *Cluster) start(t testing.TB) error {
	t.Helper()
	cmd := program(c.dir, filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir, "-h", "",
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "jit=off")
	name := filepath.Join(c.dir, "log")
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if c.process, c.ended, err = startOnItsOwnThread(cmd); err != nil {
		t.Fatal(err)
	}
	return ready(c.URL(), c.ended, name)
}

// startOnItsOwnThread starts a program that is told to end with the thread that started it:
// this one waits as long as the program runs, and is nobody else's.
func startOnItsOwnThread(cmd *exec.Cmd) (*os.Process, chan error, error) {
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
		close(ended) // more than one may want to know
	}()
	err := <-started
	return cmd.Process, ended, err
}

// Stop stops the server as a crash does ("immediate"): it takes leave of nobody, and recovers
// from its log when it starts.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if err := c.process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.ended:
		c.process = nil
	case <-time.After(30 * time.Second):
		t.Fatal("PostgreSQL did not stop within 30 s")
	}
}

func (c *Cluster) stop() {
	if c.process != nil {
		_ = c.process.Signal(syscall.SIGQUIT) // it ends with us in any case
		<-c.ended
	}
}

// URL is the address of the cluster's database, which is empty at first.
func (c *Cluster) URL() string {
	at := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {c.dir}, "sslmode": {"disable"}}.Encode()}
	return at.String()
}

// Socket is the Unix socket at which the server listens.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }
