package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// JournalID names one journal.
type JournalID = journal.ID

// View is the whole store as of one revision. It never changes; a reader loads it once, first, and takes everything
// from it.
type View struct {
	s           *Store
	journal     journal.ID
	id          string // journal as text: every answer carries it
	revision    uint64
	time        time.Time // of the last event
	chain       journal.Hash
	tag         *tagged       // of the revision; nil: damage leaves its history open
	lists       []*List       // by name
	policy      *Policy       // in force; never nil
	access      *access.Table // what callers are granted; nil for the past
	records     *filter.Set   // nil: not there yet, or an older revision: look in the store
	subscribers *Subscribers  // nil for the past
	desks       *Desks        // nil for the past

	then *moment       // what counts as now; nil: what the clock says
	asOf bool          // not the newest revision: past the block cache, which is of the present
	next chan struct{} // closed when a newer view is there; nil for the past
}

// Revision is the last revision that the view holds; 0: none yet.
func (v *View) Revision() uint64 { return v.revision }

// JournalID is the id of the journal of the view's revision, 32 hex digits.
func (v *View) JournalID() string { return v.id }

func (v *View) position() journal.Position {
	return journal.Position{Revision: v.revision, Chain: v.chain}
}

// Time is that of the last event; zero when there is none.
func (v *View) Time() time.Time { return v.time }

// Lists are all lists, by name.
func (v *View) Lists() []*List { return v.lists }

// List is the list of that name, or ErrListNotFound.
func (v *View) List(name string) (*List, error) {
	i, ok := slices.BinarySearchFunc(v.lists, name, func(l *List, n string) int {
		switch {
		case l.Name < n:
			return -1
		case l.Name > n:
			return 1
		}
		return 0
	})
	if !ok {
		return nil, cmp.Or(v.whole(), ErrListNotFound)
	}
	return v.lists[i], nil
}

// ListByID is the list with that id, nil when there is none.
func (v *View) ListByID(id policy.EventID) *List { return v.listByID(id) }

