package store

import (
	"fmt"
	"iter"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
)

func (a *applier) createList(id policy.EventID, c *storev1.ListCreated) error {
	taken, err := a.listNamed(c.GetName())
	if err != nil {
		return err
	}
	if taken {
		return ErrListExists
	}
	return a.putList(id, &storev1.ListState{
		Name:        c.GetName(),
		Settings:    c.GetSettings(),
		CreatedTime: a.time,
	})
}

func (a *applier) listNamed(name string) (bool, error) {
	for l, err := range storedLists(a.txn) {
		if err != nil || l.state.GetName() == name {
			return err == nil, err
		}
	}
	return false, nil
}

func (a *applier) updateList(c *storev1.ListUpdated) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return errMoved
	}
	if l.GetLoad() != nil && !slices.Equal(l.GetSettings().GetJurisdiction(), c.GetSettings().GetJurisdiction()) {
		l.Load.Outside = nil
	}
	l.Settings = c.GetSettings()
	if l.GetLoad() != nil {
		l.Load.EffectiveCoverage, l.Load.CoversAll = c.GetEffectiveCoverage(), c.GetCoversAll()
	}
	return a.putList(id, l)
}

func (a *applier) deleteList(c *storev1.ListDeleted) error {
	id, _, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	a.lists[id] = nil
	key := keys.List(id)
	a.bytes += len(key)
	return a.txn.Delete(key)
}

// submitPrepared takes the list for a load that was compared with its content at base.
func (a *applier) prepareLoad(c *storev1.LoadPrepared, story []byte) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return errMoved
	}
	l.Pending = a.revision
	l.PendingLoad = withoutSources(c.GetLoad())
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.put(keys.Import(id, a.revision), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_PREPARED,
		Time:      a.time,
		Base:      c.GetBase(),
		StoryHash: story,
		ListName:  l.GetName(),
	})
}

func (a *applier) switchLoad(c *storev1.LoadSwitched) error {
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

func (a *applier) abandonLoad(c *storev1.LoadAbandoned) error {
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

func (a *applier) endImport(id policy.EventID, prepared uint64, end func(*storev1.ImportEntry)) error {
	key := keys.Import(id, prepared)
	var e storev1.ImportEntry
	found, err := a.get(key, &e)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: the import of a load is missing", ErrDamaged)
	}
	end(&e)
	e.Ended = a.revision
	return a.put(key, &e)
}

// confirmLoad applies date and coverage of a load that found the content as it was.
func (a *applier) confirmLoad(c *storev1.LoadConfirmed, story []byte) error {
	id, l, err := a.idleList(c.GetList())
	if err != nil {
		return err
	}
	if l.GetVisible() != c.GetBase() {
		return errMoved
	}
	l.Load = withoutSources(c.GetLoad())
	if err := a.putList(id, l); err != nil {
		return err
	}
	return a.put(keys.Import(id, a.revision), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_CONFIRMED,
		Time:      a.time,
		Ended:     a.revision,
		Base:      l.GetVisible(),
		StoryHash: story,
		ListName:  l.GetName(),
	})
}

// unloadList marks the content of a list as not loaded, and ends a load of it that was prepared. What it covered stays: a
// load after it must not widen that unnoticed.
func (a *applier) unloadList(c *storev1.ListUnloaded) error {
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

func (a *applier) list(ref *storev1.ListId) (policy.EventID, *storev1.ListState, error) {
	id := refID(ref)
	l := new(storev1.ListState)
	found, err := a.get(keys.List(id), l)
	if err != nil {
		return id, nil, err
	}
	if !found {
		return id, nil, ErrListNotFound
	}
	return id, l, nil
}

func (a *applier) idleList(ref *storev1.ListId) (policy.EventID, *storev1.ListState, error) {
	id, l, err := a.list(ref)
	if err == nil && l.GetPending() != 0 {
		err = ErrImportRunning
	}
	return id, l, err
}

func (a *applier) pendingList(ref *storev1.ListId, prepared uint64) (policy.EventID, *storev1.ListState, error) {
	id, l, err := a.list(ref)
	if err == nil && l.GetPending() != prepared {
		err = errMoved
	}
	return id, l, err
}

func (a *applier) putList(id policy.EventID, l *storev1.ListState) error {
	l.UpdatedRevision, l.UpdatedTime = a.revision, a.time
	a.lists[id] = l
	return a.put(keys.List(id), l)
}

// withoutSources is the load as the list's state keeps it: only the import names its files.
func withoutSources(l *storev1.Load) *storev1.Load {
	c := proto.CloneOf(l)
	c.Sources = nil
	return c
}

// storedList is the state of a list.
type storedList struct {
	id    policy.EventID
	state *storev1.ListState
}

// storedLists yields every list that the transaction sees, in order of creation.
func storedLists(txn *badger.Txn) iter.Seq2[storedList, error] {
	return func(yield func(storedList, error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte{keys.KindList}
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, l := it.Item().KeyCopy(nil), new(storev1.ListState)
			err := it.Item().Value(func(v []byte) error { return decodeMessage(key, v, l) })
			if !yield(storedList{keys.ListID(key), l}, err) || err != nil {
				return
			}
		}
	}
}

func refID(ref *storev1.ListId) policy.EventID {
	return eventID(ref.GetRevision(), int(ref.GetIndex()))
}

func listRef(id policy.EventID) *storev1.ListId {
	return &storev1.ListId{Revision: id.Revision, Index: id.Index}
}
