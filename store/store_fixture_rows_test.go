package store

import (
	"context"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// fixtureRows are those that lie in tables, in a pack whose second story was erased, and those in logs.
func fixtureRows() (inTables, inLogs []RecordRow) {
	rows := tickets(40)
	return rows[20:56:56], rows[56:]
}

// fixtureEnded is a row that lies in a table, and whose withdrawal lies in a log.
func fixtureEnded() RecordRow { return row(fiction(415, 60), "acme", policy.ChannelCall, day(1)) }

func writeRowsFixture(t *testing.T, dir string) {
	clock := clockAt(day(6))
	s := openAt(t, dir, clock)
	writeRowHistories(t, s, clock)
	inTables, inLogs := fixtureRows()
	recordAll(t, s, append(inTables, fixtureEnded()))
	closeStore(t, s)
	changePacks(t, dir, func(e *storev1.StoryEntry) { eraseStory(e, 1) })
	s = openFixture(t, dir)
	recordAll(t, s, inLogs)
	_, err := s.WithdrawOptOut(context.Background(), fixtureEnded().Number, "acme", Request{})
	must(t, err)
	settle(t, s) // it stays open: what lies there now is what a kill leaves
}

// wantRowsFixture holds a store against what writeRowsFixture wrote.
func wantRowsFixture(t *testing.T, s *Store) {
	t.Helper()
	wantHistories(t, s.View(), rowHistories())
	inTables, inLogs := fixtureRows()
	wantStories(t, s, inTables, func(i int) StoryState {
		if i%2 == 0 && i/2%8 == 1 { // the second of each eight
			return StoryMissing
		}
		return StoryPresent
	})
	wantStories(t, s, inLogs, allPresent)
	for _, r := range slices.Concat(inTables, inLogs) {
		wantVerdict(t, s, r.Number, "acme", policy.Block, policy.CauseNone)
	}
	wantVerdict(t, s, fixtureEnded().Number, "acme", policy.Allow, policy.CauseNone)
	if got := len(historyOf(t, s.View(), fixtureEnded().OptOut)); got != 2 {
		t.Errorf("the row that was withdrawn has %d events, want 2", got)
	}
	if got := duplicates(recordAll(t, s, slices.Concat(inTables, inLogs))); slices.Contains(got, false) {
		t.Error("a row that comes again is no duplicate")
	}
}
