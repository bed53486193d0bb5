package storagetest

import (
	"net/http"

	"go.uber.org/goleak"
)

// NoLeaks runs the tests of a package and fails if a goroutine is left, but for those that
// look after the PostgreSQL of all tests.
func NoLeaks(m goleak.TestingM) {
	goleak.VerifyTestMain(hangingUp{m},
		goleak.IgnoreAnyFunction("mintmark/storage/storagetest.startCluster.func1"),
		goleak.IgnoreAnyFunction("mintmark/storage/storagetest.removeAfterUs.func1"))
}

// hangingUp closes the connections that net/http keeps for the next request of a test.
type hangingUp struct{ goleak.TestingM }

// Run runs the tests.
func (h hangingUp) Run() int {
	code := h.TestingM.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
