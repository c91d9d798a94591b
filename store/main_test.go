package store

import (
	"os"
	"testing"

	"github.com/dncd/dncd/internal/testparallel"
)

func TestMain(m *testing.M) {
	testparallel.Raise()
	code := m.Run()
	if prototypes.root != "" {
		os.RemoveAll(prototypes.root)
	}
	os.Exit(code)
}
