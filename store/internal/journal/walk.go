package journal

import (
	"bytes"
	"fmt"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
)

// Walk follows a journal from its first revision, over losses that were accepted and copies that were put back.
type Walk struct {
	At            Position // the last entry that was followed
	EndUnknown    bool     // no mark says where the journal ends: none is there, or it is another's or an older one
	Contradiction error    // nil, or what is wrong with the chain

	mark     Mark
	id       ID                // that an event gave the last chain; zero: none did
	segment  Hash              // what the last chain began with
	open     []Gap             // revisions that are missing and not accepted
	marked   Hash              // at the mark's revision
	restored *storev1.Restored // the last entry says that a copy was put back
}

// NewWalk is the walk of a journal that ends as the mark says.
func NewWalk(m Mark) *Walk { return &Walk{mark: m} }

// Follow follows the next entry and decodes it. A contradiction is noted, and is no error.
func (w *Walk) Follow(e Entry) (*storev1.Revision, error) {
	rev, err := e.Decode()
	if err != nil {
		return nil, err
	}
	gap := e.Revision != w.At.Revision+1
	if gap {
		w.open = append(w.open, Gap{w.At.Revision + 1, e.Revision - 1})
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
			w.putBack(r, e.Revision, gap)
		}
	}
	switch {
	case began:
	case w.At.Revision == 0 && !gap:
		w.segment = e.Prev
	case !gap && e.Prev != w.At.Chain:
		w.contradict(e.Revision)
	}
	w.At = e.Position()
	if e.Revision == w.mark.Tip.Revision {
		w.marked = w.At.Chain
	}
	return rev, nil
}

// begin begins a chain of its own with e.
func (w *Walk) begin(e Entry, journal []byte) {
	w.segment = e.Prev
	w.id = ID{}
	if len(journal) != len(ID{}) || e.Prev != Start(ID(journal)) {
		w.contradict(e.Revision)
		return
	}
	w.id = ID(journal)
}

// putBack skips the revisions between the end of a copy and the one that says that it was put back: they were never used.
// What is missing before the end of the copy is a gap.
func (w *Walk) putBack(r *storev1.Restored, revision uint64, gap bool) {
	if last := len(w.open) - 1; gap {
		if w.open[last].To = r.GetFromRevision(); w.open[last].To < w.open[last].From {
			w.open = w.open[:last]
		}
	}
	if w.At.Revision > r.GetFromRevision() || (w.At.Revision == r.GetFromRevision() && w.At.Revision > 0 && !bytes.Equal(w.At.Chain[:], r.GetFromChain())) {
		w.contradict(revision)
	}
}

func (w *Walk) contradict(revision uint64) {
	if w.Contradiction == nil {
		w.Contradiction = fmt.Errorf("%w: revision %d is not chained to the one before it", fault.ErrDamaged, revision)
	}
}

// Known is the last known position, with the id of its journal, which is zero if neither the mark nor an event names it: the
// mark's if that is later than the last entry, and else the last entry's.
func (w *Walk) Known() (of ID, at Position, marked bool) {
	switch m := &w.mark; {
	case m.Tip.Revision > w.At.Revision:
		return m.Journal, m.Tip, true
	case w.id == ID{} && w.At.Revision > 0 && w.segment == Start(m.Journal):
		return m.Journal, w.At, false
	}
	return w.id, w.At, false
}

// End compares the end of the journal with the mark and returns what is lost.
func (w *Walk) End() []Gap {
	m := w.mark
	switch {
	case m.Journal == ID{}:
		w.EndUnknown = true
	case m.Tip.Revision > w.At.Revision:
		return append(w.open, Gap{w.At.Revision + 1, m.Tip.Revision})
	case w.Contradiction != nil:
	case w.At.Revision > m.Last():
		w.Contradiction = w.beyond()
	case m.Tip.Revision == 0 || len(w.open) > 0:
	case w.marked != m.Tip.Chain:
		w.Contradiction = fmt.Errorf("%w: revision %d is not the one that was marked", fault.ErrDamaged, m.Tip.Revision)
	case w.segment != Start(m.Journal):
		w.EndUnknown = true
		w.Contradiction = fmt.Errorf("%w: the journal is not the mark's", fault.ErrDamaged)
	}
	return w.open
}

// beyond is what is wrong with a journal that continues behind its mark. A kill can leave that where a copy was put back:
// then saying so again repairs it.
func (w *Walk) beyond() error {
	if from := w.restored.GetFromRevision(); w.restored != nil && from >= w.mark.Tip.Revision && from <= w.mark.Last() {
		return fmt.Errorf("%w, and that was not said to its end", fault.ErrOlderJournal)
	}
	w.EndUnknown = true
	return fmt.Errorf("%w: the mark is older than the journal", fault.ErrDamaged)
}
