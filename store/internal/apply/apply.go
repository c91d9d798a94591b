// Package apply turns the events of the journal into state. Nothing else writes state.
//
// The same events give the same state: there is no clock, no random number and no map order here.
package apply

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
	"github.com/dncd/dncd/store/internal/state"
)

// RequestMemory is how long a request id is remembered, by the clock.
const RequestMemory = 7 * 24 * time.Hour

// Applier turns the events of one revision into puts of one transaction, in order. Each event sees those before it.
type Applier struct {
	txn      *badger.Txn // at revision-1, with what was applied so far
	Revision uint64
	Time     int64 // Unix nanoseconds of every event of the revision
	Ahead    int64 // how far that may be ahead of the true time: what expires counts for as much longer
	replay   bool  // the events are the journal's: each was recorded then, whatever the state holds after a loss

	Bytes   int                                   // written so far
	Numbers []uint64                              // that have a new record: for the filter
	Lists   map[policy.EventID]*storev1.ListState // changed; nil: deleted
	Grants  bool                                  // a grant was made or revoked
	Touched []Touched                             // topics, in the order in which they were met
	Desks   bool                                  // a desk was registered, changed or removed
	Policy  *state.Stored[*storev1.PolicyState]   // the last that was set; nil: none was
	totals  *storev1.Totals                       // nil until needed

	Subscribers map[policy.EventID]*storev1.SubscriberState // changed
	touchedAt   map[keys.Topic]int                          // places in Touched

	filter  *filter.Set     // of all numbers with records before the revision; nil: each is read
	changed map[uint64]bool // numbers whose records the revision has changed; kept beside a filter
}

// Applied is what became of one event that was not refused.
type Applied struct {
	ID    policy.EventID
	Ended []policy.EventID // opt-outs or consents that a withdrawal ended
	First *storev1.Request // set: a repeat of this request; nothing was written
	Held  bool             // a unique opt-out or consent that is there already, under id; nothing was written
}

// Repeats reports that nothing was written, since it was written before.
func (o *Applied) Repeats() bool { return o.First != nil || o.Held }

// New applies the events of the revision that comes after what the transaction reads. Their time is t, in Unix nanoseconds,
// which may be ahead of the true time by ahead.
func New(txn *badger.Txn, revision uint64, t, ahead int64) *Applier {
	return &Applier{txn: txn, Revision: revision, Time: t, Ahead: ahead, Lists: map[policy.EventID]*storev1.ListState{}, Subscribers: map[policy.EventID]*storev1.SubscriberState{}}
}

// Replay applies the events of a revision of the journal again.
func Replay(txn *badger.Txn, revision uint64, rev *storev1.Revision) *Applier {
	a := New(txn, revision, rev.GetTime(), rev.GetAhead())
	a.replay = true
	return a
}

// Apply applies one event as the index-th of the revision. A refused event, or a repeat, has written nothing.
func (a *Applier) Apply(index int, e *storev1.Event) (Applied, error) {
	id := state.EventID(a.Revision, index)
	if len(e.GetRequestId()) > 0 {
		first, err := a.Repeated(e)
		if err != nil || first != nil {
			return Applied{First: first}, err
		}
	}
	ended, err := a.Change(id, e)
	if held := (*heldError)(nil); errors.As(err, &held) {
		return Applied{ID: held.id, Held: true}, nil
	}
	if err != nil {
		return Applied{}, err
	}
	a.CountChange(e)
	if len(e.GetRequestId()) > 0 {
		err = a.remember(id, e, len(ended))
	}
	return Applied{ID: id, Ended: ended}, err
}

// SkipUnheld has the applier read no number that f, which holds every number that had a record before, does not hold.
func (a *Applier) SkipUnheld(f *filter.Set) {
	if f != nil {
		a.filter, a.changed = f, map[uint64]bool{}
	}
}

// Change applies one event, whatever was requested before. It returns the records that a withdrawal ended.
func (a *Applier) Change(id policy.EventID, e *storev1.Event) (ended []policy.EventID, err error) {
	switch c := e.GetChange().(type) {
	case *storev1.Event_OptOut:
		return nil, a.optOut(id, c.OptOut, StoryRef{e.GetStoryHash(), e.GetStory(), e.GetRow()})
	case *storev1.Event_OptOutWithdrawn:
		return a.withdrawOptOuts(id, c.OptOutWithdrawn)
	case *storev1.Event_ConsentRecorded:
		return nil, a.consent(id, c.ConsentRecorded, e.GetStoryHash())
	case *storev1.Event_ConsentWithdrawn:
		return a.withdrawConsents(id, c.ConsentWithdrawn)
	case *storev1.Event_ConsentUsed:
		return nil, a.noteHistory(c.ConsentUsed.GetNumber(), id)
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
		return nil, a.UnloadList(c.ListUnloaded)
	case *storev1.Event_TokenCreated:
		return nil, a.createGrant(id, c.TokenCreated, e.GetStoryHash())
	case *storev1.Event_TokenRevoked:
		return nil, a.revokeGrant(c.TokenRevoked)
	case *storev1.Event_SubscriberPut, *storev1.Event_SubscriberRemoved, *storev1.Event_BaseCompared,
		*storev1.Event_LossAccepted, *storev1.Event_Restored:
		return nil, a.subscriberEvent(id, e)
	case *storev1.Event_Acknowledged:
		return nil, a.acknowledge(id, c.Acknowledged)
	case *storev1.Event_DeskPut, *storev1.Event_DeskRemoved:
		return nil, a.deskEvent(id, e)
	case *storev1.Event_PolicySet:
		return nil, a.setPolicy(id, e)
	}
	return nil, fmt.Errorf("event of an unknown kind: written by a later version")
}

// Repeated returns what e's request led to the first time, nil when it is new.
func (a *Applier) Repeated(e *storev1.Event) (*storev1.Request, error) {
	var first storev1.Request
	found, err := a.get(keys.Request(requestHash(e)), &first)
	if err != nil || !found || a.Time-a.Ahead-first.GetTime() >= int64(RequestMemory) {
		return nil, err
	}
	if !bytes.Equal(first.GetHash(), e.GetRequestHash()) {
		return nil, fault.ErrRequestReused
	}
	return &first, nil
}

func (a *Applier) remember(id policy.EventID, e *storev1.Event, ended int) error {
	return a.put(keys.Request(requestHash(e)), &storev1.Request{
		Hash:      e.GetRequestHash(),
		Revision:  id.Revision,
		Index:     id.Index,
		Time:      a.Time,
		Ended:     uint32(ended),
		StoryHash: e.GetStoryHash(),
	})
}

// requestHash is what the key of an event's request id is made of.
func requestHash(e *storev1.Event) []byte {
	h := sha256.Sum256(e.GetRequestId())
	return h[:]
}

// get reads one value of the state into m and reports whether it was there.
func (a *Applier) get(key []byte, m proto.Message) (bool, error) { return state.Get(a.txn, key, m) }

func (a *Applier) put(key []byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return a.Set(key, seal.Value(key, b))
}

// Set writes a sealed value.
func (a *Applier) Set(key, value []byte) error {
	a.Bytes += len(key) + len(value)
	return a.txn.Set(key, value)
}

// End writes what the revision changed as a whole.
func (a *Applier) End() error {
	if err := a.putTouched(); err != nil {
		return err
	}
	if a.totals == nil {
		return nil
	}
	return a.put(keys.Totals(), a.totals)
}

// count adds to the totals of numbers and records.
func (a *Applier) count(numbers, records int) error {
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
