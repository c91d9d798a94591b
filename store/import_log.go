package store

import (
	"cmp"
	"encoding/binary"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ImportState is what became of a load, or of an import of opt-outs.
type ImportState uint8

// The states of a load; the numbers are stored.
const (
	ImportPrepared  = ImportState(storev1.ImportState_IMPORT_STATE_PREPARED)
	ImportSwitched  = ImportState(storev1.ImportState_IMPORT_STATE_SWITCHED)
	ImportConfirmed = ImportState(storev1.ImportState_IMPORT_STATE_CONFIRMED)
	ImportAbandoned = ImportState(storev1.ImportState_IMPORT_STATE_ABANDONED)
	ImportRecorded  = ImportState(storev1.ImportState_IMPORT_STATE_RECORDED) // of opt-outs
)

// ImportEntry is one load, or one import of opt-outs, as the journal has it. For an import of opt-outs the list's fields are
// zero.
type ImportEntry struct {
	ImportID      string
	List          policy.EventID
	ListName      string
	Prepared      uint64 // revision; of a confirmed load, and of opt-outs: as Ended
	Ended         uint64 // revision; 0: still running
	State         ImportState
	Mode          Mode
	Sources       []Source
	Rejects       []RejectTally
	Counts        Counts
	Numbers       uint64
	Outside       uint64 // see Result; 0 where it was not counted
	SnapshotDate  policy.Date
	Overridden    []GuardFailure
	RevertedTo    uint64 // of a revert: the revision that its content was read at before
	ContentSHA256 []byte
	StartedAt     time.Time // when it was prepared or confirmed; of opt-outs, when it began
	EndedAt       time.Time
	Story         Story

	digest []byte // of its chunks
	base   uint64 // the content revision that it was compared with
}

// Imports are the loads of a list, newest first, or, where id is zero, those of all lists and the imports of opt-outs: at
// most limit of those prepared before the revision before; 0: from the newest.
func (v *View) Imports(list policy.EventID, before uint64, limit int) (entries []ImportEntry, err error) {
	prefix := []byte{keys.KindImport}
	if list != (policy.EventID{}) {
		prefix = keys.AppendListID(prefix, list)
	}
	return v.importsUnder(prefix, before, limit, func([]byte) bool { return true })
}

// ListImports are the loads of all lists, as Imports has them.
func (v *View) ListImports(before uint64, limit int) ([]ImportEntry, error) {
	return v.importsUnder([]byte{keys.KindImport}, before, limit, func(key []byte) bool { return keys.ListID(key).Revision != 0 })
}

// RecordImports are the imports of opt-outs, as Imports has them.
func (v *View) RecordImports(before uint64, limit int) ([]ImportEntry, error) {
	prefix := binary.BigEndian.AppendUint64([]byte{keys.KindImport}, 0) // see keys.RecordsImport
	return v.importsUnder(prefix, before, limit, func([]byte) bool { return true })
}

func (v *View) importsUnder(prefix []byte, before uint64, limit int, keep func(key []byte) bool) (entries []ImportEntry, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var found [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		if p := keys.Prepared(it.Item().Key()); (before == 0 || p < before) && keep(it.Item().Key()) {
			found = append(found, it.Item().KeyCopy(nil))
		}
	}
	slices.SortFunc(found, func(a, b []byte) int { return cmp.Compare(keys.Prepared(b), keys.Prepared(a)) })
	for _, key := range found[:min(limit, len(found))] {
		e, err := v.importEntry(txn, key)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, v.complete()
}

func (v *View) importEntry(txn *badger.Txn, key []byte) (ImportEntry, error) {
	var m storev1.ImportEntry
	if _, err := state.Get(txn, key, &m); err != nil {
		return ImportEntry{}, err
	}
	load, counts := m.GetLoad(), m.GetLoad().GetCounts()
	e := ImportEntry{
		ImportID: load.GetImportId(), List: keys.ImportList(key), ListName: m.GetListName(),
		Prepared: keys.Prepared(key), Ended: m.GetEnded(), State: ImportState(m.GetState()), Mode: Mode(load.GetMode()),
		Counts: Counts{
			Read: counts.GetRead(), Accepted: counts.GetAccepted(), Duplicates: counts.GetDuplicates(), Rejected: counts.GetRejected(),
			Added: counts.GetAdded(), Removed: counts.GetRemoved(), Unchanged: counts.GetUnchanged(),
			Empty: counts.GetEmpty(), Rows: counts.GetRows(),
		},
		Numbers:       load.GetNumbers(),
		Outside:       load.GetOutside(),
		SnapshotDate:  policy.Date(load.GetSnapshotDate()),
		ContentSHA256: load.GetResult(),
		RevertedTo:    load.GetRevertedTo(),
		StartedAt:     state.Time(m.GetTime()),
		digest:        load.GetDigest(),
		base:          m.GetBase(),
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
	e.Story, _ = v.s.stories.Get(e.Prepared, m.GetStoryHash(), 0)
	if e.Ended != 0 {
		ended, err := journal.ReadRevision(txn, e.Ended)
		if err != nil {
			return e, err
		}
		e.EndedAt = state.Time(ended.GetTime())
	}
	return e, nil
}

func sourceMessages(sources []Source) []*storev1.Source {
	out := make([]*storev1.Source, 0, len(sources))
	for _, s := range sources {
		out = append(out, &storev1.Source{Name: s.Name, Sha256: s.SHA256[:], Size: s.Size, Format: s.Format})
	}
	return out
}

func tallyMessages(tallies []RejectTally) []*storev1.RejectTally {
	out := make([]*storev1.RejectTally, 0, len(tallies))
	for _, t := range tallies {
		out = append(out, &storev1.RejectTally{Reason: t.Reason, Count: t.Count})
	}
	return out
}

// noteOverridden notes in a load the guards that were overridden.
func noteOverridden(load *storev1.Load, failures []GuardFailure) {
	for _, f := range failures {
		load.Overridden = append(load.Overridden, uint32(f.Guard))
		load.Failures = append(load.Failures, &storev1.GuardFailure{
			Guard: uint32(f.Guard), Prefix: f.Prefix, Before: f.Before, After: f.After, Limit: f.Limit,
			From: int32(f.From), To: int32(f.To), Outside: f.Outside,
		})
	}
}

// overriddenFailures are the guards that were overridden for a load. Earlier versions noted them without figures.
func overriddenFailures(load *storev1.Load) []GuardFailure {
	var list []GuardFailure
	for _, m := range load.GetFailures() {
		list = append(list, GuardFailure{
			Guard: Guard(m.GetGuard()), Prefix: m.GetPrefix(), Before: m.GetBefore(), After: m.GetAfter(), Limit: m.GetLimit(),
			From: policy.Date(m.GetFrom()), To: policy.Date(m.GetTo()), Outside: m.GetOutside(), Overridden: true,
		})
	}
	for _, g := range load.GetOverridden()[min(len(list), len(load.GetOverridden())):] {
		list = append(list, GuardFailure{Guard: Guard(g), Overridden: true})
	}
	return list
}
