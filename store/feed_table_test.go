package store

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Each kind of event is a change, or is said to be nothing to a feed.
func TestEveryEventIsAChangeOrNot(t *testing.T) {
	t.Parallel()
	fields := (&storev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("change").Fields()
	left := map[protowire.Number]bool{}
	for n := range feedTable {
		left[n] = true
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if !left[f.Number()] {
			t.Errorf("%s: got no row, want a line in feed_table.go", f.Name())
		}
		delete(left, f.Number())
	}
	for n := range left {
		t.Errorf("field %d has a row and is no event", n)
	}
}
