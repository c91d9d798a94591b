package store

import (
	"bytes"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ReportSubscriber is how far a subscriber got with the objections of a report that concerned it.
type ReportSubscriber struct {
	*Subscriber              // as it is now, or was when it was removed
	Single      ReportStages // one by one
	Imported    ReportStages // rows of files

	next   [feed.Applied + 1]nextAck // by stage
	epoch  uint64                    // of an acknowledgement,
	topics *topicSet                 // and what concerned it then
}

// ReportStages is a subscriber's stages, from received on.
type ReportStages [feed.Applied]ReportStage

// Of is one stage.
func (s *ReportStages) Of(stage feed.Stage) *ReportStage { return &s[stage-feed.Received] }

// ReportStage is how far a subscriber got at a stage.
type ReportStage struct {
	Acknowledged Spread // from recorded until the acknowledgement was recorded
	Claimed      uint64 // of those, how many no signature proves
	Pending      uint64 // not acknowledged
	Oldest       time.Time
	Late         uint64 // took longer than the subscriber had time for, or are pending for longer
}

// activeSubscriber is a subscriber as it was at a revision.
type activeSubscriber struct {
	topics   *topicSet
	deadline time.Duration
	report   *ReportSubscriber
}

// nextAck is the first acknowledgement of one stage at or after a revision.
type nextAck struct {
	known bool
	ack   *Acknowledgement // nil: there is none
}

// loadSubscribers takes the subscribers as they were at a revision: an objection concerned those whose filter it met then.
func (p *reportPass) loadSubscribers(revision uint64) error {
	txn := p.v.s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	p.active = p.active[:0]
	for s, err := range state.Subscribers(txn) {
		if err != nil {
			return err
		}
		if s.State.GetRemoved() != 0 {
			continue
		}
		if p.reported[s.ID] == nil {
			p.reported[s.ID] = &ReportSubscriber{Subscriber: p.all[s.ID]}
		}
		set := s.State.GetSettings()
		p.active = append(p.active, activeSubscriber{newTopicSet(state.Filter(set)), time.Duration(set.GetDeadline()), p.reported[s.ID]})
	}
	return nil
}

// deliver counts the objections of the revision at each subscriber that they concern.
func (p *reportPass) deliver(revision uint64) error {
	for i := range p.active {
		sub := &p.active[i]
		if !sub.concern(p.single) && !sub.concern(p.rows) {
			continue
		}
		var first *Acknowledgement
		for stage := feed.Applied; stage >= feed.Received; stage-- { // each includes those before it
			ack, err := p.nextAck(sub.report, stage, revision)
			if err != nil {
				return err
			}
			if ack != nil && (first == nil || ack.Time.Before(first.Time)) {
				first = ack
			}
			about, err := p.topicsOf(sub, first, revision)
			if err != nil {
				return err
			}
			p.count(sub.report.Single.Of(stage), sub, first, about, p.single)
			p.count(sub.report.Imported.Of(stage), sub, first, about, p.rows)
		}
	}
	return nil
}

// concern reports whether any of the objections, by their scopes, concerns the subscriber.
func (a *activeSubscriber) concern(objections map[policy.Scope]uint64) bool {
	for scope := range objections {
		if a.topics.has(keys.ScopeTopic(scope)) {
			return true
		}
	}
	return false
}

// topicsOf is what an acknowledgement is about: where a later epoch began with another filter, what that filter leaves out was not
// acknowledged.
func (p *reportPass) topicsOf(sub *activeSubscriber, ack *Acknowledgement, revision uint64) (*topicSet, error) {
	r := sub.report
	if ack == nil || ack.Epoch <= revision {
		return sub.topics, nil
	}
	if r.epoch != ack.Epoch {
		txn := p.v.s.db.NewTransactionAt(ack.Epoch, false)
		defer txn.Discard()
		var st storev1.SubscriberState
		if _, err := state.Get(txn, keys.Subscriber(r.ID), &st); err != nil {
			return nil, err
		}
		r.epoch, r.topics = ack.Epoch, newTopicSet(state.Filter(st.GetSettings()))
	}
	return r.topics, nil
}

// nextAck is the first acknowledgement of a stage at or after a revision, none of which may be before an earlier one. All
// revisions up to an acknowledgement cost one seek.
func (p *reportPass) nextAck(r *ReportSubscriber, stage feed.Stage, revision uint64) (*Acknowledgement, error) {
	next := &r.next[stage]
	if next.known && (next.ack == nil || revision <= next.ack.Revision) {
		return next.ack, nil
	}
	next.known, next.ack = true, nil
	p.acks.Seek(keys.Ack(r.ID, uint8(stage), revision))
	if !p.acks.Valid() || !bytes.HasPrefix(p.acks.Item().Key(), keys.AckPrefix(r.ID, uint8(stage))) {
		return nil, nil
	}
	var m storev1.AckState
	err := p.acks.Item().Value(func(b []byte) error { return state.Decode(p.acks.Item().Key(), b, &m) })
	if err == nil {
		next.ack = acknowledgementOf(&m)
	}
	return next.ack, err
}

// count counts those of the revision's objections that concern a subscriber, with their first acknowledgement and what it is about.
func (p *reportPass) count(to *ReportStage, sub *activeSubscriber, first *Acknowledgement, about *topicSet, objections map[policy.Scope]uint64) {
	for scope, n := range objections {
		switch topic := keys.ScopeTopic(scope); {
		case !sub.topics.has(topic):
		case first != nil && about.has(topic):
			to.acknowledge(p.at, sub.deadline, first, n)
		default:
			to.wait(p.at, sub.deadline, sub.report.upTo(p.now), n)
		}
	}
}

// upTo is the time up to which what is pending ages: a subscriber that was removed does so no longer.
func (r *ReportSubscriber) upTo(now time.Time) time.Time {
	if r.RemovedAt.IsZero() {
		return now
	}
	return r.RemovedAt
}

func (s *ReportStage) acknowledge(recorded time.Time, deadline time.Duration, ack *Acknowledgement, n uint64) {
	took := ack.Time.Sub(recorded)
	s.Acknowledged.add(took, n)
	if !ack.Signed {
		s.Claimed += n
	}
	if took > deadline {
		s.Late += n
	}
}

// wait counts what is pending. Revisions come in order: the first is the oldest.
func (s *ReportStage) wait(recorded time.Time, deadline time.Duration, now time.Time, n uint64) {
	s.Pending += n
	if s.Oldest.IsZero() {
		s.Oldest = recorded
	}
	if now.Sub(recorded) > deadline {
		s.Late += n
	}
}
