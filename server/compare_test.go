package server_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

func compareHeader(h *dncv1.CompareHeader) *dncv1.CompareBaseRequest {
	return &dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Header{Header: h}}
}

func compareChunk(numbers ...uint64) *dncv1.CompareBaseRequest {
	return &dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Chunk{Chunk: &dncv1.CompareChunk{Ascending: ascending(numbers)}}}
}

func compareCommit(numbers, rejected uint64) *dncv1.CompareBaseRequest {
	return &dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Commit{Commit: &dncv1.CompareCommit{Numbers: numbers, Rejected: rejected}}}
}

// compareBase sends frames, and returns the differences by number and the summary.
func compareBase(ctx context.Context, n *node, frames ...*dncv1.CompareBaseRequest) (map[uint64]*dncv1.Difference, *dncv1.CompareSummary, error) {
	stream, err := propagation(n).CompareBase(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range frames {
		_ = stream.Send(f) // the reason of a failure comes from Recv
	}
	_ = stream.CloseSend()
	found := map[uint64]*dncv1.Difference{}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		for _, d := range answer.GetDifferences().GetDifferences() {
			found[d.GetNumber()] = d
		}
		if s := answer.GetSummary(); s != nil {
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				n.t.Errorf("behind the summary: got %v, want the end", err)
			}
			return found, s, nil
		}
	}
}

// wantNothingCompared: no comparison is left on disk, and none is in the journal.
func wantNothingCompared(t *testing.T, n *node, dir string) {
	t.Helper()
	eventually(t, "the comparison is deleted", func() bool {
		left, _ := filepath.Glob(filepath.Join(dir, "compare", "*"))
		return len(left) == 0
	})
	for _, s := range n.store.View().Subscribers().All() {
		if s.Compared != nil {
			t.Errorf("a comparison of %s was recorded", s.Name)
		}
	}
}

// TestCompareBase compares an export over several chunks, and what it found is kept.
func TestCompareBase(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.putSubscriber("north", "", "acme")
	ctx := d.as("officer", access.RolesOf(access.Officer))
	withdrawn := uint64(14155550120)
	if _, err := d.store.RecordOptOut(ctx, store.OptOut{Number: 14155550120, Scope: "acme"}, store.Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.WithdrawOptOut(ctx, 14155550120, "acme", store.Request{}); err != nil {
		t.Fatal(err)
	}
	found, s, err := compareBase(ctx, d.node,
		compareHeader(&dncv1.CompareHeader{Subscriber: "north", Removals: true, Context: &dncv1.WriteContext{OnBehalfOf: "claimed"}}),
		compareChunk(withdrawn, uint64(numberOfOther)), &dncv1.CompareBaseRequest{}, compareChunk(uint64(numberOfAll), uint64(numberOfOther)),
		compareCommit(4, 7))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []uint64{uint64(numberOfAcme), withdrawn}) {
		t.Errorf("got %d differences, want the number that is missing and the one that may go", len(got))
	}
	if m := found[uint64(numberOfAcme)]; m.GetKind() != dncv1.DifferenceKind_DIFFERENCE_KIND_MISSING || m.GetScope() != "acme" ||
		m.GetList() != nil || m.GetSince() == nil || !m.GetInForce() {
		t.Errorf("missing: got kind %v at %q", m.GetKind(), m.GetScope())
	}
	if m := found[withdrawn]; m.GetKind() != dncv1.DifferenceKind_DIFFERENCE_KIND_REMOVABLE || m.GetInForce() {
		t.Errorf("withdrawn: got kind %v", m.GetKind())
	}
	c := s.GetComparison()
	if c.GetNumbers() != 3 || c.GetRejected() != 7 || c.GetExpected() != 2 || c.GetMissing() != 1 || c.GetInFlight() != 0 || c.GetExtra() != 2 || s.GetRemovable() != 1 {
		t.Errorf("got %v", c)
	}
	if c.GetAcknowledged() != nil || c.GetUpTo().GetRevision() != c.GetId().GetRevision()-1 || len(c.GetUpTo().GetTag()) == 0 {
		t.Errorf("got %v up to %v, want nothing acknowledged, and all that was recorded", c.GetAcknowledged(), c.GetUpTo())
	}
	status, err := propagation(d.node).GetSubscriber(ctx, &dncv1.GetSubscriberRequest{Name: "north"})
	if kept := status.GetStatus().GetLastComparison(); err != nil || kept.String() != c.String() {
		t.Errorf("got %v, %v, want %v", kept, err, c)
	}
	if got := d.acts(t, "SUBSCRIBER_COMPARED"); got != "SUBSCRIBER_COMPARED north" {
		t.Errorf("got acts %q", got)
	}
	log, err := d.store.ReadAccess(store.AccessQuery{Limit: 10})
	if err != nil || len(log.Entries) != 1 || log.Entries[0].Method != "PropagationService/CompareBase" || log.Entries[0].Scope != "acme" {
		t.Errorf("got %v, %v in the access log", log.Entries, err)
	}
	if strings.Contains(d.log.String(), "4155550") {
		t.Error("a number is in the log")
	}
	wantNoFiles(t, d.dir)
}

