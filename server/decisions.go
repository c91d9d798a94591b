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

// decisionBatch holds the decisions about many numbers at one view, for checks that ask the same.
type decisionBatch struct {
	numbers []phone.Number    // the zero Number stands for none: nothing is decided about it
	found   store.Findings    // the facts about numbers
	list    []policy.Decision // by place in found.Facts
	encoded []encodedReasons  // by the same place, of the decisions that were reported
	explain bool              // an ALLOW too
}

var decisionPool = sync.Pool{New: func() any { return new(decisionBatch) }}

// decide decides about d.numbers. Numbers with the same facts share one decision.
func (d *decisionBatch) decide(v *store.View, a *asked, at instant) {
	v.LookupMany(d.numbers, a.call(at), &d.found)
	d.explain = a.explain
	for i := range d.found.Facts {
		d.list = append(d.list, policy.Decide(&d.found.Facts[i], v.Policy(), at.now))
	}
	d.encoded = slices.Grow(d.encoded, len(d.list))[:len(d.list)]
}

// release puts d back into the pool, unless unusual numbers made it large.
func (d *decisionBatch) release() {
	if d.found.Large() {
		return
	}
	d.found.Reset()
	clear(d.list)
	clear(d.encoded)
	d.numbers, d.list, d.encoded = d.numbers[:0], d.list[:0], d.encoded[:0]
	decisionPool.Put(d)
}

// reasonEncoder encodes the reasons of decisions for one message, each reason once.
type reasonEncoder struct {
	reasons reasonTable
	until   *timestamppb.Timestamp
}

// encodedReasons is what an answer says about a decision.
type encodedReasons struct {
	made    bool
	cause   dncv1.Cause
	until   *timestamppb.Timestamp
	opens   *timestamppb.Timestamp
	reasons []uint32
}

// encode returns the encoded decision at a place. It is made once for all numbers that share it.
func (r *reasonEncoder) encode(d *decisionBatch, at uint32) *encodedReasons {
	e := &d.encoded[at]
	if e.made {
		return e
	}
	decision := &d.list[at]
	*e = encodedReasons{made: true, cause: causeOf(decision.Cause), until: r.stamp(decision.ValidUntil), opens: r.stamp(decision.OpensAt)}
	if d.explain || decision.Verdict != policy.Allow {
		e.reasons = r.reasons.indexes(decision)
	}
	return e
}

// stamp shares one message among consecutive answers with the same time.
func (r *reasonEncoder) stamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	if r.until == nil || !r.until.AsTime().Equal(at) {
		r.until = timestamppb.New(at)
	}
	return r.until
}
