package server_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/dncd/dncd/internal/testparallel"
)

// Every server that a test starts leaves no goroutine behind when it has stopped.
func TestMain(m *testing.M) {
	if dir := os.Getenv(servedDir); dir != "" {
		serveToBeKilled(dir)
	}
	testparallel.Raise()
	goleak.VerifyTestMain(m)
}