// listByID is the list with that id, nil when there is none.
func (v *View) listByID(id policy.EventID) *List {
	for _, l := range v.lists {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// Lookup gathers what the view knows of n for the caller at f.Scope. Whatever cannot be read is doubt in f. Scope, Purpose and
// Ahead, which belongs to the time that is decided at, are the caller's, and so is Place, unless it is empty: then it is what the
// number says, if the policy asks. Lookup allocates nothing when nothing is found and f has room.
func (v *View) Lookup(n phone.Number, f *policy.Facts) {
	if v.lookup(n, f) {
		v.doubtUnlessIntact(f)
	}
}

// doubtUnlessIntact makes doubt of facts that count on the tables having been whole while they were read.
func (v *View) doubtUnlessIntact(f *policy.Facts) {
	f.Damaged = v.s.watch.intact() != nil || f.Damaged
}

// lookup is Lookup, and reports whether the facts are right only if the tables were whole: the caller asks that after it.
func (v *View) lookup(n phone.Number, f *policy.Facts) (ifIntact bool) {
	key, formers := filter.KeyOf(uint64(n)), n.Former()
	ifIntact = v.lookupRecords(n, key, formers, f)
	regions := n.Regions()
	f.Regions = regions
	if len(f.Place.Zones) == 0 && v.Policy().AsksPlace(regions) {
		f.Place = place.Of(n)
	}
	first := len(f.Lists)
	for _, l := range v.lists {
		if l.Scope.Blocks(f.Scope) {
			f.Lists = append(f.Lists, v.membership(l, n, key, regions))
		}
	}
	for _, former := range formers {
		v.lookupFormer(former, f, f.Lists[first:])
	}
	return ifIntact
}

// LookupRecords is Lookup for the records of n alone, at any scope.
func (v *View) LookupRecords(n phone.Number, f *policy.Facts) {
	if v.lookupRecords(n, filter.KeyOf(uint64(n)), n.Former(), f) {
		v.doubtUnlessIntact(f)
	}
}

// lookupRecords is LookupRecords of a number, whose key this is, and of the digits that an earlier version kept it as. It reports
// what lookup does.
func (v *View) lookupRecords(n phone.Number, key filter.Key, formers []phone.Number, f *policy.Facts) (ifIntact bool) {
	f.Damaged = v.s.damageSeen.Load()
	if v.records.TestKey(key) {
		ifIntact = v.readRecords(n, f)
	}
	for _, former := range formers {
		if v.records.TestKey(filter.KeyOf(uint64(former))) {
			ifIntact = v.readRecords(former, f) || ifIntact
		}
	}
	return ifIntact
}

// lookupFormer adds on which lists a number is under the digits that an earlier version kept it as.
func (v *View) lookupFormer(former phone.Number, f *policy.Facts, found []policy.Membership) {
	key := filter.KeyOf(uint64(former))
	for _, l := range v.lists {
		if !l.Scope.Blocks(f.Scope) {
			continue
		}
		listed, unread := v.holds(l, former, key)
		found[0].Listed, found[0].Damaged = found[0].Listed || listed, found[0].Damaged || unread
		found = found[1:]
	}
}

// readRecords reports what lookup does: a lost table may have held an opt-out, or the withdrawal of a consent.
func (v *View) readRecords(n phone.Number, f *policy.Facts) (ifIntact bool) {
	set, err := v.recordSet(n)
	if err != nil {
		v.s.noteDamage(err)
		f.Damaged = true
		return false
	}
	blocked, permitted := false, false
	for _, r := range set.GetRecords() {
		record := state.Record(r)
		blocked = blocked || record.Kind == policy.RecordOptOut && record.ExpiresAt.IsZero() && record.Scope.Blocks(f.Scope)
		permitted = permitted || record.Kind != policy.RecordOptOut
		f.Records = append(f.Records, record)
	}
	return !blocked || permitted
}

func (v *View) recordSet(n phone.Number) (set *storev1.RecordSet, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	set = new(storev1.RecordSet)
	_, err = state.Get(txn, keys.Records(uint64(n)), set)
	return set, err
}

// membership is what l says of n, whose key and regions these are.
func (v *View) membership(l *List, n phone.Number, key filter.Key, regions phone.RegionSet) policy.Membership {
	m := policy.Membership{List: &l.List, Outside: !l.SpeaksFor(regions)}
	m.Covered = !m.Outside && l.covers(n)
	m.Listed, m.Damaged = v.holds(l, n, key)
	return m
}

// holds reports whether n, whose key this is, is on l, and whether its entry could not be read.
func (v *View) holds(l *List, n phone.Number, key filter.Key) (listed, unread bool) {
	if l.ContentRevision == 0 || !l.filter.TestKey(key) {
		return false, false
	}
	b, err := v.s.block(l, uint64(n)>>block.Bits, v.asOf)
	listed = b.Contains(uint64(n))
	if err == nil && !listed {
		err = v.s.watch.intact()
	}
	if err != nil && !v.asOf { // else of content that no list may show any more
		v.s.noteDamage(err)
	}
	return listed && err == nil, err != nil
}

// holdsSpelled is holds for a number under its digits or a former spelling, without a filter's key at hand.
func (v *View) holdsSpelled(l *List, n phone.Number) (listed, unread bool) {
	for _, spelling := range n.Spellings() {
		if listed, unread = v.holds(l, spelling, filter.KeyOf(uint64(spelling))); listed || unread {
			break
		}
	}
	return listed, unread
}

// whole is ErrDamaged when damage was met: what a read does not find may be lost, and is never reported as absent.
func (v *View) whole() error {
	if v.s.damageSeen.Load() {
		return ErrDamaged
	}
	return nil
}

// complete is whole, also of damage that only the tables show: after a read, what it did not find is not there.
func (v *View) complete() error { return cmp.Or(v.whole(), v.s.watch.intact()) }

// ViewAt is the store as of an older revision, past the filters and caches of the present: ErrFutureRevision when it
// does not exist, ErrHistoryGone when it is not kept.
func (s *Store) ViewAt(revision uint64) (*View, error) {
	now := s.View()
	if revision == now.revision {
		return now, nil
	}
	if revision > now.revision {
		return nil, ErrFutureRevision
	}
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	v := &View{s: s, journal: now.journal, id: now.id, revision: revision, policy: noPolicySet, asOf: true}
	if revision == 0 {
		v.chain = journal.Start(v.journal)
		v.tag = s.tagAt(v.position())
		return v, nil
	}
	e, err := journal.Read(txn, revision)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("%w: revision %d", ErrHistoryGone, revision)
	}
	if err != nil {
		return nil, err
	}
	rev, err := e.Decode()
	if err != nil {
		return nil, err
	}
	v.time, v.chain = state.Time(rev.GetTime()), e.Hash()
	v.tag = s.tagAt(v.position())
	if v.policy, err = s.readPolicy(txn); err != nil {
		return nil, err
	}
	newest := s.db.NewTransactionAt(now.revision, false)
	defer newest.Discard()
	v.lists, err = compileLists(state.ListsAsOf(txn, newest))
	return v, err
}

// readLists compiles all lists that the transaction sees, by name, without filters.
func readLists(txn *badger.Txn) ([]*List, error) { return compileLists(state.Lists(txn)) }

func compileLists(all iter.Seq2[state.StoredList, error]) ([]*List, error) {
	var lists []*List
	for stored, err := range all {
		if err != nil {
			return nil, err
		}
		l, err := compileList(stored.ID, stored.State)
		if err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	slices.SortFunc(lists, byName)
	return lists, nil
}

// Next is closed when a newer view is there. It is nil, which is never closed, for a view of the past.
func (v *View) Next() <-chan struct{} { return v.next }

// Wait returns the first view at revision or later, or the context's error.
func (s *Store) Wait(ctx context.Context, revision uint64) (*View, error) {
	for {
		v := s.View()
		if v.revision >= revision {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, ErrClosed
		case <-v.next:
		}
	}
}
