package apikeys

import (
	"context"
	"crypto/sha256"
	"sync"
)

// foreign is the keys that other systems made, by their SHA-256: all of them, because nothing
// else says which of the strings that strangers send are worth a question to the database.
type foreign struct {
	store Store

	mu     sync.Mutex
	loaded bool
	ids    map[[sha256.Size]byte]string
}

// find returns the id of an imported key, or "".
func (f *foreign) find(ctx context.Context, digest [sha256.Size]byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.loaded {
		ids, err := f.store.Imported(ctx)
		if id := f.ids[digest]; err != nil && id != "" {
			return id, nil // whether it is still good, its entry says
		}
		if err != nil {
			return "", err
		}
		f.ids, f.loaded = ids, true
	}
	return f.ids[digest], nil
}

// forget makes the next find read them again.
func (f *foreign) forget() {
	f.mu.Lock()
	f.loaded = false
	f.mu.Unlock()
}
