package server

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type checkStream = grpc.BidiStreamingServer[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]

// StreamChecks implements dncv1.CheckServiceServer.
func (s *checkService) StreamChecks(stream checkStream) error {
	aged := make(chan struct{})
	age := time.AfterFunc(jittered(s.connectionAge), func() { close(aged) })
	defer age.Stop()
	c := checkSession{s: s, session: sessionOf(stream.Context()), caller: callerOf(stream.Context()), answers: answerWriter{s: s, stream: stream}}
	c.session.gate = c.gate
	c.frames = receive(stream, dncv1.StreamChecksRequestFromVTPool)
	c.expiry = time.NewTimer(maxWait)
	defer c.expiry.Stop()
	defer c.answers.leave() // also when a message was answered in part
	defer func() { c.s.admit[workStreamWaits].give(len(c.waiting)) }()
	return c.run(aged)
}

// jittered varies d by up to a tenth, so that streams opened together do not all end together.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// checkSession is one stream of checks. It answers frames one after the other, each from one view. A check whose
// revision has not been reached is set aside. While the client does not read answers, the stream takes no more checks,
// and what it has read of them is bounded.
type checkSession struct {
	s       *checkService
	session *session
	caller  *access.Grant
	frames  <-chan frame[dncv1.StreamChecksRequest] // nil: the client has sent all
	answers answerWriter
	waiting waitingChecks
	next    time.Time   // when the first of them may expire; zero: not known
	expiry  *time.Timer // fires at next
}

// question is a check that has been read.
type question struct {
	id     uint64
	number phone.Number
	asked
	text bool // the number came as a string, so its answer says how it was read
}

// waitingCheck is a check whose revision has not been reached.
type waitingCheck struct {
	question
	revision uint64
	journal  string // of the revision; empty: any
	tag      string // of the revision; empty: any
	until    time.Time
}

// verify refuses a position of another journal or history than that of v, which has reached it.
func (w *waitingCheck) verify(v *store.View) error {
	if w.journal != "" && w.journal != v.JournalID() {
		return journalChanged(v)
	}
	return verifyTag(v, w.revision, []byte(w.tag))
}

// waitingChecks is a heap. The first check waits for the lowest revision.
type waitingChecks []waitingCheck

func (w waitingChecks) Len() int           { return len(w) }
func (w waitingChecks) Less(i, j int) bool { return w[i].revision < w[j].revision }
func (w waitingChecks) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push implements heap.Interface.
func (w *waitingChecks) Push(x any) { *w = append(*w, x.(waitingCheck)) }

// Pop implements heap.Interface.
func (w *waitingChecks) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// Limits of waiting checks.
const (
	maxWaiting  = 10_000
	maxWait     = time.Minute
	expiryEvery = 5 * time.Millisecond // checks that expire close to each other are answered together
)

func (c *checkSession) run(aged <-chan struct{}) error {
	for {
		newer, err := c.reached()
		if err != nil {
			return err
		}
		if c.frames == nil && len(c.waiting) == 0 {
			return nil
		}
		select {
		case f := <-c.frames:
			err = c.take(f)
		case <-newer:
		case <-c.expiring():
			err = c.expire()
		case <-aged:
			return c.end()
		case <-c.s.draining:
			return c.end()
		case <-c.answers.stream.Context().Done():
			return c.answers.stream.Context().Err()
		}
		if err != nil {
			return err
		}
	}
}

func (c *checkSession) take(f frame[dncv1.StreamChecksRequest]) error {
	if errors.Is(f.err, io.EOF) {
		c.frames = nil
		return nil
	}
	if f.err != nil {
		return f.err
	}
	if err := withinLimits(f.req); err != nil {
		return err
	}
	if err := c.answer(f.req); err != nil {
		return err
	}
	recycle(f.req)
	c.session.drop()
	return nil
}

// readAhead is the room for messages of a stream that are read before an earlier one is answered: a few hundred checks.
const readAhead = 512 << 10

// gate lets a message of that size be read when the server has room for it, and earlier messages are answered or small.
func (c *checkSession) gate(size int) error {
	if size > maxCheckBytes {
		return tooManyChecks("actual_bytes", size)
	}
	units := messageRoom(size)
	if err := c.session.fits(units, readAhead); err != nil {
		return err
	}
	room, err := c.session.take(units)
	if err == nil {
		c.session.hold(room)
	}
	return err
}

