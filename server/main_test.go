package server_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every server that a test starts leaves no goroutine behind when it has stopped.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
