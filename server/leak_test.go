package server_test

import (
	"testing"

	"mintmark/storage/storagetest"
)

// Whatever was started is over when the tests are.
func TestMain(m *testing.M) { storagetest.NoLeaks(m) }
