package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// stream is a stream of checks, as a client holds it.
type stream struct {
	dncv1.CheckService_StreamChecksClient
	t testing.TB
}

// answered is one answer with the message that it came in.
type answered struct {
	*dncv1.StreamAnswer
	in *dncv1.StreamChecksResponse
}

func (a answered) reasons() []*dncv1.Reason {
	var out []*dncv1.Reason
	for _, i := range a.GetReasonIndexes() {
		out = append(out, a.in.GetReasons()[i])
	}
	return out
}

func (n *node) openStream(ctx context.Context) stream {
	n.t.Helper()
	s, err := n.check.StreamChecks(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return stream{s, n.t}
}

// ask sends one message. A stream that has ended reports why in what follows.
func (s stream) ask(checks ...*dncv1.StreamCheck) {
	_ = s.Send(&dncv1.StreamChecksRequest{Checks: checks})
}

// take waits for count answers, each of another id.
func (s stream) take(count int) map[uint64]answered {
	s.t.Helper()
	got := map[uint64]answered{}
	for len(got) < count {
		resp, err := s.Recv()
		if err != nil {
			s.t.Fatalf("after %d of %d answers: %v", len(got), count, err)
		}
		for _, a := range resp.GetAnswers() {
			if _, twice := got[a.GetId()]; twice {
				s.t.Fatalf("id %d is answered twice", a.GetId())
			}
			got[a.GetId()] = answered{a, resp}
		}
	}
	return got
}

// takeOne waits for the one answer that comes next.
func (s stream) takeOne(id uint64) answered {
	s.t.Helper()
	got, ok := s.take(1)[id]
	if !ok {
		s.t.Fatalf("another check than %d was answered", id)
	}
	return got
}

// takeRest waits for all answers until the stream ends without an error.
func (s stream) takeRest() map[uint64]answered {
	s.t.Helper()
	got := map[uint64]answered{}
	for {
		resp, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			s.t.Fatalf("after %d answers: %v, want the end", len(got), err)
		}
		for _, a := range resp.GetAnswers() {
			if _, twice := got[a.GetId()]; twice {
				s.t.Fatalf("id %d is answered twice", a.GetId())
			}
			got[a.GetId()] = answered{a, resp}
		}
	}
}

// wantEnd checks that the stream ends without an error and without another answer.
func (s stream) wantEnd() {
	s.t.Helper()
	if resp, err := s.Recv(); !errors.Is(err, io.EOF) {
		s.t.Errorf("got %v and %v, want the end", resp, err)
	}
}

func ofText(id uint64, number string) *dncv1.StreamCheck {
	return &dncv1.StreamCheck{Id: id, Subject: &dncv1.StreamCheck_Number{Number: number}}
}

func ofDigits(id, digits uint64) *dncv1.StreamCheck {
	return &dncv1.StreamCheck{Id: id, Subject: &dncv1.StreamCheck_E164{E164: digits}}
}

// waitingFor is a check that waits up to timeout for a revision.
func waitingFor(id, revision uint64, timeout time.Duration) *dncv1.StreamCheck {
	c := ofText(id, french)
	c.ReadAt, c.Timeout = atLeast(revision, ""), durationpb.New(timeout)
	return c
}

// overloaded reports whether a large message was refused, which may happen on a busy machine.
func overloaded(a answered) bool {
	return a.GetError().GetReason() == dncv1.ErrorReason_ERROR_REASON_OVERLOADED
}

func wantItemError(t testing.TB, a answered, want dncv1.ErrorReason) {
	t.Helper()
	if a.GetError().GetReason() != want || a.GetVerdict() != 0 {
		t.Errorf("id %d: got %v with error %v, want %v", a.GetId(), a.GetVerdict(), a.GetError(), want)
	}
}

// Messages are read into the memory of earlier ones: what one stream asks never shows in another's answers, nor in its
// next.
func TestStreamsShareNoMessage(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.optOut("+14155550199", "acme")
	ctx := testContext(t)
	var asking sync.WaitGroup
	defer asking.Wait()
	for i := range 8 {
		s := n.openStream(ctx)
		asking.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for round := range 100 {
				if err := s.askAtRandom(r, uint64(round)<<8, 1+r.IntN(1+r.IntN(200))); err != nil {
					t.Errorf("stream %d, message %d: %v", i, round, err)
					return
				}
			}
		})
	}
}

