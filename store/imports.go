package store

import (
	"context"
	"sync"

	"github.com/dncd/dncd/internal/policy"
)

// imports keeps loads of one list apart: one at a time compares, prepares and writes. Staging goes on beside it.
type imports struct {
	mu     sync.Mutex
	lists  map[policy.EventID]*listTurn
	opened map[string]bool // imports that a caller holds open
	update sync.Mutex      // held by the one change of settings that is worked out
	ctx    context.Context // ends when the store closes
	end    context.CancelFunc
}

// listTurn is held by the load that owns the list.
type listTurn struct {
	free   chan struct{} // holds one token while nobody owns the list
	cancel context.CancelFunc
}

func (m *imports) init() {
	m.lists = map[policy.EventID]*listTurn{}
	m.opened = map[string]bool{}
	m.ctx, m.end = context.WithCancel(context.Background())
}

func (m *imports) turn(id policy.EventID) *listTurn {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.lists[id]
	if t == nil {
		t = &listTurn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		m.lists[id] = t
	}
	return t
}

// take waits for the list and returns a context that ends when the load must stop: the store closes, or somebody takes
// the list over.
func (m *imports) take(ctx context.Context, id policy.EventID) (owned context.Context, release func(), err error) {
	t := m.turn(id)
	select {
	case <-t.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, nil, ErrClosed
	}
	owned, cancel := context.WithCancel(m.ctx)
	m.mu.Lock()
	t.cancel = cancel
	m.mu.Unlock()
	return owned, func() { cancel(); t.free <- struct{}{} }, nil
}

// tryTake takes the list for a change of its settings; false when a load owns it.
func (m *imports) tryTake(id policy.EventID) (release func(), ok bool) {
	t := m.turn(id)
	m.update.Lock()
	select {
	case <-t.free:
		return func() { t.free <- struct{}{}; m.update.Unlock() }, true
	default:
		m.update.Unlock()
		return nil, false
	}
}

// interrupt stops the load that owns the list, if there is one.
func (m *imports) interrupt(id policy.EventID) {
	t := m.turn(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.cancel != nil {
		t.cancel()
	}
}

// open takes an import for one caller; false when another holds it.
func (m *imports) open(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened[id] {
		return false
	}
	m.opened[id] = true
	return true
}

func (m *imports) isOpen(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened[id]
}

func (m *imports) shut(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.opened, id)
}
