package storage

import (
	"testing"
	"time"
)

// Nobody waits in vain: as long as verbs take a second, few may wait for a connection; as soon as they
// take a millisecond, very many.
func TestTheLineIsAsLongAsCanBeServed(t *testing.T) {
	var l line
	fill := func() (in int) {
		var leave []func()
		for range 5000 {
			if one, ok := l.enter(verbTimeout, 8); ok {
				leave = append(leave, one)
			}
		}
		for _, one := range leave {
			one()
		}
		return len(leave)
	}
	if n := fill(); n != 5000 {
		t.Errorf("nothing is known yet, and %d were let in", n)
	}
	for range 30 {
		l.took(time.Second)
	}
	if n := fill(); n != leastQueue {
		t.Errorf("%d wait for what takes a second", n)
	}
	for range leastQueue { // they were let in, and see that it is over
		l.took(time.Millisecond)
	}
	if n := fill(); n != 5000 {
		t.Errorf("only %d wait for what takes a millisecond", n)
	}
}
