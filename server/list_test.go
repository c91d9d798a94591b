package server_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func suppression(name string) *dncv1.CreateListRequest {
	return &dncv1.CreateListRequest{Name: name, Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION}
}

func TestListLifecycle(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	created := n.createList(&dncv1.CreateListRequest{
		Name: "US-FTC", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"us"}, Coverage: []string{"+1415"},
	})
	if created.GetName() != "us-ftc" || created.GetState() != dncv1.ListState_LIST_STATE_NOT_LOADED || fmt.Sprint(created.GetCoverage()) != "[1415]" {
		t.Errorf("got %v", created)
	}
	_, err := n.list.CreateList(ctx, suppression("us-ftc"))
	wantReason(t, err, codes.AlreadyExists, "LIST_EXISTS")

	updated, err := n.list.UpdateList(ctx, &dncv1.UpdateListRequest{
		List:       &dncv1.List{Name: "us-ftc", MaxAge: durationpb.New(31 * 24 * time.Hour), Coverage: []string{"1415", "1818"}},
		UpdateMask: mask("max_age", "coverage"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if l := updated.GetList(); l.GetMaxAge().AsDuration() != 31*24*time.Hour || fmt.Sprint(l.GetCoverage(), l.GetJurisdiction()) != "[1415 1818] [US]" {
		t.Errorf("got %v", l)
	}
	n.replace("us-ftc", "2026-09-09", numbers(10)...)
	got, err := n.list.GetList(ctx, &dncv1.GetListRequest{Name: "us-ftc"})
	if err != nil {
		t.Fatal(err)
	}
	l := got.GetList()
	if l.GetNumbers() != 10 || l.GetState() != dncv1.ListState_LIST_STATE_LOADED || l.GetLastImport().GetAccepted() != 10 ||
		l.GetRunningImport() != nil || fmt.Sprint(l.GetEffectiveCoverage()) != "[1415]" {
		t.Errorf("got %v", l)
	}
	entry, err := n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: "+14155550003"})
	if err != nil || len(entry.GetLists()) != 1 || !proto.Equal(entry.GetLists()[0].GetListId(), created.GetId()) {
		t.Errorf("got %v and %v, want us-ftc", entry, err)
	}

	for _, regions := range [][]string{{"CA", "US"}, {"US"}} { // US gives up Canada, which it was just given
		update := &dncv1.UpdateListRequest{List: &dncv1.List{Name: "us-ftc", Jurisdiction: regions}, UpdateMask: mask("jurisdiction")}
		if len(regions) == 1 {
			_, err = n.list.UpdateList(ctx, update)
			wantReason(t, err, codes.FailedPrecondition, "CONFIRMATION_REQUIRED")
			update.Force = true
		}
		if _, err := n.list.UpdateList(ctx, update); err != nil {
			t.Errorf("jurisdiction %v: %v", regions, err)
		}
	}
	_, err = n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: "us-ftc"})
	wantReason(t, err, codes.FailedPrecondition, "CONFIRMATION_REQUIRED")
	deleted, err := n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: "us-ftc", Force: true})
	if err != nil || deleted.GetNumbers() != 10 {
		t.Errorf("got %v and %v", deleted, err)
	}
	if got := n.checkNumber("+14155550003", ""); got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("after the deletion: got %v", got.GetVerdict())
	}
	again := n.createList(suppression("us-ftc"))
	if again.GetId() == created.GetId() || again.GetNumbers() != 0 {
		t.Errorf("got %v, want a new empty list", again)
	}
}

func TestListErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	n.createList(&dncv1.CreateListRequest{Name: "reg", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}})
	registry := dncv1.ListKind_LIST_KIND_REGISTRY
	creates := []struct {
		req    *dncv1.CreateListRequest
		reason string
	}{
		{&dncv1.CreateListRequest{Kind: registry, Jurisdiction: []string{"US"}}, "LIST_NAME_INVALID"},
		{suppression("-x"), "LIST_NAME_INVALID"},
		{suppression("a b"), "LIST_NAME_INVALID"},
		{suppression(strings.Repeat("a", 65)), "LIST_NAME_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry}, "JURISDICTION_REQUIRED"},
		{&dncv1.CreateListRequest{Name: "x"}, "FIELD_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: 77}, "FIELD_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry, Jurisdiction: []string{"USA"}}, "REGION_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry, Jurisdiction: []string{"US"}, Coverage: []string{"abc"}}, "FIELD_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry, Jurisdiction: []string{"US"}, Scope: "/"}, "SCOPE_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry, Jurisdiction: []string{"US"}, MaxAge: durationpb.New(time.Hour)}, "FIELD_INVALID"},
		{&dncv1.CreateListRequest{Name: "x", Kind: registry, Jurisdiction: []string{"US"}, MaxAge: durationpb.New(0)}, "FIELD_INVALID"},
	}
	for _, tt := range creates {
		_, err := n.list.CreateList(ctx, tt.req)
		wantReason(t, err, codes.InvalidArgument, tt.reason)
	}
	_, err := n.list.UpdateList(ctx, &dncv1.UpdateListRequest{List: &dncv1.List{Name: "reg"}})
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
	_, err = n.list.UpdateList(ctx, &dncv1.UpdateListRequest{List: &dncv1.List{Name: "reg"}, UpdateMask: mask("jurisdiction")})
	wantReason(t, err, codes.InvalidArgument, "JURISDICTION_REQUIRED")
	for _, path := range []string{"name", "kind", "scope", "coverage.0", "*"} {
		_, err = n.list.UpdateList(ctx, &dncv1.UpdateListRequest{List: &dncv1.List{Name: "reg"}, UpdateMask: mask("max_age", path)})
		wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
	}
	_, err = n.list.UpdateList(ctx, &dncv1.UpdateListRequest{UpdateMask: mask("max_age")})
	wantReason(t, err, codes.InvalidArgument, "LIST_NAME_INVALID")
	_, err = n.list.UpdateList(ctx, &dncv1.UpdateListRequest{List: &dncv1.List{Name: "none"}, UpdateMask: mask("max_age")})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = n.list.GetList(ctx, &dncv1.GetListRequest{Name: "none"})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: "none"})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = n.list.ListImports(ctx, &dncv1.ListImportsRequest{List: "none"})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = n.list.RevertImport(ctx, &dncv1.RevertImportRequest{List: "reg"})
	wantReason(t, err, codes.FailedPrecondition, "NOTHING_TO_REVERT")
	_, err = n.list.RevertImport(ctx, &dncv1.RevertImportRequest{List: "none"})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
}

