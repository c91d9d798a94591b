package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dncd/dncd/client"
)

const (
	baseScope   = "acme"  // what concerns the bases: it, and what is above and below
	otherScope  = "other" // what does not
	deskName    = "after-sales"
	ownNumbers  = 400              // of an objector
	longestTerm = 20 * time.Second // of an opt-out that ends
)

var objectorScopes = []string{baseScope, baseScope, baseScope, baseScope, baseScope, baseScope + "/telecom", baseScope + "/telecom", "", "", otherScope}

// objector is one worker that records and withdraws opt-outs. Its numbers are its own, so that it knows what came of them.
type objector struct {
	client  *client.Client
	rnd     *rand.Rand
	first   uint64   // of its numbers
	leaving []uint64 // numbers that a list will lack, to be opted out once each

	rows    rows // of opt-outs that are not withdrawn
	writes  objections
	settled []uint64 // of leaving, those that were opted out
}

// objections are counts of acknowledged writes.
type objections struct {
	optOuts, withdrawals uint64
	concerning           uint64      // changes that concern the bases
	optOutsConcerning    uint64      // opt-outs among them
	byDesk               uint64      // opt-outs that came in at the desk
	ends                 []time.Time // of opt-outs that end
	began                time.Time   // when the first that concerns the bases was recorded
}

func (o *objections) add(other objections) {
	o.optOuts += other.optOuts
	o.withdrawals += other.withdrawals
	o.concerning += other.concerning
	o.optOutsConcerning += other.optOutsConcerning
	o.byDesk += other.byDesk
	o.ends = append(o.ends, other.ends...)
	if o.began.IsZero() || !other.began.IsZero() && other.began.Before(o.began) {
		o.began = other.began
	}
}

func newObjector(c *client.Client, seed uint64, worker int, leaving []uint64) *objector {
	const room = 10_000
	return &objector{
		client: c, rnd: rand.New(rand.NewPCG(seed, uint64(worker))), first: 1415_2000000 + uint64(worker)*room, leaving: leaving, rows: rows{},
	}
}

// write makes one write.
func (o *objector) write(ctx context.Context) error {
	switch draw := o.rnd.IntN(10); {
	case draw == 0 && len(o.leaving) > 0:
		number := o.leaving[0]
		o.leaving = o.leaving[1:]
		if err := o.optOut(ctx, rowKey{number, baseScope, client.SourceOptOut}, time.Time{}); err != nil {
			return err
		}
		o.settled = append(o.settled, number)
		return nil
	case draw <= 3:
		if key, found := o.endless(); found {
			return o.withdraw(ctx, key)
		}
	case draw == 4:
		ends := time.Now().Add(time.Second + time.Duration(o.rnd.Int64N(int64(longestTerm)))).UTC()
		return o.optOut(ctx, o.draw(), ends)
	}
	return o.optOut(ctx, o.draw(), time.Time{})
}

func (o *objector) draw() rowKey {
	return rowKey{o.first + o.rnd.Uint64N(ownNumbers), objectorScopes[o.rnd.IntN(len(objectorScopes))], client.SourceOptOut}
}

// endless finds one of its own opt-outs that does not end.
func (o *objector) endless() (rowKey, bool) {
	for range 20 {
		key := o.draw()
		if until, found := o.rows[key]; found && until.IsZero() {
			return key, true
		}
	}
	return rowKey{}, false
}

func (o *objector) optOut(ctx context.Context, key rowKey, ends time.Time) error {
	request := client.OptOut{Number: fmt.Sprintf("+%d", key.number), Scope: key.scope, ExpiresAt: ends, Channel: client.ChannelCall}
	if o.rnd.IntN(2) == 0 {
		request.Desk, request.ReceivedAt = deskName, time.Now().Add(-time.Minute)
	}
	receipt, err := o.client.RecordOptOut(ctx, request)
	if err != nil {
		return err
	}
	if until, found := o.rows[key]; !found || !until.IsZero() && (ends.IsZero() || ends.After(until)) {
		o.rows[key] = ends
	}
	w := objections{optOuts: 1}
	if request.Desk != "" {
		w.byDesk = 1
	}
	if !ends.IsZero() {
		w.ends = []time.Time{ends}
	}
	if key.scope != otherScope {
		w.concerning, w.optOutsConcerning, w.began = 1, 1, receipt.RecordedAt
	}
	o.writes.add(w)
	return nil
}

func (o *objector) withdraw(ctx context.Context, key rowKey) error {
	_, err := o.client.WithdrawOptOut(ctx, client.Withdrawal{Number: fmt.Sprintf("+%d", key.number), Scope: key.scope, Reason: "measured"})
	if err != nil {
		return err
	}
	delete(o.rows, key)
	w := objections{withdrawals: 1}
	if key.scope != otherScope {
		w.concerning = 1
	}
	o.writes.add(w)
	return nil
}
