package server_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

func TestImportAccountsForEveryEntry(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	chunks := [][]uint64{
		append(numbers(100), 14155550000, 1),     // a repeat and no number
		{14155550050, 14155550200, 999_000_0000}, // a repeat over chunks and an unknown country
	}
	commit := commitOf(2, 107)
	commit.Rejected = 2
	commit.RejectTallies = []*dncv1.RejectTally{{Reason: "no digits", Count: 2}}
	got, err := n.load(upload{
		header: &dncv1.ImportHeader{List: "mine", Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(0.5)}, Context: &dncv1.WriteContext{OnBehalfOf: "ops"}},
		chunks: chunks, commit: commit,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := got.result
	figures := []uint64{r.GetRead(), r.GetAccepted(), r.GetDuplicates(), r.GetRejected(), r.GetAdded(), r.GetRemoved(), r.GetUnchanged(), r.GetNumbers()}
	if want := []uint64{107, 101, 2, 4, 101, 0, 0, 101}; !slices.Equal(figures, want) {
		t.Errorf("got read, accepted, duplicates, rejected, added, removed, unchanged, numbers %v, want %v", figures, want)
	}
	if len(got.acks) != 2 || got.acks[0].GetSeq() != 1 || got.acks[1].GetSeq() != 2 {
		t.Fatalf("got acks %v", got.acks)
	}
	first := got.acks[0].GetRejects()
	if len(first) != 1 || first[0].GetIndex() != 0 || first[0].GetError().GetReason() != dncv1.ErrorReason_ERROR_REASON_NUMBER_LENGTH {
		t.Errorf("got rejects %v, want the entry 0 for its length", first)
	}
	if r.GetPosition().GetRevision() != n.store.View().Revision() || r.GetPosition().GetJournalId() == "" || r.GetElapsed().AsDuration() <= 0 {
		t.Errorf("got %v", r)
	}
	imports, err := n.list.ListImports(testContext(t), &dncv1.ListImportsRequest{List: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	record := imports.GetImports()[0]
	if record.GetRecordedBy() != "ops" || record.GetRecordedByProven() || record.GetRejectTallies()[0].GetCount() != 2 ||
		record.GetImportId() != got.opened.GetImportId() {
		t.Errorf("got %v", record)
	}
}

func TestImportModes(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(100)
	n.replace("mine", "", all[:50]...)
	for _, step := range []struct {
		mode    dncv1.ImportMode
		numbers []uint64
		added   uint64
		removed uint64
	}{
		{dncv1.ImportMode_IMPORT_MODE_ADD, all[40:60], 10, 0},
		{dncv1.ImportMode_IMPORT_MODE_REMOVE, all[:5], 0, 5},
		{dncv1.ImportMode_IMPORT_MODE_REPLACE, all, 45, 0},
	} {
		got, err := n.load(upload{
			header: &dncv1.ImportHeader{List: "mine", Mode: step.mode},
			chunks: [][]uint64{step.numbers}, commit: commitOf(1, len(step.numbers)),
		})
		if err != nil {
			t.Fatalf("%v: %v", step.mode, err)
		}
		if got.result.GetAdded() != step.added || got.result.GetRemoved() != step.removed {
			t.Errorf("%v: got %v", step.mode, got.result)
		}
	}
	if r := n.replace("mine", "", all...); !r.GetAlreadyLoaded() {
		t.Errorf("the same again: got %v, want already loaded", r)
	}
}

func TestImportGuardsAndDryRun(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(&dncv1.CreateListRequest{Name: "reg", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}})
	n.replace("reg", "2026-09-09", numbers(100)...)
	before := n.store.View().Revision()
	half := upload{
		header: &dncv1.ImportHeader{List: "reg", SnapshotDate: "2026-09-01"},
		chunks: [][]uint64{numbers(50)}, commit: commitOf(1, 50),
	}
	half.commit.TruncatedFiles = 1
	got, err := n.load(half)
	if err != nil {
		t.Fatal(err)
	}
	var failed []dncv1.ImportGuard
	for _, f := range got.result.GetGuardFailures() {
		failed = append(failed, f.GetGuard())
		if f.GetMessage() == "" || f.GetOverridden() {
			t.Errorf("got failure %v", f)
		}
	}
	if !got.result.GetRefused() || !slices.Contains(failed, dncv1.ImportGuard_IMPORT_GUARD_SHRINK) ||
		!slices.Contains(failed, dncv1.ImportGuard_IMPORT_GUARD_SNAPSHOT_OLDER) ||
		!slices.Contains(failed, dncv1.ImportGuard_IMPORT_GUARD_CUT) {
		t.Errorf("got %v, want a refusal for the shrink, the date and the file that was cut off", got.result)
	}
	dry := upload{header: proto.CloneOf(half.header), chunks: half.chunks, commit: half.commit}
	dry.header.DryRun, dry.header.Guards = true, &dncv1.ImportGuards{Override: true}
	if got, err = n.load(dry); err != nil || !got.result.GetDryRun() || got.result.GetRemoved() != 50 {
		t.Errorf("dry run: got %v and %v", got.result, err)
	}
	if r := n.store.View().Revision(); r != before {
		t.Errorf("refused and dry loads moved the revision from %d to %d", before, r)
	}
	half.header.Guards = &dncv1.ImportGuards{Override: true}
	if got, err = n.load(half); err != nil || got.result.GetRefused() || got.result.GetNumbers() != 50 {
		t.Errorf("overridden: got %v and %v", got.result, err)
	}
	empty := upload{header: &dncv1.ImportHeader{List: "reg", SnapshotDate: "2026-09-10", Guards: &dncv1.ImportGuards{Override: true}}, commit: commitOf(0, 0)}
	got, err = n.load(empty)
	if err != nil || !got.result.GetRefused() || got.result.GetGuardFailures()[0].GetGuard() != dncv1.ImportGuard_IMPORT_GUARD_NOTHING_ACCEPTED {
		t.Errorf("empty: got %v and %v", got.result, err)
	}
}

func TestImportGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(300)
	chunks := [][]uint64{append(all[:100:100], 5), all[100:200], all[200:]}
	open := &dncv1.ImportHeader{List: "mine"}
	broken, err := n.load(upload{header: open, chunks: chunks[:2]})
	if err != nil || broken.result != nil || len(broken.acks) != 2 {
		t.Fatalf("got %v and %v", broken, err)
	}
	resume := &dncv1.ImportHeader{List: "mine", ImportId: broken.opened.GetImportId()}
	got, err := n.load(upload{header: resume, chunks: chunks, commit: commitOf(3, 301)})
	if err != nil {
		t.Fatal(err)
	}
	if got.opened.GetLastChunk() != 2 || len(got.acks) != 1 || got.result.GetAccepted() != 300 || got.result.GetRejected() != 1 {
		t.Errorf("got %v", got)
	}
	again, err := n.load(upload{header: resume, chunks: chunks, commit: commitOf(3, 301)})
	if err != nil || !again.opened.GetCommitted() {
		t.Fatalf("committed again: %v (%v)", again.opened, err)
	}
	got.result.Elapsed, again.result.Elapsed = nil, nil
	if !proto.Equal(got.result, again.result) {
		t.Errorf("committed again: %v, first %v", again.result, got.result)
	}
	_, err = n.load(upload{header: &dncv1.ImportHeader{List: "mine", ImportId: "00112233445566778899aabb"}})
	wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")
}

// A client that goes away before it hears that its import is open leaves nothing open.
func TestImportOfAClientThatIsGoneIsClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	n.createList(suppression("mine"))
	stages := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "stage", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	const clients = 20
	for range clients {
		ctx, cancel := context.WithCancel(testContext(t))
		stream, err := n.list.Import(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before := len(stages())
		send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}})
		for len(stages()) == before && ctx.Err() == nil {
			time.Sleep(50 * time.Microsecond)
		}
		cancel() // the stage is there, and the answer hardly sent
	}
	if got := len(stages()); got != clients {
		t.Fatalf("%d stages, want %d", got, clients)
	}
	for _, stage := range stages() {
		header := &dncv1.ImportHeader{List: "mine", ImportId: filepath.Base(stage)}
		eventually(t, "the import can be gone on with", func() bool {
			_, err := n.load(upload{header: header})
			return err == nil
		})
	}
}

