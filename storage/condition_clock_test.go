package storage

import (
	"testing"
	"time"
)

// Five seconds, and what the question itself may have taken.
func TestTheClockOfPostgreSQLIsAnother(t *testing.T) {
	asked := time.UnixMicro(1_000_000_000)
	for _, tt := range []struct {
		there, took time.Duration
		wrong       bool
	}{
		{0, 0, false},
		{5 * time.Second, 0, false},
		{-5 * time.Second, 0, false},
		{5*time.Second + 1, 0, true},
		{-6 * time.Second, 0, true},
		{6 * time.Second, 2 * time.Second, false}, // it was asked in the middle of them: five seconds off, to one
		{9 * time.Second, 2 * time.Second, true},
		{-7 * time.Second, 2 * time.Second, true},
		{time.Minute, 10 * time.Millisecond, true},
	} {
		if got := clockProblem(asked.Add(tt.there), asked, tt.took); (got != "") != tt.wrong {
			t.Errorf("%s off, and the answer took %s: %q", tt.there, tt.took, got)
		}
	}
}
