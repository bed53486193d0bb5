package journal_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever was started is over when the tests are.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
