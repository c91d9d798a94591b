package store

import (
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/state"
)

// RecordDetail is a record with its story.
type RecordDetail struct {
	policy.Record
	Story      Story
	StoryState StoryState
}

// NumberFacts is what holds about a number now.
type NumberFacts struct {
	Records []RecordDetail // in force, oldest first
	Lists   []*List        // that hold the number, whatever their jurisdiction and scope
}

// Number is all that holds about n at now.
func (v *View) Number(n phone.Number, now time.Time) (NumberFacts, error) {
	var facts NumberFacts
	if err := v.whole(); err != nil {
		return facts, err
	}
	set, err := v.recordSet(n)
	if err != nil {
		return facts, err
	}
	for _, r := range set.GetRecords() {
		record := state.Record(r)
		if !record.InForce(now) {
			continue
		}
		story, state := v.s.stories.Get(r.GetRevision(), r.GetStoryHash(), r.GetStory())
		facts.Records = append(facts.Records, RecordDetail{record, story, state})
	}
	key := filter.KeyOf(uint64(n))
	for _, l := range v.lists {
		listed, unread := v.holds(l, n, key)
		if unread {
			return facts, fmt.Errorf("%w: list %s cannot be read", ErrDamaged, l.Name)
		}
		if listed {
			facts.Lists = append(facts.Lists, l)
		}
	}
	return facts, v.complete()
}
