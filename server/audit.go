package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type auditService struct {
	dncv1.UnimplementedAuditServiceServer
	service
}

type auditStream = grpc.BidiStreamingServer[dncv1.AuditCallsRequest, dncv1.AuditCallsResponse]

const auditMethod = "AuditService/AuditCalls"

// AuditCalls implements dncv1.AuditServiceServer.
func (s *auditService) AuditCalls(stream auditStream) error {
	a := &auditSession{s: s, stream: stream, caller: callerOf(stream.Context()), frames: receive(stream, fresh[dncv1.AuditCallsRequest])}
	var err error
	nice.Do(func() { err = a.run() }) // checks take precedence
	return err
}

// auditSession is one stream of calls. It holds one message of them at a time.
type auditSession struct {
	s      *auditService
	stream auditStream
	caller *access.Grant
	frames <-chan frame[dncv1.AuditCallsRequest]

	begun bool
	sub   *store.Subscriber // whose calls they are; nil: not said
	calls []madeCall
	facts policy.Facts // of a call
	later policy.Facts // of its number in the newest view

	newest  *store.View // of the message
	reasons sharedReasons
}

// madeCall is a call that was made.
type madeCall struct {
	asked
	number phone.Number
	time   time.Time
	index  int   // in the message
	err    error // why it cannot be answered
}

func (a *auditSession) run() error {
	stream := a.stream.Context()
	ctx, cancel := a.s.untilStopping(stream)
	defer cancel()
	for {
		req, err := nextFrame(stream, a.frames, a.s.draining)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = a.begin(stream, req)
		}
		if err != nil {
			return err
		}
		resp, err := a.answer(ctx, req.GetCalls())
		if err != nil {
			return unlessStopping(ctx, stream, err)
		}
		if err := a.stream.Send(resp); err != nil {
			return err
		}
	}
}

// begin reads what only the first message says, before any call is looked at.
func (a *auditSession) begin(ctx context.Context, req *dncv1.AuditCallsRequest) error {
	name := req.GetSubscriber()
	if a.begun {
		if name != "" {
			return invalidField("subscriber", "belongs in the first message")
		}
		return nil
	}
	a.begun = true
	if name != "" {
		a.sub = a.s.store.View().Subscribers().Named(name)
		if a.sub == nil || !seesFilter(a.caller, a.sub.Filter) {
			return aboutSubscriber(name, store.ErrSubscriberNotFound)
		}
	}
	return a.s.noteAccess(ctx, auditMethod, accessed{})
}

// answer answers a message of calls, in order of time.
func (a *auditSession) answer(ctx context.Context, calls []*dncv1.AuditedCall) (*dncv1.AuditCallsResponse, error) {
	a.read(calls)
	a.newest = a.s.store.View()
	now, _ := a.newest.Clock()
	resp := &dncv1.AuditCallsResponse{Position: positionOf(a.newest), Answers: make([]*dncv1.CallAnswer, len(calls))}
	a.reasons = sharedReasons{}
	var span store.Span
	for i := range a.calls {
		c := &a.calls[i]
		if c.err == nil && c.time.After(now) {
			c.err = store.ErrFutureRevision
		}
		if c.err == nil && !span.Holds(c.time) {
			err := ctx.Err()
			if err == nil {
				span, err = a.s.store.SpanAt(c.time, span)
			}
			if err != nil {
				return nil, err
			}
		}
		m, err := a.one(c, &span)
		if err != nil {
			return nil, err
		}
		resp.Answers[c.index] = m
	}
	resp.Reasons = a.reasons.list
	return resp, nil
}

// read reads the calls of a message, and orders them by time.
func (a *auditSession) read(calls []*dncv1.AuditedCall) {
	a.calls = slices.Grow(a.calls[:0], len(calls))[:len(calls)]
	for i, m := range calls {
		c := &a.calls[i]
		*c = madeCall{index: i}
		c.err = a.readCall(c, m)
	}
	slices.SortFunc(a.calls, func(a, b madeCall) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.index, b.index)) })
}