// askAtRandom sends a message of checks of the registry's numbers, in all forms, and holds the answers to it against
// what is known.
func (s stream) askAtRandom(r *rand.Rand, first uint64, count int) error {
	request := new(dncv1.StreamChecksRequest)
	for i := range count {
		number := 14155550000 + r.Uint64N(200)
		c := ofDigits(first+uint64(i), number)
		if r.IntN(2) == 0 {
			c = ofText(first+uint64(i), fmt.Sprintf("+%d", number))
		}
		c.Scope = []string{"", "acme", "other"}[r.IntN(3)]
		request.Checks = append(request.Checks, c)
	}
	if err := s.Send(request); err != nil {
		return err
	}
	for left := count; left > 0; {
		response, err := s.Recv()
		if err != nil {
			return err
		}
		for _, a := range response.GetAnswers() {
			if a.GetId() < first || a.GetId() >= first+uint64(count) {
				return fmt.Errorf("an answer to check %d, which this message did not ask", a.GetId())
			}
			if err := holdAnswer(request.Checks[a.GetId()-first], a); err != nil {
				return err
			}
			left--
		}
	}
	return nil
}

func holdAnswer(asked *dncv1.StreamCheck, a *dncv1.StreamAnswer) error {
	number, read := asked.GetE164(), uint64(0)
	if asked.GetNumber() != "" {
		if _, err := fmt.Sscanf(asked.GetNumber(), "+%d", &number); err != nil {
			return err
		}
		read = number
	}
	if a.GetError().GetReason() == dncv1.ErrorReason_ERROR_REASON_OVERLOADED {
		return nil // on a busy machine
	}
	want := dncv1.Verdict_VERDICT_ALLOW
	optedOut := number == 14155550199 && asked.GetScope() != "other"
	if number >= 14155550050 && number < 14155550150 || optedOut {
		want = dncv1.Verdict_VERDICT_BLOCK
	}
	if a.GetVerdict() != want || a.GetE164() != read {
		return fmt.Errorf("check %d: got %v of %d, want %v of %d", asked.GetId(), a.GetVerdict(), a.GetE164(), want, read)
	}
	return nil
}

