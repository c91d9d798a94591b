package client_test

import (
	"os"
	"testing"

	"github.com/dncd/dncd/internal/testparallel"
)

func TestMain(m *testing.M) {
	testparallel.Raise()
	os.Exit(m.Run())
}
