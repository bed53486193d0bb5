package storage_test

import (
	"testing"

	"mintmark/storage/storagetest"
)

func TestPromises(t *testing.T) { storagetest.Run(t) }
