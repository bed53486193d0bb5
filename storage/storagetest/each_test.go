package storagetest

import (
	"testing"

	"mintmark/storage"
)

func TestEach(t *testing.T) {
	Each(t, func(t *testing.T, open func() *storage.DB) {
		a, b := open(), open()
		if err := a.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := b.Status(t.Context())
		if err != nil || s.Version != s.Latest || len(s.Pending) != 0 {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}