// A load continues with the date and files that it began with: chunks of an older file never pass as a newer one.
func TestImportGoesOnAsItBegan(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	header := func(date, file, id string) *dncv1.ImportHeader {
		return &dncv1.ImportHeader{List: "mine", SnapshotDate: date, ImportId: id, Sources: []*dncv1.ImportSource{{Name: file}}}
	}
	broken, err := n.load(upload{header: header("2026-09-08", "a.txt", ""), chunks: [][]uint64{numbers(10)}})
	if err != nil {
		t.Fatal(err)
	}
	id := broken.opened.GetImportId()
	for _, other := range []*dncv1.ImportHeader{
		header("2026-09-09", "a.txt", id), header("", "a.txt", id), header("2026-09-08", "b.txt", id),
	} {
		_, err := n.load(upload{header: other})
		wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")
	}
	got, err := n.load(upload{header: header("2026-09-08", "a.txt", id)})
	if err != nil || got.opened.GetLastChunk() != 1 {
		t.Errorf("the same again: %v (%v), want chunk 1", got.opened, err)
	}
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	n.createList(&dncv1.CreateListRequest{
		Name: "aged", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}, MaxAge: durationpb.New(31 * 24 * time.Hour),
	})
	mine := &dncv1.ImportHeader{List: "mine"}
	tests := []struct {
		name   string
		u      upload
		code   codes.Code
		reason string
	}{
		{"no list", upload{header: &dncv1.ImportHeader{}}, codes.InvalidArgument, "LIST_NAME_INVALID"},
		{"unknown list", upload{header: &dncv1.ImportHeader{List: "none"}}, codes.NotFound, "LIST_NOT_FOUND"},
		{"unknown mode", upload{header: &dncv1.ImportHeader{List: "mine", Mode: 5}}, codes.InvalidArgument, "FIELD_INVALID"},
		{
			"resume with a request id",
			upload{header: &dncv1.ImportHeader{List: "mine", Resume: true, Context: &dncv1.WriteContext{RequestId: "i-1"}}},
			codes.InvalidArgument, "FIELD_INVALID",
		},
		{"date missing", upload{header: &dncv1.ImportHeader{List: "aged"}}, codes.InvalidArgument, "SNAPSHOT_DATE_REQUIRED"},
		{"date malformed", upload{header: &dncv1.ImportHeader{List: "aged", SnapshotDate: "09/09/2026"}}, codes.InvalidArgument, "SNAPSHOT_DATE_INVALID"},
		{"date ahead", upload{header: &dncv1.ImportHeader{List: "aged", SnapshotDate: "2026-09-12"}}, codes.InvalidArgument, "SNAPSHOT_DATE_INVALID"},
		{"unknown import", upload{header: &dncv1.ImportHeader{List: "mine", ImportId: "../../etc"}}, codes.NotFound, "IMPORT_NOT_FOUND"},
		{"guard", upload{header: &dncv1.ImportHeader{List: "mine", Guards: &dncv1.ImportGuards{MaxShrinkRatio: proto.Float64(2)}}}, codes.InvalidArgument, "FIELD_INVALID"},
		{"source", upload{header: &dncv1.ImportHeader{List: "mine", Sources: []*dncv1.ImportSource{{Name: "/a/b"}}}}, codes.InvalidArgument, "FIELD_INVALID"},
		{"chunks missing", upload{header: mine, chunks: [][]uint64{{14155550100}}, commit: commitOf(2, 1)}, codes.FailedPrecondition, "CHUNK_OUT_OF_ORDER"},
		{"counts", upload{header: mine, chunks: [][]uint64{{14155550100}}, commit: commitOf(1, 5)}, codes.InvalidArgument, "FIELD_INVALID"},
		{"hash", upload{header: mine, commit: &dncv1.ImportCommit{Sources: []*dncv1.ImportSource{{Name: "a"}}}}, codes.InvalidArgument, "FIELD_INVALID"},
		{"coverage", upload{header: mine, commit: &dncv1.ImportCommit{Coverage: []string{"x"}}}, codes.InvalidArgument, "FIELD_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := n.load(tt.u)
			if err == nil {
				t.Fatalf("got %v, want %s", got, tt.reason)
			}
			wantReason(t, err, tt.code, tt.reason)
		})
	}
}

func TestImportFrameErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	header := &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}}
	chunk := func(c *dncv1.ImportChunk) *dncv1.ImportRequest {
		return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: c}}
	}
	unknown := new(dncv1.ImportRequest) // a frame of a later contract
	unknown.ProtoReflect().SetUnknown([]byte{0x7a, 0})
	tests := []struct {
		name   string
		frames []*dncv1.ImportRequest
		code   codes.Code
		reason string
	}{
		{"nothing", nil, codes.InvalidArgument, "FIELD_INVALID"},
		{"no header", []*dncv1.ImportRequest{chunk(&dncv1.ImportChunk{Seq: 1})}, codes.InvalidArgument, "FIELD_INVALID"},
		{"two headers", []*dncv1.ImportRequest{header, header}, codes.InvalidArgument, "FIELD_INVALID"},
		{"empty frame first", []*dncv1.ImportRequest{{}}, codes.InvalidArgument, "FIELD_INVALID"},
		{"unknown frame", []*dncv1.ImportRequest{header, unknown}, codes.InvalidArgument, "FIELD_INVALID"},
		{"seq 0", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"seq 2", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 2})}, codes.FailedPrecondition, "CHUNK_OUT_OF_ORDER"},
		{"cut varint", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Add: &dncv1.NumberSet{Ascending: []byte{0x80}}})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"both", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Add: &dncv1.NumberSet{Ascending: []byte{1}, Numbers: []uint64{1}}})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"rows", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Rows: []*dncv1.RecordRow{{}}})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"removed", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Remove: &dncv1.NumberSet{Numbers: []uint64{1}}})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"large", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Add: &dncv1.NumberSet{Ascending: make([]byte, 512<<10+1)}})}, codes.InvalidArgument, "CHUNK_INVALID"},
		{"hopeless", []*dncv1.ImportRequest{header, chunk(&dncv1.ImportChunk{Seq: 1, Add: &dncv1.NumberSet{Ascending: make([]byte, 300_000)}})}, codes.InvalidArgument, "CHUNK_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream, err := n.list.Import(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tt.frames {
				send(stream, f)
			}
			stream.CloseSend()
			for err == nil {
				_, err = stream.Recv()
			}
			wantReason(t, err, tt.code, tt.reason)
		})
	}
}

