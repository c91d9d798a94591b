package journal

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
)

func kindOf(e *storev1.Event) protowire.Number {
	m := e.ProtoReflect()
	return m.WhichOneof(m.Descriptor().Oneofs().ByName("change")).Number()
}

// Scan gives each event the index and the kind that Decode gives it.
func TestScanAgreesWithDecode(t *testing.T) {
	t.Parallel()
	optOuts := func(numbers ...uint64) *storev1.Event {
		m := &storev1.OptOuts{Numbers: numbers, Kinds: []*storev1.OptOutKind{{Scope: "acme"}}}
		return &storev1.Event{StoryHash: []byte{1}, Change: &storev1.Event_OptOuts{OptOuts: m}}
	}
	revoked := &storev1.Event{RequestId: []byte("r"), Change: &storev1.Event_TokenRevoked{TokenRevoked: &storev1.TokenRevoked{Name: "a"}}}
	body := NewBody(77, 5)
	events := []*storev1.Event{revoked, optOuts(1, 2, 3), revoked, optOuts(), optOuts(4), revoked}
	for _, e := range events {
		b, err := proto.Marshal(e)
		must(t, err)
		body = AppendEvent(body, b)
	}
	entry := Entry{Revision: 9, Body: body}
	time, changes, err := entry.Scan()
	if err != nil || time != 77 || len(changes) != len(events) {
		t.Fatalf("got %d changes at %d, %v; want %d at 77", len(changes), time, err, len(events))
	}
	rev, err := entry.Decode()
	must(t, err)
	for i, want := range []int{0, 1, 4, 5, 5, 6} {
		c := changes[i]
		if c.Index != want || c.Kind != kindOf(events[i]) {
			t.Errorf("event %d: got index %d and kind %d, want index %d", i, c.Index, c.Kind, want)
		}
		e, err := c.Decode()
		must(t, err)
		if r := e.GetTokenRevoked(); r != nil && !proto.Equal(e, rev.GetEvents()[c.Index]) {
			t.Errorf("event %d: got %v, want the event of that index", i, e)
		}
	}
	for n := range len(body) {
		cut := Entry{Revision: 9, Body: body[:n]}
		_, _, scanned := cut.Scan()
		_, decoded := cut.Decode()
		if (scanned == nil) != (decoded == nil) {
			t.Errorf("cut to %d bytes: Scan: %v, Decode: %v", n, scanned, decoded)
		}
	}
	broken := Entry{Revision: 9, Body: append(body, 0xff)}
	if _, _, err := broken.Scan(); !errors.Is(err, fault.ErrDamaged) {
		t.Errorf("broken: got %v, want ErrDamaged", err)
	}
}
