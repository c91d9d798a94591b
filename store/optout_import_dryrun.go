package store

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/state"
)

// countDuplicates counts the staged rows that are duplicates, of records in the view and of one another, and the consents that
// were withdrawn, without recording any. Its memory is bounded: it passes over the rows as often as it takes to keep dryRunRows of them in mind.
func (i *RecordImport) countDuplicates(ctx context.Context, v *View) (duplicates, withdrawn uint64, err error) {
	passes := 1 + i.log.Entries/dryRunRows
	now, ahead := v.Clock()
	for pass := range passes {
		r := dryRun{view: v, now: now.Add(-ahead), seen: map[optOutKey]int64{}, consents: map[string]bool{}}
		for c, err := range i.log.Chunks() {
			if err != nil {
				return 0, 0, err
			}
			for n := range c.Rows {
				if uint64(c.Rows[n].Number)%passes == pass {
					r.take(&c.Rows[n])
				}
			}
			if err := errors.Join(r.failed, ctx.Err()); err != nil {
				return 0, 0, err
			}
		}
		duplicates += r.duplicates
		withdrawn += r.withdrawn
	}
	return duplicates, withdrawn, nil
}

const dryRunRows = 1 << 20

type dryRun struct {
	view       *View
	now        time.Time           // by the clock
	seen       map[optOutKey]int64 // the latest end of those; math.MaxInt64: they never end
	consents   map[string]bool     // those that came before, encoded
	duplicates uint64
	withdrawn  uint64 // consents
	failed     error
}

func (r *dryRun) take(row *RecordRow) {
	if row.Consent != nil {
		r.addConsent(row)
		return
	}
	r.add(&row.OptOut)
}

// optOutKey is what makes two objections the same; without a time, whatever its time.
type optOutKey struct {
	number   uint64
	scope    policy.Scope
	channel  policy.Channel
	received int64
}

func (r *dryRun) add(o *OptOut) {
	at := optOutKey{uint64(o.Number), o.Scope, o.Channel, state.Nano(o.ReceivedAt)}
	end := cmp.Or(state.Nano(o.ExpiresAt), math.MaxInt64)
	if r.seen[at] >= end || r.holds(o) {
		r.duplicates++
		return
	}
	whenever := optOutKey{at.number, at.scope, at.channel, 0}
	r.seen[at], r.seen[whenever] = end, max(r.seen[whenever], end)
}

// holds reports whether the view holds the objection, in force.
func (r *dryRun) holds(o *OptOut) bool {
	if !r.view.records.Test(uint64(o.Number)) {
		return false
	}
	set, err := r.view.recordSet(o.Number)
	if err != nil {
		r.failed = err
		return false
	}
	m := o.message()
	for _, held := range set.GetRecords() {
		if record := state.Record(held); record.InForce(r.now) && state.SameOptOut(held, m) {
			return true
		}
	}
	return false
}
