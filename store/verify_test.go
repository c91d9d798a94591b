package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// keysOf are the keys of one kind in the newest view.
func keysOf(t *testing.T, s *Store, kind byte) (keys [][]byte) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys
}

// positionsOf are the journal's positions, from the one before the first revision on.
func positionsOf(t *testing.T, s *Store) []journal.Position {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	at := []journal.Position{{Chain: journal.Start(s.View().journal)}}
	for e, err := range journal.Entries(txn, 1) {
		must(t, err)
		at = append(at, e.Position())
	}
	return at
}

// TestVerifyJournal holds a journal of six revisions, as far as it reaches, against marks that fit and that do not.
func TestVerifyJournal(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(1))
	s := openAt(t, t.TempDir(), clock)
	for i := range 6 {
		clock.set(day(1 + i))
		optOut(t, s, fiction(415, i), "acme")
	}
	at := positionsOf(t, s)
	other := func(revision int) journal.Position {
		return journal.Position{Revision: uint64(revision), Chain: journal.Hash{1}}
	}
	const whole = ""
	for _, c := range []struct {
		name  string
		reach uint64 // of the journal
		mark  journal.Mark
		want  string // in the error
	}{
		{"as marked", 6, journal.Mark{Tip: at[6], Checkpoint: at[0]}, whole},
		{"from a checkpoint", 6, journal.Mark{Tip: at[6], Checkpoint: at[3]}, whole},
		{"from the tip", 6, journal.Mark{Tip: at[6], Checkpoint: at[6]}, whole},
		{"one not acknowledged", 6, journal.Mark{Tip: at[5], Checkpoint: at[0]}, whole},
		{"one behind the checkpoint not acknowledged", 6, journal.Mark{Tip: at[5], Checkpoint: at[5]}, whole},
		{"two not acknowledged", 6, journal.Mark{Tip: at[4], Checkpoint: at[0]}, "older than the journal"},
		{"two where the newer slot is lost", 6, journal.Mark{Tip: at[4], Checkpoint: at[0], Halved: true}, whole},
		{"three where the newer slot is lost", 6, journal.Mark{Tip: at[3], Checkpoint: at[0], Halved: true}, "older than the journal"},
		{"the last one gone", 5, journal.Mark{Tip: at[6], Checkpoint: at[0]}, "revisions 6 to 6 were acknowledged and are gone"},
		{"the last one gone behind a checkpoint", 5, journal.Mark{Tip: at[6], Checkpoint: at[5]}, "revisions 6 to 6 were acknowledged and are gone"},
		{"two gone", 4, journal.Mark{Tip: at[6], Checkpoint: at[0]}, "revisions 5 to 6 were acknowledged and are gone"},
		{"another tip", 6, journal.Mark{Tip: other(6), Checkpoint: at[0]}, "revision 6 is not the one that was marked"},
		{"another tip before the last", 6, journal.Mark{Tip: other(5), Checkpoint: at[0]}, "revision 5 is not the one that was marked"},
		{"another tip at the checkpoint", 6, journal.Mark{Tip: other(5), Checkpoint: at[5]}, "revision 5 is not the one that was marked"},
		{"another tip at the start", 6, journal.Mark{Tip: other(0), Checkpoint: at[0]}, "revision 0 is not the one that was marked"},
		{"another journal", 6, journal.Mark{Tip: at[6], Checkpoint: other(0)}, "breaks off after revision 0"},
		{"another checkpoint", 6, journal.Mark{Tip: at[6], Checkpoint: other(3)}, "revision 3 is not the one that was marked"},
		{"the checkpoint gone", 2, journal.Mark{Tip: at[6], Checkpoint: at[3]}, "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			txn := s.db.NewTransactionAt(c.reach, false)
			defer txn.Discard()
			tip, last, err := verifyJournal(txn, c.mark)
			if c.want != whole {
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want damage: %s", err, c.want)
				}
				return
			}
			if want := day(int(c.reach)); err != nil || tip != at[c.reach] || !last.Equal(want) {
				t.Errorf("revision %d of %v, %v; want %d of %v", tip.Revision, last, err, c.reach, want)
			}
		})
	}
}

