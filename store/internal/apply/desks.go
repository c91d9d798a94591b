package apply

import (
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Desks is what the journal says of desks, by id. Removed ones stay in it.
type Desks map[policy.EventID]*storev1.DeskState

// Follow takes an event of that time and returns whom it changed. Like Subscribers.Follow it refuses nothing.
func (b Desks) Follow(id policy.EventID, time int64, e *storev1.Event) (changed []policy.EventID) {
	switch c := e.GetChange().(type) {
	case *storev1.Event_DeskPut:
		return b.put(id, time, c.DeskPut)
	case *storev1.Event_DeskRemoved:
		return b.remove(state.RefID(c.DeskRemoved.GetDesk()), id.Revision, time)
	}
	return nil
}

func (b Desks) put(id policy.EventID, time int64, c *storev1.DeskPut) (changed []policy.EventID) {
	at := id
	if c.GetDesk() != nil {
		at = state.RefID(c.GetDesk())
	}
	if other, taken := b.named(c.GetSettings().GetName()); taken && other != at {
		changed = b.remove(other, id.Revision, time)
	}
	st := b[at]
	if st == nil {
		st = &storev1.DeskState{CreatedTime: time}
		b[at] = st
	}
	st.Settings, st.UpdatedRevision, st.UpdatedTime = c.GetSettings(), id.Revision, time
	return append(changed, at)
}

func (b Desks) remove(at policy.EventID, revision uint64, time int64) (changed []policy.EventID) {
	st := b[at]
	if st == nil || st.GetRemoved() != 0 {
		return nil
	}
	st.Removed, st.RemovedTime = revision, time
	return []policy.EventID{at}
}

// named is the desk of that name that was not removed.
func (b Desks) named(name string) (policy.EventID, bool) {
	folded := state.FoldDesk(name)
	for at, st := range b {
		if st.GetRemoved() == 0 && state.FoldDesk(st.GetSettings().GetName()) == folded {
			return at, true
		}
	}
	return policy.EventID{}, false
}

// deskEvent applies an event about desks, unless it may not be.
func (a *Applier) deskEvent(id policy.EventID, e *storev1.Event) error {
	all := Desks{}
	for d, err := range state.Desks(a.txn) {
		if err != nil {
			return err
		}
		all[d.ID] = d.State
	}
	if err := all.check(e); err != nil && !a.replay {
		return err
	}
	for _, at := range all.Follow(id, a.Time, e) {
		a.Desks = true
		if err := a.put(keys.Desk(at), all[at]); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a name in use, and desks that are not there.
func (b Desks) check(e *storev1.Event) error {
	ref, base := e.GetDeskRemoved().GetDesk(), uint64(0)
	if c := e.GetDeskPut(); c != nil {
		ref, base = c.GetDesk(), c.GetBase()
		if other, taken := b.named(c.GetSettings().GetName()); taken && other != state.RefID(ref) {
			return fault.ErrMoved
		}
		if ref == nil {
			return nil
		}
	}
	st := b[state.RefID(ref)]
	if st == nil || st.GetRemoved() != 0 {
		return fault.ErrNoDesk
	}
	if e.GetDeskPut() != nil && st.GetUpdatedRevision() != base {
		return fault.ErrMoved
	}
	return nil
}
