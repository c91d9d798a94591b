package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	where "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type checkService struct {
	dncv1.UnimplementedCheckServiceServer
	service
	workers workers
}

// factsPool holds reusable facts.
var factsPool = sync.Pool{New: func() any {
	return &policy.Facts{Records: make([]policy.Record, 0, 8), Lists: make([]policy.Membership, 0, 16)}
}}

// instant is the time at which checks are answered, and how far it may be ahead of the true time.
type instant struct {
	now   time.Time
	ahead time.Duration
}

func instantOf(v *store.View) (at instant) {
	at.now, at.ahead = v.Clock()
	return at
}

// aheadMessage is how far the time may be ahead, on the wire; nil: not at all.
func (at instant) aheadMessage() *durationpb.Duration {
	if at.ahead == 0 {
		return nil
	}
	return durationpb.New(at.ahead)
}

// byClock is the time that decides what has expired.
func (at instant) byClock() time.Time { return at.now.Add(-at.ahead) }

// decide answers for n at v. What the decision points to is valid until f is used again.
func decide(v *store.View, n phone.Number, a *asked, f *policy.Facts, at instant) policy.Decision {
	f.Reset()
	call := a.call(at)
	f.Scope, f.Purpose, f.Place, f.Ahead = call.Scope, call.Purpose, call.Place, call.Ahead
	v.Lookup(n, f)
	return policy.Decide(f, v.Policy(), at.now)
}

// decideWithin decides within the room that a call took, and leaves it.
func decideWithin(t ticket, v *store.View, n phone.Number, a *asked, f *policy.Facts, at instant) policy.Decision {
	defer t.leave()
	return decide(v, n, a, f, at)
}

// checkOf is what CheckNumber answers to req about n at v.
func checkOf(v *store.View, n phone.Number, req numberRequest, a *asked, at instant) *dncv1.CheckNumberResponse {
	f := factsPool.Get().(*policy.Facts)
	defer release(f)
	d := decide(v, n, a, f, at)
	return answer(v, n, req, &d, at)
}

// release puts f back into the pool, unless one unusual number made it large.
func release(f *policy.Facts) {
	if cap(f.Records) <= 64 && cap(f.Lists) <= 256 {
		factsPool.Put(f)
	}
}

// CheckNumber implements dncv1.CheckServiceServer.
func (s *checkService) CheckNumber(ctx context.Context, req *dncv1.CheckNumberRequest) (*dncv1.CheckNumberResponse, error) {
	resp, verdict, err := s.checkNumber(ctx, req)
	s.metrics.checked(sourceUnary, verdict)
	return resp, err
}

func (s *checkService) checkNumber(ctx context.Context, req *dncv1.CheckNumberRequest) (*dncv1.CheckNumberResponse, policy.Verdict, error) {
	if req.GetRecordUse() && req.GetReadAt().GetPast() != nil {
		return nil, policy.Unspecified, invalidField("record_use", "is for a check of now: leave it out, or read_at.past")
	}
	v, err := s.view(ctx, req.GetReadAt())
	if err != nil {
		return nil, policy.Unspecified, err
	}
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, policy.Unspecified, err
	}
	a, err := askedOf(req)
	if err != nil {
		return nil, policy.Unspecified, err
	}
	t, err := s.admit[workUnary].enter(1) // waiting for a revision took no room
	if err != nil {
		return nil, policy.Unspecified, err
	}
	f := factsPool.Get().(*policy.Facts)
	defer release(f)
	at := instantOf(v)
	d := decideWithin(t, v, n, &a, f, at)
	if req.GetRecordUse() {
		s.recordUse(ctx, v, n, a.scope, &d)
	}
	return answer(v, n, req, &d, at), d.Verdict, nil
}

// numberRequest is a request whose answer says whether one number may be called.
type numberRequest interface {
	GetNumber() string
	GetScope() string
	GetPurpose() dncv1.Purpose
	GetPlace() string
	GetReadAt() *dncv1.ReadAt
}

// askedOf reads what a check states beside the number.
func askedOf(req numberRequest) (a asked, err error) {
	if a.scope, err = scopeOf(req.GetScope()); err != nil {
		return a, err
	}
	if a.purpose, err = purposeOf(req.GetPurpose()); err != nil {
		return a, err
	}
	a.place, err = placeOf(req.GetPlace())
	return a, err
}

// reply is a response with its position and time, in one allocation.
type reply struct {
	resp     dncv1.CheckNumberResponse
	position dncv1.Position
	at       timestamppb.Timestamp
}

func answer(v *store.View, n phone.Number, req numberRequest, d *policy.Decision, at instant) *dncv1.CheckNumberResponse {
	r := new(reply)
	r.at.Seconds, r.at.Nanos = at.now.Unix(), int32(at.now.Nanosecond())
	r.resp.Number = e164(n, req.GetNumber())
	r.resp.Verdict = verdictOf(d.Verdict)
	r.resp.Cause = causeOf(d.Cause)
	r.position.Revision, r.position.JournalId, r.position.Tag = v.Revision(), v.JournalID(), v.Tag()
	r.resp.Position = &r.position
	r.resp.PolicyVersion, r.resp.TablesVersion = v.PolicyVersion(), where.TablesVersion()
	r.resp.CheckedAt, r.resp.ClockAhead = &r.at, at.aheadMessage()
	r.resp.ValidUntil, r.resp.OpensAt = stamp(d.ValidUntil), stamp(d.OpensAt)
	r.resp.Reasons = reasonsOf(d)
	r.resp.TablesDifference = tablesDifference(req.GetReadAt().GetPast())
	return &r.resp
}

// e164 returns n in full. In most requests that is what was asked.
func e164(n phone.Number, asked string) string {
	var b [1 + phone.MaxDigits]byte
	if full := n.AppendE164(b[:0]); string(full) != asked {
		return string(full)
	}
	return asked
}
