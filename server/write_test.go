package server_test

import (
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/store"
)

// write commits an opt-out past the server.
func write(t testing.TB, n *node) {
	t.Helper()
	number, err := phone.Parse("+33199001299")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.RecordOptOut(testContext(t), store.OptOut{Number: number}, store.Request{}); err != nil {
		t.Fatal(err)
	}
}
