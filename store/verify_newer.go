package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// Filters, stories and files of loads are written beside the journal, each at a moment that a crash cannot move: a filter
// is saved at a revision that was acknowledged, a story is written with its own revision and before the next one, the
// file of a load after the revision that prepared it. What is newer than that, or of revisions of another course, shows
// that the journal is an older copy than what is beside it: then it does not hold what was acknowledged since.

// newer looks for what the journal, whole up to tip, cannot have led to.
type newer struct {
	s       *Store
	txn     *badger.Txn // at tip
	journal journal.ID
	tip     uint64

	highest uint64 // newest revision that anything names
	found   []error
	blocks  []string // files of loads among it
	stories [][]byte // keys of stories among it
}

// findNewer looks at all but the stories of revisions that the journal has: see unnamedStories.
func (s *Store) findNewer(txn *badger.Txn, of JournalID, tip uint64) (*newer, error) {
	n := &newer{s: s, txn: txn, journal: of, tip: tip, highest: tip}
	return n, errors.Join(n.filters(), n.blockFiles(), n.newestStory())
}

// checkNewer refuses a journal that is older than what is beside it.
func (s *Store) checkNewer(v *View) error {
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	n, err := s.findNewer(txn, v.journal, v.revision)
	if err != nil {
		return err
	}
	return errors.Join(n.found...)
}

func (n *newer) report(revision uint64, what string) {
	n.highest = max(n.highest, revision)
	n.found = append(n.found, fmt.Errorf("%w: %s is of revision %d, the journal ends at %d", ErrOlderJournal, what, revision, n.tip))
}

func (n *newer) reportOther(revision uint64, what string) {
	n.found = append(n.found, fmt.Errorf("%w: %s is of another revision %d than the journal's", ErrOlderJournal, what, revision))
}

// filters looks at the saved filters, by their headers. Only what is suspect is read completely: a filter that is damaged
// says nothing, and is built again.
func (n *newer) filters() error {
	files, err := n.files(filtersDir)
	for _, f := range files {
		h, err := n.s.filterDir().ReadHeader(f.Name())
		if err != nil || !n.contradicts(h) {
			continue
		}
		if _, h, err = n.s.filterDir().Read(f.Name()); err != nil {
			continue
		}
		if h.Revision > n.tip {
			n.report(h.Revision, "the filter "+h.Set)
		} else {
			n.reportOther(h.Revision, "the filter "+h.Set)
		}
	}
	return err
}

// contradicts reports that a filter is newer than the journal, or that its revision is not the journal's.
func (n *newer) contradicts(h filter.Header) bool {
	if h.Revision > n.tip {
		return true
	}
	if h.Revision == 0 || JournalID(h.JournalID) != n.journal {
		return false // of the time before a loss was accepted, or a copy put back
	}
	e, err := journal.Read(n.txn, h.Revision)
	return err == nil && e.Hash() != h.Chain
}

// blockFiles looks for files of loads that the journal did not prepare. Where it has no such revision a person accepted
// that, or a copy was put back.
func (n *newer) blockFiles() error {
	files, err := n.files(blocksDir)
	for _, f := range files {
		id, ok := block.ParseFileName(f.Name())
		if !ok || n.prepared(id) {
			continue
		}
		n.blocks = append(n.blocks, f.Name())
		if id.Prepared > n.tip {
			n.report(id.Prepared, "the file of a load")
		} else {
			n.reportOther(id.Prepared, "the file of a load")
		}
	}
	return err
}

// prepared reports whether an event prepared a load, or may have.
func (n *newer) prepared(id block.LoadID) bool {
	if id.Prepared > n.tip {
		return false
	}
	if !n.has(id.Prepared) {
		return true
	}
	rev, err := journal.ReadRevision(n.txn, id.Prepared)
	return err != nil || slices.ContainsFunc(rev.GetEvents(), func(e *storev1.Event) bool {
		return proto.Equal(e.GetLoadPrepared().GetList(), state.ListRef(id.List))
	})
}

