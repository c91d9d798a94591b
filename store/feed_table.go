package store

import (
	"cmp"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// feedTable has, for each kind of event by its field in storev1.Event, the method that makes a change of it; nil: it is
// nothing to a feed.
//
// To add an event, add its line here; TestEveryEventIsAChangeOrNot walks them. What is a change is counted: see apply.TopicOf.
var feedTable = map[protowire.Number]func(d *feedDecoder, e *storev1.Event) error{
	16: (*feedDecoder).optOut,
	17: (*feedDecoder).withdrawal,
	18: nil,                   // records_imported: its rows came before it
	19: (*feedDecoder).optOut, // opt_outs: each row is an opt-out when a revision is read
	20: nil,                   // consent_recorded: a feed carries prohibitions
	21: nil,                   // consent_withdrawn
	22: nil,                   // consent_used
	32: nil,                   // list_created: it holds no number
	33: (*feedDecoder).listUpdated,
	34: (*feedDecoder).listDeleted,
	35: nil, // load_prepared: it counts once the list has switched
	36: (*feedDecoder).listLoaded,
	37: nil, // load_abandoned
	38: nil, // load_confirmed: the same numbers
	39: (*feedDecoder).listUnloaded,
	40: nil, // token_created
	41: nil, // token_revoked
	48: nil, // loss_accepted: every log begins a new epoch
	49: nil, // restored: the same
	50: nil, // subscriber_put
	51: nil, // subscriber_removed
	52: nil, // acknowledged
	53: nil, // desk_put
	54: nil, // desk_removed
	55: nil, // base_compared
	56: nil, // policy_set: logs whose filter it widens begin a new epoch
}

// feedRevision is what one revision means to feeds.
type feedRevision struct {
	revision uint64
	time     time.Time
	changes  []topicChange
}

// topicChange is a change of a scope or a list, with the numbers that came and went before it.
type topicChange struct {
	topic keys.Topic
	feed.Change
	rows []rowStep
}

// rowStep is numbers of a list that come, or go, or both.
type rowStep struct {
	contentStep
	comes, goes bool
}

// feedDecoder makes changes of the events of one revision.
type feedDecoder struct {
	s   *Store
	txn *badger.Txn // at the revision
	id  policy.EventID
	out *feedRevision
}

// readFeedRevision reads what a revision means to feeds.
func (s *Store) readFeedRevision(revision uint64) (out *feedRevision, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	s.feeds.read.Add(1)
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	rev, err := journal.ReadRevision(txn, revision)
	if err != nil {
		return nil, err
	}
	d := feedDecoder{s: s, txn: txn, out: &feedRevision{revision: revision, time: state.Time(rev.GetTime())}}
	for i, e := range rev.GetEvents() {
		d.id = state.EventID(revision, i)
		change, known := feedTable[eventKind(e)]
		if !known {
			return nil, fmt.Errorf("%w: revision %d holds an event that this version does not know", ErrDamaged, revision)
		}
		if change == nil {
			continue
		}
		if err := change(&d, e); err != nil {
			return nil, err
		}
	}
	return d.out, nil
}

var eventKinds = (&storev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("change")

// eventKind is the field of an event in storev1.Event.
func eventKind(e *storev1.Event) protowire.Number {
	if f := e.ProtoReflect().WhichOneof(eventKinds); f != nil {
		return f.Number()
	}
	return 0
}

func (d *feedDecoder) add(topic keys.Topic, c feed.Change, rows ...rowStep) {
	c.ID = d.id
	d.out.changes = append(d.out.changes, topicChange{topic, c, rows})
}

func (d *feedDecoder) optOut(e *storev1.Event) error {
	o := e.GetOptOut()
	c := feed.Change{Kind: feed.Set, Number: phone.Number(o.GetNumber()), Scope: policy.Scope(o.GetScope())}
	until, err := d.until(o)
	c.Until = state.Time(until)
	d.add(keys.ScopeTopic(c.Scope), c)
	return err
}

// until is the latest end at the number and scope of an opt-out, after its revision; 0: never. One without an end needs no
// read. One that the revision itself ended again has its own.
func (d *feedDecoder) until(o *storev1.OptOut) (int64, error) {
	if o.GetExpiresAt() == 0 {
		return 0, nil
	}
	var set storev1.RecordSet
	if _, err := state.Get(d.txn, keys.Records(o.GetNumber()), &set); err != nil {
		return 0, err
	}
	latest := o.GetExpiresAt()
	for _, r := range set.GetRecords() {
		if policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == o.GetScope() {
			latest = max(latest, cmp.Or(r.GetExpiresAt(), math.MaxInt64))
		}
	}
	if latest == math.MaxInt64 {
		return 0, nil
	}
	return latest, nil
}

func (d *feedDecoder) withdrawal(e *storev1.Event) error {
	w := e.GetOptOutWithdrawn()
	c := feed.Change{Kind: feed.Remove, Number: phone.Number(w.GetNumber()), Scope: policy.Scope(w.GetScope())}
	d.add(keys.ScopeTopic(c.Scope), c)
	return nil
}

// listUpdated is a change if the list has another scope.
func (d *feedDecoder) listUpdated(e *storev1.Event) error {
	id := state.ListID(e.GetListUpdated().GetList())
	moved, err := d.s.listMoved(id, d.id.Revision)
	if err != nil || !moved {
		return err
	}
	return d.list(feed.ListMoved, id)
}

// listDeleted is a change whether the list was loaded or not: one that a repair has unloaded has rows at subscribers.
func (d *feedDecoder) listDeleted(e *storev1.Event) error {
	return d.list(feed.ListGone, state.ListID(e.GetListDeleted().GetList()))
}

func (d *feedDecoder) listUnloaded(e *storev1.Event) error {
	return d.list(feed.ListDoubt, state.ListID(e.GetListUnloaded().GetList()))
}

func (d *feedDecoder) list(kind feed.Kind, id policy.EventID) error {
	c := feed.Change{Kind: kind, List: id}
	err := d.describe(&c)
	if kind != feed.ListMoved {
		c.Scope = ""
	}
	d.add(keys.ListTopic(id), c)
	return err
}

// describe takes the name and scope of a change's list, as the revision left it, or as it was before if the revision deleted it.
func (d *feedDecoder) describe(c *feed.Change) error {
	l, found, err := d.s.listStateAt(c.List, d.id.Revision)
	if err == nil && !found {
		l, found, err = d.s.listStateAt(c.List, d.id.Revision-1)
	}
	if err == nil && !found {
		err = fmt.Errorf("%w: the list of revision %d event %d is missing", ErrDamaged, d.id.Revision, d.id.Index)
	}
	c.Name, c.Scope = l.GetName(), policy.Scope(l.GetSettings().GetScope())
	return err
}

func (d *feedDecoder) listLoaded(e *storev1.Event) error {
	id, prepared := state.ListID(e.GetLoadSwitched().GetList()), e.GetLoadSwitched().GetPrepared()
	var i storev1.ImportEntry
	found, err := state.Get(d.txn, keys.Import(id, prepared), &i)
	if err == nil && !found {
		err = fmt.Errorf("%w: the import of a load is missing", ErrDamaged)
	}
	if err != nil {
		return err
	}
	c := feed.Change{Kind: feed.ListSet, List: id, Numbers: i.GetLoad().GetNumbers()}
	copy(c.SHA256[:], i.GetLoad().GetResult())
	rows, err := d.rowSteps(contentStep{id, i.GetBase(), prepared})
	if err == nil {
		err = d.describe(&c)
	}
	d.add(keys.ListTopic(id), c, rows...)
	return err
}

// rowSteps are the numbers that come and go with a load. Where a repair had unloaded the list, subscribers hold what it
// showed before, or none of it if they came since: all numbers come, and those go that it showed last.
func (d *feedDecoder) rowSteps(load contentStep) ([]rowStep, error) {
	if load.from > 0 {
		return []rowStep{{load, true, true}}, nil
	}
	last, err := d.contentBefore(load)
	if err != nil || last == 0 {
		return []rowStep{{load, true, true}}, err
	}
	return []rowStep{{load, true, false}, {contentStep{load.list, last, load.to}, false, true}}, nil
}

// contentBefore is the last content that a list has switched to before a load; 0: none.
func (d *feedDecoder) contentBefore(load contentStep) (uint64, error) {
	opt := badger.DefaultIteratorOptions
	opt.Reverse, opt.Prefix = true, keys.Import(load.list, 0)[:1+keys.ListIDBytes]
	it := d.txn.NewIterator(opt)
	defer it.Close()
	for it.Seek(keys.Import(load.list, load.to-1)); it.Valid(); it.Next() {
		var e storev1.ImportEntry
		key := it.Item().Key()
		if err := it.Item().Value(func(v []byte) error { return state.Decode(key, v, &e) }); err != nil {
			return 0, err
		}
		if ImportState(e.GetState()) == ImportSwitched {
			return keys.Prepared(key), nil
		}
	}
	return 0, nil
}
