package keys_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"mintmark/keys"
)

// memory is the little of a store that a story about minutes needs, in a bubble of synctest
// where no database can live. Everything else is told on real ones.
type memory struct {
	keys.Store
	mu   sync.Mutex
	all  []keys.Record
	gone atomic.Bool // cut off
}

func (m *memory) SigningKeys(context.Context) ([]keys.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone.Load() {
		return nil, errors.New("the database is away")
	}
	return append([]keys.Record(nil), m.all...), nil
}

func (m *memory) AddSigningKey(_ context.Context, r keys.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, r)
	return nil
}
