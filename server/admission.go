package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Kinds of work. Each has room of its own, so that no kind takes the room of another: scrubbing a file never delays a
// dialer's single checks, and an import never delays checks. Health and GetStats need no room.
const (
	workUnary          = iota // CheckNumber
	workStream                // StreamChecks, in numbers
	workBatch                 // CheckNumbers, in numbers
	workRecords               // short calls about records and lists, reads and writes
	workOptOuts               // RecordOptOut, WithdrawOptOut and WithdrawConsent
	workLoads                 // imports and exports, while they last
	workWatches               // streams of changes, while they last
	workWaits                 // calls that wait for a position
	workStreamWaits           // checks of streams that wait for a position
	workStreamMessages        // bytes of messages of check streams, and of their answers
	workBatchAnswers          // bytes of answers to CheckNumbers that gRPC keeps until their clients read them
	workKinds
)

var workNames = [workKinds]string{
	"unary", "stream", "batch", "records", "opt_outs", "loads", "watches", "waits", "stream_waits", "stream_messages", "batch_answers",
}

// admission holds the limiter of each kind of work.
type admission [workKinds]*limiter

// newAdmission makes the limiters. The room for checks adapts to how long they take: see limiter. The other rooms are
// fixed. Writes have the store's queue behind their room, which commits them in groups; the disk bounds imports; what
// waits costs memory only.
func newAdmission() *admission {
	const million = 1 << 20
	return &admission{
		workUnary:          newLimiter(64, 512),
		workStream:         newLimiter(64, million),
		workBatch:          newLimiter(1024, million),
		workRecords:        newFixed(4096),
		workOptOuts:        newFixed(4096),
		workLoads:          newFixed(32),
		workWatches:        newFixed(10_000),
		workWaits:          newFixed(4096),
		workStreamWaits:    newFixed(65_536),
		workStreamMessages: newFixed(256 << 20),
		workBatchAnswers:   newFixed(256 << 20),
	}
}

func newFixed(room int64) *limiter { return newLimiter(room, room) }

const (
	// targetDelay is how long the quickest piece of work may take, beyond what its size explains. When even that one
	// takes longer, the server has a queue that does not drain.
	targetDelay = 20 * time.Millisecond
	// numberTime is the allowance for each number of a batch. It is a hundred times what a number takes on an idle
	// processor, so that a large batch on a busy processor does not look like a queue.
	numberTime = 100 * time.Microsecond

	window       = 100 * time.Millisecond
	windowPieces = 16              // a window with fewer pieces is extended
	longWindow   = time.Second     // up to this length
	voidWindow   = 5 * time.Second // a window of this length means that the work, or the machine, paused
)

// limiter bounds how much of one kind of work is in flight. Nothing waits for room: work that finds none is refused,
// which costs a caller less than an answer that comes too late.
//
// The room adapts to how long work takes. At the end of each window the limiter takes the delay of the quickest piece
// of work, as CoDel does: a pause of the machine delays some pieces, a queue delays all. When even the quickest took
// longer than the target, the room becomes the rate of the window times the target; by Little's law that much gets done
// within the target. Otherwise the room grows by a quarter. It never falls below the floor, so that slow disks are
// still read in parallel.
//
// enter and leave take a few atomic operations and two readings of the clock, and do not allocate.
type limiter struct {
	floor, ceiling int64 // in units: numbers, or calls
	clock          func() time.Duration

	room     atomic.Int64 // units that may be in flight
	inFlight atomic.Int64 // units in flight
	refused  atomic.Uint64

	ends  atomic.Int64  // the earliest end of the window, by the clock
	least atomic.Int64  // the shortest delay of a piece in this window
	done  atomic.Uint64 // pieces << pieceShift + units of this window

	rolling       sync.Mutex    // guards the fields below, which change at the end of a window
	began         time.Duration // start of the window, by the clock
	inFlightAtEnd int64         // units in flight when the last window ended
}

const (
	pieceShift = 40
	unitMask   = 1<<pieceShift - 1
	noDelay    = int64(1<<63 - 1) // no piece has ended in this window
)

// newLimiter makes a limiter whose room stays between floor and ceiling, and starts at ceiling.
func newLimiter(floor, ceiling int64) *limiter {
	start := time.Now()
	l := &limiter{floor: floor, ceiling: ceiling, clock: func() time.Duration { return time.Since(start) }}
	l.room.Store(ceiling)
	l.least.Store(noDelay)
	l.ends.Store(int64(window))
	return l
}

// ticket is work that was admitted.
type ticket struct {
	from  *limiter
	whole *limiter // the limiter that from is a part of; the units are taken from both; nil: none
	units int64
	began time.Duration
}

var errOverloaded = refuse(dncv1.ErrorReason_ERROR_REASON_OVERLOADED,
	"the server has as much of this work as it does in time: nothing was done; try again after a pause")

// enter admits a piece of work of that many units when any room is free. Otherwise it returns errOverloaded.
func (l *limiter) enter(units int) (ticket, error) {
	t, ok := l.try(units)
	if !ok {
		l.refused.Add(1)
		return t, errOverloaded
	}
	return t, nil
}

// try is enter without counting a refusal.
func (l *limiter) try(units int) (ticket, bool) {
	now := l.clock()
	n := int64(units)
	if l.inFlight.Add(n)-n >= l.room.Load() && !l.hasRoom(n, now) {
		l.inFlight.Add(-n)
		return ticket{}, false
	}
	return ticket{from: l, units: n, began: now}, true
}