func TestImportTakesFixed64InAnyOrder(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	stream, err := n.list.Import(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}})
	send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: &dncv1.ImportChunk{
		Seq: 1, Add: &dncv1.NumberSet{Numbers: []uint64{33199001234, 14155550100, 33199001235}},
	}}})
	send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: commitOf(1, 3)}})
	var result *dncv1.ImportResult
	for result == nil {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		result = resp.GetResult()
	}
	got, _ := n.export(&dncv1.ExportRequest{List: "mine"})
	if want := "[14155550100 33199001234 33199001235]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestImportTellsItsPhases(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(9000)
	for i, header := range []*dncv1.ImportHeader{{List: "mine"}, {List: "mine", Mode: dncv1.ImportMode_IMPORT_MODE_ADD}} {
		part := all[:4500*(i+1)]
		got, err := n.load(upload{header: header, chunks: [][]uint64{part}, commit: commitOf(1, len(part))})
		if err != nil {
			t.Fatal(err)
		}
		want := []dncv1.ImportPhase{
			dncv1.ImportPhase_IMPORT_PHASE_COMPARING, dncv1.ImportPhase_IMPORT_PHASE_WRITING, dncv1.ImportPhase_IMPORT_PHASE_SWITCHING,
		}
		if phases := slices.Compact(got.phases); !slices.Equal(phases, want) {
			t.Errorf("%v: phases %v, want %v", header.GetMode(), phases, want)
		}
	}
}

func TestImportRemembersItsFiles(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	commit := commitOf(1, 10)
	commit.Sources = append(commit.Sources, proto.CloneOf(commit.GetSources()[0]))
	commit.Sources[0].Format, commit.Sources[1].Format = dncv1.ImportFormat_IMPORT_FORMAT_FTC_XML, dncv1.ImportFormat_IMPORT_FORMAT_CSV
	if _, err := n.load(upload{header: &dncv1.ImportHeader{List: "mine"}, chunks: [][]uint64{numbers(10)}, commit: commit}); err != nil {
		t.Fatal(err)
	}
	got, err := n.list.ListImports(testContext(t), &dncv1.ListImportsRequest{List: "mine"})
	if err != nil || len(got.GetImports()) != 1 || !slices.EqualFunc(got.GetImports()[0].GetSources(), commit.GetSources(), func(a, b *dncv1.ImportSource) bool {
		return proto.Equal(a, b)
	}) {
		t.Errorf("got %v (%v), want the files %v", got.GetImports(), err, commit.GetSources())
	}
}
