package server

import (
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Decisions on the wire. What a table does not contain is never callable.

var verdicts = [...]dncv1.Verdict{
	policy.Allow:   dncv1.Verdict_VERDICT_ALLOW,
	policy.Block:   dncv1.Verdict_VERDICT_BLOCK,
	policy.NotNow:  dncv1.Verdict_VERDICT_NOT_NOW,
	policy.Unknown: dncv1.Verdict_VERDICT_UNKNOWN,
}

func verdictOf(v policy.Verdict) dncv1.Verdict { return verdicts[v] }

var causes = [...]dncv1.Cause{
	policy.CauseNone:   dncv1.Cause_CAUSE_UNSPECIFIED,
	policy.NoTimeZone:  dncv1.Cause_CAUSE_NO_TIME_ZONE,
	policy.StaleList:   dncv1.Cause_CAUSE_STALE_LIST,
	policy.NotCovered:  dncv1.Cause_CAUSE_NOT_COVERED,
	policy.NotLoaded:   dncv1.Cause_CAUSE_NOT_LOADED,
	policy.NoRule:      dncv1.Cause_CAUSE_NO_RULE,
	policy.DataDamaged: dncv1.Cause_CAUSE_DATA_DAMAGED,

	policy.PolicyUnreadable: dncv1.Cause_CAUSE_POLICY_UNREADABLE,

	policy.UseUnrecorded: dncv1.Cause_CAUSE_USE_NOT_RECORDED,
}

func causeOf(c policy.Cause) dncv1.Cause { return causes[c] }

// maxReasons bounds the reasons of one answer. A number may hold thousands of opt-outs, and one is enough to block.
const maxReasons = 32

// reasonsOf returns the reasons of a decision, the deciding ones first.
func reasonsOf(d *policy.Decision) []*dncv1.Reason {
	found := orderedReasons(d)
	out := make([]*dncv1.Reason, 0, len(found))
	for i := range found {
		out = append(out, reasonOf(&found[i]))
	}
	return out
}

// orderedReasons puts the reasons with the decision's own cause first, and keeps maxReasons.
func orderedReasons(d *policy.Decision) []policy.Reason {
	front := 0
	for i := range d.Reasons {
		if d.Reasons[i].Cause == d.Cause {
			d.Reasons[i], d.Reasons[front] = d.Reasons[front], d.Reasons[i]
			front++
		}
	}
	return d.Reasons[:min(len(d.Reasons), maxReasons)]
}

// reasonOf is a reason on the wire. Of a consent that overrides a list it names both.
func reasonOf(r *policy.Reason) *dncv1.Reason {
	m := &dncv1.Reason{Kind: dncv1.ReasonKind(r.Kind), Source: r.Source}
	if r.Rule != nil {
		m.Rule = r.Rule.Name
	}
	if r.Zone != nil {
		m.TimeZone = r.Zone.Name()
	}
	if l := r.List; l != nil {
		m.List, m.ListKind, m.Scope, m.SnapshotDate = l.Name, listKindOf(l.Kind), string(l.Scope), l.SnapshotDate.String()
	}
	if c := r.Record; c != nil {
		m.Scope, m.Channel, m.Since, m.Record, m.ExpiresAt = string(c.Scope), channelOf(c.Channel), stamp(c.ReceivedAt), eventID(c.ID), stamp(c.ExpiresAt)
		if c.Consent != nil {
			m.ConsentKind, m.ConsentForm = dncv1.ConsentKind(c.Consent.Kind), dncv1.ConsentForm(c.Consent.Form)
		}
	}
	return m
}

func eventID(id policy.EventID) *dncv1.EventId {
	return &dncv1.EventId{Revision: id.Revision, Index: id.Index}
}

// Channels, kinds of lists, consents and reasons have the same numbers in both packages. A test compares them.

func channelOf(c policy.Channel) dncv1.Channel { return dncv1.Channel(c) }

func listKindOf(k policy.ListKind) dncv1.ListKind { return dncv1.ListKind(k) }

// knownEnum refuses a value that this server does not know.
func knownEnum(name string, value int32, names map[int32]string) error {
	if _, ok := names[value]; !ok {
		return invalidField(name, "has a value that this server does not know")
	}
	return nil
}
