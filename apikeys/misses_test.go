package apikeys

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// One address can't keep the database busy for all, and those that are counted are bounded.
func TestMissesOfOneAddressAreLimited(t *testing.T) {
	var m misses
	m.held, _ = simplelru.NewLRU[netip.Addr, int64](missAddresses, nil)
	now := time.Now().UnixNano()
	flooder, neighbour, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
	for i := range missBurst {
		if wait := m.take(flooder, now); wait != 0 {
			t.Fatalf("miss %d has to wait %s", i, wait)
		}
	}
	for name, tt := range map[string]struct {
		from    netip.Addr
		after   time.Duration
		refused bool
	}{
		"one more":                       {flooder, 0, true},
		"another address of its network": {neighbour, 0, true},
		"somebody else":                  {other, 0, false},
		"somebody whom nobody knows":     {netip.Addr{}, 0, false},
		"a second later":                 {flooder, time.Second, false},
	} {
		if wait := m.take(tt.from, now+int64(tt.after)); wait > 0 != tt.refused || wait > time.Second {
			t.Errorf("%s waits %s", name, wait)
		}
	}
	for i := range 2 * missAddresses {
		m.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if n := m.held.Len(); n > missAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}
