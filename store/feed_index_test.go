package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// storeWithChanges is a store in which each kind of change happened to two scopes and a list.
func storeWithChanges(t *testing.T, dir string) *Store {
	t.Helper()
	s := open(t, dir)
	optOut(t, s, fiction(415, 1), "acme")
	optOut(t, s, fiction(415, 2), "acme/telecom")
	recordAll(t, s, bulkRows(0, 10))
	_, err := s.WithdrawOptOut(context.Background(), fiction(415, 1), "acme", Request{})
	must(t, err)
	createList(t, s, "dnc", Settings{Kind: policy.ListSuppression, Scope: "acme"})
	load(t, s, "dnc", Replace, registryNumbers(100), Commit{})
	load(t, s, "dnc", Add, registryNumbers(200), Commit{})
	optOut(t, s, fiction(415, 3), "acme")
	return s
}

// edit changes the newest version of what a store holds, behind its back.
func edit(t *testing.T, s *Store, change func(*badger.Txn) error) {
	t.Helper()
	txn := s.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	must(t, change(txn))
	must(t, txn.CommitAt(s.View().Revision(), nil))
}

func putCount(key []byte, changes, revision uint64) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		b, err := proto.Marshal(&storev1.FeedCount{Changes: changes, Revision: revision})
		if err != nil {
			return err
		}
		return txn.Set(key, seal.Value(key, b))
	}
}

// The counts that feeds read by are derived from the journal: fsck finds each way in which they are not what it says, and
// repair counts again.
func TestFsckHoldsCountsOfChangesAgainstTheJournal(t *testing.T) {
	t.Parallel()
	last := uint64(10) // the last opt-out at acme
	acme := keys.ScopeTopic("acme")
	remove := func(key []byte) func(*badger.Txn) error {
		return func(txn *badger.Txn) error { return txn.Delete(key) }
	}
	for name, harm := range map[string]func(*badger.Txn) error{
		"a revision is not indexed":       remove(keys.Changed(acme, 4)),
		"the last revision not indexed":   remove(keys.Changed(acme, last)),
		"a scope is not counted":          remove(keys.Counted(acme)),
		"a list is not counted":           remove(keys.Counted(keys.ListTopic(policy.EventID{Revision: 5}))),
		"the beginning is not there":      remove(keys.CountedSince()),
		"a count is wrong":                putCount(keys.Counted(acme), 4, last),
		"a count ends too early":          putCount(keys.Counted(acme), 3, 4),
		"a revision is counted wrongly":   putCount(keys.Changed(acme, 4), 3, 4),
		"a revision that changed nothing": putCount(keys.Changed(acme, 5), 2, 5),
		"a scope that nobody named":       putCount(keys.Counted("other"), 1, 5),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := storeWithChanges(t, dir)
			if s.View().Revision() != last {
				t.Fatalf("revision %d, want %d", s.View().Revision(), last)
			}
			edit(t, s, harm)
			closeStore(t, s)
			if r := mustFsck(t, dir); r.OK() {
				t.Fatal("fsck found nothing")
			}
			r, err := Repair(context.Background(), dir, false, testOptions())
			if err != nil || !r.Repaired {
				t.Fatalf("repair: %+v, %v", r, err)
			}
			if r := mustFsck(t, dir); !r.OK() {
				t.Fatalf("after the repair: %q", r.Problems)
			}
		})
	}
}

func countOf(t *testing.T, s *Store, key []byte) *storev1.FeedCount {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	c := new(storev1.FeedCount)
	_, err := state.Get(txn, key, c)
	must(t, err)
	return c
}

