package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
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

func anyRecord(*RecordDetail) bool { return true }

// Number is all that holds about n at now.
func (v *View) Number(n phone.Number, now time.Time) (NumberFacts, error) {
	var facts NumberFacts
	if err := v.whole(); err != nil {
		return facts, err
	}
	for _, spelling := range n.Spellings() {
		set, err := v.recordSet(spelling)
		if err != nil {
			return facts, err
		}
		facts.Records = append(facts.Records, v.numberRecords(n, set, now, true, anyRecord).Records...)
	}
	slices.SortStableFunc(facts.Records, func(a, b RecordDetail) int { return compareIDs(a.ID, b.ID) })
	for _, l := range v.lists {
		listed, unread := v.holdsSpelled(l, n)
		if unread {
			return facts, fmt.Errorf("%w: list %s cannot be read", ErrDamaged, l.Name)
		}
		if listed {
			facts.Lists = append(facts.Lists, l)
		}
	}
	return facts, v.complete()
}