func wantNoFiles(t *testing.T, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, "compare", "*")); len(left) > 0 {
		t.Errorf("%d comparisons are left on disk", len(left))
	}
}

// TestCompareBaseIsRefused: what does not fit is refused before anything is compared.
func TestCompareBaseIsRefused(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.putSubscriber("north", "", "acme")
	ctx := d.as("officer", access.RolesOf(access.Officer))
	north := compareHeader(&dncv1.CompareHeader{Subscriber: "north"})
	raw := func(b ...byte) *dncv1.CompareBaseRequest {
		return &dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Chunk{Chunk: &dncv1.CompareChunk{Ascending: b}}}
	}
	for name, c := range map[string]struct {
		frames []*dncv1.CompareBaseRequest
		reason string
	}{
		"nothing":             {nil, "FIELD_INVALID"},
		"a chunk first":       {[]*dncv1.CompareBaseRequest{compareChunk(1)}, "FIELD_INVALID"},
		"no such subscriber":  {[]*dncv1.CompareBaseRequest{compareHeader(&dncv1.CompareHeader{Subscriber: "south"})}, "SUBSCRIBER_NOT_FOUND"},
		"a number as a name":  {[]*dncv1.CompareBaseRequest{compareHeader(&dncv1.CompareHeader{Subscriber: "14155550123"})}, "SUBSCRIBER_NOT_FOUND"},
		"taken in the future": {[]*dncv1.CompareBaseRequest{compareHeader(&dncv1.CompareHeader{Subscriber: "north", TakenAt: timestamppb.New(testDay.Add(time.Hour))})}, "FIELD_INVALID"},
		"taken before times":  {[]*dncv1.CompareBaseRequest{compareHeader(&dncv1.CompareHeader{Subscriber: "north", TakenAt: &timestamppb.Timestamp{Seconds: -5}})}, "FIELD_INVALID"},
		"a request id":        {[]*dncv1.CompareBaseRequest{compareHeader(&dncv1.CompareHeader{Subscriber: "north", Context: &dncv1.WriteContext{RequestId: "1"}})}, "FIELD_INVALID"},
		"no commit":           {[]*dncv1.CompareBaseRequest{north, compareChunk(14155550123)}, "IMPORT_NOT_COMMITTED"},
		"a second header":     {[]*dncv1.CompareBaseRequest{north, north}, "FIELD_INVALID"},
		"a cut chunk":         {[]*dncv1.CompareBaseRequest{north, raw(0x80)}, "CHUNK_INVALID"},
		"a large chunk":       {[]*dncv1.CompareBaseRequest{north, raw(make([]byte, 512<<10+1)...)}, "CHUNK_INVALID"},
		"zero":                {[]*dncv1.CompareBaseRequest{north, raw(0)}, "CHUNK_INVALID"},
		"sixteen digits":      {[]*dncv1.CompareBaseRequest{north, compareChunk(1_000_000_000_000_000)}, "CHUNK_INVALID"},
		"another count":       {[]*dncv1.CompareBaseRequest{north, compareChunk(14155550123), compareCommit(2, 0)}, "CHUNK_INVALID"},
	} {
		_, _, err := compareBase(ctx, d.node, c.frames...)
		if got := reasonOf(err); got != c.reason {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, c.reason)
		}
		if strings.Contains(err.Error(), "4155550123") {
			t.Errorf("%s: the error has a number", name)
		}
	}
	wantNothingCompared(t, d.node, d.dir)
}

