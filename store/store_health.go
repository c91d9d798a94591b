package store

import (
	"errors"
	"slices"
	"sync"
	"syscall"
)

// State says whether the store takes writes, and why not.
type State struct {
	Cause error // nil, or ErrClockJumped, ErrDiskFull, ErrStoriesDamaged, ErrReadOnly or ErrDamaged with what happened
}

// Writable reports whether writes are taken.
func (s State) Writable() bool { return s.Cause == nil }

// Ready reports whether checks are answered in full. A full disk, a clock that jumped and damaged stories stop only writes.
func (s State) Ready() bool {
	return s.Cause == nil || errors.Is(s.Cause, ErrDiskFull) || errors.Is(s.Cause, ErrClockJumped) ||
		gravity(s.Cause) == gravity(ErrStoriesDamaged)
}

// health holds the state and announces its changes.
type health struct {
	mu      sync.Mutex
	lasting error // damage or a failed commit: until the store is opened again
	clock   error
	disk    error
	changed chan struct{}
}

func (h *health) init() { h.changed = make(chan struct{}) }

func (h *health) state() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lasting != nil {
		return State{h.lasting}
	}
	if h.clock != nil {
		return State{h.clock}
	}
	return State{h.disk}
}

// stopped is the cause for which writes are refused until the store is opened again. Whether the disk has room and the
// clock is believed is checked before each write.
func (h *health) stopped() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lasting
}

// byGravity are the lasting causes, the gravest first.
var byGravity = []error{ErrDamaged, ErrReadOnly, ErrStoriesDamaged}

func gravity(err error) int {
	return slices.IndexFunc(byGravity, func(e error) bool { return errors.Is(err, e) })
}

// setLasting sets the lasting cause; the first one stays, unless a graver one comes. It reports whether it is new.
func (h *health) setLasting(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lasting != nil && gravity(h.lasting) <= gravity(err) {
		return false
	}
	h.lasting = err
	h.broadcast()
	return true
}

// setDisk sets whether the disk has room, and reports whether that is new.
func (h *health) setDisk(err error) (changed bool) { return h.set(&h.disk, err) }

// setClock sets whether the clock is believed, and reports whether that is new.
func (h *health) setClock(err error) (changed bool) { return h.set(&h.clock, err) }

func (h *health) set(cause *error, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if changed = (*cause == nil) != (err == nil); changed {
		h.broadcast()
	}
	*cause = err
	return changed
}

func (h *health) broadcast() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *health) changes() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// State is the store's state now.
func (s *Store) State() State { return s.health.state() }

// StateChanged is closed at the next change of State.
func (s *Store) StateChanged() <-chan struct{} { return s.health.changes() }

// noteDamage stops writes after a read that failed. From then on whatever is not found is in doubt: where one value is
// damaged, another may be lost. That a file could not be opened because too many are is no damage.
func (s *Store) noteDamage(err error) {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		s.log.Error("too many files are open: raise the limit (ulimit -n)", "err", err)
		return
	}
	if !errors.Is(err, ErrDamaged) {
		err = errors.Join(ErrDamaged, err)
	}
	s.damageSeen.Store(true)
	if s.health.setLasting(err) {
		s.log.Error("the store is damaged: no more writes; stop the server and run dncd fsck", "err", err)
	}
}

// noteStories stops writes over stories that are damaged or missing, which no check meets.
func (s *Store) noteStories(err error) {
	if s.health.setLasting(err) {
		s.log.Error("no more writes; stop the server and run dncd fsck", "err", err)
	}
}

// fail stops writes after a commit whose outcome is unknown.
func (s *Store) fail(err error) {
	if errors.Is(err, ErrDamaged) {
		s.noteDamage(err)
	}
	if s.health.setLasting(errors.Join(ErrReadOnly, err)) {
		s.log.Error("a commit failed: no more writes until the server is started again", "err", err)
	}
}
