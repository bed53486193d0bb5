package apikeys

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How many keys that are not remembered may be asked about from one address (an IPv6 /64): so
// many at once, as when a program with many keys starts, and then so many in a second. A forged key
// does not come so far. Who sends a thousand different good ones in a second is trying
// out a list of old ones.
const (
	missBurst     = 2000
	missRate      = 500
	missAddresses = 8192 // that are counted; whoever has been quiet the longest is forgotten first
)

// misses keeps one address from keeping the database busy for all. It counts as [bucket] does.
type misses struct {
	mu   sync.Mutex
	held *simplelru.LRU[netip.Addr, int64] // when everything would be there again
}

// take counts a miss, or says how long to wait. An address that nobody knows is not counted: it
// is that of a service which asks about its callers, with a key of its own.
func (m *misses) take(from netip.Addr, now int64) (wait time.Duration) {
	from = from.Unmap().WithZone("")
	if !from.IsValid() {
		return 0
	}
	if from.Is6() {
		network, err := from.Prefix(64)
		if err != nil {
			return 0
		}
		from = network.Addr()
	}
	const each = int64(time.Second) / missRate
	m.mu.Lock()
	defer m.mu.Unlock()
	was, _ := m.held.Get(from)
	full := max(was, now) + each
	if over := full - now - missBurst*each; over > 0 {
		return time.Duration(over)
	}
	m.held.Add(from, full)
	return 0
}
