package admin_test

import (
	"testing"

	"mintmark/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.NoLeaks(m) }