// TestCompareBaseWithinTheCallersScopes: differences are numbers, so only who may have all that the base gets compares it.
func TestCompareBaseWithinTheCallersScopes(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	for name, scopes := range map[string][]policy.Scope{"everywhere": nil, "within": {"acme/x"}, "across": {"acme", "other"}} {
		d.putSubscriber(name, "speaker", scopes...)
	}
	d.putSubscriber("foreign", "", "acme")
	const denied, notFound = "PERMISSION_DENIED", "SUBSCRIBER_NOT_FOUND"
	for _, c := range []struct {
		caller string
		roles  access.Roles
		scopes []policy.Scope
		want   map[string]string
	}{
		{"officer", access.RolesOf(access.Officer), nil, map[string]string{"everywhere": "", "within": "", "across": "", "foreign": "", "none": notFound}},
		{"bounded", access.RolesOf(access.Officer), []policy.Scope{"acme"}, map[string]string{"everywhere": denied, "within": "", "across": denied, "foreign": ""}},
		{"speaker", access.RolesOf(access.Subscriber), nil, map[string]string{"everywhere": "", "across": "", "foreign": denied, "none": denied}},
		{"other", access.RolesOf(access.Subscriber), nil, map[string]string{"within": denied}},
		{"loader", access.RolesOf(access.Loader, access.Recorder, access.Checker), nil, map[string]string{"within": denied}},
	} {
		ctx := d.as(c.caller, c.roles, c.scopes...)
		for name, want := range c.want {
			_, _, err := compareBase(ctx, d.node, compareHeader(&dncv1.CompareHeader{Subscriber: name}), compareCommit(0, 0))
			if got := reasonOf(err); got != want {
				t.Errorf("%s, %s: got %q, want %q", c.caller, name, got, want)
			}
		}
	}
}

// TestAComparisonThatStopsLeavesNothing: the caller goes, or the server stops.
func TestAComparisonThatStopsLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, stops := range []string{"caller", "server"} {
		t.Run(stops, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n := startIn(t, dir, store.Options{MinFree: -1})
			if _, err := propagation(n).PutSubscriber(testContext(t), &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{Name: "north", Kind: internalBase}}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			stream, err := propagation(n).CompareBase(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(compareHeader(&dncv1.CompareHeader{Subscriber: "north"}))
			if m, err := stream.Recv(); err != nil || m.GetProgress().GetIdleLimit().AsDuration() != time.Minute {
				t.Fatalf("got %v, %v, want that it is open", m, err)
			}
			_ = stream.Send(compareChunk(14155550123))
			if left, _ := filepath.Glob(filepath.Join(dir, "compare", "*", "*")); len(left) == 0 {
				t.Error("nothing is staged: the test shows nothing")
			}
			if stops == "caller" {
				cancel()
			} else if err := n.stop(); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			if stops == "server" {
				wantReason(t, err, codes.Unavailable, "SHUTTING_DOWN")
			}
			wantNothingCompared(t, n, dir)
		})
	}
}
