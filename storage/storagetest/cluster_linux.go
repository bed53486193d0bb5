package storagetest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// dropped is how the server's programs run: they refuse to be root, and they are to end
// with us.
func dropped() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if uid, gid, ok := somebodyElse(); ok {
		attr.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{}}
	}
	return attr
}

// apart is how a program runs that is to outlive us.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// giveAway makes a folder the property of whoever the server runs as.
func giveAway(dir string) error {
	uid, gid, ok := somebodyElse()
	if !ok {
		return nil
	}
	return os.Chown(dir, int(uid), int(gid))
}

// somebodyElse is who to be instead of root.
func somebodyElse() (uid, gid uint32, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(uid), uint32(gid), true
		}
	}
	return 0, 0, false
}

func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }
