package store

import (
	"context"
	"slices"
	"testing"
)

// phasesOf notes what is reported, and checks that each phase goes forward to its total.
func phasesOf(t *testing.T, phases *[]Phase) func(Progress) {
	var last Progress
	return func(p Progress) {
		if p.Total == 0 || p.Done > p.Total || p.Phase == last.Phase && (p.Done < last.Done || p.Total != last.Total) {
			t.Errorf("%+v after %+v", p, last)
		}
		if p.Phase != last.Phase {
			*phases = append(*phases, p.Phase)
		}
		last = p
	}
}

// A load says what it does, also where two phases have as much to do.
func TestProgressOfALoadTellsItsPhases(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	all := registryNumbers(9000)
	for _, part := range [][]uint64{all[:4500], all} {
		i := begin(t, s, header("a", Replace))
		put(t, i, 1, part...)
		var phases []Phase
		if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: uint64(len(part))}, phasesOf(t, &phases)); err != nil {
			t.Fatal(err)
		}
		if want := []Phase{PhaseComparing, PhaseWriting, PhaseSwitching}; !slices.Equal(phases, want) {
			t.Errorf("%d numbers: phases %v, want %v", len(part), phases, want)
		}
	}
}

func TestProgressOfRecordsTellsItsPhase(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	rows := bulkRows(0, 5000)
	i := stageRows(t, s, RecordsHeader{}, rows)
	defer i.Close()
	var phases []Phase
	note := phasesOf(t, &phases)
	_, err := i.Commit(context.Background(), RecordsCommit{Chunks: i.LastChunk(), Read: uint64(len(rows))}, func(p Progress) {
		note(p)
		if release != nil {
			release()
			release = nil
		}
	})
	if err != nil || !slices.Equal(phases, []Phase{PhaseRecording}) {
		t.Errorf("phases %v (%v), want %v", phases, err, PhaseRecording)
	}
}
