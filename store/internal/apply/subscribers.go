package apply

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Subscribers is what the journal says of subscribers, by id. Removed ones stay in it.
type Subscribers map[policy.EventID]*storev1.SubscriberState

// Follow takes an event of that time and returns whom it changed. It refuses nothing, so that it also follows a journal that
// lost revisions: a subscriber whose registration is lost begins with its next change, and one whose name is taken was removed.
func (b Subscribers) Follow(id policy.EventID, time int64, e *storev1.Event) (changed []policy.EventID) {
	switch c := e.GetChange().(type) {
	case *storev1.Event_SubscriberPut:
		return b.put(id, time, c.SubscriberPut)
	case *storev1.Event_SubscriberRemoved:
		return b.remove(state.RefID(c.SubscriberRemoved.GetSubscriber()), id.Revision, time)
	case *storev1.Event_BaseCompared:
		return b.compared(id, time, c.BaseCompared)
	case *storev1.Event_LossAccepted, *storev1.Event_Restored:
		return b.beginAgain(id.Revision)
	case *storev1.Event_Acknowledged:
		return b.acknowledge(id, time, c.Acknowledged)
	case *storev1.Event_PolicySet:
		return b.widen(policy.Reach(c.PolicySet.GetReach()), id.Revision, time)
	}
	return nil
}

func (b Subscribers) put(id policy.EventID, time int64, c *storev1.SubscriberPut) (changed []policy.EventID) {
	at := id
	if c.GetSubscriber() != nil {
		at = state.RefID(c.GetSubscriber())
	}
	if other, taken := b.named(c.GetSettings().GetName()); taken && other != at {
		changed = b.remove(other, id.Revision, time)
	}
	st := b[at]
	if st == nil {
		st = &storev1.SubscriberState{CreatedTime: time}
		b[at] = st
	}
	if st.GetEpoch() == 0 || c.GetRebase() || !sameFilter(st.GetSettings(), c.GetSettings()) {
		beginEpoch(st, id.Revision)
	}
	st.Settings, st.UpdatedRevision, st.UpdatedTime = c.GetSettings(), id.Revision, time
	return append(changed, at)
}

func (b Subscribers) remove(at policy.EventID, revision uint64, time int64) (changed []policy.EventID) {
	st := b[at]
	if st == nil || st.GetRemoved() != 0 {
		return nil
	}
	st.Removed, st.RemovedTime = revision, time
	return []policy.EventID{at}
}

func (b Subscribers) compared(id policy.EventID, time int64, c *storev1.BaseCompared) (changed []policy.EventID) {
	at := state.RefID(c.GetSubscriber())
	st := b[at]
	if st == nil {
		return nil
	}
	st.Compared = &storev1.ComparedState{Revision: id.Revision, Index: id.Index, Time: time, What: c}
	return []policy.EventID{at}
}

// beginAgain begins every log anew: with another journal, positions of the one before say nothing.
func (b Subscribers) beginAgain(revision uint64) (changed []policy.EventID) {
	for at, st := range b {
		if st.GetRemoved() == 0 {
			beginEpoch(st, revision)
			changed = append(changed, at)
		}
	}
	return changed
}

func beginEpoch(st *storev1.SubscriberState, revision uint64) {
	st.Epoch, st.Received, st.Durable, st.Applied = revision, nil, nil, nil
}

// named is the subscriber of that name that was not removed.
func (b Subscribers) named(name string) (policy.EventID, bool) {
	for at, st := range b {
		if st.GetRemoved() == 0 && st.GetSettings().GetName() == name {
			return at, true
		}
	}
	return policy.EventID{}, false
}

func sameFilter(a, b *storev1.SubscriberSettings) bool {
	return state.Filter(a).Hash() == state.Filter(b).Hash()
}

// subscriberEvent applies an event about subscribers, unless it may not be.
func (a *Applier) subscriberEvent(id policy.EventID, e *storev1.Event) error {
	all := Subscribers{}
	for s, err := range state.Subscribers(a.txn) {
		if err != nil {
			return err
		}
		all[s.ID] = s.State
	}
	if err := a.checkSubscriber(all, e); err != nil && !a.replay {
		return err
	}
	for _, at := range all.Follow(id, a.Time, e) {
		if err := a.putSubscriber(at, all[at]); err != nil {
			return err
		}
	}
	return nil
}

func (a *Applier) putSubscriber(id policy.EventID, st *storev1.SubscriberState) error {
	a.Subscribers[id] = st
	return a.put(keys.Subscriber(id), st)
}

