package store

import (
	"cmp"
	"context"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ReportQuery asks for a report on the objections that were recorded in a period.
type ReportQuery struct {
	From time.Time // from this time on; zero: from the first
	To   time.Time // before this time; zero: to the last
}

// PropagationReport is what became of the objections of a period. It holds no number of a person.
type PropagationReport struct {
	Time        time.Time // ages are as of this time
	OptOuts     uint64
	Imported    uint64 // of OptOuts, rows of files
	Expired     uint64 // of OptOuts, those that have expired by now
	Withdrawals uint64 // recorded in the period, of whatever opt-outs
	Desks       []*ReportDesk
	Subscribers []*ReportSubscriber // those that were registered at any time of the period, by name
}

// ReportDesk is what came in at a desk, through a channel, as rows of files or one by one.
type ReportDesk struct {
	Desk     *Desk // nil: none that is registered
	Channel  policy.Channel
	Imported bool
	OptOuts  uint64
	Received Spread // from received to recorded; of those that say when they were received
}

// reportLine tells the lines about desks apart.
type reportLine struct {
	desk     policy.EventID
	channel  policy.Channel
	imported bool
}

// Propagation reads the revisions of a period once. It keeps counts and no number, so its memory does not grow with the period.
// Acknowledgements count whenever they came, also after the period. Errors: ErrDamaged, and the context's.
func (v *View) Propagation(ctx context.Context, q ReportQuery, progress func(read, total uint64)) (_ *PropagationReport, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if err := v.whole(); err != nil {
		return nil, err
	}
	first, last, err := v.revisionsOf(q)
	if err != nil {
		return nil, err
	}
	p, err := v.newReportPass()
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.loadSubscribers(first - 1); err != nil {
		return nil, err
	}
	for e, err := range journal.Entries(p.txn, first) {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		if e.Revision > last {
			break
		}
		if err := p.take(e); err != nil {
			return nil, err
		}
		progress(e.Revision-first+1, last-first+1)
	}
	r, err := p.finish()
	return r, cmp.Or(err, v.complete())
}

// revisionsOf are the first and the last revision of a period; the last is before the first if there is none.
func (v *View) revisionsOf(q ReportQuery) (first, last uint64, err error) {
	first, last = 1, v.revision
	if !q.From.IsZero() {
		before, err := v.s.RevisionAt(q.From.Add(-1))
		if err != nil {
			return 0, 0, err
		}
		first = before + 1
	}
	if !q.To.IsZero() {
		upTo, err := v.s.RevisionAt(q.To.Add(-1))
		if err != nil {
			return 0, 0, err
		}
		last = min(upTo, v.revision)
	}
	return first, last, nil
}

// reportPass is a report in the making.
type reportPass struct {
	v        *View
	now      time.Time
	txn      *badger.Txn
	acks     *badger.Iterator // over all acknowledgements
	report   PropagationReport
	lines    map[reportLine]*ReportDesk
	all      map[policy.EventID]*Subscriber // as they are now
	reported map[policy.EventID]*ReportSubscriber
	active   []activeSubscriber // at the revision that is read

	at     time.Time               // of that revision
	single map[policy.Scope]uint64 // its objections
	rows   map[policy.Scope]uint64 // the same, of rows of files
}

func (v *View) newReportPass() (*reportPass, error) {
	subs, err := v.AllSubscribers()
	if err != nil {
		return nil, err
	}
	p := &reportPass{
		v: v, now: v.Now(), txn: v.s.db.NewTransactionAt(v.revision, false),
		lines: map[reportLine]*ReportDesk{}, all: map[policy.EventID]*Subscriber{}, reported: map[policy.EventID]*ReportSubscriber{},
		single: map[policy.Scope]uint64{}, rows: map[policy.Scope]uint64{},
	}
	for _, sub := range subs {
		p.all[sub.ID] = sub
	}
	p.report.Time = p.now
	p.acks = p.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindAck}})
	return p, nil
}

func (p *reportPass) close() {
	p.acks.Close()
	p.txn.Discard()
}

// take counts a revision.
func (p *reportPass) take(entry journal.Entry) error {
	rev, err := entry.Decode()
	if err != nil {
		return err
	}
	p.at = state.Time(rev.GetTime())
	clear(p.single)
	clear(p.rows)
	registered := false
	for _, e := range rev.GetEvents() {
		switch c := e.GetChange().(type) {
		case *storev1.Event_OptOut:
			if c.OptOut.GetRespelled() == nil {
				p.optOut(c.OptOut)
			}
		case *storev1.Event_OptOutWithdrawn:
			if c.OptOutWithdrawn.GetRespelled() == 0 {
				p.report.Withdrawals++
			}
		case *storev1.Event_SubscriberPut, *storev1.Event_SubscriberRemoved:
			registered = true
		}
	}
	if registered {
		if err := p.loadSubscribers(entry.Revision); err != nil {
			return err
		}
	}
	return p.deliver(entry.Revision)
}

// optOut counts an objection at its desk. Only those of files are unique.
func (p *reportPass) optOut(o *storev1.OptOut) {
	at := reportLine{state.RefID(o.GetDesk()), policy.Channel(o.GetChannel()), o.GetUnique()}
	line := p.lines[at]
	if line == nil {
		line = &ReportDesk{Channel: at.channel, Imported: at.imported}
		p.lines[at] = line
	}
	line.OptOuts++
	if o.GetReceivedAt() != 0 {
		line.Received.add(p.at.Sub(state.Time(o.GetReceivedAt())), 1)
	}
	p.report.OptOuts++
	if o.GetExpiresAt() != 0 && !state.Time(o.GetExpiresAt()).After(p.now) {
		p.report.Expired++
	}
	if scope := policy.Scope(o.GetScope()); at.imported {
		p.report.Imported++
		p.rows[scope]++
	} else {
		p.single[scope]++
	}
}

// finish names the desks as they are now, and puts the lines in order.
func (p *reportPass) finish() (*PropagationReport, error) {
	desks, err := p.v.AllDesks()
	if err != nil {
		return nil, err
	}
	named := make(map[policy.EventID]*Desk, len(desks))
	for _, d := range desks {
		named[d.ID] = d
	}
	for at, line := range p.lines {
		line.Desk = named[at.desk]
		p.report.Desks = append(p.report.Desks, line)
	}
	slices.SortFunc(p.report.Desks, (*ReportDesk).compare)
	p.report.Subscribers = slices.SortedFunc(maps.Values(p.reported), func(a, b *ReportSubscriber) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), compareIDs(a.ID, b.ID))
	})
	return &p.report, nil
}

// compare orders lines by the number of objections, the most first, and then by what they are about.
func (d *ReportDesk) compare(o *ReportDesk) int {
	id := func(d *ReportDesk) policy.EventID {
		if d.Desk == nil {
			return policy.EventID{}
		}
		return d.Desk.ID
	}
	kind := func(d *ReportDesk) int {
		if d.Imported {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(o.OptOuts, d.OptOuts), compareIDs(id(d), id(o)), cmp.Compare(d.Channel, o.Channel), cmp.Compare(kind(d), kind(o)))
}
