package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

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
	for _, l := range v.lists {
		m := v.membership(l, n)
		if m.Damaged {
			return facts, fmt.Errorf("%w: list %s cannot be read", ErrDamaged, l.Name)
		}
		if m.Listed {
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

// ImportState is what became of a load.
type ImportState uint8

// The states of a load; the numbers are stored.
const (
	ImportPrepared  = ImportState(storev1.ImportState_IMPORT_STATE_PREPARED)
	ImportSwitched  = ImportState(storev1.ImportState_IMPORT_STATE_SWITCHED)
	ImportConfirmed = ImportState(storev1.ImportState_IMPORT_STATE_CONFIRMED)
	ImportAbandoned = ImportState(storev1.ImportState_IMPORT_STATE_ABANDONED)
)

// ImportEntry is one load as the journal has it.
type ImportEntry struct {
	ImportID      string
	List          policy.EventID
	ListName      string
	Prepared      uint64 // revision; of a confirmed load: the one that confirmed it
	Ended         uint64 // revision; 0: still running
	State         ImportState
	Mode          Mode
	Sources       []Source
	Rejects       []RejectTally
	Counts        Counts
	Numbers       uint64
	SnapshotDate  policy.Date
	Overridden    []GuardFailure
	RevertedTo    uint64 // of a revert: the revision that its content was read at before
	ContentSHA256 []byte
	StartedAt     time.Time
	EndedAt       time.Time
	Story         Story

	digest []byte // of its chunks
}

// Imports are the loads of a list, or of all lists where id is zero, newest first: at most limit of those prepared
// before the revision before; 0: from the newest.
func (v *View) Imports(list policy.EventID, before uint64, limit int) ([]ImportEntry, error) {
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	prefix := []byte{keyImport}
	if list != (policy.EventID{}) {
		prefix = appendListID(prefix, list)
	}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		if p := preparedOfKey(it.Item().Key()); before == 0 || p < before {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
	}
	slices.SortFunc(keys, func(a, b []byte) int { return cmp.Compare(preparedOfKey(b), preparedOfKey(a)) })
	var entries []ImportEntry
	for _, key := range keys[:min(limit, len(keys))] {
		e, err := v.importEntry(txn, key)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func preparedOfKey(key []byte) uint64 { return binary.BigEndian.Uint64(key[1+listIDBytes:]) }

func (v *View) importEntry(txn *badger.Txn, key []byte) (ImportEntry, error) {
	var m storev1.ImportEntry
	if _, err := getMessage(txn, key, &m); err != nil {
		return ImportEntry{}, err
	}
	load, counts := m.GetLoad(), m.GetLoad().GetCounts()
	e := ImportEntry{
		ImportID: load.GetImportId(), List: readListID(key), ListName: m.GetListName(),
		Prepared: preparedOfKey(key), Ended: m.GetEnded(), State: ImportState(m.GetState()), Mode: Mode(load.GetMode()),
		Counts: Counts{
			Read: counts.GetRead(), Accepted: counts.GetAccepted(), Duplicates: counts.GetDuplicates(), Rejected: counts.GetRejected(),
			Added: counts.GetAdded(), Removed: counts.GetRemoved(), Unchanged: counts.GetUnchanged(),
		},
		Numbers:       load.GetNumbers(),
		SnapshotDate:  policy.Date(load.GetSnapshotDate()),
		ContentSHA256: load.GetResult(),
		RevertedTo:    load.GetRevertedTo(),
		StartedAt:     nanoTime(m.GetTime()),
		digest:        load.GetDigest(),
	}
	for _, s := range load.GetSources() {
		source := Source{Name: s.GetName(), Size: s.GetSize(), Format: s.GetFormat()}
		copy(source.SHA256[:], s.GetSha256())
		e.Sources = append(e.Sources, source)
	}
	for _, r := range load.GetRejects() {
		e.Rejects = append(e.Rejects, RejectTally{r.GetReason(), r.GetCount()})
	}
	e.Overridden = overriddenFailures(load)
	e.Story, _ = v.s.stories.get(e.Prepared, m.GetStoryHash())
	if e.Ended != 0 {
		ended, err := readRevision(txn, e.Ended)
		if err != nil {
			return e, err
		}
		e.EndedAt = nanoTime(ended.GetTime())
	}
	return e, nil
}
