package apikeys

import (
	"context"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// foreign is the keys that other systems made, by their SHA-256: all of them, because nothing
// else says which of the strings that strangers send are worth a question to the database.
type foreign struct {
	store  Store
	flight singleflight.Group

	mu         sync.Mutex
	generation uint64 // counts what we were told to forget
	loaded     bool
	ids        map[[sha256.Size]byte]string
	failed     time.Time // when they could last not be read
	why        error
}

// find returns the id of an imported key, or "". Any number of callers read them once; if the
// database is away they don't try one after the other, and nobody waits longer than they want to.
func (f *foreign) find(ctx context.Context, digest [sha256.Size]byte) (string, error) {
	f.mu.Lock()
	loaded, generation, id, why := f.loaded, f.generation, f.ids[digest], f.why
	if !loaded && why != nil && time.Since(f.failed) >= retryAfter {
		why = nil
	}
	f.mu.Unlock()
	if !loaded && why == nil {
		// Who comes after a change does not get an answer from before it.
		read := f.flight.DoChan(strconv.FormatUint(generation, 10), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fillTimeout)
			defer cancel()
			ids, err := f.store.Imported(ctx)
			f.keep(ids, err, generation)
			return ids, err
		})
		select {
		case answer := <-read:
			if why = answer.Err; why == nil {
				ids, _ := answer.Val.(map[[sha256.Size]byte]string)
				return ids[digest], nil
			}
		case <-ctx.Done():
			why = ctx.Err()
		}
	}
	if why != nil && id == "" {
		return "", why
	}
	return id, nil // if they could not be read: whether it is still good, its entry says
}

func (f *foreign) keep(ids map[[sha256.Size]byte]string, err error, generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failed, f.why = time.Now(), err
		return
	}
	f.why = nil
	if f.generation == generation {
		f.ids, f.loaded = ids, true
	}
}

// forget makes the next find read them again.
func (f *foreign) forget() {
	f.mu.Lock()
	f.generation++
	f.loaded = false
	f.mu.Unlock()
}
