package apply

import (
	"cmp"
	"slices"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// respelled stores an opt-out as its number held it under a former spelling: with the id, the times and the story that it had. Only the
// history shows that an event of its own did so.
func (a *Applier) respelled(id policy.EventID, c *storev1.OptOut, set NumberSet) error {
	was := c.GetRespelled()
	recorded := state.RefID(was.GetRecorded())
	isHeld := func(r *storev1.Record) bool { return state.RecordID(r) == recorded }
	if !a.replay && slices.ContainsFunc(set.Records, isHeld) {
		return &heldError{recorded}
	}
	record := a.Record(recorded, c, StoryRef{Hash: was.GetStoryHash(), Place: was.GetStory()})
	record.RecordedAt = was.GetRecordedAt()
	set.Records = append(set.Records, record)
	slices.SortStableFunc(set.Records, func(a, b *storev1.Record) int {
		return cmp.Or(cmp.Compare(a.GetRevision(), b.GetRevision()), cmp.Compare(a.GetIndex(), b.GetIndex()))
	})
	return a.putMore(id, c.GetNumber(), set)
}