// Each answer is what CheckNumber says of the same, down to its reasons and its errors.
func TestStreamAgreesWithCheckNumber(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.createList(suppression("mine"))
	n.replace("mine", "2026-09-01", 14155550100, 33199001234)
	for _, scope := range []string{"", "acme", "acme/telecom"} {
		n.optOut(french, scope)
	}
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{
		Number: canadian, ExpiresAt: timestamppb.New(testDay.Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var checks []*dncv1.StreamCheck
	for _, number := range []string{
		listed, unlisted, uncovered, canadian, french, "01 99 00 12 34", "+1 (415) 555-0100",
		"", "nonsense", "+999 555 0100", "+1415555", strings.Repeat("1 ", 40),
	} {
		for _, scope := range []string{"", "acme", "ACME/telecom/winter", "other", "acme//x"} {
			for _, region := range []string{"", "fr", "XX"} {
				c := ofText(uint64(len(checks))<<32, number)
				c.Explain = true // CheckNumber always does
				c.Scope, c.Region = scope, region
				checks = append(checks, c)
			}
		}
	}
	s := n.openStream(testContext(t))
	s.ask(checks...)
	got := s.take(len(checks))
	for _, c := range checks {
		n.wantSame(c, got[c.GetId()])
	}
	if len(got[0].in.GetReasons()) > 10 {
		t.Errorf("got %d reasons, want each once", len(got[0].in.GetReasons()))
	}
}

// wantSame compares an answer with that of CheckNumber.
func (n *node) wantSame(c *dncv1.StreamCheck, got answered) {
	n.t.Helper()
	want, err := n.check.CheckNumber(testContext(n.t), &dncv1.CheckNumberRequest{
		Number: c.GetNumber(), Region: c.GetRegion(), Scope: c.GetScope(),
	})
	if err != nil {
		reason := "ERROR_REASON_" + errorInfo(err).GetReason()
		if got.GetError().GetReason().String() != reason || got.GetError().GetMessage() != status.Convert(err).Message() || got.GetVerdict() != 0 {
			n.t.Errorf("%v: got %v, unary %v", c, got, err)
		}
		return
	}
	same := proto.Equal(
		&dncv1.CheckNumberResponse{
			Number: fmt.Sprintf("+%d", got.GetE164()), Verdict: got.GetVerdict(), Cause: got.GetCause(), Reasons: got.reasons(),
			ValidUntil: got.GetValidUntil(), OpensAt: got.GetOpensAt(), Position: got.in.GetPosition(),
			CheckedAt: got.in.GetCheckedAt(), PolicyVersion: got.in.GetPolicyVersion(), TablesVersion: got.in.GetTablesVersion(),
		}, want)
	if !same || got.GetError() != nil {
		n.t.Errorf("%v: got %v with %v, unary %v", c, got, got.reasons(), want)
	}
}

func TestStreamTakesDigits(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	s := n.openStream(testContext(t))
	s.ask(ofDigits(math.MaxUint64, 14155550100), ofDigits(2, 14155550199), ofDigits(3, 0), ofDigits(4, 999), &dncv1.StreamCheck{Id: 5})
	got := s.take(5)
	if a := got[math.MaxUint64]; a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || a.GetE164() != 0 || a.reasons()[0].GetList() != "us-ftc" {
		t.Errorf("got %v, want BLOCK by us-ftc", a)
	}
	if a := got[2]; a.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW || len(a.GetReasonIndexes()) != 0 || a.GetValidUntil() == nil {
		t.Errorf("got %v, want ALLOW until the list is stale", a)
	}
	wantItemError(t, got[3], dncv1.ErrorReason_ERROR_REASON_NUMBER_EMPTY)
	wantItemError(t, got[4], dncv1.ErrorReason_ERROR_REASON_NUMBER_CALLING_CODE)
	wantItemError(t, got[5], dncv1.ErrorReason_ERROR_REASON_NUMBER_EMPTY)
	s.ask()
	if resp, err := s.Recv(); err != nil || len(resp.GetAnswers()) != 0 || resp.GetPosition().GetRevision() != n.store.View().Revision() {
		t.Errorf("no checks: got %v and %v, want an empty answer", resp, err)
	}
	s.CloseSend()
	s.wantEnd()
	_, body := get(t, n.web+"/metrics")
	for _, line := range []string{
		`dncd_checks_total{source="stream",verdict="allow"} 1`,
		`dncd_checks_total{source="stream",verdict="block"} 1`,
		`dncd_checks_total{source="stream",verdict="error"} 3`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// What one message leaves in the room of the answers does not turn up in the next.
func TestStreamAnswersAreFresh(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	s := n.openStream(testContext(t))
	for range 3 {
		s.ask(ofText(1, listed), ofText(2, "nonsense"), ofText(3, uncovered))
		s.take(3)
		s.ask(ofDigits(1, 14155550199), ofDigits(2, 14155550199), ofDigits(3, 14155550199), ofDigits(4, 14155550199))
		for id, a := range s.take(4) {
			want := &dncv1.StreamAnswer{Id: id, Verdict: dncv1.Verdict_VERDICT_ALLOW, ValidUntil: a.GetValidUntil()}
			if !proto.Equal(a.StreamAnswer, want) || len(a.in.GetReasons()) != 0 {
				t.Errorf("got %v of %v, want %v", a, a.in, want)
			}
		}
	}
}

func TestStreamLimits(t *testing.T) {
	t.Parallel()
	n := start(t)
	var full []*dncv1.StreamCheck
	for id := range uint64(10_000) {
		full = append(full, ofDigits(id, 14155550100))
	}
	long := make([]*dncv1.StreamCheck, 0, 5000)
	for id, number := range make60(5000) {
		long = append(long, ofText(uint64(id), number))
	}
	s := n.openStream(testContext(t))
	s.ask(full...)
	s.take(len(full))
	s.ask(long[:3900]...) // 250 KiB
	s.take(3900)
	tooMany := slices.Concat(full, full[:1])
	for name, checks := range map[string][]*dncv1.StreamCheck{"too many": tooMany, "too long": long} {
		s := n.openStream(testContext(t))
		s.ask(checks...)
		resp, err := s.Recv()
		if err == nil {
			t.Errorf("%s: got %d answers", name, len(resp.GetAnswers()))
			continue
		}
		wantReason(t, err, codes.InvalidArgument, "BATCH_TOO_LARGE")
	}
}

// A message of answers that would be too large is split, each part with reasons of its own.
func TestStreamSplitsAnswers(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range 40 {
		n.optOut(french, fmt.Sprintf("acme/%s-%d", strings.Repeat("x", 200), i))
	}
	checks := make([]*dncv1.StreamCheck, 10_000)
	for i := range checks {
		checks[i] = ofText(uint64(i), "nonsense") // the text of its error is what makes the answers large
		if i%100 == 0 {
			checks[i] = ofDigits(uint64(i), 33199001234)
		}
	}
	s := n.openStream(testContext(t))
	s.ask(checks...)
	parts := map[*dncv1.StreamChecksResponse]bool{}
	for _, a := range s.take(len(checks)) {
		parts[a.in] = true
		if a.GetId()%100 != 0 {
			wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX)
		} else if !overloaded(a) && (len(a.reasons()) != 32 || a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK) {
			t.Errorf("got %v with %d reasons, want BLOCK with 32", a.GetVerdict(), len(a.reasons()))
		}
	}
	for part := range parts {
		if size := proto.Size(part); size > 4<<20 {
			t.Errorf("a message of %d bytes", size)
		}
	}
	if len(parts) < 2 {
		t.Errorf("got %d messages, want several", len(parts))
	}
}

// A check that waits for a revision holds up no other, and is answered when the revision is there.
func TestStreamWaitsForMinRevision(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	s.ask(waitingFor(3, 3, time.Minute), waitingFor(1, 1, time.Minute), ofText(10, french), waitingFor(2, 2, time.Minute))
	if a := s.takeOne(10); a.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("got %v, want ALLOW before the opt-out", a)
	}
	s.ask(ofText(11, french))
	s.takeOne(11)
	for id := uint64(1); id <= 3; id++ {
		n.optOut(french, "")
		if a := s.takeOne(id); a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || a.in.GetPosition().GetRevision() < id {
			t.Errorf("got %v at revision %d, want BLOCK at %d", a, a.in.GetPosition().GetRevision(), id)
		}
	}
	s.ask(waitingFor(4, 3, 0))
	if a := s.takeOne(4); a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("a revision that is there: got %v, want BLOCK", a)
	}
}

func TestStreamWaitsNoLongerThanItsTimeout(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	s.ask(
		waitingFor(1, 2, time.Hour), waitingFor(2, 2, 100*time.Millisecond), waitingFor(3, 2, 0),
		waitingFor(4, 2, -time.Hour), waitingFor(5, math.MaxUint64, 200*time.Millisecond),
	)
	for id, a := range s.take(4) {
		if id == 1 {
			t.Fatal("the check with a long timeout was answered")
		}
		wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_REVISION_NOT_REACHED)
	}
	n.optOut(french, "")
	s.ask(waitingFor(6, 2, 50*time.Millisecond)) // expires sooner than the previous one
	wantItemError(t, s.takeOne(6), dncv1.ErrorReason_ERROR_REASON_REVISION_NOT_REACHED)
	s.CloseSend() // what waits is answered all the same
	n.optOut(french, "")
	if a := s.takeOne(1); a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %v, want BLOCK", a)
	}
	s.wantEnd()
}

