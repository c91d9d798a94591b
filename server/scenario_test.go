package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	"github.com/dncd/dncd/internal/scenario"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestScenariosOnAServer records what each scenario knows at the time that it names, makes its checks, changes everything, and
// makes them again as of then. Each time GetNumber has to hold the same answer.
func TestScenariosOnAServer(t *testing.T) {
	t.Parallel()
	all, err := scenario.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			n := start(t)
			for i := range s.Cases {
				if facts := &s.Cases[i].Facts; i > 0 && !cmp.Equal(facts.Records, s.Cases[0].Facts.Records) {
					t.Fatal("the cases of a scenario know the same")
				}
			}
			n.set(&s)
			answers := make([]*dncv1.CheckNumberResponse, len(s.Cases))
			for _, i := range byTime(s.Cases) {
				answers[i] = n.ask(&s.Cases[i], nil)
				n.wantCase(&s.Cases[i], answers[i])
			}
			n.changeEverything(&s.Cases[0])
			for i, was := range answers {
				at := pastAt(was.GetPosition(), was.GetCheckedAt().AsTime(), was.GetClockAhead())
				if diff := cmp.Diff(was, n.ask(&s.Cases[i], at), protocmp.Transform()); diff != "" {
					t.Errorf("%s, as of then (-was +is):\n%s", s.Cases[i].Name, diff)
				}
			}
		})
	}
}

func byTime(cases []policydoc.Case) []int {
	order := make([]int, len(cases))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cases[a].Now.Compare(cases[b].Now) })
	return order
}