func TestListListsPages(t *testing.T) {
	t.Parallel()
	n := start(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("list-%d", i)
		want = append(want, name)
		n.createList(suppression(name))
	}
	var got []string
	token := ""
	for {
		page, err := n.list.ListLists(testContext(t), &dncv1.ListListsRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.GetLists() {
			got = append(got, l.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err := n.list.ListLists(testContext(t), &dncv1.ListListsRequest{PageToken: "x"})
	wantReason(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
}

func TestListImportsPages(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("a"))
	n.createList(suppression("b"))
	for i := range 3 {
		n.replace("a", "", numbers(100+i)...)
		n.replace("b", "", numbers(200+i)...)
	}
	var got []uint64
	token := ""
	for {
		page, err := n.list.ListImports(testContext(t), &dncv1.ListImportsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetImports() {
			got = append(got, r.GetNumbers())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
		_, err = n.list.ListImports(testContext(t), &dncv1.ListImportsRequest{List: "a", PageToken: token})
		wantReason(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
	}
	if want := []uint64{202, 102, 201, 101, 200, 100}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	one, err := n.list.ListImports(testContext(t), &dncv1.ListImportsRequest{List: "a"})
	if err != nil || len(one.GetImports()) != 3 {
		t.Fatalf("got %v and %v", one, err)
	}
	r := one.GetImports()[0]
	if r.GetState() != dncv1.ListImportState_LIST_IMPORT_STATE_SWITCHED || r.GetMode() != dncv1.ImportMode_IMPORT_MODE_REPLACE ||
		r.GetList() != "a" || r.GetSources()[0].GetName() != "2026-09-09_415.txt" || r.GetRevision() == 0 || r.GetOrigin() != dncv1.ImportOrigin_IMPORT_ORIGIN_UPLOAD || r.GetEndedAt() == nil {
		t.Errorf("got %v", r)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	want := numbers(100_000)
	result := n.replace("mine", "", want[:50_000]...)
	if _, err := n.load(upload{
		header: &dncv1.ImportHeader{List: "mine", Mode: dncv1.ImportMode_IMPORT_MODE_ADD},
		chunks: [][]uint64{want[50_000:]}, commit: commitOf(1, 50_000),
	}); err != nil {
		t.Fatal(err)
	}
	got, summary := n.export(&dncv1.ExportRequest{List: "mine", ReadAt: atLeast(result.GetPosition().GetRevision(), "")})
	if !slices.Equal(got, want) {
		t.Errorf("got %d numbers, want the %d loaded", len(got), len(want))
	}
	sum := sha256.Sum256(ascending(want))
	if summary.GetNumbers() != uint64(len(want)) || string(summary.GetContentSha256()) != string(sum[:]) {
		t.Errorf("got summary %v", summary)
	}

	n.createList(suppression("empty"))
	if got, summary := n.export(&dncv1.ExportRequest{List: "empty"}); len(got) != 0 || summary.GetNumbers() != 0 {
		t.Errorf("a list never loaded: got %v %v", got, summary)
	}
	for _, tt := range []struct {
		req    *dncv1.ExportRequest
		code   codes.Code
		reason string
	}{
		{&dncv1.ExportRequest{List: "none"}, codes.NotFound, "LIST_NOT_FOUND"},
		{&dncv1.ExportRequest{List: "mine", ReadAt: atLeast(0, "x")}, codes.FailedPrecondition, "JOURNAL_CHANGED"},
	} {
		stream, err := n.list.Export(testContext(t), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantReason(t, err, tt.code, tt.reason)
	}
}

func (n *node) export(req *dncv1.ExportRequest) (got []uint64, summary *dncv1.ExportSummary) {
	n.t.Helper()
	stream, err := n.list.Export(testContext(n.t), req)
	if err != nil {
		n.t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetHeader().GetList().GetName() != req.GetList() {
		n.t.Fatalf("got %v and %v, want a header", first, err)
	}
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return got, summary
		case err != nil:
			n.t.Fatal(err)
		case resp.GetSummary() != nil:
			summary = resp.GetSummary()
		default:
			last := uint64(0)
			for b := resp.GetChunk().GetAscending(); len(b) > 0; {
				step, size := binary.Uvarint(b)
				last += step
				got = append(got, last)
				b = b[size:]
			}
		}
	}
}
