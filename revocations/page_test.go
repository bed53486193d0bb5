package revocations_test

import (
	"errors"
	"testing"
	"time"

	"mintmark/revocations"
)

// A header may hold any bytes, and a database takes text.
func TestACursorIsText(t *testing.T) {
	for _, wrong := range []string{"1-2-token-\xff", "1-2-token-a\x00", "1-2-\xc3-a", "e.1-2-token-\xff"} {
		if _, err := revocations.Read(t.Context(), nil, wrong, 1, time.Now()); !errors.Is(err, revocations.ErrCursor) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
