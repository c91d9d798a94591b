package apply

import (
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Policies is what the journal says of policies, by the events that set them.
type Policies map[policy.EventID]*storev1.PolicyState

// Follow takes an event of that time.
func (b Policies) Follow(id policy.EventID, time int64, e *storev1.Event) {
	if c := e.GetPolicySet(); c != nil {
		b[id] = policyState(c, time, e.GetStoryHash())
	}
}

func policyState(c *storev1.PolicySet, time int64, story []byte) *storev1.PolicyState {
	return &storev1.PolicyState{Set: c, Time: time, StoryHash: story}
}

// setPolicy puts a policy in force, unless it was made from another one than that which is. Subscribers whose callers opt-outs
// reach from further away get them from now on.
func (a *Applier) setPolicy(id policy.EventID, e *storev1.Event) error {
	last, err := state.LastPolicy(a.txn)
	if err != nil {
		return err
	}
	c := e.GetPolicySet()
	if state.RefID(c.GetBase()) != last.ID && !a.replay {
		return fault.ErrMoved
	}
	st := policyState(c, a.Time, e.GetStoryHash())
	if err := a.put(keys.Policy(id), st); err != nil {
		return err
	}
	a.Policy = &state.Stored[*storev1.PolicyState]{ID: id, State: st}
	if policy.Reach(c.GetReach()) == policy.ReachScope {
		return nil
	}
	return a.subscriberEvent(id, e)
}

// widen makes every filter as wide as opt-outs reach. The logs of those that were narrower begin anew.
func (b Subscribers) widen(reach policy.Reach, revision uint64, time int64) (changed []policy.EventID) {
	for at, st := range b {
		f := state.Filter(st.GetSettings())
		wide := state.Reached(f, reach)
		if st.GetRemoved() != 0 || wide.Hash() == f.Hash() {
			continue
		}
		set, _ := proto.Clone(st.GetSettings()).(*storev1.SubscriberSettings)
		set.Scopes = scopesOf(wide)
		st.Settings, st.UpdatedRevision, st.UpdatedTime = set, revision, time
		beginEpoch(st, revision)
		changed = append(changed, at)
	}
	return changed
}

func scopesOf(f feed.Filter) (scopes []string) {
	for _, s := range f.Scopes {
		scopes = append(scopes, string(s))
	}
	return scopes
}

// checkReach refuses a filter that is narrower than opt-outs reach by the policy in force.
func (a *Applier) checkReach(set *storev1.SubscriberSettings) error {
	last, err := state.LastPolicy(a.txn)
	if err != nil {
		return err
	}
	f := state.Filter(set)
	switch reach := policy.Reach(last.State.GetSet().GetReach()); {
	case state.Reached(f, reach).Hash() == f.Hash():
		return nil
	case reach == policy.ReachBrand:
		return fault.Subscriber("by the policy in force an opt-out counts for the whole brand (opt_outs.reach): name whole brands as scopes, such as acme, so that it gets all of them")
	}
	return fault.Subscriber("by the policy in force an opt-out counts for everyone (opt_outs.reach): name no scope, so that it gets all of them")
}