func TestStreamBadNumbersDoNotWait(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	bad := waitingFor(1, 9, time.Minute)
	bad.Subject = &dncv1.StreamCheck_Number{Number: "nonsense"}
	s.ask(bad)
	wantItemError(t, s.takeOne(1), dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX)
}

func TestStreamBoundsWhatWaits(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	checks := make([]*dncv1.StreamCheck, 10_000)
	for i := range checks {
		checks[i] = waitingFor(uint64(i), uint64(2-i%2), time.Minute)
	}
	s.ask(checks[:5000]...)
	s.ask(checks[5000:]...)
	s.ask(waitingFor(10_000, 1, time.Minute), ofText(10_001, french))
	got := s.take(2)
	wantItemError(t, got[10_000], dncv1.ErrorReason_ERROR_REASON_QUEUE_FULL)
	if got[10_001].GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("a check that does not wait: got %v, want ALLOW", got[10_001])
	}
	n.optOut(french, "")
	n.optOut(french, "acme")
	for id, a := range s.take(len(checks)) {
		if overloaded(a) {
			continue
		}
		if a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || a.in.GetPosition().GetRevision() < 2-id%2 {
			t.Fatalf("id %d: got %v at revision %d", id, a, a.in.GetPosition().GetRevision())
		}
	}
}

