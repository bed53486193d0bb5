//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mintmark/conformance"
)

// The server has no setting for what time it is, and nothing from outside can give a Go program
// another: it does not ask the C library. So this is the same program, built against a [time.Now] that is
// wrong by what FAULTS_CLOCK says: seconds, and perhaps by how many others after how many seconds.

// wrongClock is a file that is added to package time.
const wrongClock = `package time

import "syscall"

var wrongFirst, wrongThen, wrongAfter = readWrong()

func readWrong() (first, then, after int64) {
	text, _ := syscall.Getenv("FAULTS_CLOCK")
	var all [3]int64
	for i := 0; i < len(all) && text != ""; i++ {
		end := 0
		for end < len(text) && text[end] != ' ' {
			end++
		}
		n, err := atoi(text[:end])
		if err != nil {
			panic("FAULTS_CLOCK is not seconds: " + text)
		}
		all[i], text = int64(n), text[min(end+1, len(text)):]
	}
	return all[0], all[1], all[2]
}

func wrong(mono int64) int64 {
	if wrongAfter > 0 && mono-startNano > wrongAfter*1e9 {
		return wrongThen
	}
	return wrongFirst
}
`

// rightClock is the line of [time.Now] that asks for the time.
const rightClock = "sec, nsec, mono := runtimeNow()\n"

// clocked builds the program with the wrong clock, once for each test binary. The standard library is built
// for it too, which takes some minutes the first time.
var clocked = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(text), rightClock) != 1 {
		return "", fmt.Errorf("this Go asks for the time in another way than %q", rightClock)
	}
	dir, err := os.MkdirTemp("", "mintmark-clock")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range map[string]string{
		"time.go":  strings.Replace(string(text), rightClock, rightClock+"\tsec += wrong(mono)\n", 1),
		"wrong.go": wrongClock,
	} {
		replace[filepath.Join(folder, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "mintmark")
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "mintmark/cmd/mintmark").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program with a wrong clock: %w\n%s", err, out)
	}
	return program, nil
})

// SetClock gives a copy a clock that is wrong, from when it is started the next time.
func (n *Node) SetClock(t testing.TB, wrong string) {
	t.Helper()
	program, err := clocked()
	if err != nil {
		t.Fatal(err)
	}
	n.program, n.env = program, append(conformance.Environment(), "FAULTS_CLOCK="+wrong)
}
