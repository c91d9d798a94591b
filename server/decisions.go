package server

import (
	"sync"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
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
func (d *decisions) decide(v *store.View, scope policy.Scope, now time.Time) {
	v.LookupMany(d.numbers, scope, &d.found)
	for i := range d.found.Facts {
		d.list = append(d.list, policy.Decide(&d.found.Facts[i], now))
	}
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
