package store

import (
	"fmt"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// chainWalk follows a journal from its first revision, over losses that were accepted.
type chainWalk struct {
	mark          mark
	at            position
	segment       chainHash // what the last chain began with
	open          []Gap     // revisions that are missing and not accepted
	marked        chainHash // at the mark's revision
	endUnknown    bool      // no mark says where the journal ends: none is there, or it is another's or an older one
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
	accepted := false
	for _, event := range rev.GetEvents() {
		if l := event.GetLossAccepted(); l != nil {
			accepted = true
			w.open = nil
			w.segment = e.prev
			if e.prev != chainStart(JournalID(l.GetJournalId())) {
				w.contradict(e.revision)
			}
		}
	}
	switch {
	case accepted:
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
		w.endUnknown = true
		w.contradiction = fmt.Errorf("%w: the mark is older than the journal", ErrDamaged)
	case m.tip.revision == 0 || len(w.open) > 0:
	case w.marked != m.tip.chain:
		w.contradiction = fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, m.tip.revision)
	case w.segment != chainStart(m.journal):
		w.endUnknown = true
		w.contradiction = fmt.Errorf("%w: the journal is not the mark's", ErrDamaged)
	}
	return w.open
}
