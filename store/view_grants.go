package store

import (
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/access"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Access returns what callers are granted. A view of the past grants nothing. In a damaged store, a grant that cannot be
// read is missing, and a grant whose revocation was lost is still there.
func (v *View) Access() *access.Table { return v.access }

// GrantedBy returns who granted g, a grant of the view's table, as in Story.RecordedBy; empty when that is not known.
func (v *View) GrantedBy(g *access.Grant) (by string) {
	var err error
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	var st storev1.GrantState
	if found, err := state.Get(txn, keys.Grant(g.Name), &st); !found || err != nil || st.GetRevision() != g.ID.Revision {
		return ""
	}
	story, _ := v.s.stories.Get(st.GetRevision(), st.GetStoryHash(), 0)
	return story.RecordedBy
}

// readAccess makes the table of the grants that the transaction sees. With an error it holds those that can be read.
func readAccess(txn *badger.Txn) (t *access.Table, err error) {
	var grants []*access.Grant
	defer func() { t = access.NewTable(grants) }()
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	for st, damaged := range state.Grants(txn) {
		var g *access.Grant
		if damaged == nil {
			g, damaged = state.Grant(st)
		}
		if damaged != nil {
			err = damaged
			continue
		}
		grants = append(grants, g)
	}
	return t, err
}
