//go:build linux

package faults

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mintmark/conformance"
)

// A Node is one copy of the server: a process that can be killed, stopped and started again,
// at the same address and with the same data.
type Node struct {
	Index   int
	Address string // http://127.0.0.1:PORT
	Data    string

	front   bool // not a process of ours, but what stands in front of them
	program string
	args    []string
	env     []string
	log     tail
	mu      sync.Mutex
	pid     int
	exit    chan error
}

// A tail is the end of what a process printed.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 1<<20 {
		l.buf.Next(l.buf.Len() / 2)
	}
	return l.buf.Write(p)
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.buf.String()
	return text[max(0, len(text)-8000):]
}

// Dev returns as many copies as there are databases, which all lead to the same one. They
// share an issuer, which is the address of the first, and their keys. None runs yet.
func Dev(t testing.TB, databases ...string) []*Node {
	t.Helper()
	var nodes []*Node
	for i, database := range databases {
		port := freePort(t)
		n := &Node{Index: i, Address: "http://127.0.0.1:" + port, Data: t.TempDir(), program: conformance.Program(t), env: conformance.Environment()}
		issuer := n.Address
		if i > 0 {
			issuer = nodes[0].Address
		}
		n.args = []string{"dev", "--listen", "127.0.0.1:" + port, "--issuer", issuer, "--data", n.Data, "--log-level", "warn"}
		if database != "" {
			n.args = append(n.args, "--database", database)
		}
		nodes = append(nodes, n)
		t.Cleanup(func() {
			n.Kill()
			if t.Failed() {
				t.Logf("the log of copy %d:\n%s", n.Index, n.log.String())
			}
		})
	}
	return nodes
}

// StartAll starts copies and waits until they are ready. The first makes the keys for all.
func StartAll(t testing.TB, nodes []*Node) {
	t.Helper()
	for i, n := range nodes {
		if i > 0 {
			for _, name := range []string{"master.key", "admin.key"} {
				text, err := os.ReadFile(filepath.Join(nodes[0].Data, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(n.Data, name), text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// Start starts the process.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid != 0 {
		return errors.New("it runs already")
	}
	cmd := exec.Command(n.program, n.args...)
	cmd.Dir = n.Data
	cmd.Env = n.env
	cmd.Stderr = &n.log // and not what it prints, which has a set-up link in it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, exit := make(chan error, 1), make(chan error, 1)
	go func() {
		// The process is told to end with the thread that started it: this one stays.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exit <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	n.pid, n.exit = cmd.Process.Pid, exit
	return nil
}

// Ready waits until the copy says that it is.
func (n *Node) Ready(within time.Duration) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		n.mu.Lock()
		pid, exit := n.pid, n.exit
		n.mu.Unlock()
		if pid == 0 && !n.front {
			return errors.New("it does not run")
		}
		select {
		case err := <-exit:
			exit <- err
			return fmt.Errorf("copy %d ended by itself: %v\n%s", n.Index, err, n.log.String())
		default:
		}
		if resp, err := client.Get(n.Address + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("copy %d was not ready within %s\n%s", n.Index, within, n.log.String())
}

// Signal sends a signal to a running process.
func (n *Node) Signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid == 0 {
		return errors.New("it does not run")
	}
	return syscall.Kill(n.pid, s)
}

// Kill kills the process as a power cut would, and waits until it is gone.
func (n *Node) Kill() {
	if n.Signal(syscall.SIGKILL) == nil {
		n.Wait(time.Minute)
	}
}

// Wait waits for the process to end and returns how it did.
func (n *Node) Wait(within time.Duration) error {
	select {
	case err := <-n.exit:
		n.mu.Lock()
		n.pid = 0
		n.mu.Unlock()
		return err
	case <-time.After(within):
		return fmt.Errorf("copy %d did not end within %s", n.Index, within)
	}
}

// PID is the process, or 0.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pid
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// adminKey is the API key that `mintmark dev` wrote.
func adminKey(t testing.TB, nodes []*Node) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nodes[0].Data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
