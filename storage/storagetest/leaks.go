package storagetest

import "go.uber.org/goleak"

// NoLeaks runs the tests of a package and fails if a goroutine is left, but for those that
// look after the PostgreSQL of all tests.
func NoLeaks(m goleak.TestingM) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("mintmark/storage/storagetest.startCluster.func1"),
		goleak.IgnoreAnyFunction("mintmark/storage/storagetest.removeAfterUs.func1"))
}