func (a *auditSession) readCall(c *madeCall, m *dncv1.AuditedCall) (err error) {
	if c.number, err = phone.FromDigits(m.GetE164()); err != nil {
		return err
	}
	if m.GetTime() == nil {
		return invalidField("time", "is missing: when the call began")
	}
	if c.time, err = timeOf("time", m.GetTime()); err != nil {
		return err
	}
	if c.scope, err = scopeOf(m.GetScope()); err != nil {
		return err
	}
	if c.purpose, err = purposeOf(m.GetPurpose()); err != nil {
		return err
	}
	if c.place, err = placeOf(m.GetPlace()); err != nil {
		return err
	}
	return within(a.caller, c.scope)
}

// one answers a call from its span.
func (a *auditSession) one(c *madeCall, span *store.Span) (*dncv1.CallAnswer, error) {
	var v *store.View
	err := c.err
	if err == nil {
		v, err = span.At(c.time)
	}
	if err != nil {
		return &dncv1.CallAnswer{Error: itemError(err)}, nil
	}
	d := decide(v, c.number, &c.asked, &a.facts, instantOf(v))
	m := &dncv1.CallAnswer{
		Verdict: verdictOf(d.Verdict), Cause: causeOf(d.Cause), Revision: v.Revision(), ReasonIndexes: a.reasons.indexes(&d),
	}
	met, isMet := earliest(&d, 0, func(r *policy.Record) time.Time { return r.RecordedAt })
	if !isMet {
		if met, isMet, err = a.recordedLater(c, v); err != nil {
			return nil, err
		}
	}
	if isMet {
		m.OptOut, err = a.optOut(c.number, &met)
	}
	return m, err
}

// earliest is the earliest by a time of the opt-outs that decided and were recorded after a revision.
func earliest(d *policy.Decision, after uint64, when func(*policy.Record) time.Time) (first policy.Record, found bool) {
	for i := range d.Reasons {
		r := &d.Reasons[i]
		isOptOut := r.Kind == policy.OptedOut && r.Record != nil && r.Record.ID.Revision > after
		if isOptOut && (!found || when(r.Record).Before(when(&first))) {
			first, found = *r.Record, true
		}
	}
	return first, found
}

// recordedLater is the first opt-out that had been received when a call was made, that was recorded only after it, and that would
// have decided. The facts are those of the call, whose view this is.
func (a *auditSession) recordedLater(c *madeCall, v *store.View) (first policy.Record, found bool, err error) {
	a.later.Reset()
	a.newest.LookupRecords(c.number, &a.later)
	if a.later.Damaged {
		return first, false, store.ErrDamaged
	}
	known := len(a.facts.Records)
	for _, r := range a.later.Records {
		if r.Kind == policy.RecordOptOut && r.ID.Revision > v.Revision() && !r.ReceivedAt.After(c.time) {
			a.facts.Records = append(a.facts.Records, r)
		}
	}
	if len(a.facts.Records) == known {
		return first, false, nil
	}
	d := policy.Decide(&a.facts, v.Policy(), c.time)
	first, found = earliest(&d, v.Revision(), func(r *policy.Record) time.Time { return r.ReceivedAt })
	return first, found, nil
}

func (a *auditSession) optOut(n phone.Number, r *policy.Record) (*dncv1.CallOptOut, error) {
	m := &dncv1.CallOptOut{Record: eventID(r.ID), Scope: string(r.Scope), ReceivedAt: stamp(r.ReceivedAt), RecordedAt: stamp(r.RecordedAt)}
	if a.sub == nil {
		return m, nil
	}
	at, err := a.s.store.AppliedAt(a.newest, a.sub, n, store.NumberEvent{ID: r.ID, Scope: r.Scope})
	m.AppliedAt = stamp(at)
	return m, err
}
