package journal

import (
	"fmt"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// withRows puts one event a row in the place of each OptOuts.
func withRows(events []*storev1.Event) ([]*storev1.Event, error) {
	var out []*storev1.Event
	for i, e := range events {
		rows := e.GetOptOuts()
		if rows == nil && out == nil {
			continue
		}
		if out == nil {
			out = append(make([]*storev1.Event, 0, len(events)+len(rows.GetNumbers())), events[:i]...)
		}
		if rows == nil {
			out = append(out, e)
			continue
		}
		var err error
		if out, err = appendEvents(out, rows); err != nil {
			return nil, err
		}
	}
	if out == nil {
		return events, nil
	}
	return out, nil
}

// appendEvents appends the events that columns hold.
func appendEvents(to []*storev1.Event, m *storev1.OptOuts) ([]*storev1.Event, error) {
	if !areColumns(m) {
		return nil, fmt.Errorf("the columns of many opt-outs do not fit together")
	}
	rows := len(m.GetNumbers())
	events, changes, optOuts := make([]storev1.Event, rows), make([]storev1.Event_OptOut, rows), make([]storev1.OptOut, rows)
	var received, expires int64
	for i, number := range m.GetNumbers() {
		received += at(m.GetReceivedAt(), i)
		expires += at(m.GetExpiresAt(), i)
		kind, o, e := m.GetKinds()[at(m.GetKind(), i)], &optOuts[i], &events[i]
		o.Number, o.Scope, o.Channel, o.Unique = number, kind.GetScope(), kind.GetChannel(), true
		o.ReceivedAt, o.ExpiresAt, o.Desk = received, expires, kind.GetDesk()
		if h := at(m.GetStoryHash(), i); h > 0 {
			e.StoryHash, e.Story = m.GetStoryHashes()[h-1], at(m.GetStory(), i)
		}
		changes[i].OptOut, e.Row = o, true
		e.Change = &changes[i]
		to = append(to, e)
	}
	return to, nil
}

// areColumns reports whether each column has a value for every row, or none, and whether each place in a column is one.
func areColumns(m *storev1.OptOuts) bool {
	rows := len(m.GetNumbers())
	for _, n := range []int{len(m.GetKind()), len(m.GetReceivedAt()), len(m.GetExpiresAt()), len(m.GetStoryHash()), len(m.GetStory())} {
		if n != 0 && n != rows {
			return false
		}
	}
	for i := range rows {
		if int(at(m.GetKind(), i)) >= len(m.GetKinds()) || int(at(m.GetStoryHash(), i)) > len(m.GetStoryHashes()) {
			return false
		}
	}
	return true
}

// at is the i-th value of a column; of an empty one it is zero.
func at[T uint32 | int64](column []T, i int) T {
	if len(column) == 0 {
		return 0
	}
	return column[i]
}