func TestStreamComparesTheJournal(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	request := func(journal string) *dncv1.StreamChecksRequest {
		now, later := ofText(1, french), waitingFor(2, 1, time.Minute)
		now.ReadAt, later.ReadAt = atLeast(0, journal), atLeast(1, journal)
		return &dncv1.StreamChecksRequest{Checks: []*dncv1.StreamCheck{now, later}}
	}
	_ = s.Send(request(strings.Repeat("0", 32)))
	for _, a := range s.take(2) {
		wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED)
	}
	_ = s.Send(request(n.store.View().JournalID()))
	s.takeOne(1)
	n.optOut(french, "")
	if a := s.takeOne(2); a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %v, want BLOCK", a)
	}
}

// A stop answers what has been received and ends the stream without an error. A message that arrives beside the stop is
// answered in whole, or, when it came after the end, not at all.
func TestStreamAtAStop(t *testing.T) {
	t.Parallel()
	n := start(t)
	s := n.openStream(testContext(t))
	const messages = 50
	ask := func(from uint64) {
		for i := from; i < from+messages; i++ {
			s.ask(ofText(2*i+1, french), waitingFor(2*i+2, 9, time.Minute))
		}
	}
	ask(0)
	for id := range s.take(messages) { // of each message one: all have been received
		if id%2 == 0 {
			t.Fatalf("a check that waits, %d, is answered before the stop", id)
		}
	}
	ask(messages)
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	got := s.takeRest()
	for id, a := range got {
		if id%2 == 0 {
			wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN)
		} else if a.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
			t.Errorf("got %v, want ALLOW", a)
		}
	}
	taken := uint64(len(got)+messages) / 2
	for i := range taken {
		_, waited := got[2*i+2]
		_, told := got[2*i+1]
		if !waited || told != (i >= messages) {
			t.Errorf("of message %d, of %d taken: the check that waits is answered: %v, the other beside the stop: %v", i, taken, waited, told)
		}
	}
	if taken < messages {
		t.Errorf("%d messages were answered, of %d that had been received", taken, messages)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// At the connection's age a stream ends without an error, also under load, and another one can be opened.
func TestStreamEndsAtTheConnectionAge(t *testing.T) {
	t.Parallel()
	n := start(t, func(o *server.Options) { o.ConnectionAge = 300 * time.Millisecond })
	for ended := 0; ended < 2; {
		s := n.openStream(testContext(t))
		s.ask(waitingFor(1, 9, time.Minute), ofText(2, french))
		got := s.takeRest()
		if len(got) == 0 {
			continue // on a busy machine it was of age before it was asked
		}
		wantItemError(t, got[1], dncv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN)
		if got[2].GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
			t.Errorf("got %v, want ALLOW", got[2])
		}
		ended++
	}
	s := n.openStream(testContext(t))
	for {
		s.ask(ofText(1, french))
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx, cancel := context.WithCancel(testContext(t))
	s := n.openStream(ctx)
	s.ask(waitingFor(1, 9, time.Minute), ofText(2, french))
	s.takeOne(2)
	cancel()
	n.waitForMetric(`dncd_rpc_errors_total{method="dnc.v1.CheckService/StreamChecks",reason="canceled"} 1`)
}

// waitForMetric waits until /metrics holds line.
func (n *node) waitForMetric(line string) {
	n.t.Helper()
	ctx := testContext(n.t)
	for {
		_, body := get(n.t, n.web+"/metrics")
		if strings.Contains(body, line+"\n") {
			return
		}
		select {
		case <-ctx.Done():
			n.t.Fatalf("/metrics never held %s", line)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// The server stops reading from a client that does not read its answers, and delays no other client.
func TestStreamOfASlowReader(t *testing.T) {
	t.Parallel()
	n := start(t)
	slow := n.openStream(testContext(t))
	const messages, each = 40, 5000
	req := new(dncv1.StreamChecksRequest)
	for range each {
		check := ofText(1, french)
		check.ReadAt = atLeast(0, "another") // which makes long answers
		req.Checks = append(req.Checks, check)
	}
	go func() {
		for range messages {
			_ = slow.Send(req)
		}
		slow.CloseSend()
	}()
	quick := n.openStream(testContext(t))
	for id := range uint64(200) {
		quick.ask(ofText(id, french))
		quick.takeOne(id)
	}
	before := n.streamErrors()
	for after := n.streamErrors(); after != before; after = n.streamErrors() {
		before = after
		time.Sleep(50 * time.Millisecond)
	}
	if before >= messages*each {
		t.Error("the server took all checks of a client that reads no answers")
	}
	quick.ask(ofText(1, french))
	quick.takeOne(1)
	count := 0
	for {
		resp, err := slow.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		count += len(resp.GetAnswers())
	}
	if count != messages*each {
		t.Errorf("got %d answers in the end, want %d", count, messages*each)
	}
}

// streamErrors is how many checks of streams have been answered with an error.
func (n *node) streamErrors() (count float64) {
	n.t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := fmt.Sprint(m.GetLabel())
			if f.GetName() == "dncd_checks_total" && strings.Contains(labels, "stream") && strings.Contains(labels, "error") {
				count += m.GetCounter().GetValue()
			}
		}
	}
	return count
}

// Streams, writes and waits concurrently: every check that asks for the revision of an acknowledged opt-out sees it.
func TestStreamsAtOnce(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	const streams, rounds = 8, 30
	var wg sync.WaitGroup
	for i := range uint64(streams) {
		wg.Go(func() {
			s := n.openStream(testContext(t))
			for r := range uint64(rounds) {
				number := 14165550100 + 100*i + r
				s.ask(ofDigits(1, 14155550100), ofDigits(2, number))
				got := s.take(2)
				if got[1].GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || got[2].GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
					t.Errorf("got %v, want BLOCK and ALLOW", got)
				}
				ahead := ofDigits(3, number)
				ahead.ReadAt, ahead.Timeout = atLeast(n.store.View().Revision()+1, ""), durationpb.New(time.Minute)
				s.ask(ahead)
				done := n.optOut(fmt.Sprintf("+%d", number), "")
				check := ofDigits(4, number)
				check.ReadAt = atLeast(done.GetPosition().GetRevision(), "")
				s.ask(check)
				if got := s.take(2); got[4].GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || got[3].GetError() != nil {
					t.Errorf("after the write: got %v, want BLOCK", got)
				}
			}
			s.CloseSend()
			s.wantEnd()
		})
	}
	wg.Wait()
}

// Checks beyond what the server does in time are refused one by one, and the stream lives on.
func TestStreamUnderOverload(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.clock.delay("(*answerWriter).begin", oneByOne(64*time.Millisecond))
	var streams sync.WaitGroup
	var refused atomic.Bool
	checks := make([]*dncv1.StreamCheck, 64)
	for i := range checks {
		checks[i] = ofText(uint64(i), canadian)
	}
	for range 4 {
		streams.Go(func() {
			s := n.openStream(testContext(t))
			for !refused.Load() {
				s.ask(checks...)
				for _, a := range s.take(len(checks)) {
					if a.GetError() == nil && a.GetVerdict() == dncv1.Verdict_VERDICT_ALLOW {
						continue
					}
					wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_OVERLOADED)
					refused.Store(true)
				}
			}
		})
	}
	streams.Wait()
}

// Numbers that share their reasons find them in every part of a split message.
func TestStreamRepeatsReasonsInEachPart(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range 8 {
		name := fmt.Sprintf("mine-%d", i)
		n.createList(suppression(name))
		n.replace(name, "2026-09-01", 14155550100)
	}
	var checks []*dncv1.StreamCheck
	for id := range uint64(9_000) { // which puts the split among the last that are decided together
		checks = append(checks, ofDigits(id, 14155550100))
	}
	s := n.openStream(testContext(t))
	s.ask(checks...)
	parts := map[*dncv1.StreamChecksResponse]bool{}
	for _, a := range s.take(len(checks)) {
		parts[a.in] = true
		if !overloaded(a) && (len(a.in.GetReasons()) != 8 || len(a.reasons()) != 8) {
			t.Fatalf("got %v with %d reasons in its message, want 8", a, len(a.in.GetReasons()))
		}
	}
	if len(parts) < 2 {
		t.Errorf("got %d messages, want several", len(parts))
	}
}
