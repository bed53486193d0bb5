package storagetest

import (
	"errors"
	"syscall"
)

// On Windows the tests use a server that runs already: see TEST_POSTGRES.

func dropped() *syscall.SysProcAttr { return nil }

func apart() *syscall.SysProcAttr { return nil }

func giveAway(string) error {
	return errors.New("starting PostgreSQL is not supported here: set TEST_POSTGRES")
}

func alive(int) bool { return true }
