package store

import (
	"bytes"
	"fmt"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// chainWalk follows a journal from its first revision, over losses that were accepted and copies that were put back.
type chainWalk struct {
	mark          mark
	at            position
	segment       chainHash         // what the last chain began with
	open          []Gap             // revisions that are missing and not accepted
	marked        chainHash         // at the mark's revision
	endUnknown    bool              // no mark says where the journal ends: none is there, or it is another's or an older one
	restored      *storev1.Restored // the last entry says that a copy was put back
	contradiction error
}

func newChainWalk(m mark) *chainWalk { return &chainWalk{mark: m} }

// take follows one entry. It fails on one that contradicts the chain.
func (w *chainWalk) take(e entry) (*storev1.Revision, error) {
	rev, err := e.decode()
	if err != nil {
		return nil, err
	}
	gap := e.revision != w.at.revision+1
	if gap {
		w.open = append(w.open, Gap{w.at.revision + 1, e.revision - 1})
	}
	began := false
	w.restored = nil
	for _, event := range rev.GetEvents() {
		if l := event.GetLossAccepted(); l != nil {
			began, w.open = true, nil
			w.begin(e, l.GetJournalId())
		}
		if r := event.GetRestored(); r != nil {
			began, w.restored = true, r
			w.begin(e, r.GetJournalId())
			w.putBack(r, e.revision, gap)
		}
	}
	switch {
	case began:
	case w.at.revision == 0 && !gap:
		w.segment = e.prev
	case !gap && e.prev != w.at.chain:
		w.contradict(e.revision)
	}
	w.at = position{e.revision, e.hash()}
	if e.revision == w.mark.tip.revision {
		w.marked = w.at.chain
	}
	return rev, nil
}

// begin begins a chain of its own with e.
func (w *chainWalk) begin(e entry, journal []byte) {
	w.segment = e.prev
	if len(journal) != len(JournalID{}) || e.prev != chainStart(JournalID(journal)) {
		w.contradict(e.revision)
	}
}

// putBack passes over the revisions between the end of a copy and the one that says that it was put back: they were
// never used. What is missing before the end of the copy is.
func (w *chainWalk) putBack(r *storev1.Restored, revision uint64, gap bool) {
	if last := len(w.open) - 1; gap {
		if w.open[last].To = r.GetFromRevision(); w.open[last].To < w.open[last].From {
			w.open = w.open[:last]
		}
	}
	if w.at.revision > r.GetFromRevision() || (w.at.revision == r.GetFromRevision() && w.at.revision > 0 && !bytes.Equal(w.at.chain[:], r.GetFromChain())) {
		w.contradict(revision)
	}
}

func (w *chainWalk) contradict(revision uint64) {
	if w.contradiction == nil {
		w.contradiction = fmt.Errorf("%w: revision %d is not chained to the one before it", ErrDamaged, revision)
	}
}

// finish holds the end against the mark and returns what is lost.
func (w *chainWalk) finish() []Gap {
	m := w.mark
	switch {
	case m.journal == JournalID{}:
		w.endUnknown = true
	case m.tip.revision > w.at.revision:
		return append(w.open, Gap{w.at.revision + 1, m.tip.revision})
	case w.contradiction != nil:
	case w.at.revision > m.last():
		w.contradiction = w.beyond()
	case m.tip.revision == 0 || len(w.open) > 0:
	case w.marked != m.tip.chain:
		w.contradiction = fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, m.tip.revision)
	case w.segment != chainStart(m.journal):
		w.endUnknown = true
		w.contradiction = fmt.Errorf("%w: the journal is not the mark's", ErrDamaged)
	}
	return w.open
}

// beyond is what is wrong with a journal that goes on behind its mark. A kill can leave that where a copy was put back: then
// saying so again mends it.
func (w *chainWalk) beyond() error {
	if from := w.restored.GetFromRevision(); w.restored != nil && from >= w.mark.tip.revision && from <= w.mark.last() {
		return fmt.Errorf("%w, and that was not said to its end", ErrOlderJournal)
	}
	w.endUnknown = true
	return fmt.Errorf("%w: the mark is older than the journal", ErrDamaged)
}
