package apply

import (
	"slices"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// AckOf is what an acknowledgement of that event says, as it is stored.
func AckOf(id policy.EventID, time int64, c *storev1.Acknowledged) *storev1.AckState {
	return &storev1.AckState{
		Revision: id.Revision, Index: id.Index, Time: time,
		Epoch: c.GetEpoch(), UpTo: c.GetRevision(), Changes: c.GetChanges(), Hash: c.GetHash(), Signed: len(c.GetNote()) > 0,
	}
}

// AckKey is where it is stored.
func AckKey(c *storev1.Acknowledged) []byte {
	return keys.Ack(state.RefID(c.GetSubscriber()), uint8(c.GetStage()), c.GetRevision())
}

// KeepsAck reports whether an acknowledgement stays when another comes for the same stage and revision: the first shows since when
// it is known, but a claim yields to a signature.
func KeepsAck(first, next *storev1.AckState) bool { return first.GetSigned() || !next.GetSigned() }

// acknowledge records how far a subscriber got. It reads no other subscriber: it may come many times a second.
func (a *Applier) acknowledge(id policy.EventID, c *storev1.Acknowledged) error {
	st, at := new(storev1.SubscriberState), state.RefID(c.GetSubscriber())
	found, err := a.get(keys.Subscriber(at), st)
	if err != nil {
		return err
	}
	if err := checkAcknowledged(st, a.Revision, c); err != nil && !a.replay {
		return err
	}
	ack := AckOf(id, a.Time, c)
	if err := a.keepAck(AckKey(c), ack); err != nil || !found || !advance(st, c.GetStage(), ack) {
		return err
	}
	return a.putSubscriber(at, st)
}

func (a *Applier) keepAck(key []byte, ack *storev1.AckState) error {
	var first storev1.AckState
	found, err := a.get(key, &first)
	if err != nil || found && KeepsAck(&first, ack) {
		return err
	}
	return a.put(key, ack)
}

// checkAcknowledged refuses what a subscriber cannot acknowledge, in a revision. One that is not there has no epoch.
func checkAcknowledged(st *storev1.SubscriberState, revision uint64, c *storev1.Acknowledged) error {
	switch listed := st.GetSettings().GetKeys(); {
	case st.GetEpoch() == 0 || st.GetRemoved() != 0:
		return fault.ErrNoSubscriber
	case c.GetEpoch() != st.GetEpoch():
		return fault.ErrEpoch
	case c.GetRevision() < c.GetEpoch() || c.GetRevision() >= revision:
		return fault.Ack("its position is not within the epoch and the journal")
	case !feed.Applied.Includes(feed.Stage(c.GetStage())):
		return fault.Ack("a stage is received, durable or applied")
	case len(c.GetNote()) == 0 && len(listed) > 0:
		return fault.Ack("the subscriber has a key: a claim does not count, only a note that the key signed")
	case len(c.GetNote()) > 0 && !slices.Contains(listed, c.GetKey()):
		return fault.Ack("the key that signed it is not one of the subscriber's any more")
	}
	return nil
}

func (b Subscribers) acknowledge(id policy.EventID, time int64, c *storev1.Acknowledged) (changed []policy.EventID) {
	at := state.RefID(c.GetSubscriber())
	if st := b[at]; st != nil && advance(st, c.GetStage(), AckOf(id, time, c)) {
		return []policy.EventID{at}
	}
	return nil
}

// advance makes an acknowledgement the newest of its stage, and of those that its stage includes, where it is; it reports whether
// that was anywhere.
func advance(st *storev1.SubscriberState, stage uint32, ack *storev1.AckState) (advanced bool) {
	newest := [...]**storev1.AckState{feed.Received: &st.Received, feed.Durable: &st.Durable, feed.Applied: &st.Applied}
	if ack.GetEpoch() != st.GetEpoch() {
		return false
	}
	for s := feed.Received; s <= feed.Stage(stage) && int(s) < len(newest); s++ {
		if supersedes(ack, *newest[s]) {
			*newest[s], advanced = ack, true
		}
	}
	return advanced
}

// supersedes reports whether an acknowledgement is newer than the newest before it. A signature counts for more than claims,
// also for those that went further: nothing proves them. A claim counts for more than a signature if it adds changes: then the
// subscriber has no key any more.
func supersedes(ack, newest *storev1.AckState) bool {
	switch {
	case newest == nil || ack.GetSigned() && !newest.GetSigned():
		return true
	case newest.GetSigned() && !ack.GetSigned():
		return ack.GetChanges() > newest.GetChanges()
	}
	return ack.GetUpTo() >= newest.GetUpTo()
}
