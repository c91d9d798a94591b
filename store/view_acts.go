package store

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ActsQuery asks for acts.
type ActsQuery struct {
	From  time.Time      // from this time on; zero: from the first
	To    time.Time      // before this time; zero: to the last
	At    policy.EventID // from this event on, as the page before said; zero: the first page
	Limit int            // at most this many
}

// One page of acts reads no more of the journal than this.
const (
	maxActRevisions = 20_000
	maxActBytes     = 64 << 20 // and less than one revision more
)

// Acts returns a page of the administrative acts of the journal, oldest first, and where the next page begins; zero: this was
// the last. A page may be empty and have a next one: it reads at most 20,000 revisions and about 64 MiB. Errors: ErrDamaged,
// also for an event of a later version.
func (v *View) Acts(q ActsQuery) (found []Act, next policy.EventID, err error) {
	if err := v.whole(); err != nil {
		return nil, next, err
	}
	found, next, err = v.acts(q, maxActRevisions)
	return found, next, cmp.Or(err, v.complete())
}

func (v *View) acts(q ActsQuery, revisions int) (found []Act, next policy.EventID, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if q.At.Revision == 0 && !q.From.IsZero() {
		before, err := v.s.RevisionAt(q.From.Add(-1))
		if err != nil {
			return nil, next, err
		}
		q.At.Revision = before + 1
	}
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	p := actsPage{v: v, q: q}
	bytes := 0
	for e, err := range journal.Entries(txn, q.At.Revision) {
		if err != nil {
			return nil, next, err
		}
		if revisions == 0 || bytes >= maxActBytes {
			return p.found, policy.EventID{Revision: e.Revision}, nil
		}
		revisions, bytes = revisions-1, bytes+len(e.Body)
		if more, err := p.add(e); err != nil || !more {
			return p.found, p.next, err
		}
	}
	return p.found, next, nil
}

// actsPage is a page in the making.
type actsPage struct {
	v     *View
	q     ActsQuery
	found []Act
	next  policy.EventID
}

// add adds the acts of a revision, and reports whether the page goes on.
func (p *actsPage) add(e journal.Entry) (more bool, err error) {
	at, changes, err := e.Scan()
	if err != nil {
		return false, err
	}
	if !p.q.To.IsZero() && !state.Time(at).Before(p.q.To) {
		return false, nil
	}
	for _, c := range changes {
		id := state.EventID(e.Revision, c.Index)
		read, known := acts[c.Kind]
		switch {
		case !known:
			return false, fmt.Errorf("%w: revision %d holds an event that this version does not know", ErrDamaged, e.Revision)
		case read == nil || compareIDs(id, p.q.At) < 0:
			continue
		case len(p.found) == p.q.Limit:
			p.next = id
			return false, nil
		}
		act, err := p.v.act(id, at, &c)
		if err != nil {
			return false, err
		}
		if act.Kind != ActUnspecified {
			p.found = append(p.found, act)
		}
	}
	return true, nil
}

// act makes an act of one event.
func (v *View) act(id policy.EventID, at int64, c *journal.Change) (Act, error) {
	e, err := c.Decode()
	if err != nil {
		return Act{}, err
	}
	txn := v.s.db.NewTransactionAt(id.Revision, false)
	defer txn.Discard()
	r := actReader{v: v, txn: txn, act: Act{ID: id, Time: state.Time(at)}}
	r.recordedIn(id.Revision, e.GetStoryHash())
	err = acts[c.Kind](&r, e)
	return r.act, err
}

// actReader makes an act of an event.
type actReader struct {
	v   *View
	txn *badger.Txn // at the event's revision
	act Act
}

func (r *actReader) is(kind ActKind, subject, detail string) {
	r.act.Kind, r.act.Subject, r.act.Detail = kind, subject, detail
}

// recordedIn takes who did it from the story of an event. A story that is gone names nobody.
func (r *actReader) recordedIn(revision uint64, hash []byte) {
	story, _ := r.v.s.stories.Get(revision, hash, 0)
	r.act.RecordedBy, r.act.Proven = story.RecordedBy, story.Proven
}

// ofList makes it an act about a list, and returns the list as the event left it, or as it was before if the event deleted it.
func (r *actReader) ofList(kind ActKind, ref *storev1.ListId) (*storev1.ListState, error) {
	l := new(storev1.ListState)
	key := keys.List(state.ListID(ref))
	found, err := state.Get(r.txn, key, l)
	if err == nil && !found {
		before := r.v.s.db.NewTransactionAt(r.act.ID.Revision-1, false)
		defer before.Discard()
		found, err = state.Get(before, key, l)
	}
	r.is(kind, l.GetName(), "")
	if found {
		r.act.Scopes = []policy.Scope{policy.Scope(l.GetSettings().GetScope())}
	}
	return l, err
}
