package store

import (
	"context"
	"errors"
	"sync"

	"github.com/dncd/dncd/internal/policy"
)

// imports keeps loads of one list apart: one at a time compares, prepares and writes. Staging goes on beside it.
type imports struct {
	mu     sync.Mutex
	lists  map[policy.EventID]*listTurn
	opened map[string]*holding       // imports that a caller holds open
	kept   map[policy.EventID]string // the import of a list that a guard refused last, whose stage stays
	ended  endings
	writes writing
	owners sync.WaitGroup  // those who own a list read the database
	ctx    context.Context // ends when the store closes
	end    context.CancelFunc
}

// holding is a caller's use of an import.
type holding struct {
	shut       chan struct{} // closed when it ends
	committing bool
}

// listTurn is held by the load, or the change of settings, that owns the list.
type listTurn struct {
	free   chan struct{} // holds one token while nobody owns the list
	update chan struct{} // holds one while no change of settings is worked out: these wait for each other alone
	cancel context.CancelCauseFunc
}

func newTurn() *listTurn {
	t := &listTurn{free: make(chan struct{}, 1), update: make(chan struct{}, 1)}
	t.free <- struct{}{}
	t.update <- struct{}{}
	return t
}

func (m *imports) init() {
	m.lists = map[policy.EventID]*listTurn{}
	m.opened = map[string]*holding{}
	m.kept = map[policy.EventID]string{}
	m.ctx, m.end = context.WithCancel(context.Background())
}

func (m *imports) turn(id policy.EventID) *listTurn {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.lists[id]
	if t == nil {
		t = newTurn()
		m.lists[id] = t
	}
	return t
}

// take waits for the list and returns a context that ends when the load must stop: the store closes, or somebody takes
// the list over, which is its cause then, ErrTakenOver.
func (m *imports) take(ctx context.Context, id policy.EventID) (owned context.Context, release func(), err error) {
	t := m.turn(id)
	select {
	case <-t.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, nil, ErrClosed
	}
	owned, cancel := context.WithCancelCause(m.ctx)
	done, ok := m.own(t, cancel)
	if !ok {
		cancel(nil)
		return nil, nil, ErrClosed
	}
	return owned, func() { cancel(nil); done() }, nil
}

// own counts whoever holds the token of t as an owner; false when the store closes.
func (m *imports) own(t *listTurn, cancel context.CancelCauseFunc) (release func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		t.free <- struct{}{}
		return nil, false
	}
	m.owners.Add(1)
	t.cancel = cancel
	return func() { t.free <- struct{}{}; m.owners.Done() }, true
}

// close stops the loads and waits until nobody owns a list.
func (m *imports) close() {
	m.mu.Lock()
	m.end()
	m.mu.Unlock()
	m.owners.Wait()
}

// takeUpdate takes the list for a change of its settings. It waits for another one. Errors: ErrImportRunning when a load
// owns the list, ErrClosed, and the context's.
func (m *imports) takeUpdate(ctx context.Context, id policy.EventID) (release func(), err error) {
	t := m.turn(id)
	select {
	case <-t.update:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, ErrClosed
	}
	done, err := m.ownIdle(t)
	if err != nil {
		t.update <- struct{}{}
		return nil, err
	}
	return func() { done(); t.update <- struct{}{} }, nil
}

// ownIdle owns a list that nobody owns.
func (m *imports) ownIdle(t *listTurn) (release func(), err error) {
	select {
	case <-t.free:
	default:
		return nil, ErrImportRunning
	}
	done, ok := m.own(t, nil)
	if !ok {
		return nil, ErrClosed
	}
	return done, nil
}

// interrupt stops the load that owns the list, if there is one.
func (m *imports) interrupt(id policy.EventID) {
	t := m.turn(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.cancel != nil {
		t.cancel(ErrTakenOver)
	}
}

// becauseOf is err, or ErrTakenOver where that is why the owner of a list was stopped.
func becauseOf(owned context.Context, err error) error {
	if cause := context.Cause(owned); errors.Is(err, context.Canceled) && errors.Is(cause, ErrTakenOver) {
		return cause
	}
	return err
}

// open takes an import for one caller; false when another holds it.
func (m *imports) open(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened[id] != nil {
		return false
	}
	m.opened[id] = &holding{shut: make(chan struct{})}
	return true
}

// rename gives an import that a caller holds a new id.
func (m *imports) rename(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened[to] = &holding{shut: make(chan struct{})}
	m.drop(from)
}

// commit marks an import that a caller holds: whoever wants it too can wait for its end.
func (m *imports) commit(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.opened[id]; h != nil {
		h.committing = true
	}
}

// holder tells of who holds an import; nil: nobody.
func (m *imports) holder(id string) (shut <-chan struct{}, committing bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.opened[id]; h != nil {
		return h.shut, h.committing
	}
	return nil, false
}

// refuse notes that the stage of an import stays though a guard refused it, and returns the one before.
func (m *imports) refuse(list policy.EventID, id string) (before string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, m.kept[list] = m.kept[list], id
	return before
}

func (m *imports) shut(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

func (m *imports) drop(id string) {
	if h := m.opened[id]; h != nil {
		close(h.shut)
		delete(m.opened, id)
	}
}
