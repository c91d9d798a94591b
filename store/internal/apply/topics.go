package apply

import (
	"fmt"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Touched is a topic that the revision changes, and how often.
type Touched struct {
	Topic   keys.Topic
	Changes uint64
}

// TopicOf is the topic of the change that an event is to feeds; false when it is none. It depends on the event alone, so that
// one that a replay cannot apply counts too: the journal has it, and feeds carry it. New settings of a list are a change
// only if its scope is another: see updateList.
func TopicOf(e *storev1.Event) (keys.Topic, bool) {
	switch c := e.GetChange().(type) {
	case *storev1.Event_OptOut:
		return keys.ScopeTopic(policy.Scope(c.OptOut.GetScope())), true
	case *storev1.Event_OptOutWithdrawn:
		return keys.ScopeTopic(policy.Scope(c.OptOutWithdrawn.GetScope())), true
	case *storev1.Event_LoadSwitched:
		return keys.ListTopic(state.ListID(c.LoadSwitched.GetList())), true
	case *storev1.Event_ListDeleted:
		return keys.ListTopic(state.ListID(c.ListDeleted.GetList())), true
	case *storev1.Event_ListUnloaded:
		return keys.ListTopic(state.ListID(c.ListUnloaded.GetList())), true
	}
	return "", false
}

// CountChange counts the change that an event is to feeds. Apply counts those that it applied.
func (a *Applier) CountChange(e *storev1.Event) {
	if topic, ok := TopicOf(e); ok {
		a.Touch(topic)
	}
}

// Touch counts one change of a topic.
func (a *Applier) Touch(topic keys.Topic) {
	i, met := a.touchedAt[topic]
	if !met {
		if a.touchedAt == nil {
			a.touchedAt = map[keys.Topic]int{}
		}
		i = len(a.Touched)
		a.touchedAt[topic] = i
		a.Touched = append(a.Touched, Touched{Topic: topic})
	}
	a.Touched[i].Changes++
}

// putTouched writes how many changes each topic that was touched has had.
func (a *Applier) putTouched() error {
	for _, t := range a.Touched {
		var count storev1.FeedCount
		found, err := a.get(keys.Counted(t.Topic), &count)
		if err != nil {
			return fmt.Errorf("count the changes of feeds: %w", err)
		}
		if !found {
			if err := a.putCountedSince(); err != nil {
				return err
			}
		}
		count.Changes, count.Revision = count.GetChanges()+t.Changes, a.Revision
		if err := a.put(keys.Counted(t.Topic), &count); err != nil {
			return err
		}
		if err := a.put(keys.Changed(t.Topic, a.Revision), &count); err != nil {
			return err
		}
	}
	return nil
}

// putCountedSince notes the first revision whose changes are counted, when a topic is met for the first time: a store of an
// earlier version has older ones.
func (a *Applier) putCountedSince() error {
	found, err := a.get(keys.CountedSince(), new(storev1.FeedCount))
	if err != nil || found {
		return err
	}
	return a.put(keys.CountedSince(), &storev1.FeedCount{Revision: a.Revision})
}
