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
	policy.StaleList:   dncv1.Cause_CAUSE_STALE_LIST,
	policy.NotCovered:  dncv1.Cause_CAUSE_NOT_COVERED,
	policy.NotLoaded:   dncv1.Cause_CAUSE_NOT_LOADED,
	policy.DataDamaged: dncv1.Cause_CAUSE_DATA_DAMAGED,
}

func causeOf(c policy.Cause) dncv1.Cause { return causes[c] }

// listReasons are the kinds of reasons that a list gives, by cause.
var listReasons = [...]dncv1.ReasonKind{
	policy.CauseNone:   dncv1.ReasonKind_REASON_KIND_LISTED,
	policy.StaleList:   dncv1.ReasonKind_REASON_KIND_STALE_LIST,
	policy.NotCovered:  dncv1.ReasonKind_REASON_KIND_NOT_COVERED,
	policy.NotLoaded:   dncv1.ReasonKind_REASON_KIND_NOT_LOADED,
	policy.DataDamaged: dncv1.ReasonKind_REASON_KIND_DATA_DAMAGED,
}

// maxReasons bounds the reasons of one answer. A number may hold thousands of opt-outs, and one is enough to block.
const maxReasons = 32

// reasonsOf returns the reasons of a decision that is not Allow, the deciding ones first.
func reasonsOf(f *policy.Facts, d *policy.Decision) []*dncv1.Reason {
	found := orderedReasons(d)
	out := make([]*dncv1.Reason, 0, len(found)+1)
	for i := range found {
		out = append(out, reasonOf(&found[i]))
	}
	if unnamedDamage(f, d) {
		out = append(out, &dncv1.Reason{Kind: dncv1.ReasonKind_REASON_KIND_DATA_DAMAGED})
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

// unnamedDamage reports damage that no list's reason covers.
func unnamedDamage(f *policy.Facts, d *policy.Decision) bool {
	return d.Verdict == policy.Unknown && f.Damaged
}

func reasonOf(r *policy.Reason) *dncv1.Reason {
	if r.Record != nil {
		return recordReason(r.Record)
	}
	return &dncv1.Reason{
		Kind:         listReasons[r.Cause],
		List:         r.List.Name,
		ListKind:     listKindOf(r.List.Kind),
		Scope:        string(r.List.Scope),
		SnapshotDate: r.List.SnapshotDate.String(),
	}
}

func recordReason(r *policy.Record) *dncv1.Reason {
	return &dncv1.Reason{
		Kind:      dncv1.ReasonKind_REASON_KIND_OPT_OUT,
		Scope:     string(r.Scope),
		Channel:   channelOf(r.Channel),
		Since:     stamp(r.ReceivedAt),
		Record:    eventID(r.ID),
		ExpiresAt: stamp(r.ExpiresAt),
	}
}

func eventID(id policy.EventID) *dncv1.EventId {
	return &dncv1.EventId{Revision: id.Revision, Index: id.Index}
}

// Channels and kinds of lists have the same numbers in both packages. A test compares them.

func channelOf(c policy.Channel) dncv1.Channel { return dncv1.Channel(c) }

func listKindOf(k policy.ListKind) dncv1.ListKind { return dncv1.ListKind(k) }

// knownEnum refuses a value that this server does not know.
func knownEnum(name string, value int32, names map[int32]string) error {
	if _, ok := names[value]; !ok {
		return invalidField(name, "has a value that this server does not know")
	}
	return nil
}
