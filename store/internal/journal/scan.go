package journal

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
)

// Change is one event of a revision, not decoded. The rows of an OptOuts are one Change, with the index of the first.
type Change struct {
	Index int
	Kind  protowire.Number // its field in the oneof of storev1.Event; 0: none that is known here
	event []byte
}

// Decode reads the event.
func (c *Change) Decode() (*storev1.Event, error) {
	e := new(storev1.Event)
	if err := proto.Unmarshal(c.event, e); err != nil {
		return nil, fmt.Errorf("%w: an event cannot be decoded", fault.ErrDamaged)
	}
	return e, nil
}

// firstKind is the lowest field of the oneof of storev1.Event: the fields below it say who asked.
const firstKind = 16

// Scan is Decode without the content of the events: to pass over them costs little, however many rows they hold. The
// changes keep parts of the entry. Its error is fault.ErrDamaged.
func (e *Entry) Scan() (time int64, changes []Change, err error) {
	index := 0
	whole := eachField(e.Body, func(field protowire.Number, kind protowire.Type, value []byte) bool {
		switch {
		case field == 1 && kind == protowire.VarintType:
			n, _ := protowire.ConsumeVarint(value)
			time = int64(n)
		case field == 2 && kind == protowire.BytesType:
			c := Change{Index: index, event: inner(value)}
			rows, sound := c.scan()
			changes = append(changes, c)
			index += rows
			return sound
		}
		return true
	})
	if !whole {
		return 0, nil, fmt.Errorf("%w: revision %d cannot be decoded", fault.ErrDamaged, e.Revision)
	}
	return time, changes, nil
}

// scan finds out what kind of event it is, and how many indexes it takes.
func (c *Change) scan() (rows int, whole bool) {
	rows = 1
	whole = eachField(c.event, func(field protowire.Number, kind protowire.Type, value []byte) bool {
		if field < firstKind || kind != protowire.BytesType {
			return true
		}
		c.Kind = field
		if field == optOutsKind {
			rows, whole = countRows(inner(value))
			return whole
		}
		return true
	})
	return rows, whole
}

// optOutsKind is the field of storev1.Event for many opt-outs.
const optOutsKind = 19

// countRows counts the numbers of a storev1.OptOuts.
func countRows(m []byte) (rows int, whole bool) {
	whole = eachField(m, func(field protowire.Number, kind protowire.Type, value []byte) bool {
		switch {
		case field == 1 && kind == protowire.BytesType:
			rows += len(inner(value)) / 8
		case field == 1 && kind == protowire.Fixed64Type:
			rows++
		}
		return true
	})
	return rows, whole
}

// inner is the content of a field of bytes.
func inner(value []byte) []byte {
	b, _ := protowire.ConsumeBytes(value)
	return b
}

// eachField calls f for each field of a message with its encoded value, and reports whether all of the message was read.
func eachField(m []byte, f func(protowire.Number, protowire.Type, []byte) bool) bool {
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return false
		}
		m = m[n:]
		if n = protowire.ConsumeFieldValue(field, kind, m); n < 0 {
			return false
		}
		if !f(field, kind, m[:n]) {
			return false
		}
		m = m[n:]
	}
	return true
}