// A store of an earlier build counts from its first change on, and says where that is.
func TestCountsBeginWhereAnEarlierBuildEnded(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{false, true} {
		dir := t.TempDir()
		s := storeWithChanges(t, dir)
		if !counted {
			edit(t, s, func(txn *badger.Txn) error {
				for _, kind := range []byte{keys.KindTopic, keys.KindChange} {
					if err := deleteAll(txn, kind); err != nil {
						return err
					}
				}
				return nil
			})
		}
		r := optOut(t, s, fiction(415, 4), "acme")
		since, changes := r.ID.Revision, uint64(1)
		if counted {
			since, changes = 1, 4
		}
		if got := countOf(t, s, keys.CountedSince()).GetRevision(); got != since {
			t.Errorf("counted since revision %d, want %d", got, since)
		}
		if c := countOf(t, s, keys.Counted("acme")); c.GetChanges() != changes || c.GetRevision() != r.ID.Revision {
			t.Errorf("acme has %v, want %d changes up to %d", c, changes, r.ID.Revision)
		}
		closeStore(t, s)
		if r := mustFsck(t, dir); !r.OK() {
			t.Errorf("fsck: %q", r.Problems)
		}
	}
}

func deleteAll(txn *badger.Txn, kind byte) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	var all [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		all = append(all, it.Item().KeyCopy(nil))
	}
	it.Close()
	for _, key := range all {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// A withdrawal whose opt-out is lost stays an event of the journal, which feeds carry: it counts, though a repair cannot apply
// it.
func TestWhatARepairCannotApplyCounts(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), fiction(415, 1)
	s := open(t, dir)
	lost := optOut(t, s, n, "acme").ID.Revision
	_, err := s.WithdrawOptOut(context.Background(), n, "acme", Request{})
	must(t, err)
	txn := s.db.NewTransactionAt(lost, true)
	must(t, txn.Delete(journal.Key(lost)))
	must(t, txn.Delete(keys.Records(uint64(n))))
	must(t, txn.CommitAt(lost, nil))
	closeStore(t, s)
	r, err := Repair(context.Background(), dir, true, testOptions())
	if err != nil || len(r.Missed) != 1 {
		t.Fatalf("repair: %+v, %v; want one event that could not be applied", r, err)
	}
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %q", r.Problems)
	}
	if c := countOf(t, open(t, dir), keys.Counted("acme")); c.GetChanges() != 1 {
		t.Errorf("got %d changes, want that of the withdrawal", c.GetChanges())
	}
}

// The index names each revision that concerns a filter, in order, also after one of its scopes has no more of them and beside scopes that
// do not concern it.
func TestIndexNamesRevisionsOfAllScopes(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i, scope := range []policy.Scope{"a", "c", "b", "c", "d", "b", "c", "d"} { // revisions 1 to 8
		optOut(t, s, fiction(415, i), scope)
	}
	x := s.View().indexOf(newTopicSet(inScopes("a", "c", "d")))
	defer x.close()
	must(t, x.begin(0))
	var got []uint64
	for after, found := uint64(0), true; found; {
		var err error
		after, found, err = x.nextFor(after)
		must(t, err)
		if found {
			got = append(got, after)
		}
	}
	if want := []uint64{1, 2, 4, 5, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A store in which nothing was counted yet, because an earlier build made it, has its whole journal in its feeds.
func TestFeedOfAStoreThatCountedNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := storeWithChanges(t, dir)
	want, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme/telecom")}), 1<<20)
	edit(t, s, func(txn *badger.Txn) error {
		return errors.Join(deleteAll(txn, keys.KindTopic), deleteAll(txn, keys.KindChange))
	})
	closeStore(t, s)
	s = open(t, dir)
	got, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme/telecom")}), 1<<20)
	if len(want) == 0 || !slices.Equal(textsOf(got), textsOf(want)) {
		t.Errorf("got %q, want %q", textsOf(got), textsOf(want))
	}
}

// What a feed does not find where damage was met may be lost: it is an error, not an end.
func TestFeedOfADamagedStoreHasNoEnd(t *testing.T) {
	t.Parallel()
	s := storeWithChanges(t, t.TempDir())
	f := openFeed(t, s, FeedQuery{Filter: inScopes("acme")})
	s.noteDamage(fmt.Errorf("%w: for the test", ErrDamaged))
	if _, err := f.Read(context.Background(), 1<<20); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
