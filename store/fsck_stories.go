package store

import (
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/policy"
)

// StoryLoss counts stories and names their revisions. No check depends on a story.
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

// story looks up the story of an event.
func (c *checker) story(id policy.EventID, hash []byte) {
	if len(hash) == 0 {
		return
	}
	c.r.Stories++
	if !c.storiesUnread {
		fate := c.fates.Of(id.Revision, hash)
		c.r.Missing.note(id.Revision, fate.Lost)
		c.r.Gone.note(id.Revision, fate.Gone)
	}
}

// storiesAreThere reports those that are missing.
func (c *checker) storiesAreThere() error {
	if c.r.Missing.Stories == 0 {
		return nil
	}
	return fmt.Errorf("%w: missing: %v", ErrStoriesDamaged, c.r.Missing)
}