// has reports whether the journal has a revision.
func (n *newer) has(revision uint64) bool {
	_, err := n.txn.Get(journal.Key(revision))
	return !errors.Is(err, badger.ErrKeyNotFound)
}

// newestStory looks at the newest stories. A crash leaves those of one revision that was not committed.
func (n *newer) newestStory() error {
	var beyond [][]byte
	for key := range n.s.stories.Keys(n.tip + 2) {
		beyond = append(beyond, slices.Clone(key))
	}
	beyond, err := n.withoutMisplaced(beyond)
	if len(beyond) > 0 {
		n.report(stories.Revision(beyond[len(beyond)-1]), "a story")
	}
	return err
}

// unnamedStories looks for stories that no event names, except those of one revision that was not committed. It reads the
// key of every story.
func (n *newer) unnamedStories() error {
	named := storiesNamed{n: n}
	for key := range n.s.stories.Keys(0) {
		ok, err := named.holds(key)
		if err != nil {
			return err
		}
		if !ok {
			n.stories = append(n.stories, slices.Clone(key))
		}
	}
	others := slices.DeleteFunc(slices.Clone(n.stories), func(key []byte) bool { return stories.Revision(key) > n.tip })
	others, err := n.withoutMisplaced(others)
	if len(others) > 0 {
		n.reportOther(stories.Revision(others[len(others)-1]), "a story")
	}
	return err
}

// withoutMisplaced takes out the stories that an event of another revision names, and reports them as damage: a bit of
// their key flipped.
func (n *newer) withoutMisplaced(keys [][]byte) ([][]byte, error) {
	at, err := revisionsThatName(n.txn, keys)
	if err != nil {
		return nil, err
	}
	if len(at) > 0 {
		n.found = append(n.found, fmt.Errorf("%w: %d are stored under another revision than their event's", ErrStoriesDamaged, len(at)))
	}
	return slices.DeleteFunc(keys, func(key []byte) bool { return at[string(key[8:])] > 0 }), nil
}

// revisionsThatName finds the revisions whose events name stories, by the hashes in their keys. With any key it reads the
// whole journal.
func revisionsThatName(txn *badger.Txn, keys [][]byte) (map[string]uint64, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	wanted, at := make(map[string]bool, len(keys)), map[string]uint64{}
	for _, key := range keys {
		wanted[string(key[8:])] = true
	}
	for e, err := range journal.Entries(txn, 1) {
		if err != nil {
			return at, err
		}
		rev, err := e.Decode()
		if err != nil {
			return at, err
		}
		for _, event := range rev.GetEvents() {
			if hash := string(event.GetStoryHash()); wanted[hash] {
				at[hash] = e.Revision
			}
		}
	}
	return at, nil
}

// storiesNamed knows the stories that one revision names after the other.
type storiesNamed struct {
	n        *newer
	revision uint64
	gone     bool // the journal has no such revision
	hashes   map[string]bool
}

// holds reports whether a story is named, or of a revision that says nothing of it.
func (s *storiesNamed) holds(key []byte) (bool, error) {
	if r := stories.Revision(key); r > s.n.tip {
		return r == s.n.tip+1, nil
	} else if r != s.revision {
		if err := s.read(r); err != nil {
			return false, err
		}
	}
	return s.gone || s.hashes[string(key[8:])], nil
}

func (s *storiesNamed) read(revision uint64) error {
	s.revision, s.hashes = revision, map[string]bool{}
	if s.gone = !s.n.has(revision); s.gone {
		return nil
	}
	rev, err := journal.ReadRevision(s.n.txn, revision)
	for _, e := range rev.GetEvents() {
		s.hashes[string(e.GetStoryHash())] = true
	}
	return err
}

func (n *newer) files(dir string) ([]fs.DirEntry, error) {
	files, err := os.ReadDir(filepath.Join(n.s.dir, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}