// messageRoom is an upper bound of the memory for a message of that size and its answers. The smallest check takes two
// bytes.
func messageRoom(size int) int {
	const checkRoom, answerRoom = 160, 320
	count := min(size/2, maxChecks)
	return 2*size + count*checkRoom + min(count*answerRoom, 4*maxAnswerBytes)
}

// keptChecks is how many checks a reused message keeps memory for.
const keptChecks = 1024

// recycle returns a message to its pool. Only its texts are still in use.
func recycle(req *dncv1.StreamChecksRequest) {
	if cap(req.Checks) <= keptChecks {
		req.ReturnToVTPool()
	}
}

// withinLimits refuses a message with too many checks.
func withinLimits(req *dncv1.StreamChecksRequest) error {
	if n := len(req.GetChecks()); n > maxChecks {
		return tooManyChecks("actual", n)
	}
	return nil
}

func tooManyChecks(key string, actual int) error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE,
		fmt.Sprintf("at most %d checks and %d KiB in one message: send several", maxChecks, maxCheckBytes>>10),
		"limit", fmt.Sprint(maxChecks), key, fmt.Sprint(actual))
}

// answer answers a message from the newest view, and sets aside the checks that wait for a later one.
func (c *checkSession) answer(req *dncv1.StreamChecksRequest) error {
	v := c.s.store.View()
	c.answers.begin(v, len(req.GetChecks()))
	if len(req.GetChecks()) == 0 { // gets an empty answer
		if err := c.answers.send(); err != nil {
			return err
		}
	}
	var past []pastCheck
	for _, check := range req.GetChecks() {
		q, at, err := c.read(check, v)
		switch {
		case err != nil:
		case check.GetReadAt().GetPast() != nil:
			past = append(past, pastCheck{q, check.GetReadAt().GetPast()})
			continue
		case at.GetRevision() <= v.Revision():
			err = verifyTag(v, at.GetRevision(), at.GetTag())
		default:
			if err = c.wait(q, at, check.GetTimeout()); err == nil {
				continue
			}
		}
		if err := c.answers.add(q, err); err != nil {
			return err
		}
	}
	if err := c.answers.finish(); err != nil {
		return err
	}
	return c.answerPast(past)
}

// pastCheck is a check of a moment in the past.
type pastCheck struct {
	question
	past *dncv1.Past
}

// answerPast answers checks of the past, each in a message of its own.
func (c *checkSession) answerPast(checks []pastCheck) error {
	for _, check := range checks {
		v, err := c.s.pastView(check.past)
		if err != nil {
			v = c.s.store.View()
		}
		c.answers.begin(v, 1)
		c.answers.message.TablesDifference = tablesDifference(check.past)
		if err := c.answers.add(check.question, err); err != nil {
			return err
		}
		if err := c.answers.finish(); err != nil {
			return err
		}
	}
	return nil
}

// read reads a check and the position that it waits for; nil: none. The id is set even with an error.
func (c *checkSession) read(check *dncv1.StreamCheck, v *store.View) (q question, at *dncv1.Position, err error) {
	q.id = check.GetId()
	if at, err = atLeast(check.GetReadAt()); err != nil {
		return q, nil, err
	}
	if !isOfJournal(v, at) {
		return q, nil, journalChanged(v)
	}
	if err := q.read(check); err != nil {
		return q, nil, err
	}
	return q, at, within(c.caller, q.scope)
}

// read reads the number and what is asked about it.
func (q *question) read(check *dncv1.StreamCheck) error {
	region, err := parseRegion(check.GetRegion())
	if err != nil {
		return err
	}
	if digits, ok := check.GetSubject().(*dncv1.StreamCheck_E164); ok {
		q.number, err = phone.FromDigits(digits.E164)
	} else {
		q.text = true
		q.number, err = parseNumber(check.GetNumber(), region)
	}
	if err != nil {
		return err
	}
	if q.scope, err = policy.ParseScope(check.GetScope()); err != nil {
		return err
	}
	if q.purpose, err = purposeOf(check.GetPurpose()); err != nil {
		return err
	}
	q.explain = check.GetExplain()
	q.place, err = placeOf(check.GetPlace())
	return err
}

