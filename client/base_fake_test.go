package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/client"
)

// rowKey is what there is one row of.
type rowKey struct {
	number        uint64
	scope, source string
}

func keyOf(r client.Row) rowKey { return rowKey{r.Number, r.Scope, r.Source} }

// memoryBase is a base in memory. Its state and its rows change together, or not at all.
type memoryBase struct {
	mu             sync.Mutex
	state          []byte // JSON
	rows, orphans  map[rowKey]client.Row
	staged         map[rowKey]client.Row
	applies, swaps int
	edits          int

	fail func(step string) error // nil: nothing fails
}

func newMemoryBase() *memoryBase {
	return &memoryBase{rows: map[rowKey]client.Row{}, orphans: map[rowKey]client.Row{}, state: []byte("{}")}
}

func (b *memoryBase) fails(step string) error {
	if b.fail == nil {
		return nil
	}
	return b.fail(step)
}

func (b *memoryBase) Load(context.Context) (s client.FollowState, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = json.Unmarshal(b.state, &s)
	return s, err
}

func (b *memoryBase) Stage(_ context.Context, rows iter.Seq[client.Row], first bool) error {
	if err := b.fails("stage"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first {
		b.staged = map[rowKey]client.Row{}
	}
	for r := range rows {
		b.staged[keyOf(r)] = r
	}
	return nil
}

// endsLater reports whether the first of two ends is later. The zero end never comes.
func endsLater(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

func (b *memoryBase) Swap(_ context.Context, s client.Swap) error {
	if err := b.fails("swap"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.swaps++
	rows := b.staged
	for k, r := range b.rows {
		now, ok := b.staged[k]
		switch {
		case slices.Contains(s.Keep, k.source):
			rows[k] = r
		case s.KeepOrphans && (!ok || endsLater(r.Until, now.Until) || slices.Contains(s.Foreign, k.source)):
			b.orphans[k] = r
		}
	}
	b.rows, b.staged = rows, nil
	for k := range rows {
		if !slices.Contains(s.Foreign, k.source) {
			b.settle(k)
		}
	}
	b.state, _ = json.Marshal(s.State)
	return nil
}

// settle ends an orphan that a row covers.
func (b *memoryBase) settle(k rowKey) {
	if o, ok := b.orphans[k]; ok && !endsLater(o.Until, b.rows[k].Until) {
		delete(b.orphans, k)
	}
}

func (b *memoryBase) Apply(_ context.Context, batch client.Batch) error {
	if err := b.fails("apply"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applies++
	for e := range batch.Edits {
		b.edits++
		b.edit(e)
	}
	b.state, _ = json.Marshal(batch.State)
	if b.fail != nil {
		return b.fail("applied")
	}
	return nil
}

func (b *memoryBase) edit(e client.Edit) {
	switch e.Kind {
	case client.EditPut:
		b.rows[keyOf(e.Row)] = e.Row
		b.settle(keyOf(e.Row))
	case client.EditDelete:
		delete(b.rows, keyOf(e.Row))
	case client.EditMove, client.EditDrop:
		for k, r := range b.rows {
			if k.source != e.Source {
				continue
			}
			delete(b.rows, k)
			if e.Kind == client.EditMove {
				r.Scope = e.Scope
				b.rows[keyOf(r)] = r
			}
		}
	default:
		panic("an edit of no kind")
	}
}

func (b *memoryBase) Rows(context.Context) iter.Seq2[client.Row, error] {
	rows := b.sorted()
	return func(yield func(client.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (b *memoryBase) sorted() []client.Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.rows), client.Row.Compare)
}

func (b *memoryBase) orphaned() []client.Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.orphans), client.Row.Compare)
}

func (b *memoryBase) loaded() client.FollowState {
	s, err := b.Load(context.Background())
	if err != nil {
		panic(err)
	}
	return s
}

var errKilled = errors.New("killed by the test")
