package store

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/filters"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
)

// The guarantees that no single part keeps. docs/guarantees.md names the tests of all of them.

// Guarantee 1, where a saved filter is the danger: missing, older than the journal, another store's, or damaged, it must not
// turn an opt-out into ALLOW.
func TestNoFalseAllowWhateverFilterLiesOnDisk(t *testing.T) {
	t.Parallel()
	other := open(t, t.TempDir())
	for i := range 10 {
		optOut(t, other, fiction(212, i), "acme")
	}
	closeStore(t, other)

	dir := t.TempDir()
	saved := filepath.Join(dir, filtersDir, filters.Records)
	s := open(t, dir)
	optOut(t, s, fiction(415, 0), "acme")
	closeStore(t, s)
	old := readFile(t, saved)
	s = open(t, dir)
	for i := range 20 {
		optOut(t, s, fiction(415, i), "acme")
	}
	closeStore(t, s)
	flipped := readFile(t, saved)
	flipped[len(flipped)/2] ^= 1

	for name, content := range map[string][]byte{
		"older than the journal": old,
		"another store's":        readFile(t, filepath.Join(other.dir, filtersDir, filters.Records)),
		"damaged":                flipped,
		"cut":                    old[:len(old)/2],
		"missing":                nil,
	} {
		if err := os.WriteFile(saved, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			os.Remove(saved)
		}
		s := open(t, dir)
		for i := range 20 {
			if d := verdict(s.View(), fiction(415, i), "acme", s.Now()); d.Verdict != policy.Block {
				t.Errorf("%s: opt-out %d answers %d, want BLOCK", name, i, d.Verdict)
			}
		}
		closeStore(t, s)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Guarantee 2: what cannot be read, or is not there, is UNKNOWN with its cause.
func TestDoubtIsNotConsent(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	numbers := registryNumbers(10_000)
	l := createList(t, s, "us-ftc", Settings{})
	unlisted := phone.Number(numbers[50] + 1)
	wantVerdict(t, s, unlisted, "", policy.Unknown, policy.NotLoaded)
	load(t, s, "us-ftc", Replace, numbers, Commit{})
	wantVerdict(t, s, unlisted, "", policy.Allow, policy.CauseNone)

	l = s.View().listByID(l.ID)
	// A neighbour that the filter lets through is looked up in the block: without the filter, each is.
	s.between(func() { s.setListFilter(l, nil) })
	wantVerdict(t, s, unlisted, "", policy.Allow, policy.CauseNone)
	overwrite(t, s, keys.Block(l.ID, uint64(unlisted)>>block.Bits), l.ContentRevision)
	s.blocks.cache.InvalidateAll()
	wantVerdict(t, s, unlisted, "", policy.Unknown, policy.DataDamaged)
	// Where one value is damaged another may be lost: nothing that is not found is callable any more.
	wantVerdict(t, s, phone.Number(numbers[9000]+1), "", policy.Unknown, policy.DataDamaged)
	wantVerdict(t, s, phone.Number(numbers[9000]), "", policy.Block, policy.CauseNone)
	if st := s.State(); st.Ready() || st.Writable() {
		t.Errorf("state after damage: ready %v, writable %v, want neither", st.Ready(), st.Writable())
	}
}

func TestDoubtAboutARecordIsNotConsent(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	r := optOut(t, s, n, "acme")
	overwrite(t, s, keys.Records(uint64(n)), r.ID.Revision)
	wantVerdict(t, s, n, "acme", policy.Unknown, policy.DataDamaged)
	wantVerdict(t, s, n, "other", policy.Unknown, policy.DataDamaged)
}

// overwrite puts a value that fails its checksum where a good one lies.
func overwrite(t *testing.T, s *Store, key []byte, at uint64) {
	t.Helper()
	txn := s.db.NewTransactionAt(at, true)
	defer txn.Discard()
	if err := txn.Set(key, []byte("not what was written")); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(at, nil); err != nil {
		t.Fatal(err)
	}
}

// Guarantee 3: in every view that a reader can see, the filter says yes to all that the view's own revision wrote.
func TestFilterIsOnlyAShortcut(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := phone.Number(12_000_000_000 + uint64(w)*1_000_000_000 + 2_010_000 + uint64(i))
				if _, err := s.RecordOptOut(context.Background(), OptOut{Number: n}, Request{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const enough = 300
	views := 0
	for last := uint64(0); ctx.Err() == nil && views < enough; {
		v := s.View()
		if v.revision == last {
			select {
			case <-v.Next():
			case <-ctx.Done():
			}
			continue
		}
		last = v.revision
		txn := s.db.NewTransactionAt(v.revision, false)
		rev, err := journal.ReadRevision(txn, v.revision)
		txn.Discard()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rev.GetEvents() {
			if !v.records.Test(e.GetOptOut().GetNumber()) {
				t.Fatalf("the filter of revision %d denies a number that it wrote", v.revision)
			}
		}
		views++
	}
	cancel()
	writers.Wait()
	if views < enough {
		t.Errorf("only %d views were looked at", views)
	}
}

// Guarantee 4, seen from beside: when a write is acknowledged its revision is in the mark on disk, with the chain hash of the
// journal. The crash and power-cut tests pull the plug.
func TestAcknowledgedMeansDurable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 25 {
				r, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(200+w, i)}, Request{})
				if err != nil {
					t.Error(err)
					return
				}
				// The slot being written may be torn in this read: the other holds the revision before.
				m, _, err := journal.ReadMark(dir)
				if err != nil || m.Tip.Revision+1 < r.ID.Revision {
					t.Errorf("acknowledged revision %d, the mark says %d, %v", r.ID.Revision, m.Tip.Revision, err)
				}
			}
		})
	}
	writers.Wait()
	m, _, err := journal.ReadMark(dir)
	if err != nil || m.Tip != s.tip() {
		t.Errorf("at the end the mark says %d, %v, want %d", m.Tip.Revision, err, s.tip().Revision)
	}
}

