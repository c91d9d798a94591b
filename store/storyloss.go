package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// StoryLoss counts stories and says of which revisions they are. No check depends on a story.
type StoryLoss struct {
	Stories uint64
	At      []Gap // from the first to the last of a run without a story in between that is there; each revision is in one
	running bool
}

// maxRuns is how many runs of stories are named.
const maxRuns = 20

func (l StoryLoss) String() string {
	var runs []string
	for _, g := range l.At[:min(len(l.At), maxRuns)] {
		if g.From == g.To {
			runs = append(runs, fmt.Sprint(g.From))
			continue
		}
		runs = append(runs, fmt.Sprintf("%d to %d", g.From, g.To))
	}
	if more := len(l.At) - maxRuns; more > 0 {
		runs = append(runs, fmt.Sprintf("and %d more runs", more))
	}
	return fmt.Sprintf("%d, of revisions %s", l.Stories, strings.Join(runs, ", "))
}

// note takes the next story that the journal names.
func (l *StoryLoss) note(revision uint64, missing bool) {
	if missing {
		l.Stories++
		if last := len(l.At) - 1; last < 0 || !l.running && l.At[last].To != revision {
			l.At = append(l.At, Gap{From: revision})
		}
		l.At[len(l.At)-1].To = revision
	}
	l.running = missing
}

// story looks up what an event tells.
func (c *checker) story(id policy.EventID, hash []byte) {
	if len(hash) == 0 {
		return
	}
	c.r.Stories++
	if !c.storiesUnread {
		fate := c.fates.of(id.Revision, hash)
		c.r.Missing.note(id.Revision, fate.lost)
		c.r.Gone.note(id.Revision, fate.gone)
	}
}

// storiesAreThere reports those that are missing.
func (c *checker) storiesAreThere() error {
	if c.r.Missing.Stories == 0 {
		return nil
	}
	return fmt.Errorf("%w: missing: %v", ErrStoriesDamaged, c.r.Missing)
}

// copyStories takes over every story that still matches its hash. The hash says nothing of the revision in the key: where
// no checksum does, the journal must name the story there, or it would seem to be of a revision that nobody made.
func (r *repairer) copyStories() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	named := storiesNamed{n: &newer{txn: txn, tip: math.MaxUint64}}
	batch := r.s.stories.db.NewWriteBatch()
	defer batch.Cancel()
	var unnamed [][]byte
	err := r.salvage(storiesDir, storyEnd, func(e saved) error {
		if e.proven && len(e.value) == 0 {
			r.gone[string(e.key)] = true
		}
		if !soundStory(e.key, e.value) {
			return nil
		}
		held, err := named.holds(e.key)
		isNamed := held && !named.gone
		if err != nil || !isNamed && !e.proven {
			return err
		}
		if !isNamed {
			unnamed = append(unnamed, slices.Clone(e.key))
		}
		return batch.Set(slices.Clone(e.key), slices.Clone(e.value))
	})
	if err := errors.Join(err, batch.Flush()); err != nil {
		return err
	}
	return r.placeStories(txn, unnamed)
}

// placeStories puts stories that an event of another revision names in their place. A bit that flips in the memory of a
// running server gets into the tables that it writes then, under their checksums.
func (r *repairer) placeStories(txn *badger.Txn, unnamed [][]byte) error {
	at, err := revisionsThatName(txn, unnamed)
	if err != nil {
		return err
	}
	batch := r.s.stories.db.NewWriteBatch()
	defer batch.Cancel()
	for _, key := range unnamed {
		revision := at[string(key[8:])]
		if revision == 0 {
			r.highest = max(r.highest, storyRevision(key))
			continue
		}
		if err := r.s.stories.move(key, storyKey(revision, key[8:]), batch); err != nil {
			return err
		}
	}
	return batch.Flush()
}

// giveUpStories marks each story that the journal names and that could not be had as gone: it is told once.
func (r *repairer) giveUpStories() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	batch := r.s.stories.db.NewWriteBatch()
	defer batch.Cancel()
	r.report.Missing, r.report.Gone = StoryLoss{}, StoryLoss{}
	fates := storyFates{s: r.s.stories}
	err := eachEntry(txn, 1, func(e entry) error {
		rev, err := e.decode()
		if err != nil {
			return err
		}
		for _, event := range rev.GetEvents() {
			if err := r.giveUpStory(&fates, e.revision, event, batch.Set); err != nil {
				return err
			}
		}
		return r.ctx.Err()
	})
	return errors.Join(err, batch.Flush())
}

func (r *repairer) giveUpStory(fates *storyFates, revision uint64, event *storev1.Event, set func(key, value []byte) error) error {
	hash := event.GetStoryHash()
	if len(hash) == 0 {
		return nil
	}
	key, lost := storyKey(revision, hash), fates.of(revision, hash).lost
	known := r.gone[string(key)]
	r.report.Missing.note(revision, lost && !known)
	r.report.Gone.note(revision, lost && known)
	if !lost {
		return nil
	}
	return set(key, nil)
}
