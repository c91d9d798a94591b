package store

import (
	"path/filepath"
	"testing"

	"github.com/dncd/dncd/store/internal/journal"
)

// Each new store has a journal of its own.
func TestJournalsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	a, b := open(t, t.TempDir()).View().JournalID(), open(t, t.TempDir()).View().JournalID()
	if a == b {
		t.Errorf("two journals of the name %s", a)
	}
}

// A store that is killed again and again, between writes, is whole each time, and verification begins where it did.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(415, 0), "acme")
	closeStore(t, s)
	s = open(t, dir)
	for i := 1; i < 4; i++ {
		optOut(t, s, fiction(415, i), "acme")
		killed := filepath.Join(t.TempDir(), "data")
		copyTree(t, dir, killed)
		m, _, err := journal.ReadMark(killed)
		if must(t, err); m.Checkpoint.Revision != 1 || m.Tip != s.tip() {
			t.Errorf("the mark: %+v; want the checkpoint of the clean stop", m)
		}
		dir, s = killed, open(t, killed)
		if s.State().Cause != nil || s.View().Revision() != uint64(i)+1 {
			t.Fatalf("killed for the %d-th time: revision %d, %v", i, s.View().Revision(), s.State().Cause)
		}
	}
}
