package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Kinds of work, each with room of its own, so that no kind takes the room of another: a file that is scrubbed never
// that of a dialer's single checks, and a load never that of checks. Health and stats need no room.
const (
	workUnary          = iota // CheckNumber
	workStream                // StreamChecks, by number
	workBatch                 // CheckNumbers, by number
	workRecords               // short calls about records and lists, reads and writes
	workOptOuts               // RecordOptOut and WithdrawOptOut
	workLoads                 // imports and exports, for as long as they last
	workWaits                 // calls that wait for a position
	workStreamWaits           // checks of streams that do
	workStreamMessages        // bytes of the messages that streams of checks answer, and of the answers
	workKinds
)

var workNames = [workKinds]string{
	"unary", "stream", "batch", "records", "opt_outs", "loads", "waits", "stream_waits", "stream_messages",
}

// admission holds the room for each kind of work.
type admission [workKinds]*limiter

// newAdmission makes the limiters. The room for checks follows how long they take: see limiter. Writes have a queue of
// the store behind their room, which commits them in groups, and a load is bounded by the disk: theirs is fixed. So is
// that of what waits, which is memory.
func newAdmission() *admission {
	const million = 1 << 20
	return &admission{
		workUnary:          newLimiter(64, 512),
		workStream:         newLimiter(64, million),
		workBatch:          newLimiter(1024, million),
		workRecords:        newFixed(4096),
		workOptOuts:        newFixed(4096),
		workLoads:          newFixed(32),
		workWaits:          newFixed(4096),
		workStreamWaits:    newFixed(65_536),
		workStreamMessages: newFixed(256 << 20),
	}
}

func newFixed(room int64) *limiter { return newLimiter(room, room) }

const (
	// targetDelay is how long even the quickest piece of work may take, beyond what its size explains, before the
	// server is taken to have a queue that does not go away.
	targetDelay = 20 * time.Millisecond
	// numberTime is what a number of a batch may take: a hundred times what it does on an idle processor, so that a large
	// batch on a busy one is not taken for a queue.
	numberTime = 100 * time.Microsecond

	window       = 100 * time.Millisecond
	windowPieces = 16              // a window with fewer lasts on,
	longWindow   = time.Second     // but not beyond this;
	voidWindow   = 5 * time.Second // and one as long as this tells of a pause in the work, or of the machine
)

// limiter bounds how much of one kind of work is under way. Nothing waits for room: what finds none is refused, which
// costs a caller less than an answer that comes too late.
//
// The room adapts to how long work takes. At the end of a window the quickest piece of work is looked at, as in CoDel:
// a pause of the machine delays some, a queue delays all. When even that one took longer than the target, the room
// becomes the rate of the window times the target, which by Little's law is what gets done in that time. Otherwise the
// room grows by a quarter. It never goes below the floor, so that slow disks are still read in parallel.
//
// enter and leave take a few atomic operations and two readings of the clock, and allocate nothing.
type limiter struct {
	floor, most int64 // units: numbers, or calls
	clock       func() time.Duration

	room    atomic.Int64 // units that may be under way
	under   atomic.Int64 // units under way
	refused atomic.Uint64

	ends  atomic.Int64  // when the window may end, by the clock
	least atomic.Int64  // the shortest delay of a piece in this window
	done  atomic.Uint64 // pieces << pieceShift + units of this window

	turning    sync.Mutex    // what follows changes at the end of a window
	began      time.Duration // by the clock
	underAtEnd int64         // under way when the last window ended
}

const (
	pieceShift = 40
	unitMask   = 1<<pieceShift - 1
	noDelay    = int64(1<<63 - 1) // nothing has ended in this window
)

// newLimiter makes a limiter whose room lies between floor and most, and is most at first.
func newLimiter(floor, most int64) *limiter {
	start := time.Now()
	l := &limiter{floor: floor, most: most, clock: func() time.Duration { return time.Since(start) }}
	l.room.Store(most)
	l.least.Store(noDelay)
	l.ends.Store(int64(window))
	return l
}

// ticket is work that was let in.
type ticket struct {
	from  *limiter
	whole *limiter // that from is a part of: the units are taken of both; nil: of none
	units int64
	began time.Duration
}

var errOverloaded = refuse(dncv1.ErrorReason_ERROR_REASON_OVERLOADED,
	"the server has as much of this work as it does in time: nothing was done; try again after a pause")

// enter lets a piece of work of so many units in when there is any room at all, else it returns errOverloaded.
func (l *limiter) enter(units int) (ticket, error) {
	t, ok := l.try(units)
	if !ok {
		l.refused.Add(1)
		return t, errOverloaded
	}
	return t, nil
}

// try is enter without a word about a refusal.
func (l *limiter) try(units int) (ticket, bool) {
	now := l.clock()
	n := int64(units)
	if l.under.Add(n)-n >= l.room.Load() && !l.spacious(n, now) {
		l.under.Add(-n)
		return ticket{}, false
	}
	return ticket{from: l, units: n, began: now}, true
}