// wait sets a check aside until its revision is reached or its time is over.
func (c *checkSession) wait(q question, p *dncv1.Position, timeout *durationpb.Duration) error {
	if len(c.waiting) >= maxWaiting || !c.s.admit[workStreamWaits].have(1) {
		return refuse(dncv1.ErrorReason_ERROR_REASON_QUEUE_FULL,
			"too many checks wait for a position: try again after a pause")
	}
	w := waitingCheck{
		question: q,
		revision: p.GetRevision(),
		journal:  p.GetJournalId(),
		tag:      string(p.GetTag()), // the message is used again
		until:    time.Now().Add(waitOf(timeout)),
	}
	heap.Push(&c.waiting, w)
	if c.next.IsZero() || w.until.Before(c.next) {
		c.expireAt(w.until)
	}
	return nil
}

func waitOf(timeout *durationpb.Duration) time.Duration {
	if timeout == nil {
		return defaultWait
	}
	return min(timeout.AsDuration(), maxWait)
}

// reached answers the checks whose revision is reached. It returns a channel that closes at the next revision; nil when
// no check waits.
func (c *checkSession) reached() (<-chan struct{}, error) {
	for len(c.waiting) > 0 {
		v := c.s.store.View()
		if c.waiting[0].revision > v.Revision() {
			return v.Next(), nil
		}
		if err := c.answerWaiting(v); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// answerWaiting answers from v the checks that waited for it.
func (c *checkSession) answerWaiting(v *store.View) error {
	var due []waitingCheck
	for len(c.waiting) > 0 && c.waiting[0].revision <= v.Revision() {
		due = append(due, heap.Pop(&c.waiting).(waitingCheck))
	}
	c.s.admit[workStreamWaits].give(len(due))
	c.answers.begin(v, len(due))
	for i := range due {
		err := due[i].verify(v)
		if err := c.answers.add(due[i].question, err); err != nil {
			return err
		}
	}
	return c.answers.finish()
}

func (c *checkSession) expireAt(t time.Time) {
	c.next = t
	c.expiry.Reset(time.Until(t))
}

// expiring fires when a check may have expired; it is nil while none waits.
func (c *checkSession) expiring() <-chan time.Time {
	if len(c.waiting) == 0 {
		return nil
	}
	return c.expiry.C
}

// expire answers the checks whose time is over.
func (c *checkSession) expire() error {
	now := time.Now()
	err := c.giveUp(c.s.notReached(context.DeadlineExceeded), func(w *waitingCheck) bool { return !now.Before(w.until) })
	c.next = time.Time{}
	for i := range c.waiting {
		if until := c.waiting[i].until; c.next.IsZero() || until.Before(c.next) {
			c.next = until
		}
	}
	if !c.next.IsZero() {
		c.expireAt(later(c.next, now.Add(expiryEvery)))
	}
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// giveUp answers why to the waiting checks that are over.
func (c *checkSession) giveUp(why error, over func(*waitingCheck) bool) error {
	c.answers.begin(c.s.store.View(), 0)
	kept := c.waiting[:0]
	for i := range c.waiting {
		if !over(&c.waiting[i]) {
			kept = append(kept, c.waiting[i])
			continue
		}
		if err := c.answers.add(c.waiting[i].question, why); err != nil {
			return err
		}
	}
	c.s.admit[workStreamWaits].give(len(c.waiting) - len(kept))
	clear(c.waiting[len(kept):])
	c.waiting = kept
	heap.Init(&c.waiting)
	return c.answers.finish()
}

// How long an ending stream reads what has arrived already: until nothing came for lastQuiet, and at most lastReads.
const (
	lastQuiet = 20 * time.Millisecond
	lastReads = 500 * time.Millisecond
)

// end answers all checks that were received, and ends the stream without an error: the client opens another one.
func (c *checkSession) end() error {
	last := time.After(lastReads)
	for quiet := false; !quiet && c.frames != nil; {
		select {
		case f := <-c.frames:
			if err := c.take(f); err != nil {
				return err
			}
		case <-time.After(lastQuiet):
			quiet = true
		case <-last:
			quiet = true
		}
	}
	if _, err := c.reached(); err != nil {
		return err
	}
	return c.giveUp(store.ErrClosed, func(*waitingCheck) bool { return true })
}