// have takes that many units of a fixed room, if all of them are free. The caller returns them with give.
func (l *limiter) have(units int) bool {
	n := int64(units)
	if l.inFlight.Add(n) <= l.ceiling {
		return true
	}
	l.inFlight.Add(-n)
	l.refused.Add(uint64(units))
	return false
}

// give returns units that have took.
func (l *limiter) give(units int) { l.inFlight.Add(-int64(units)) }

// hasRoom looks again before a refusal: the window may have ended, and the room may then be larger.
func (l *limiter) hasRoom(units int64, now time.Duration) bool {
	if int64(now) < l.ends.Load() {
		return false
	}
	l.rollWindow(now)
	return l.inFlight.Load()-units < l.room.Load()
}

// enterSome admits as many of the units as have room, possibly none: see ticket.units.
func (l *limiter) enterSome(units int) ticket {
	now := l.clock()
	if int64(now) >= l.ends.Load() {
		l.rollWindow(now)
	}
	for {
		used := l.inFlight.Load()
		n := min(int64(units), max(l.room.Load()-used, 0))
		if !l.inFlight.CompareAndSwap(used, used+n) {
			continue
		}
		if rest := int64(units) - n; rest > 0 {
			l.refused.Add(uint64(rest))
		}
		return ticket{from: l, units: n, began: now}
	}
}

// leave returns the room when the work has ended. It is called once.
func (t ticket) leave() {
	if t.units == 0 {
		return
	}
	if t.whole != nil {
		t.whole.give(int(t.units))
	}
	l := t.from
	l.inFlight.Add(-t.units)
	l.done.Add(1<<pieceShift + uint64(t.units))
	now := l.clock()
	delay := int64(now - t.began - time.Duration(t.units)*numberTime)
	for least := l.least.Load(); delay < least && !l.least.CompareAndSwap(least, delay); {
		least = l.least.Load()
	}
	if int64(now) >= l.ends.Load() {
		l.rollWindow(now)
	}
}

// rollWindow ends the window, if it is due, and sets the room for the next one.
func (l *limiter) rollWindow(now time.Duration) {
	if l.floor == l.ceiling || !l.rolling.TryLock() {
		return
	}
	defer l.rolling.Unlock()
	took := now - l.began
	pieces := l.done.Load() >> pieceShift
	if took < window || (pieces < windowPieces && took < longWindow) {
		return
	}
	l.room.Store(l.roomAfter(took))
	l.began, l.inFlightAtEnd = now, l.inFlight.Load()
	l.done.Store(0)
	l.least.Store(noDelay)
	l.ends.Store(int64(now + window))
}

// roomAfter returns the room for the next window, after one of that length.
func (l *limiter) roomAfter(took time.Duration) int64 {
	pieces, units := l.done.Load()>>pieceShift, l.done.Load()&unitMask
	stuck := pieces == 0 && l.inFlightAtEnd > 0
	switch {
	case stuck:
		return l.floor
	case pieces == 0 || took >= voidWindow:
		return l.ceiling
	case l.least.Load() <= int64(targetDelay):
		room := l.room.Load()
		return min(room+room/4, l.ceiling)
	}
	target := targetDelay + time.Duration(units/pieces)*numberTime
	fits := float64(units) * target.Seconds() / took.Seconds()
	return min(max(int64(fits), l.floor), l.ceiling)
}

// ofCall returns the room that the wrapper takes for a unary call. It is nil for checks, which take theirs after they
// have waited for their position, and for health and stats. No read takes the room of opt-outs.
func (a *admission) ofCall(service, method string) *limiter {
	switch {
	case method == "RecordOptOut", method == "WithdrawOptOut", method == "WithdrawConsent":
		return a[workOptOuts]
	case service == dncv1.RecordService_ServiceDesc.ServiceName, service == dncv1.ListService_ServiceDesc.ServiceName,
		service == dncv1.PropagationService_ServiceDesc.ServiceName:
		return a[workRecords]
	}
	return nil
}

// Metrics of each kind of work. The kinds stream and batch count numbers, the others calls.
var (
	roomDesc     = prometheus.NewDesc("dncd_admission_room", "How much of this work may be under way concurrently.", []string{"work"}, nil)
	inFlightDesc = prometheus.NewDesc("dncd_admission_under_way", "How much of this work is under way.", []string{"work"}, nil)
	overDesc     = prometheus.NewDesc("dncd_admission_refused_total", "How much of this work was refused as OVERLOADED.", []string{"work"}, nil)
)

// Describe implements prometheus.Collector.
func (a *admission) Describe(out chan<- *prometheus.Desc) {
	out <- roomDesc
	out <- inFlightDesc
	out <- overDesc
}

// Collect implements prometheus.Collector.
func (a *admission) Collect(out chan<- prometheus.Metric) {
	for work, l := range a {
		name := workNames[work]
		out <- prometheus.MustNewConstMetric(roomDesc, prometheus.GaugeValue, float64(l.room.Load()), name)
		out <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(l.inFlight.Load()), name)
		out <- prometheus.MustNewConstMetric(overDesc, prometheus.CounterValue, float64(l.refused.Load()), name)
	}
}
