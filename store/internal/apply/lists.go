package apply

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

func (a *Applier) createList(id policy.EventID, c *storev1.ListCreated) error {
	taken, err := a.listNamed(c.GetName())
	if err != nil {
		return err
	}
	if taken {
		return fault.ErrListExists
	}
	return a.putList(id, &storev1.ListState{
		Name:        c.GetName(),
		Settings:    c.GetSettings(),
		CreatedTime: a.Time,
	})
}

func (a *Applier) listNamed(name string) (bool, error) {
	for l, err := range state.Lists(a.txn) {
		if err != nil || l.State.GetName() == name {
			return err == nil, err
		}
	}
	return false, nil
}

func (a *Applier) updateList(c *storev1.ListUpdated) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return fault.ErrMoved
	}
	if l.GetLoad() != nil && !slices.Equal(l.GetSettings().GetJurisdiction(), c.GetSettings().GetJurisdiction()) {
		l.Load.Outside = nil
	}
	if l.GetSettings().GetScope() != c.GetSettings().GetScope() {
		a.Touch(keys.ListTopic(id))
	}
	l.Settings = c.GetSettings()
	if l.GetLoad() != nil {
		l.Load.EffectiveCoverage, l.Load.CoversAll = c.GetEffectiveCoverage(), c.GetCoversAll()
	}
	return a.putList(id, l)
}

func (a *Applier) deleteList(c *storev1.ListDeleted) error {
	id, _, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	a.Lists[id] = nil
	key := keys.List(id)
	a.Bytes += len(key)
	return a.txn.Delete(key)
}

// prepareLoad takes the list for a load that was compared with its content at base.
func (a *Applier) prepareLoad(c *storev1.LoadPrepared, story []byte) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return fault.ErrMoved
	}
	l.Pending = a.Revision
	l.PendingLoad = WithoutSources(c.GetLoad())
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.put(keys.Import(id, a.Revision), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_PREPARED,
		Time:      a.Time,
		Base:      c.GetBase(),
		StoryHash: story,
		ListName:  l.GetName(),
	})
}

func (a *Applier) switchLoad(c *storev1.LoadSwitched) error {
	id, l, err := a.pendingList(c.GetList(), c.GetPrepared())
	if err != nil {
		return err
	}
	l.Visible, l.Load = l.GetPending(), l.GetPendingLoad()
	l.Pending, l.PendingLoad = 0, nil
	l.Commits, l.Crc = c.GetCommits(), c.GetCrc()
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.endImport(id, c.GetPrepared(), func(e *storev1.ImportEntry) {
		e.State = storev1.ImportState_IMPORT_STATE_SWITCHED
		e.Commits, e.Crc = c.GetCommits(), c.GetCrc()
	})
}

func (a *Applier) abandonLoad(c *storev1.LoadAbandoned) error {
	id, l, err := a.pendingList(c.GetList(), c.GetPrepared())
	if err != nil {
		return err
	}
	l.Pending, l.PendingLoad = 0, nil
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.endImport(id, c.GetPrepared(), func(e *storev1.ImportEntry) {
		e.State = storev1.ImportState_IMPORT_STATE_ABANDONED
	})
}

func (a *Applier) endImport(id policy.EventID, prepared uint64, end func(*storev1.ImportEntry)) error {
	key := keys.Import(id, prepared)
	var e storev1.ImportEntry
	found, err := a.get(key, &e)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: the import of a load is missing", fault.ErrDamaged)
	}
	end(&e)
	e.Ended = a.Revision
	return a.put(key, &e)
}

// confirmLoad applies date and coverage of a load that found the content as it was.
func (a *Applier) confirmLoad(c *storev1.LoadConfirmed, story []byte) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return fault.ErrMoved
	}
	l.Load = WithoutSources(c.GetLoad())
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.put(keys.Import(id, a.Revision), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_CONFIRMED,
		Time:      a.Time,
		Ended:     a.Revision,
		Base:      l.GetVisible(),
		StoryHash: story,
		ListName:  l.GetName(),
	})
}

// UnloadList marks the content of a list as not loaded, and ends a load of it that was prepared. What it covered stays: a
// load after it must not widen that unnoticed.
func (a *Applier) UnloadList(c *storev1.ListUnloaded) error {
	id, l, err := a.list(c.GetList())
	if err != nil {
		return err
	}
	l.Visible, l.Pending, l.PendingLoad = 0, 0, nil
	if l.GetLoad() != nil {
		l.Load = &storev1.Load{EffectiveCoverage: l.GetLoad().GetEffectiveCoverage(), CoversAll: l.GetLoad().GetCoversAll()}
	}
	l.Commits, l.Crc = 0, 0
	return a.putList(id, l)
}

func (a *Applier) list(ref *storev1.ListId) (policy.EventID, *storev1.ListState, error) {
	id := state.ListID(ref)
	l := new(storev1.ListState)
	found, err := a.get(keys.List(id), l)
	if err != nil {
		return id, nil, err
	}
	if !found {
		return id, nil, fault.ErrListNotFound
	}
	return id, l, nil
}

func (a *Applier) idleList(ref *storev1.ListId) (policy.EventID, *storev1.ListState, error) {
	id, l, err := a.list(ref)
	if err == nil && l.GetPending() != 0 {
		err = fault.ErrImportRunning
	}
	return id, l, err
}

func (a *Applier) pendingList(ref *storev1.ListId, prepared uint64) (policy.EventID, *storev1.ListState, error) {
	id, l, err := a.list(ref)
	if err == nil && l.GetPending() != prepared {
		err = fault.ErrMoved
	}
	return id, l, err
}

func (a *Applier) putList(id policy.EventID, l *storev1.ListState) error {
	l.UpdatedRevision, l.UpdatedTime = a.Revision, a.Time
	a.Lists[id] = l
	return a.put(keys.List(id), l)
}

// WithoutSources is the load as the list's state keeps it: only the import names its files.
func WithoutSources(l *storev1.Load) *storev1.Load {
	c := proto.CloneOf(l)
	c.Sources = nil
	return c
}
