package store

import (
	"cmp"
	"crypto/hmac"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/secret"
)

// tagged is a revision with the tag of its position, which says which history the journal holds up to it.
type tagged struct {
	revision uint64
	tag      [secret.TagBytes]byte
}

// bytes is the tag, not to be changed; nil for nil.
func (t *tagged) bytes() []byte {
	if t == nil {
		return nil
	}
	return t.tag[:]
}

// tagAt makes the tag of a position.
func (s *Store) tagAt(at journal.Position) *tagged {
	return &tagged{at.Revision, s.secret.Tag(at.Chain)}
}

// recentTags are tags that are likely to be asked for again, each at its revision's place.
type recentTags [1024]atomic.Pointer[tagged]

func (r *recentTags) place(revision uint64) *atomic.Pointer[tagged] {
	return &r[revision%uint64(len(r))]
}

// add adds the tag of a revision that is in the journal.
func (r *recentTags) add(t *tagged) {
	if t != nil {
		r.place(t.revision).Store(t)
	}
}

func (r *recentTags) find(revision uint64) *tagged {
	if t := r.place(revision).Load(); t != nil && t.revision == revision {
		return t
	}
	return nil
}

// Tag is the tag of the view's position, not to be changed. It is nil where damage leaves open which history this is.
func (v *View) Tag() []byte { return v.tag.bytes() }

// TagAt is Tag of a revision that the view holds; nil if the journal does not show it.
func (v *View) TagAt(revision uint64) []byte {
	t, _ := v.taggedAt(revision)
	return t.bytes()
}

// VerifyTag returns nil if tag is that of a revision: the journal holds the history that the position was handed out for.
// Errors: ErrForked, ErrFutureRevision, ErrDamaged if that cannot be read.
func (v *View) VerifyTag(revision uint64, tag []byte) error {
	t, err := v.taggedAt(revision)
	if err == nil && !hmac.Equal(tag, t.bytes()) {
		err = ErrForked
	}
	return err
}

func (v *View) taggedAt(revision uint64) (*tagged, error) {
	switch {
	case revision > v.revision:
		return nil, ErrFutureRevision
	case revision < v.revision:
	case v.tag == nil:
		return nil, fmt.Errorf("%w: what the journal holds at revision %d is not known", ErrDamaged, revision)
	default:
		return v.tag, nil
	}
	if t := v.s.tags.find(revision); t != nil {
		return t, nil
	}
	chain, err := v.chainAt(revision)
	if err != nil {
		return nil, err
	}
	t := v.s.tagAt(journal.Position{Revision: revision, Chain: chain})
	v.s.tags.add(t)
	return t, nil
}

// chainAt reads the chain hash of a revision before the view's. A revision that a loss or a restored copy left out is a fork.
func (v *View) chainAt(revision uint64) (chain journal.Hash, err error) {
	if revision == 0 {
		return journal.Start(v.journal), nil
	}
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	e, err := journal.Read(txn, revision)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return chain, cmp.Or(v.complete(), ErrForked)
	}
	return e.Hash(), err
}