// set records what a scenario knows, in order of time.
func (n *node) set(s *scenario.Scenario) {
	n.t.Helper()
	known := &s.Cases[0]
	type event struct {
		at   time.Time
		make func()
	}
	events := []event{}
	for i := range known.Facts.Records {
		r := &known.Facts.Records[i]
		events = append(events, event{r.ReceivedAt, func() { n.recordOf(known, r) }})
	}
	for i := range known.Facts.Lists {
		m := &known.Facts.Lists[i]
		at := known.Now.AddDate(0, 0, -1)
		if m.List.SnapshotDate != 0 {
			at = m.List.SnapshotDate.Time().Add(time.Hour)
		}
		events = append(events, event{at, func() { n.listOf(known, m) }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	first := known.Now.AddDate(0, 0, -1)
	if len(events) > 0 && events[0].at.Before(first) {
		first = events[0].at
	}
	n.setClock(first)
	if s.Policy != nil {
		n.setPolicy(string(s.Policy))
	}
	for _, e := range events {
		n.setClock(e.at)
		e.make()
	}
}

func (n *node) setClock(at time.Time) { n.clock.add(at.Sub(n.clock.Now())) }

func (n *node) recordOf(c *policydoc.Case, r *policy.Record) {
	n.t.Helper()
	var err error
	if r.Kind == policy.RecordOptOut {
		_, err = n.record.RecordOptOut(testContext(n.t), &dncv1.RecordOptOutRequest{
			Number: c.Number.E164(), Scope: string(r.Scope), ReceivedAt: timestamppb.New(r.ReceivedAt), ExpiresAt: timeOrNone(r.ExpiresAt),
		})
	} else {
		req := &dncv1.RecordConsentRequest{
			Number: c.Number.E164(), Scope: string(r.Scope), Kind: dncv1.ConsentKind(r.Consent.Kind), Form: dncv1.ConsentForm(r.Consent.Form),
			ObtainedAt: timestamppb.New(r.ReceivedAt), ExpiresAt: timeOrNone(r.ExpiresAt),
			AppointmentFrom: timeOrNone(r.Consent.From), AppointmentUntil: timeOrNone(r.Consent.Until),
		}
		if r.Consent.MayLift {
			req.Evidence = "a recording"
		}
		_, err = n.record.RecordConsent(testContext(n.t), req)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

func timeOrNone(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

func (n *node) listOf(c *policydoc.Case, m *policy.Membership) {
	n.t.Helper()
	req := &dncv1.CreateListRequest{
		Name: m.List.Name, Kind: dncv1.ListKind(m.List.Kind), Scope: string(m.List.Scope), Jurisdiction: m.List.Jurisdiction.Strings(),
	}
	numbers := []uint64{uint64(c.Number) + 1}
	if m.Listed {
		numbers = []uint64{uint64(c.Number)}
	} else if m.List.Loaded && !m.Covered && !m.Outside {
		req.Coverage, numbers = []string{"1415"}, []uint64{14155550199}
	}
	n.createList(req)
	if m.List.Loaded {
		n.replace(m.List.Name, m.List.SnapshotDate.String(), numbers...)
	}
}

// ask makes the check of a case, at its time or as of a moment.
func (n *node) ask(c *policydoc.Case, at *dncv1.ReadAt) *dncv1.CheckNumberResponse {
	n.t.Helper()
	req := &dncv1.CheckNumberRequest{Number: c.Number.E164(), Scope: string(c.Facts.Scope), Place: c.Place, ReadAt: at}
	if c.Facts.Purpose == policy.Service {
		req.Purpose = dncv1.Purpose_PURPOSE_SERVICE
	}
	if at == nil {
		n.setClock(c.Now)
	}
	resp, err := n.check.CheckNumber(testContext(n.t), req)
	if err != nil {
		n.t.Fatal(err)
	}
	number, err := n.record.GetNumber(testContext(n.t), &dncv1.GetNumberRequest{
		Number: req.GetNumber(), Scope: req.GetScope(), Purpose: req.GetPurpose(), Place: req.GetPlace(), ReadAt: req.GetReadAt(),
	})
	if diff := cmp.Diff(resp, number.GetCheck(), protocmp.Transform()); err != nil || diff != "" {
		n.t.Errorf("%s: %v; GetNumber has another answer than CheckNumber (-check +number):\n%s", c.Name, err, diff)
	}
	return resp
}

func (n *node) wantCase(c *policydoc.Case, got *dncv1.CheckNumberResponse) {
	n.t.Helper()
	d := policy.Decision{Verdict: policy.Verdict(got.GetVerdict()), ValidUntil: whenOf(got.GetValidUntil()), OpensAt: whenOf(got.GetOpensAt())}
	for _, r := range got.GetReasons() {
		d.Reasons = append(d.Reasons, policy.Reason{Kind: policy.ReasonKind(r.GetKind())})
	}
	d.Cause = c.Want.Cause // the contract's causes have other numbers
	cause := strings.TrimPrefix(got.GetCause().String(), "CAUSE_")
	if c.Want.Cause != policy.CauseNone && cause != policydoc.CauseWord(c.Want.Cause) {
		n.t.Errorf("%s: the cause is %s", c.Name, cause)
	}
	if differs := c.Compare(&d); differs != "" {
		n.t.Errorf("%s: %s", c.Name, differs)
	}
}

func whenOf(at *timestamppb.Timestamp) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.AsTime()
}

// changeEverything ends every record, deletes every list, and puts a policy in force that asks for nothing.
func (n *node) changeEverything(c *policydoc.Case) {
	n.t.Helper()
	ctx := testContext(n.t)
	n.clock.add(24 * time.Hour)
	gone := map[string]bool{}
	for i := range c.Facts.Records {
		r := &c.Facts.Records[i]
		key := fmt.Sprint(r.Kind, r.Scope)
		if gone[key] {
			continue
		}
		gone[key] = true
		if r.Kind == policy.RecordOptOut {
			_, _ = n.record.WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: c.Number.E164(), Scope: string(r.Scope), Reason: "a test"}) // it may have ended
		} else {
			_, _ = n.record.WithdrawConsent(ctx, &dncv1.WithdrawConsentRequest{Number: c.Number.E164(), Scope: string(r.Scope), Reason: "a test"})
		}
	}
	for i := range c.Facts.Lists {
		if _, err := n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: c.Facts.Lists[i].List.Name, Force: true}); err != nil {
			n.t.Fatal(err)
		}
	}
	n.setPolicy("format: 1\ndefault: allow\ncountries: {}\n# of another day\n")
}
