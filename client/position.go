package client

import dncv1 "github.com/dncd/dncd/proto/dnc/v1"

// Position is a revision of one journal: the state of a store after one write. What a write
// or a read returns has the position that it was made at; AtLeast reads from there on. The
// zero Position is none.
type Position struct {
	// Revision is 1, 2, 3 ... in its journal.
	Revision uint64 `json:"revision"`
	// JournalID is the journal. Revisions of two journals cannot be compared: a store that
	// was restored from a copy has another one.
	JournalID string `json:"journal_id"`
}

func fromPosition(p *dncv1.Position) Position {
	return Position{Revision: p.GetRevision(), JournalID: p.GetJournalId()}
}
