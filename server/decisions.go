package server

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// decisions are those about many numbers at one view, for a caller at one scope.
type decisions struct {
	numbers []phone.Number    // the zero Number is none: nothing is decided about it
	found   store.Findings    // what is known of numbers
	list    []policy.Decision // by place in found.Facts
	told    []explanation     // the same, of those that were told
}

var decisionsPool = sync.Pool{New: func() any { return new(decisions) }}

// decide decides about d.numbers. Numbers of which the same is known share one decision.
func (d *decisions) decide(v *store.View, scope policy.Scope, at instant) {
	v.LookupMany(d.numbers, scope, at.ahead, &d.found)
	for i := range d.found.Facts {
		d.list = append(d.list, policy.Decide(&d.found.Facts[i], at.now))
	}
	d.told = slices.Grow(d.told, len(d.list))[:len(d.list)]
}

// release gives d back, unless it grew large over unusual numbers.
func (d *decisions) release() {
	if d.found.Large() {
		return
	}
	d.found.Reset()
	clear(d.list)
	clear(d.told)
	d.numbers, d.list, d.told = d.numbers[:0], d.list[:0], d.told[:0]
	decisionsPool.Put(d)
}

// telling puts what decisions rest on into one answer's words, each reason once.
type telling struct {
	reasons reasonTable
	until   *timestamppb.Timestamp
}

// explanation is what an answer tells of a decision.
type explanation struct {
	made    bool
	cause   dncv1.Cause
	until   *timestamppb.Timestamp
	reasons []uint32
}

// explanation returns that of the decision at a place, made once for all numbers that share it.
func (t *telling) explanation(d *decisions, at uint32) *explanation {
	e := &d.told[at]
	if e.made {
		return e
	}
	decision := &d.list[at]
	*e = explanation{made: true, cause: causeOf(decision.Cause), until: t.stamp(decision.ValidUntil)}
	if decision.Verdict != policy.Allow {
		e.reasons = t.reasons.indexes(&d.found.Facts[at], decision)
	}
	return e
}

// stamp shares the message of a time among the answers that follow each other with the same.
func (t *telling) stamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	if t.until == nil || !t.until.AsTime().Equal(at) {
		t.until = timestamppb.New(at)
	}
	return t.until
}
