package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// RecordDetail is a record with its story.
type RecordDetail struct {
	policy.Record
	Story      Story
	StoryState StoryState
}

// NumberFacts is what holds about a number now.
type NumberFacts struct {
	Records []RecordDetail // in force, oldest first
	Lists   []*List        // that hold the number, whatever their jurisdiction and scope
}

// Number is all that holds about n at now.
func (v *View) Number(n phone.Number, now time.Time) (NumberFacts, error) {
	var facts NumberFacts
	if v.s.hurt.Load() {
		return facts, ErrDamaged
	}
	set, err := v.recordSet(n)
	if err != nil {
		return facts, err
	}
	for _, r := range set.GetRecords() {
		record := recordOf(r)
		if !record.InForce(now) {
			continue
		}
		story, state := v.s.stories.get(r.GetRevision(), r.GetStoryHash())
		facts.Records = append(facts.Records, RecordDetail{record, story, state})
	}
	key := filter.KeyOf(uint64(n))
	for _, l := range v.lists {
		listed, unread := v.holds(l, n, key)
		if unread {
			return facts, fmt.Errorf("%w: list %s cannot be read", ErrDamaged, l.Name)
		}
		if listed {
			facts.Lists = append(facts.Lists, l)
		}
	}
	return facts, nil
}

// EventKind is what an event about a number did.
type EventKind uint8

// The kinds of event about a number.
const (
	EventUnspecified EventKind = iota
	EventOptOut
	EventOptOutWithdrawn
)

// HistoryEvent is one event about a number.
type HistoryEvent struct {
	ID         policy.EventID
	Time       time.Time
	Kind       EventKind
	Scope      policy.Scope
	Channel    policy.Channel   // of an opt-out
	ReceivedAt time.Time        // of an opt-out
	ExpiresAt  time.Time        // of an opt-out; zero: never
	Ended      []policy.EventID // of a withdrawal: the opt-outs that it ended
	Story      Story
	StoryState StoryState
}

// History is the events about n after the one with id after, oldest first, at most limit. It costs those events, however
// long the journal is.
func (v *View) History(n phone.Number, after policy.EventID, limit int) ([]HistoryEvent, error) {
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	var events []HistoryEvent
	var rev *storev1.Revision
	var last uint64
	for _, id := range historyIDs(txn, n, after, limit) {
		if rev == nil || id.Revision != last {
			var err error
			if rev, err = readRevision(txn, id.Revision); err != nil {
				return nil, err
			}
			last = id.Revision
		}
		e, err := v.historyEvent(id, rev)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func historyIDs(txn *badger.Txn, n phone.Number, after policy.EventID, limit int) []policy.EventID {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: historyKey(uint64(n), policy.EventID{})[:9]})
	defer it.Close()
	var ids []policy.EventID
	for it.Seek(historyKey(uint64(n), after)); it.Valid() && len(ids) < limit; it.Next() {
		key := it.Item().Key()
		id := policy.EventID{Revision: binary.BigEndian.Uint64(key[9:]), Index: binary.BigEndian.Uint32(key[17:])}
		if id != after {
			ids = append(ids, id)
		}
	}
	return ids
}

func (v *View) historyEvent(id policy.EventID, rev *storev1.Revision) (HistoryEvent, error) {
	if int(id.Index) >= len(rev.GetEvents()) {
		return HistoryEvent{}, fmt.Errorf("%w: revision %d has no event %d", ErrDamaged, id.Revision, id.Index)
	}
	event := rev.GetEvents()[id.Index]
	h := HistoryEvent{ID: id, Time: nanoTime(rev.GetTime())}
	h.Story, h.StoryState = v.s.stories.get(id.Revision, event.GetStoryHash())
	switch c := event.GetChange().(type) {
	case *storev1.Event_OptOut:
		h.Kind, h.Scope = EventOptOut, policy.Scope(c.OptOut.GetScope())
		h.Channel = policy.Channel(c.OptOut.GetChannel())
		h.ReceivedAt = nanoTime(cmp.Or(c.OptOut.GetReceivedAt(), rev.GetTime()))
		h.ExpiresAt = nanoTime(c.OptOut.GetExpiresAt())
	case *storev1.Event_OptOutWithdrawn:
		h.Kind, h.Scope = EventOptOutWithdrawn, policy.Scope(c.OptOutWithdrawn.GetScope())
		var err error
		if h.Ended, err = v.endedBy(id, rev, c.OptOutWithdrawn.GetNumber()); err != nil {
			return h, err
		}
	default:
		return h, fmt.Errorf("%w: revision %d event %d is not about a number", ErrDamaged, id.Revision, id.Index)
	}
	return h, nil
}

// endedBy applies the events of one number in a revision anew, up to the one with that id, and says what it ended.
func (v *View) endedBy(id policy.EventID, rev *storev1.Revision, number uint64) (ended []policy.EventID, err error) {
	txn := v.s.db.NewTransactionAt(id.Revision-1, true)
	defer txn.Discard()
	a := newApplier(txn, id.Revision, rev.GetTime())
	for i, e := range rev.GetEvents()[:id.Index+1] {
		if e.GetOptOut().GetNumber() != number && e.GetOptOutWithdrawn().GetNumber() != number {
			continue
		}
		ended, err = a.change(eventID(id.Revision, i), e)
		if isRefusal(err) { // after an accepted loss: what it would have ended is gone
			ended, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: revision %d event %d cannot be told: %w", ErrDamaged, id.Revision, i, err)
		}
	}
	return ended, nil
}

func numberOfKey(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }
