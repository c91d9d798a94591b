package main

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// rowKey is what a base holds one row of.
type rowKey struct {
	number        uint64
	scope, source string
}

func keyOf(r client.Row) rowKey { return rowKey{r.Number, r.Scope, r.Source} }

// rows are what a base holds, with their ends; zero: none.
type rows map[rowKey]time.Time

func (r rows) put(row client.Row) { r[keyOf(row)] = row.Until }

// inForce are the rows that have not ended at a time.
func (r rows) inForce(at time.Time) rows {
	kept := maps.Clone(r)
	maps.DeleteFunc(kept, func(_ rowKey, until time.Time) bool { return !until.IsZero() && !at.Before(until) })
	return kept
}

// memoryBase is a client.Base in memory.
type memoryBase struct {
	mu                    sync.Mutex
	state                 client.FollowState
	rows, staged, orphans rows
}

// copy is another base that holds the same.
func (b *memoryBase) copy() *memoryBase {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &memoryBase{state: b.state, rows: maps.Clone(b.rows), orphans: maps.Clone(b.orphans)}
}

// Load implements client.Base.
func (b *memoryBase) Load(context.Context) (client.FollowState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, nil
}

// Stage implements client.Base.
func (b *memoryBase) Stage(_ context.Context, staged iter.Seq[client.Row], first bool) error {
	if first {
		b.staged = rows{}
	}
	for r := range staged {
		b.staged.put(r)
	}
	return nil
}

// Swap implements client.Base.
func (b *memoryBase) Swap(_ context.Context, s client.Swap) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.rows
	b.rows, b.staged, b.state = b.staged, nil, s.State
	for k, until := range before {
		now, found := b.rows[k]
		switch {
		case slices.Contains(s.Keep, k.source):
			b.rows[k] = until
		case s.KeepOrphans && (!found || endsLater(until, now) || slices.Contains(s.Foreign, k.source)):
			b.orphan(k, until)
		}
	}
	return nil
}

func (b *memoryBase) orphan(k rowKey, until time.Time) {
	if b.orphans == nil {
		b.orphans = rows{}
	}
	b.orphans[k] = until
}

// endsLater compares ends; the zero one never comes.
func endsLater(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// Apply implements client.Base.
func (b *memoryBase) Apply(_ context.Context, batch client.Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range batch.Edits {
		b.edit(e)
	}
	b.state = batch.State
	return nil
}

func (b *memoryBase) edit(e client.Edit) {
	switch e.Kind {
	case client.EditPut:
		b.rows.put(e.Row)
		if until, found := b.orphans[keyOf(e.Row)]; found && !endsLater(until, e.Until) {
			delete(b.orphans, keyOf(e.Row))
		}
	case client.EditDelete:
		delete(b.rows, keyOf(e.Row))
	case client.EditDrop:
		maps.DeleteFunc(b.rows, func(k rowKey, _ time.Time) bool { return k.source == e.Source })
	case client.EditMove:
		moved := rows{}
		for k, until := range b.rows {
			if k.source == e.Source {
				delete(b.rows, k)
				moved[rowKey{k.number, e.Scope, k.source}] = until
			}
		}
		maps.Copy(b.rows, moved)
	}
}

func (b *memoryBase) holds(context.Context) (rows, feed.Checkpoint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, _, err := feed.ReadCheckpoint([]byte(b.state.Checkpoint))
	return maps.Clone(b.rows), c, err
}

// blocks reports whether a row, or an orphan, is there that blocks a number at a scope for a source, and does not end before until.
func (b *memoryBase) blocks(k rowKey, until time.Time) bool {
	for _, held := range []rows{b.rows, b.orphans} {
		if ends, found := held[k]; found && !endsLater(until, ends) {
			return true
		}
	}
	return false
}