// checkSubscriber refuses what subscribers and lists do not allow at this point of the journal.
func (a *Applier) checkSubscriber(all Subscribers, e *storev1.Event) error {
	switch c := e.GetChange().(type) {
	case *storev1.Event_SubscriberPut:
		return a.checkPut(all, c.SubscriberPut)
	case *storev1.Event_SubscriberRemoved:
		return all.checkRemoval(state.RefID(c.SubscriberRemoved.GetSubscriber()))
	case *storev1.Event_BaseCompared:
		if all.live(state.RefID(c.BaseCompared.GetSubscriber())) == nil {
			return fault.ErrNoSubscriber
		}
	}
	return nil
}

// live is a subscriber that was not removed, nil for none.
func (b Subscribers) live(id policy.EventID) *storev1.SubscriberState {
	if st := b[id]; st.GetRemoved() == 0 {
		return st
	}
	return nil
}

func (b Subscribers) checkRemoval(id policy.EventID) error {
	if b.live(id) == nil {
		return fault.ErrNoSubscriber
	}
	for _, child := range b.childrenOf(id) {
		return fault.Subscriber("it is the parent of " + child.GetName() + ": remove that one first, or give it another parent")
	}
	return nil
}

// childrenOf are the settings of those whose parent is id, by name.
func (b Subscribers) childrenOf(id policy.EventID) (children []*storev1.SubscriberSettings) {
	for _, st := range b {
		if p := st.GetSettings().GetParent(); st.GetRemoved() == 0 && p != nil && state.RefID(p) == id {
			children = append(children, st.GetSettings())
		}
	}
	slices.SortFunc(children, func(a, b *storev1.SubscriberSettings) int { return strings.Compare(a.GetName(), b.GetName()) })
	return children
}

func (a *Applier) checkPut(all Subscribers, c *storev1.SubscriberPut) error {
	id, set := state.RefID(c.GetSubscriber()), c.GetSettings()
	old := all.live(id)
	if c.GetSubscriber() != nil && old == nil {
		return fault.ErrNoSubscriber
	}
	if other, taken := all.named(set.GetName()); taken && other != id || old.GetUpdatedRevision() != c.GetBase() {
		return fault.ErrMoved
	}
	if err := a.checkReach(set); err != nil {
		return err
	}
	if err := a.checkLists(set, old.GetSettings()); err != nil {
		return err
	}
	if err := a.checkParents(all, id, set); err != nil {
		return err
	}
	for _, child := range all.childrenOf(id) {
		if ok, err := a.within(child, set); err != nil || !ok {
			return cmp.Or(err, error(fault.Subscriber("its filter does not hold all that "+child.GetName()+" gets, whose parent it is")))
		}
	}
	return nil
}

// checkLists refuses lists that do not exist, unless the subscriber had them before, and registries that it may not have.
func (a *Applier) checkLists(set, old *storev1.SubscriberSettings) error {
	for _, ref := range set.GetLists() {
		_, l, err := a.list(ref)
		if errors.Is(err, fault.ErrListNotFound) && state.Filter(old).ConcernsList(state.ListID(ref)) {
			continue
		}
		if err != nil {
			return err
		}
		isRegistry := policy.ListKind(l.GetSettings().GetKind()) == policy.ListRegistry
		if isRegistry && state.SubscriberKind(set.GetKind()) == state.Subcontractor && !set.GetAllowRegistry() {
			return fault.Subscriber("list " + l.GetName() + " is a registry: a subcontractor gets it only with allow_registry, if its licence permits that")
		}
	}
	return nil
}

// checkParents refuses a parent that does not exist, whose filter is narrower, or that is the subscriber or below it.
func (a *Applier) checkParents(all Subscribers, id policy.EventID, set *storev1.SubscriberSettings) error {
	if set.GetParent() == nil {
		return nil
	}
	parent := all.live(state.RefID(set.GetParent()))
	if parent == nil {
		return fmt.Errorf("parent: %w", fault.ErrNoSubscriber)
	}
	for above, depth := set.GetParent(), 0; above != nil; depth++ {
		if state.RefID(above) == id || depth > len(all) {
			return fault.Subscriber("it would be above itself: " + parent.GetSettings().GetName() + " is below it")
		}
		above = all.live(state.RefID(above)).GetSettings().GetParent()
	}
	ok, err := a.within(set, parent.GetSettings())
	if err == nil && !ok {
		err = fault.Subscriber("its filter is not within that of its parent " + parent.GetSettings().GetName())
	}
	return err
}

// within reports whether all that concerns the child concerns the parent. Of a list that is gone nothing comes any more.
func (a *Applier) within(child, parent *storev1.SubscriberSettings) (bool, error) {
	f := state.Filter(child)
	f.Lists = nil
	for _, ref := range child.GetLists() {
		switch _, _, err := a.list(ref); {
		case err == nil:
			f.Lists = append(f.Lists, state.ListID(ref))
		case !errors.Is(err, fault.ErrListNotFound):
			return false, err
		}
	}
	return f.Within(state.Filter(parent)), nil
}
