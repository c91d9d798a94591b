package store

import (
	"testing"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/keys"
)

// Numbers whose records are all withdrawn stay in the filter: sized without them, it would be built again for ever.
func TestRecordsFilterHasRoomForNumbersWithoutRecords(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	at := optOut(t, s, n, "acme").ID.Revision
	wb := s.db.NewWriteBatchAt(at)
	defer wb.Cancel()
	for i := range uint64(3 * minRecordsCapacity) {
		if err := wb.Set(keys.Records(uint64(writersNumber(0, i))), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := wb.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.rebuildRecordsFilter(); err != nil {
		t.Fatal(err)
	}
	f := s.View().records
	if f.NeedsRebuild() || f.Chain() != 1 {
		t.Errorf("needs a rebuild: %v, longest chain %d, want none and 1", f.NeedsRebuild(), f.Chain())
	}
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
}

func TestFilterStatsMeasureTheRate(t *testing.T) {
	s := openWith(t, t.TempDir(), Options{MinFree: -1, FilterFPR: 0.1})
	createList(t, s, "a", usRegistry())
	if st := listOf(t, s, "a").FilterStats(); st.Ready || st.FPR() != 1 {
		t.Errorf("before a load: ready %v with a rate of %v, want false and 1", st.Ready, st.FPR())
	}
	load(t, s, "a", Replace, registryNumbers(20_000), Commit{})
	st := listOf(t, s, "a").FilterStats()
	if fpr := st.FPR(); !st.Ready || fpr < 0.01 || fpr > 0.2 {
		t.Errorf("after: ready %v with a rate of %v, want about 0.1", st.Ready, fpr)
	}
}
