package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// requestMemory is how long a request id is remembered, by the clock.
const requestMemory = 7 * 24 * time.Hour

// applier is Apply: the only writer of state. It turns the events of one revision into puts of one transaction, in
// order, each event seeing those before it. Same events, same state: no clock, no random, no map order here.
type applier struct {
	txn      *badger.Txn // at revision-1, with what was applied so far
	revision uint64
	time     int64 // Unix nanoseconds of every event of the revision
	ahead    int64 // how far that may be ahead of the true time: what expires counts for as much longer
	replay   bool  // the events are the journal's: each was recorded then, whatever the state holds after a loss

	bytes   int                                   // written so far
	numbers []uint64                              // that have a new record: for the filter
	lists   map[policy.EventID]*storev1.ListState // changed; nil: deleted
	grants  bool                                  // a grant was made or revoked
	totals  *storev1.Totals                       // nil until needed

	filter  *filter.Set     // of all numbers with records before the revision; nil: each is read
	changed map[uint64]bool // numbers whose records the revision has changed; kept beside a filter
}

// applied is what became of one event that was not refused.
type applied struct {
	id    policy.EventID
	ended []policy.EventID // opt-outs that a withdrawal ended
	first *storev1.Request // set: a repeat of this request; nothing was written
	held  bool             // a unique opt-out that is there already, under id; nothing was written
}

func (o *applied) repeats() bool { return o.first != nil || o.held }

func newApplier(txn *badger.Txn, revision uint64, t, ahead int64) *applier {
	return &applier{txn: txn, revision: revision, time: t, ahead: ahead, lists: map[policy.EventID]*storev1.ListState{}}
}

// newReplay applies the events of a revision of the journal again.
func newReplay(txn *badger.Txn, revision uint64, rev *storev1.Revision) *applier {
	a := newApplier(txn, revision, rev.GetTime(), rev.GetAhead())
	a.replay = true
	return a
}

// apply applies one event as the index-th of the revision. A refused event, or a repeat, has written nothing.
func (a *applier) apply(index int, e *storev1.Event) (applied, error) {
	id := eventID(a.revision, index)
	if len(e.GetRequestId()) > 0 {
		first, err := a.repeated(e)
		if err != nil || first != nil {
			return applied{first: first}, err
		}
	}
	ended, err := a.change(id, e)
	if held := (*heldError)(nil); errors.As(err, &held) {
		return applied{id: held.id, held: true}, nil
	}
	if err != nil {
		return applied{}, err
	}
	if len(e.GetRequestId()) > 0 {
		err = a.remember(id, e, len(ended))
	}
	return applied{id: id, ended: ended}, err
}

// skipUnheld has the applier read no number that f, which holds every number that had a record before, does not hold.
func (a *applier) skipUnheld(f *filter.Set) {
	if f != nil {
		a.filter, a.changed = f, map[uint64]bool{}
	}
}

func (a *applier) change(id policy.EventID, e *storev1.Event) (ended []policy.EventID, err error) {
	switch c := e.GetChange().(type) {
	case *storev1.Event_OptOut:
		return nil, a.optOut(id, c.OptOut, storyRef{e.GetStoryHash(), e.GetStory(), e.GetRow()})
	case *storev1.Event_OptOutWithdrawn:
		return a.withdrawOptOuts(id, c.OptOutWithdrawn)
	case *storev1.Event_RecordsImported:
		return nil, a.importedRecords(id, c.RecordsImported, e.GetStoryHash())
	case *storev1.Event_ListCreated:
		return nil, a.createList(id, c.ListCreated)
	case *storev1.Event_ListUpdated:
		return nil, a.updateList(c.ListUpdated)
	case *storev1.Event_ListDeleted:
		return nil, a.deleteList(c.ListDeleted)
	case *storev1.Event_LoadPrepared:
		return nil, a.prepareLoad(c.LoadPrepared, e.GetStoryHash())
	case *storev1.Event_LoadSwitched:
		return nil, a.switchLoad(c.LoadSwitched)
	case *storev1.Event_LoadAbandoned:
		return nil, a.abandonLoad(c.LoadAbandoned)
	case *storev1.Event_LoadConfirmed:
		return nil, a.confirmLoad(c.LoadConfirmed, e.GetStoryHash())
	case *storev1.Event_ListUnloaded:
		return nil, a.unloadList(c.ListUnloaded)
	case *storev1.Event_TokenCreated:
		return nil, a.createGrant(id, c.TokenCreated, e.GetStoryHash())
	case *storev1.Event_TokenRevoked:
		return nil, a.revokeGrant(c.TokenRevoked)
	case *storev1.Event_LossAccepted, *storev1.Event_Restored:
		return nil, nil // they change the journal, not the state
	}
	return nil, fmt.Errorf("event of an unknown kind: written by a later version")
}

// repeated returns what e's request led to the first time, nil when it is new.
func (a *applier) repeated(e *storev1.Event) (*storev1.Request, error) {
	var first storev1.Request
	found, err := a.get(keys.Request(requestHash(e)), &first)
	if err != nil || !found || a.time-a.ahead-first.GetTime() >= int64(requestMemory) {
		return nil, err
	}
	if !bytes.Equal(first.GetHash(), e.GetRequestHash()) {
		return nil, ErrRequestReused
	}
	return &first, nil
}

func (a *applier) remember(id policy.EventID, e *storev1.Event, ended int) error {
	return a.put(keys.Request(requestHash(e)), &storev1.Request{
		Hash:      e.GetRequestHash(),
		Revision:  id.Revision,
		Index:     id.Index,
		Time:      a.time,
		Ended:     uint32(ended),
		StoryHash: e.GetStoryHash(),
	})
}

func requestHash(e *storev1.Event) []byte {
	h := sha256.Sum256(e.GetRequestId())
	return h[:]
}

// get reads one value of the state into m and reports whether it was there.
func (a *applier) get(key []byte, m proto.Message) (bool, error) { return getMessage(a.txn, key, m) }

func (a *applier) put(key []byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return a.set(key, seal.Value(key, b))
}

func (a *applier) set(key, value []byte) error {
	a.bytes += len(key) + len(value)
	return a.txn.Set(key, value)
}

// finish writes what the revision as a whole changed.
func (a *applier) finish() error {
	if a.totals == nil {
		return nil
	}
	return a.put(keys.Totals(), a.totals)
}

// count adds to the totals of numbers and records.
func (a *applier) count(numbers, records int) error {
	if a.totals == nil {
		a.totals = new(storev1.Totals)
		if _, err := a.get(keys.Totals(), a.totals); err != nil {
			return err
		}
	}
	a.totals.Numbers += uint64(numbers)
	a.totals.Records += uint64(records)
	return nil
}

// getMessage reads one sealed value into m and reports whether the key is there.
func getMessage(txn *badger.Txn, key []byte, m proto.Message) (bool, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state: %w", err)
	}
	return true, item.Value(func(v []byte) error { return decodeMessage(key, v, m) })
}

func decodeMessage(key, value []byte, m proto.Message) error {
	payload, err := seal.Open(key, value)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(payload, m); err != nil {
		return fault.DamagedKey(key)
	}
	return nil
}
