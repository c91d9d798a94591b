package store

import (
	"context"
	"iter"
	"time"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// NumberRecords are the records of one number, oldest first.
type NumberRecords struct {
	Number  phone.Number
	Records []RecordDetail
}

// Records yields all records of the view by ascending number, each with its story: only those in force at now where
// inForce is set, and of the rest those that keep accepts. Errors: ErrDamaged, and the context's.
func (v *View) Records(ctx context.Context, now time.Time, inForce bool, keep func(*RecordDetail) bool) iter.Seq2[NumberRecords, error] {
	return func(yield func(NumberRecords, error) bool) {
		if err := v.eachNumber(ctx, now, inForce, keep, yield); err != nil {
			yield(NumberRecords{}, err)
		}
	}
}

func (v *View) eachNumber(ctx context.Context, now time.Time, inForce bool, keep func(*RecordDetail) bool, yield func(NumberRecords, error) bool) error {
	return v.eachRecordSet(ctx, func(n phone.Number, set *storev1.RecordSet) bool {
		found := v.numberRecords(n, set, now, inForce, keep)
		return len(found.Records) == 0 || yield(found, nil)
	})
}

func (v *View) numberRecords(n phone.Number, set *storev1.RecordSet, now time.Time, inForce bool, keep func(*RecordDetail) bool) NumberRecords {
	found := NumberRecords{Number: n}
	for _, r := range set.GetRecords() {
		d := RecordDetail{Record: state.Record(r)}
		if inForce && !d.InForce(now) || !keep(&d) {
			continue
		}
		d.Story, d.StoryState = v.s.stories.Get(r.GetRevision(), r.GetStoryHash(), r.GetStory())
		found.Records = append(found.Records, d)
	}
	return found
}
