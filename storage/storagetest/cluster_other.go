//go:build unix && !linux

package storagetest

import "syscall"

// dropped is how the server's programs run. Where a child can't be told to end with us,
// the next test program sweeps up.
func dropped() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func giveAway(string) error { return nil }

func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }
