package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// EventKind is what an event about a number did.
type EventKind uint8

// The kinds of event about a number.
const (
	EventUnspecified EventKind = iota
	EventOptOut
	EventOptOutWithdrawn
	EventConsent
	EventConsentWithdrawn
	EventConsentUsed
	EventOptOutRespelled // an opt-out is stored under the present digits of its number
)

// HistoryEvent is one event about a number.
type HistoryEvent struct {
	ID         policy.EventID
	Time       time.Time
	Kind       EventKind
	Scope      policy.Scope
	Channel    policy.Channel   // of an opt-out or a consent
	ReceivedAt time.Time        // of an opt-out or a consent
	ExpiresAt  time.Time        // of an opt-out or a consent; zero: never
	Consent    *policy.Consent  // of a consent; of a withdrawal of consents, with no more than the kind; else nil
	Ended      []policy.EventID // of a withdrawal: the records that it ended
	Reason     WithdrawalReason // of a withdrawal
	Used       []policy.EventID // of a use: the consents
	Checked    uint64           // of a use: the revision that the check was answered from
	Former     phone.Number     // of what was respelled: the digits under which it had been stored
	Respelled  policy.EventID   // the same: the event that recorded it
	Desk       policy.EventID   // that is registered; zero: none
	Story      Story
	StoryState StoryState
}

// historyBytes is how many bytes of revisions one reading of a history decodes, and less than one revision more.
const historyBytes = 8 << 20

// History is the events about n, under whichever digits they were stored, after the one with id after, oldest first, at most limit,
// and whether there are more. It costs those events, however long the journal is; of large revisions it reads fewer events than
// limit.
func (v *View) History(n phone.Number, after policy.EventID, limit int) (events []HistoryEvent, more bool, err error) {
	events, more, err = v.history(n, after, limit, historyBytes)
	return events, more, cmp.Or(err, v.complete())
}

func (v *View) history(n phone.Number, after policy.EventID, limit, most int) (events []HistoryEvent, more bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	h := historyReader{v: v, txn: txn, numbers: n.Spellings()}
	defer h.close()
	for {
		ids, err := h.ids(after, limit+1)
		if err != nil {
			return nil, false, err
		}
		for _, id := range ids {
			if len(events) == limit || len(events) > 0 && h.decoded >= most && id.Revision != h.revision {
				return events, true, nil
			}
			e, err := h.read(id)
			if err != nil {
				return nil, false, err
			}
			if after = id; e.Kind != EventUnspecified {
				events = append(events, e)
			}
		}
		if len(ids) <= limit {
			return events, false, nil
		}
	}
}

// historyReader reads events about a number in order. Events of one revision share what is read of it.
type historyReader struct {
	v        *View
	txn      *badger.Txn
	numbers  []phone.Number // the number, as it was stored ever
	revision uint64
	rev      *storev1.Revision
	decoded  int // bytes of all revisions so far

	again *badger.Txn // in which the events of rev are applied again; nil: none is yet
	apply *apply.Applier
	done  int // how many of them are
	ended []policy.EventID
}

// read reads an event, which is at the place of the one before or after it.
func (h *historyReader) read(id policy.EventID) (HistoryEvent, error) {
	if h.rev == nil || id.Revision != h.revision {
		h.close()
		rev, err := journal.ReadRevision(h.txn, id.Revision)
		if err != nil {
			return HistoryEvent{}, err
		}
		h.rev, h.revision = rev, id.Revision
		h.decoded += proto.Size(rev)
	}
	return h.event(id)
}

// close forgets what was applied again.
func (h *historyReader) close() {
	if h.again != nil {
		h.again.Discard()
	}
	h.again, h.apply, h.done, h.ended = nil, nil, 0, nil
}

// ids are the ids of the first events after one, at most limit.
func (h *historyReader) ids(after policy.EventID, limit int) (all []policy.EventID, err error) {
	for _, n := range h.numbers {
		ids, err := historyIDs(h.txn, n, after, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	slices.SortFunc(all, compareIDs)
	all = slices.Compact(all)
	return all[:min(len(all), limit)], nil
}

// historyIDs are the ids of the first events about n after one, at most limit: those with a key, and the rows that n holds.
func historyIDs(txn *badger.Txn, n phone.Number, after policy.EventID, limit int) ([]policy.EventID, error) {
	var set storev1.RecordSet
	if _, err := state.Get(txn, keys.Records(uint64(n)), &set); err != nil {
		return nil, err
	}
	var ids []policy.EventID
	for _, r := range set.GetRecords() {
		if id := state.RecordID(r); r.GetRow() && isAfter(id, after) {
			ids = append(ids, id)
		}
	}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: keys.History(uint64(n), policy.EventID{})[:9]})
	defer it.Close()
	found := 0
	for it.Seek(keys.History(uint64(n), after)); it.Valid() && found < limit; it.Next() {
		key := it.Item().Key()
		id := policy.EventID{Revision: binary.BigEndian.Uint64(key[9:]), Index: binary.BigEndian.Uint32(key[17:])}
		if id != after {
			ids = append(ids, id)
			found++
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids[:min(len(ids), limit)], nil
}

// event is the event with that id. It is of no kind where another event says all about it.
func (h *historyReader) event(id policy.EventID) (HistoryEvent, error) {
	rev := h.rev
	event, err := eventAt(rev, id)
	if err != nil {
		return HistoryEvent{}, err
	}
	e := HistoryEvent{ID: id, Time: state.Time(rev.GetTime())}
	e.Story, e.StoryState = h.v.s.stories.Get(id.Revision, event.GetStoryHash(), event.GetStory())
	switch c := event.GetChange().(type) {
	case *storev1.Event_OptOut:
		e.Kind, e.Scope = EventOptOut, policy.Scope(c.OptOut.GetScope())
		e.Channel = policy.Channel(c.OptOut.GetChannel())
		e.ReceivedAt = state.Time(cmp.Or(c.OptOut.GetReceivedAt(), rev.GetTime()))
		e.ExpiresAt = state.Time(c.OptOut.GetExpiresAt())
		e.Desk = state.RefID(c.OptOut.GetDesk())
		if was := c.OptOut.GetRespelled(); was != nil {
			e.Kind, e.Former, e.Respelled = EventOptOutRespelled, phone.Number(was.GetFormer()), state.RefID(was.GetRecorded())
		}
	case *storev1.Event_OptOutWithdrawn:
		if c.OptOutWithdrawn.GetRespelled() != 0 {
			return HistoryEvent{ID: id}, nil
		}
		e.Kind, e.Scope = EventOptOutWithdrawn, policy.Scope(c.OptOutWithdrawn.GetScope())
		e.Desk, e.Reason = state.RefID(c.OptOutWithdrawn.GetDesk()), WithdrawalReason(c.OptOutWithdrawn.GetReason())
		e.Ended, err = h.endedBy(id)
	default:
		return h.consentEvent(e, event)
	}
	return e, err
}

// consentEvent completes an event about consents.
func (h *historyReader) consentEvent(e HistoryEvent, event *storev1.Event) (_ HistoryEvent, err error) {
	switch c := event.GetChange().(type) {
	case *storev1.Event_ConsentRecorded:
		e.Kind, e.Scope = EventConsent, policy.Scope(c.ConsentRecorded.GetScope())
		e.Channel, e.Consent = policy.Channel(c.ConsentRecorded.GetChannel()), state.Consent(c.ConsentRecorded.GetConsent())
		e.ReceivedAt = state.Time(cmp.Or(c.ConsentRecorded.GetObtainedAt(), h.rev.GetTime()-h.rev.GetAhead()))
		e.ExpiresAt = state.Time(c.ConsentRecorded.GetExpiresAt())
		e.Desk = state.RefID(c.ConsentRecorded.GetDesk())
	case *storev1.Event_ConsentWithdrawn:
		e.Kind, e.Scope = EventConsentWithdrawn, policy.Scope(c.ConsentWithdrawn.GetScope())
		e.Consent = &policy.Consent{Kind: policy.ConsentKind(c.ConsentWithdrawn.GetKind())}
		e.Desk, e.Reason = state.RefID(c.ConsentWithdrawn.GetDesk()), WithdrawalReason(c.ConsentWithdrawn.GetReason())
		e.Ended, err = h.endedBy(e.ID)
	case *storev1.Event_ConsentUsed:
		e.Kind, e.Scope, e.Checked = EventConsentUsed, policy.Scope(c.ConsentUsed.GetScope()), c.ConsentUsed.GetChecked()
		for _, ref := range c.ConsentUsed.GetConsents() {
			e.Used = append(e.Used, state.RefID(ref))
		}
	default:
		return e, fmt.Errorf("%w: revision %d event %d is not about a number", ErrDamaged, e.ID.Revision, e.ID.Index)
	}
	return e, err
}

// endedBy applies the events of the number in the revision again, up to the one with that id, and returns what it ended.
func (h *historyReader) endedBy(id policy.EventID) ([]policy.EventID, error) {
	if h.again == nil {
		h.again = h.v.s.db.NewTransactionAt(id.Revision-1, true)
		h.apply = apply.Replay(h.again, id.Revision, h.rev)
	}
	for ; h.done <= int(id.Index); h.done++ {
		e := h.rev.GetEvents()[h.done]
		if !slices.Contains(h.numbers, phone.Number(aboutNumber(e))) {
			continue
		}
		var err error
		h.ended, err = h.apply.Change(state.EventID(id.Revision, h.done), e)
		if isRefusal(err) { // after an accepted loss: what it would have ended is gone
			h.ended, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: revision %d event %d cannot be read: %w", ErrDamaged, id.Revision, h.done, err)
		}
	}
	return h.ended, nil
}

// eventAt is the event with that id of a revision.
func eventAt(rev *storev1.Revision, id policy.EventID) (*storev1.Event, error) {
	if int(id.Index) >= len(rev.GetEvents()) {
		return nil, fmt.Errorf("%w: revision %d has no event %d", ErrDamaged, id.Revision, id.Index)
	}
	return rev.GetEvents()[id.Index], nil
}
