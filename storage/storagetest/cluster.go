package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// startCluster makes a throw-away cluster and returns its URL. The server is gone when this
// program is, however it ends, and its folder soon after.
func startCluster(bin string) (string, error) {
	sweep()
	// Not a test's own folder: the path of a socket has room for 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "mintmark-pg")
	if err != nil {
		return "", err
	}
	if err := giveAway(dir); err != nil {
		return "", err
	}
	if err := removeAfterUs(dir); err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	initdb := program(dir, filepath.Join(bin, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// Only a socket, in a folder that is ours: no port to collide with, and trust is safe.
	// Nothing here has to survive a crash.
	postgres := program(dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "", "-F",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "autovacuum=off", "-c", "jit=off", "-c", "checkpoint_timeout=1h")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	postgres.Stdout, postgres.Stderr = log, log
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The server is told to stop when the thread that started it ends, so this one
		// waits as long as there is a server, and is nobody else's.
		runtime.LockOSThread()
		err := postgres.Start()
		started <- err
		if err == nil {
			ended <- postgres.Wait()
		}
	}()
	if err := <-started; err != nil {
		return "", err
	}
	at := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()}
	return at.String(), ready(at.String(), ended, log.Name())
}

// ready waits until the server lets somebody in, or has given up.
func ready(at string, ended <-chan error, log string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, at)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(log) // best effort: there is an error to report already
			return fmt.Errorf("it ended at once:\n%s", said)
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func program(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C.UTF-8", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = dropped()
	return cmd
}

// removeAfterUs starts a shell that removes the folder when its input ends, which is when
// this program does, even if it is killed.
func removeAfterUs(dir string) error {
	cmd := exec.Command("/bin/sh", "-c", `read -r _; sleep 1; rm -rf "$1"`, "sh", dir)
	cmd.SysProcAttr = apart()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()          // it ends after we do
		runtime.KeepAlive(pipe) // only the kernel closes it: not the garbage collector
	}()
	return nil
}

// sweep removes the folders of earlier programs whose servers are gone.
func sweep() {
	folders, _ := filepath.Glob("/tmp/mintmark-pg*") // the pattern is good
	for _, dir := range folders {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // or it is just being made
		}
		text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
		pid, _, _ := strings.Cut(string(text), "\n")
		n, numberErr := strconv.Atoi(pid)
		if errors.Is(err, fs.ErrNotExist) || err == nil && numberErr == nil && !alive(n) {
			_ = os.RemoveAll(dir) // somebody else may be doing the same
		}
	}
}
