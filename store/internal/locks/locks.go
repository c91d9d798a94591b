// Package locks keeps apart the loads of one list, and the callers of one import.
package locks

import (
	"context"
	"errors"
	"sync"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/fault"
)

// Locks lets one load of a list at a time compare, prepare and write. Staging needs no lock of the list.
type Locks struct {
	mu     sync.Mutex
	lists  map[policy.EventID]*listLock
	opened map[string]*holding // imports that a caller has open
	owners sync.WaitGroup      // owners of a list read the database
	ctx    context.Context     // ends when the store closes
	end    context.CancelFunc
}

// holding is a caller's use of an import.
type holding struct {
	shut       chan struct{} // closed when it ends
	committing bool
}

// listLock is held by the load, or the change of settings, that owns the list.
type listLock struct {
	free   chan struct{} // holds a token while the list has no owner
	update chan struct{} // holds a token while no change of settings is prepared: these wait for each other
	cancel context.CancelCauseFunc
}

func newListLock() *listLock {
	t := &listLock{free: make(chan struct{}, 1), update: make(chan struct{}, 1)}
	t.free <- struct{}{}
	t.update <- struct{}{}
	return t
}

// New returns locks without owners.
func New() *Locks {
	m := &Locks{lists: map[policy.EventID]*listLock{}, opened: map[string]*holding{}}
	m.ctx, m.end = context.WithCancel(context.Background())
	return m
}

// Context ends when the store closes.
func (m *Locks) Context() context.Context { return m.ctx }

func (m *Locks) lockOf(id policy.EventID) *listLock {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.lists[id]
	if t == nil {
		t = newListLock()
		m.lists[id] = t
	}
	return t
}

// LockList waits for the list and returns a context that ends when the load must stop: when the store closes, or when
// another command takes the list over. Then its cause is fault.ErrTakenOver.
func (m *Locks) LockList(ctx context.Context, id policy.EventID) (owned context.Context, release func(), err error) {
	t := m.lockOf(id)
	select {
	case <-t.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, nil, fault.ErrClosed
	}
	owned, cancel := context.WithCancelCause(m.ctx)
	done, ok := m.own(t, cancel)
	if !ok {
		cancel(nil)
		return nil, nil, fault.ErrClosed
	}
	return owned, func() { cancel(nil); done() }, nil
}

// own counts the holder of the token of t as an owner; false when the store closes.
func (m *Locks) own(t *listLock, cancel context.CancelCauseFunc) (release func(), ok bool) {
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

// Close stops the loads and waits until no list has an owner.
func (m *Locks) Close() {
	m.mu.Lock()
	m.end()
	m.mu.Unlock()
	m.owners.Wait()
}

// LockSettings locks the list for a change of its settings. It waits for other changes. Errors: fault.ErrImportRunning when a
// load owns the list, fault.ErrClosed, and the context's.
func (m *Locks) LockSettings(ctx context.Context, id policy.EventID) (release func(), err error) {
	t := m.lockOf(id)
	select {
	case <-t.update:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.ctx.Done():
		return nil, fault.ErrClosed
	}
	done, err := m.ownIdle(t)
	if err != nil {
		t.update <- struct{}{}
		return nil, err
	}
	return func() { done(); t.update <- struct{}{} }, nil
}

// ownIdle owns a list that has no owner.
func (m *Locks) ownIdle(t *listLock) (release func(), err error) {
	select {
	case <-t.free:
	default:
		return nil, fault.ErrImportRunning
	}
	done, ok := m.own(t, nil)
	if !ok {
		return nil, fault.ErrClosed
	}
	return done, nil
}

// Interrupt stops the load that owns the list, if there is one.
func (m *Locks) Interrupt(id policy.EventID) {
	t := m.lockOf(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.cancel != nil {
		t.cancel(fault.ErrTakenOver)
	}
}

// Because is err, or fault.ErrTakenOver if that is why the owner of a list was stopped.
func Because(owned context.Context, err error) error {
	if cause := context.Cause(owned); errors.Is(err, context.Canceled) && errors.Is(cause, fault.ErrTakenOver) {
		return cause
	}
	return err
}

// Acquire opens an import for one caller; false when another has it open.
func (m *Locks) Acquire(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened[id] != nil {
		return false
	}
	m.opened[id] = &holding{shut: make(chan struct{})}
	return true
}

// Rename gives an import that a caller has open a new id.
func (m *Locks) Rename(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened[to] = &holding{shut: make(chan struct{})}
	m.drop(from)
}

// MarkCommitting notes that the caller who has an import open commits it: others can wait for its end.
func (m *Locks) MarkCommitting(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.opened[id]; h != nil {
		h.committing = true
	}
}

// HolderOf returns a channel that is closed when the caller who has an import open releases it; nil: it is not open.
func (m *Locks) HolderOf(id string) (shut <-chan struct{}, committing bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.opened[id]; h != nil {
		return h.shut, h.committing
	}
	return nil, false
}

// Release ends the use of an import.
func (m *Locks) Release(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

func (m *Locks) drop(id string) {
	if h := m.opened[id]; h != nil {
		close(h.shut)
		delete(m.opened, id)
	}
}