// A revision that is missing, that was replaced by another one, or that cannot be decoded breaks the journal off, though
// each value fits its checksum.
func TestVerifyJournalThatWasChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(e *journal.Entry) (gone bool)
		want   string
	}{
		{"missing", func(*journal.Entry) bool { return true }, "breaks off after revision 2"},
		{"chained to another one", func(e *journal.Entry) bool { e.Prev[0] ^= 1; return false }, "breaks off after revision 2"},
		{"of another time", func(e *journal.Entry) bool { e.Body = journal.NewBody(day(9).UnixNano(), 0); return false }, "breaks off after revision 3"},
		{"not to be decoded", func(e *journal.Entry) bool { e.Body = []byte{0xff}; return false }, "revision 3 cannot be decoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			for i := range 5 {
				optOut(t, s, fiction(415, i), "acme")
			}
			at := positionsOf(t, s)
			txn := s.db.NewTransactionAt(5, true)
			defer txn.Discard()
			e, err := journal.Read(txn, 3)
			must(t, err)
			key := journal.Key(3)
			if c.change(&e) {
				must(t, txn.Delete(key))
			} else {
				must(t, txn.Set(key, e.Sealed()))
			}
			_, _, err = verifyJournal(txn, journal.Mark{Tip: at[5], Checkpoint: at[0]})
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want damage: %s", err, c.want)
			}
		})
	}
}

// Revisions are dense: one that is skipped breaks the journal off, though the next one is chained to the one before it.
func TestVerifyJournalThatSkipsARevision(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i := range 5 {
		optOut(t, s, fiction(415, i), "acme")
	}
	at := positionsOf(t, s)
	txn := s.db.NewTransactionAt(5, true)
	defer txn.Discard()
	e, err := journal.Read(txn, 5)
	must(t, err)
	must(t, txn.Delete(journal.Key(5)))
	e.Revision = 6
	must(t, txn.Set(journal.Key(6), e.Sealed()))
	_, _, err = verifyJournal(txn, journal.Mark{Tip: journal.Position{Revision: 6, Chain: e.Hash()}, Checkpoint: at[0]})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "breaks off after revision 4") {
		t.Errorf("%v, want damage after revision 4", err)
	}
}

// A load is what its commits are: each of them, in order, as the switch counted them.
func TestVerifyCommits(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{Kind: policy.ListSuppression})
	load(t, s, "a", Replace, childContent(1), Commit{})
	l := listOf(t, s, "a")
	if l.state.GetCommits() < 2 || l.state.GetCrc() == 0 {
		t.Fatalf("the switch kept %d commits and the CRC %x, want several", l.state.GetCommits(), l.state.GetCrc())
	}
	var e storev1.ImportEntry
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	if _, err := state.Get(txn, keys.Import(l.ID, l.ContentRevision), &e); err != nil || e.GetCommits() != l.state.GetCommits() || e.GetCrc() != l.state.GetCrc() {
		t.Errorf("the import kept %d commits and the CRC %x, %v; want those of the list", e.GetCommits(), e.GetCrc(), err)
	}
	first, second := keys.Commit(l.ID, l.ContentRevision, 0), keys.Commit(l.ID, l.ContentRevision, 1)
	for _, c := range []struct {
		name  string
		state func(*storev1.ListState)
		keys  func(txn *badger.Txn) error
		whole bool
	}{
		{name: "as written", whole: true},
		{name: "one commit less", state: func(l *storev1.ListState) { l.Commits-- }},
		{name: "one commit more", state: func(l *storev1.ListState) { l.Commits++ }},
		{name: "none", state: func(l *storev1.ListState) { l.Commits = 0 }},
		{name: "another CRC", state: func(l *storev1.ListState) { l.Crc ^= 1 << 31 }},
		{name: "missing", keys: func(txn *badger.Txn) error { return txn.Delete(first) }},
		{name: "the other way round", keys: func(txn *badger.Txn) error {
			var a, b storev1.BlockCommit
			_, errA := state.Get(txn, first, &a)
			_, errB := state.Get(txn, second, &b)
			return errors.Join(errA, errB, putMessage(txn, first, &b), putMessage(txn, second, &a))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			txn := s.db.NewTransactionAt(s.View().Revision(), true)
			defer txn.Discard()
			changed := *l
			changed.state = proto.CloneOf(l.state)
			if c.state != nil {
				c.state(changed.state)
			}
			if c.keys != nil {
				must(t, c.keys(txn))
			}
			if err := s.verifyCommits(txn, &changed); c.whole && err != nil || !c.whole && !errors.Is(err, ErrDamaged) {
				t.Errorf("%v, want damage: %v", err, !c.whole)
			}
		})
	}
}