// have takes so many units of a fixed room, if all of them are free; they are given back by give.
func (l *limiter) have(units int) bool {
	n := int64(units)
	if l.under.Add(n) <= l.most {
		return true
	}
	l.under.Add(-n)
	l.refused.Add(uint64(units))
	return false
}

// give gives units back that were had.
func (l *limiter) give(units int) { l.under.Add(-int64(units)) }

// spacious is the second look of a refusal: the window may be over, and with it the room too small.
func (l *limiter) spacious(units int64, now time.Duration) bool {
	if int64(now) < l.ends.Load() {
		return false
	}
	l.turn(now)
	return l.under.Load()-units < l.room.Load()
}

// enterSome lets in as many of the units as there is room for, which may be none; units() tells.
func (l *limiter) enterSome(units int) ticket {
	now := l.clock()
	if int64(now) >= l.ends.Load() {
		l.turn(now)
	}
	for {
		under := l.under.Load()
		n := min(int64(units), max(l.room.Load()-under, 0))
		if !l.under.CompareAndSwap(under, under+n) {
			continue
		}
		if rest := int64(units) - n; rest > 0 {
			l.refused.Add(uint64(rest))
		}
		return ticket{from: l, units: n, began: now}
	}
}

// leave gives the room back, once, when the work has ended.
func (t ticket) leave() {
	if t.units == 0 {
		return
	}
	if t.whole != nil {
		t.whole.give(int(t.units))
	}
	l := t.from
	l.under.Add(-t.units)
	l.done.Add(1<<pieceShift + uint64(t.units))
	now := l.clock()
	delay := int64(now - t.began - time.Duration(t.units)*numberTime)
	for least := l.least.Load(); delay < least && !l.least.CompareAndSwap(least, delay); {
		least = l.least.Load()
	}
	if int64(now) >= l.ends.Load() {
		l.turn(now)
	}
}

// turn ends the window, if it may end, and sets the room for the next.
func (l *limiter) turn(now time.Duration) {
	if l.floor == l.most || !l.turning.TryLock() {
		return
	}
	defer l.turning.Unlock()
	took := now - l.began
	pieces := l.done.Load() >> pieceShift
	if took < window || (pieces < windowPieces && took < longWindow) {
		return
	}
	l.room.Store(l.roomAfter(took))
	l.began, l.underAtEnd = now, l.under.Load()
	l.done.Store(0)
	l.least.Store(noDelay)
	l.ends.Store(int64(now + window))
}

// roomAfter is the room for the window that follows one that took so long.
func (l *limiter) roomAfter(took time.Duration) int64 {
	pieces, units := l.done.Load()>>pieceShift, l.done.Load()&unitMask
	stuck := pieces == 0 && l.underAtEnd > 0
	switch {
	case stuck:
		return l.floor
	case pieces == 0 || took >= voidWindow:
		return l.most
	case l.least.Load() <= int64(targetDelay):
		room := l.room.Load()
		return min(room+room/4, l.most)
	}
	target := targetDelay + time.Duration(units/pieces)*numberTime
	fits := float64(units) * target.Seconds() / took.Seconds()
	return min(max(int64(fits), l.floor), l.most)
}

// ofCall is the room that a unary call needs besides what it asks for itself; nil for checks, which do that once they
// have no revision to wait for, and for health and stats. No read takes the room of an opt-out.
func (a *admission) ofCall(service, method string) *limiter {
	switch {
	case method == "RecordOptOut", method == "WithdrawOptOut":
		return a[workOptOuts]
	case service == dncv1.RecordService_ServiceDesc.ServiceName, service == dncv1.ListService_ServiceDesc.ServiceName:
		return a[workRecords]
	}
	return nil
}

// What is told of each kind of work. Numbers count in the kinds stream and batch, calls in the others.
var (
	roomDesc  = prometheus.NewDesc("dncd_admission_room", "How much of this work may be under way concurrently.", []string{"work"}, nil)
	underDesc = prometheus.NewDesc("dncd_admission_under_way", "How much of this work is under way.", []string{"work"}, nil)
	overDesc  = prometheus.NewDesc("dncd_admission_refused_total", "How much of this work was refused as OVERLOADED.", []string{"work"}, nil)
)

// Describe implements prometheus.Collector.
func (a *admission) Describe(out chan<- *prometheus.Desc) {
	out <- roomDesc
	out <- underDesc
	out <- overDesc
}

// Collect implements prometheus.Collector.
func (a *admission) Collect(out chan<- prometheus.Metric) {
	for work, l := range a {
		name := workNames[work]
		out <- prometheus.MustNewConstMetric(roomDesc, prometheus.GaugeValue, float64(l.room.Load()), name)
		out <- prometheus.MustNewConstMetric(underDesc, prometheus.GaugeValue, float64(l.under.Load()), name)
		out <- prometheus.MustNewConstMetric(overDesc, prometheus.CounterValue, float64(l.refused.Load()), name)
	}
}
