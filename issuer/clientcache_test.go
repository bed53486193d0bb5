package issuer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// aStore is a store of one client that counts how often it is asked. The rest is nil: whoever
// calls it is told by a panic.
type aStore struct {
	Store
	client Client
	reads  int
	during func() // happens between the read and its answer
}

func (s *aStore) Client(_ context.Context, id string) (Client, error) {
	s.reads++
	read := s.client
	if s.during != nil {
		s.during()
	}
	if id != read.ID {
		return Client{}, ErrNotFound
	}
	return read, nil
}

func TestClientsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &aStore{client: Client{ID: "app", Name: "before"}}
		cache, err := newClientCache(store)
		if err != nil {
			t.Fatal(err)
		}
		get := func(want string, reads int) {
			t.Helper()
			c, err := cache.get(t.Context(), "app")
			switch {
			case errors.Is(err, ErrNotFound):
				c = &Client{Name: "not found"}
			case err != nil:
				t.Fatal(err)
			}
			if c.Name != want || store.reads != reads {
				t.Errorf("got %s after %d reads, want %s after %d", c.Name, store.reads, want, reads)
			}
		}
		get("before", 1)
		get("before", 1)
		store.client.Name = "after"
		time.Sleep(clientCacheAge - time.Second)
		get("before", 1)
		time.Sleep(2 * time.Second)
		get("after", 2) // nobody told us, but a minute is over

		store.client.Name = "told"
		cache.forget("app")
		get("told", 3)

		store.client.DisabledAt = time.Now()
		cache.forget("app")
		get("not found", 4)
		get("not found", 5) // what isn't good isn't remembered
	})
}

// The read is of before the change, the announcement arrives while it is under way, and finds
// nothing to forget. Keeping what was read would keep it for a minute.
func TestAClientThatChangedWhileItWasReadIsNotRemembered(t *testing.T) {
	store := &aStore{client: Client{ID: "app", Name: "before"}}
	cache, err := newClientCache(store)
	if err != nil {
		t.Fatal(err)
	}
	store.during = func() {
		store.client.Name = "after"
		store.during = nil
		cache.forget("app")
	}
	if c, err := cache.get(t.Context(), "app"); err != nil || c.Name != "before" {
		t.Fatal(c, err)
	}
	if c, err := cache.get(t.Context(), "app"); err != nil || c.Name != "after" {
		t.Errorf("still %v, %v", c, err)
	}
}

func TestJunkIsNoClient(t *testing.T) {
	store := &aStore{}
	cache, err := newClientCache(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "a b", "a\x00b", "ä", strings.Repeat("a", 256)} {
		if _, err := cache.get(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if store.reads != 0 {
		t.Errorf("the database was asked %d times", store.reads)
	}
}

// A copy that is told of changes, and then hears nothing, stops believing what it has cached.
func TestACopyThatHearsNothingReadsEveryClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &aStore{client: Client{ID: "app"}}
		cache, err := newClientCache(store)
		if err != nil {
			t.Fatal(err)
		}
		p := &Provider{clients: cache}
		reads := func(want int) {
			t.Helper()
			if _, err := cache.get(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
			if store.reads != want {
				t.Errorf("%d reads, want %d", store.reads, want)
			}
		}
		time.Sleep(time.Hour)
		p.Heard(time.Now())
		reads(1)
		time.Sleep(clientCacheDeaf - time.Millisecond)
		reads(1)
		time.Sleep(time.Millisecond)
		reads(2)
		reads(3)
		p.Heard(time.Now())
		reads(3)
	})
}