func putMessage(txn *badger.Txn, key []byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return txn.Set(key, seal.Value(key, b))
}

// TestDamagedStoreShowsAllRevisions opens stores whose mark and journal do not agree. The view reaches to whichever is newer:
// what is found counts, and who waits for a revision that was acknowledged is answered.
func TestDamagedStoreShowsAllRevisions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		last uint64 // revision of the mark
	}{{"mark too old", 1}, {"mark newer", 9}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			createList(t, s, "a", Settings{Kind: policy.ListSuppression})
			load(t, s, "a", Replace, digits(fiction(212, 1)), Commit{})
			optOut(t, s, fiction(415, 3), "acme")
			optOut(t, s, fiction(415, 4), "acme")
			at := positionsOf(t, s)
			closeStore(t, s)
			m, seq, err := journal.ReadMark(dir)
			must(t, err)
			m.Tip.Revision, m.Checkpoint = c.last, at[0]
			if c.last < 5 {
				m.Tip = at[c.last]
			}
			w, err := journal.OpenMark(dir, seq)
			must(t, err)
			must(t, errors.Join(w.Write(m), w.Write(m), w.Close()))

			s = open(t, dir)
			if !errors.Is(s.State().Cause, ErrDamaged) {
				t.Fatal("state:", s.State().Cause)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if v, err := s.Wait(ctx, max(c.last, 5)); err != nil || v.Revision() != max(c.last, 5) {
				t.Errorf("the view is at revision %d (%v), want %d", s.View().Revision(), err, max(c.last, 5))
			}
			wantVerdict(t, s, fiction(415, 4), "acme", policy.Block, policy.CauseNone)
			wantVerdict(t, s, fiction(212, 1), "acme", policy.Block, policy.CauseNone)
			if d := verdict(s.View(), fiction(415, 9), "acme", s.Now()); d.Verdict != policy.Unknown {
				t.Errorf("a number that is not found: %+v, want UNKNOWN", d)
			}
		})
	}
}

// A list whose settings cannot be read is damage: what no other entry blocks is unknown.
func TestListThatCannotBeReadIsDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	l := createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry())
	optOut(t, s, fiction(415, 1), "acme")
	txn := s.db.NewTransactionAt(s.View().Revision(), true)
	defer txn.Discard()
	key := keys.List(l.ID)
	bad, err := proto.Marshal(&storev1.ListState{Name: "a", Settings: &storev1.ListSettings{Jurisdiction: []string{"no region"}}})
	must(t, err)
	must(t, txn.Set(key, seal.Value(key, bad)))
	must(t, txn.CommitAt(s.View().Revision(), nil))
	closeStore(t, s)

	s = open(t, dir)
	if cause := s.State().Cause; !errors.Is(cause, ErrDamaged) {
		t.Errorf("state %v, want ErrDamaged", cause)
	}
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Unknown, policy.DataDamaged)
}