// Guarantee 9: a number that is on a list is blocked wherever the list's scope applies, whatever its region, and however old,
// bare or partial the list. That a number is not on it says something within its jurisdiction alone.
func TestAnEntryAlwaysBlocks(t *testing.T) {
	t.Parallel()
	day := policy.DateOf(time.Now())
	for _, c := range []struct {
		jurisdiction []string
		away, home   phone.Number // outside and within the jurisdiction
	}{
		{[]string{"GB"}, 447624000001, 447700900001}, // Man
		{[]string{"GB"}, 441534000002, 447700900001}, // Jersey
		{[]string{"GB"}, 441481000003, 447700900001}, // Guernsey
		{[]string{"US"}, 14165550101, 14155550101},   // Canada
		{[]string{"FR", "GB"}, 14165550101, 33199000001},
	} {
		t.Run(c.away.E164()[:5], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			settings := Settings{Kind: policy.ListRegistry, Jurisdiction: c.jurisdiction, Scope: "acme", MaxAgeDays: 31}
			createList(t, s, "a", settings)
			wantEach := func(what string, listed, other policy.Verdict, cause policy.Cause) {
				t.Helper()
				wantVerdict(t, s, c.away, "acme/telecom", listed, policy.CauseNone)
				wantVerdict(t, s, c.away, "", listed, policy.CauseNone)
				wantVerdict(t, s, c.away, "other", policy.Allow, policy.CauseNone)
				wantVerdict(t, s, c.away+1, "acme", policy.Allow, policy.CauseNone)
				wantVerdict(t, s, c.home+1, "acme", other, cause)
				for _, scope := range []policy.Scope{"", "acme", "other"} {
					wantManyAsLookup(t, s.View(), []phone.Number{c.home, c.away, c.home + 1, c.away + 1}, scope, s.Now(), new(Findings))
				}
				if t.Failed() {
					t.Fatal(what)
				}
			}
			wantEach("never loaded", policy.Allow, policy.Unknown, policy.NotLoaded)
			load(t, s, "a", Replace, digits(c.away, c.home), Commit{SnapshotDate: day})
			wantEach("fresh", policy.Block, policy.Allow, policy.CauseNone)
			update(t, s, "a", func(set *Settings) { set.Coverage = []string{c.home.E164()[1:]} })
			wantEach("of a coverage without both", policy.Block, policy.Unknown, policy.NotCovered)
			update(t, s, "a", func(set *Settings) { set.Coverage = nil })
			h := header("a", Replace)
			h.Override = true
			if _, err := commit(begin(t, s, h), digits(c.away, c.home), Commit{SnapshotDate: day - 40}); err != nil {
				t.Fatal(err)
			}
			wantEach("stale", policy.Block, policy.Unknown, policy.StaleList)
			closeStore(t, s)
			s = open(t, dir)
			wantEach("opened again", policy.Block, policy.Unknown, policy.StaleList)
		})
	}
}

// Guarantee 9: an entry that cannot be read is doubt, outside the jurisdiction too.
func TestAnEntryThatCannotBeReadIsDoubtEverywhere(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	canada := fiction(416, 1)
	load(t, s, "a", Replace, digits(canada, fiction(415, 1)), Commit{})
	l := listOf(t, s, "a")
	overwrite(t, s, keys.Block(l.ID, uint64(canada)>>block.Bits), l.ContentRevision)
	s.blocks.cache.InvalidateAll()
	wantVerdict(t, s, canada, "", policy.Unknown, policy.DataDamaged)
}
