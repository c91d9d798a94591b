package server_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// recordUpload is one import of opt-outs, as a client sends it.
type recordUpload struct {
	header   *dncv1.ImportRecordsHeader
	chunks   [][]*dncv1.RecordRow
	rejected uint64 // by the client
	open     bool   // without a commit
}

type recordUploaded struct {
	opened *dncv1.ImportOpened
	acks   []*dncv1.ImportAck
	result *dncv1.ImportRecordsResult
}

func (u *recordUpload) commit() *dncv1.ImportCommit {
	sum := sha256.Sum256([]byte("a file"))
	c := &dncv1.ImportCommit{
		Chunks: uint64(len(u.chunks)), Read: u.rejected, Rejected: u.rejected,
		Sources: []*dncv1.ImportSource{{Name: "crm.csv", Sha256: sum[:], Size: 6}},
	}
	for _, rows := range u.chunks {
		c.Read += uint64(len(rows))
	}
	return c
}

// importRecords sends an import and takes the answers.
func (n *node) importRecords(u recordUpload) (got recordUploaded, err error) {
	n.t.Helper()
	stream, err := n.record.ImportRecords(testContext(n.t))
	if err != nil {
		return got, err
	}
	if u.header == nil {
		u.header = &dncv1.ImportRecordsHeader{}
	}
	u.header.Kind = max(u.header.Kind, dncv1.RecordKind_RECORD_KIND_OPT_OUT)
	send := func(req *dncv1.ImportRecordsRequest) { _ = stream.Send(req) }
	send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: u.header}})
	first, err := stream.Recv()
	if err != nil {
		return got, err
	}
	got.opened = first.GetOpened()
	for i, rows := range u.chunks {
		if seq := uint64(i + 1); seq > got.opened.GetLastChunk() {
			send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: &dncv1.ImportChunk{Seq: seq, Rows: rows}}})
		}
	}
	if !u.open {
		send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Commit{Commit: u.commit()}})
	}
	stream.CloseSend()
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF), u.open && errorInfo(err).GetReason() == "IMPORT_NOT_COMMITTED":
			return got, nil
		case err != nil:
			return got, err
		case resp.GetAck() != nil:
			got.acks = append(got.acks, resp.GetAck())
		case resp.GetResult() != nil:
			got.result = resp.GetResult()
		}
	}
}

// exported are the records of the node, without ids and recorded_at.
func (n *node) exported(req *dncv1.ExportRecordsRequest) (header *dncv1.ExportRecordsHeader, records []string) {
	n.t.Helper()
	stream, err := n.record.ExportRecords(testContext(n.t), req)
	if err != nil {
		n.t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			n.t.Fatal("export:", err)
		}
		if h := resp.GetHeader(); h != nil {
			header = h
		}
		for _, r := range resp.GetChunk().GetRecords() {
			story := r.GetRecord().GetStory()
			records = append(records, fmt.Sprintf("%s %s %v %s %s|%s|%s|%s %v", r.GetNumber(), r.GetRecord().GetScope(), r.GetRecord().GetChannel(),
				r.GetRecord().GetReceivedAt().AsTime().Format(time.DateOnly), story.GetDesk(), story.GetEvidence(), story.GetNote(),
				story.GetRecordedBy(), r.GetRecord().GetInForce()))
		}
		if s := resp.GetSummary(); s != nil {
			if int(s.GetRecords()) != len(records) {
				n.t.Errorf("summary of %d records after %d", s.GetRecords(), len(records))
			}
			return header, records
		}
	}
}

func received(day int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 9, day, 0, 0, 0, 0, time.UTC))
}

func TestImportRecordsAccountsForEveryRow(t *testing.T) {
	t.Parallel()
	n := start(t)
	rows := []*dncv1.RecordRow{
		{Number: french, Scope: "Acme", Channel: dncv1.Channel_CHANNEL_LETTER, Desk: "Lyon", ReceivedAt: received(1), Evidence: "t-1"},
		{Number: "01 99 00 12 35", Region: "FR", Scope: "acme/telecom", ReceivedAt: received(2)},
		{Number: "415-555-0123", ReceivedAt: received(3), Channel: dncv1.Channel_CHANNEL_OTHER, Note: "fax"}, // the header's region
		{Number: french, Scope: "acme", Channel: dncv1.Channel_CHANNEL_LETTER, ReceivedAt: received(1)},      // said before
		{Number: "+33123"},
		{Number: french, Scope: "no scope"},
		{Number: french, Region: "XX"},
		{Number: french, Channel: 99},
		{Number: french, ReceivedAt: received(30)},
		{Number: french, ExpiresAt: received(9)},
		{Number: french, Desk: strings.Repeat("x", 257)},
		{Number: french, ConsentKind: dncv1.ConsentKind_CONSENT_KIND_PURCHASE},
	}
	header := func() *dncv1.ImportRecordsHeader {
		return &dncv1.ImportRecordsHeader{Region: "US", Context: &dncv1.WriteContext{OnBehalfOf: "ops"}, Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(0.9)}}
	}
	upload := recordUpload{header: header(), chunks: [][]*dncv1.RecordRow{rows[:2], rows[2:]}, rejected: 3}
	got, err := n.importRecords(upload)
	if err != nil {
		t.Fatal(err)
	}
	r := got.result
	if r.GetRead() != 15 || r.GetAccepted() != 3 || r.GetDuplicates() != 1 || r.GetRejected() != 11 || r.GetFirstRevision() != 1 || r.GetRefused() {
		t.Errorf("got %v", r)
	}
	var reasons []string
	for _, reject := range got.acks[1].GetRejects() {
		reasons = append(reasons, fmt.Sprint(reject.GetIndex(), " ", strings.TrimPrefix(reject.GetError().GetReason().String(), "ERROR_REASON_")))
	}
	want := "2 NUMBER_LENGTH, 3 SCOPE_INVALID, 4 REGION_INVALID, 5 FIELD_INVALID, 6 FIELD_INVALID, 7 FIELD_INVALID, 8 FIELD_INVALID, 9 FIELD_INVALID"
	if got := strings.Join(reasons, ", "); got != want {
		t.Errorf("got rejects %s, want %s", got, want)
	}
	h, records := n.exported(&dncv1.ExportRecordsRequest{Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT})
	wantRecords := []string{
		"+14155550123  CHANNEL_OTHER 2026-09-03 ||fax|ops true",
		"+33199001234 acme CHANNEL_LETTER 2026-09-01 Lyon|t-1||ops true",
		"+33199001235 acme/telecom CHANNEL_UNSPECIFIED 2026-09-02 |||ops true",
	}
	if fmt.Sprint(records) != fmt.Sprint(wantRecords) {
		t.Errorf("got records\n%s\nwant\n%s", strings.Join(records, "\n"), strings.Join(wantRecords, "\n"))
	}
	told := r.GetPosition().GetRevision() + 1 // the revision at which the journal names the import
	if h.GetPosition().GetRevision() != told || h.GetPosition().GetJournalId() != r.GetPosition().GetJournalId() || !h.GetCheckedAt().AsTime().Equal(testDay) {
		t.Errorf("got header %v", h)
	}
	if got := n.checkNumber("+14155550123", "acme"); got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got verdict %v", got.GetVerdict())
	}
	for _, dryRun := range []bool{true, false} {
		upload.header = header()
		upload.header.DryRun = dryRun
		again, err := n.importRecords(upload)
		if err != nil {
			t.Fatal(err)
		}
		if a := again.result; a.GetAccepted() != 0 || a.GetDuplicates() != 4 || a.GetRejected() != 11 || a.GetFirstRevision() != 0 || a.GetDryRun() != dryRun {
			t.Errorf("again, dry run %v: got %v", dryRun, a)
		}
	}
	imports, err := n.record.ListRecordImports(testContext(t), &dncv1.ListRecordImportsRequest{})
	if err != nil || len(imports.GetImports()) != 2 {
		t.Fatalf("got imports %v (%v), want the first time and the one after that was no dry run", imports.GetImports(), err)
	}
	entry := imports.GetImports()[1]
	if entry.GetState() != dncv1.RecordImportState_RECORD_IMPORT_STATE_RECORDED ||
		entry.GetKind() != dncv1.RecordKind_RECORD_KIND_OPT_OUT || entry.GetRevision() != told ||
		entry.GetImportId() != r.GetImportId() || entry.GetRecordedBy() != "ops" ||
		entry.GetRead() != 15 || entry.GetAccepted() != 3 || entry.GetDuplicates() != 1 || entry.GetRejected() != 11 {
		t.Errorf("got entry %v", entry)
	}
}

// With fallback_scope a row whose number can be read is recorded, and the ack reports what was left out of it.
func TestImportRecordsLeavesOutWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	n := start(t)
	long := strings.Repeat("é", 200)
	rows := []*dncv1.RecordRow{
		{Number: "+33199001230", Scope: "acme", ReceivedAt: received(1)},
		{Number: "+33199001231", Scope: "no scope", ReceivedAt: received(1)},
		{Number: "+33199001232", Scope: "acme", ReceivedAt: received(30), Desk: long},
		{Number: "+33199001233", Scope: "acme", ReceivedAt: received(5), ExpiresAt: &timestamppb.Timestamp{Seconds: -1}, Channel: 99, Note: "a\x00b"},
		{Number: "+33199001234", Scope: "acme", ExpiresAt: received(1)}, // it has ended
		{Number: "+33123", Scope: "no scope"},
	}
	got, err := n.importRecords(recordUpload{
		header: &dncv1.ImportRecordsHeader{FallbackScope: proto.String("group"), Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(0.9)}}, chunks: [][]*dncv1.RecordRow{rows},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := got.result; r.GetAccepted() != 4 || r.GetRejected() != 2 {
		t.Errorf("got %v", r)
	}
	told := func(list []*dncv1.ImportReject) (text string) {
		for _, r := range list {
			text += fmt.Sprintln(r.GetIndex(), r.GetError().GetMessage())
		}
		return text
	}
	wantRemarks := "1 invalid scope: byte 2 is not one of a-z 0-9 . _ - /\n" +
		"2 received_at is more than a day in the future: check the date; desk is longer than 256 bytes: shorten it\n" +
		"3 channel has a value that this server does not know; expires_at is no time between 1970 and 2200; note holds a control character: leave it out\n"
	if got := told(got.acks[0].GetRemarks()); got != wantRemarks {
		t.Errorf("got remarks\n%s\nwant\n%s", got, wantRemarks)
	}
	if got := told(got.acks[0].GetRejects()); !strings.HasPrefix(got, "4 expires_at has passed") || !strings.Contains(got, "\n5 ") {
		t.Errorf("got rejects\n%s", got)
	}
	_, records := n.exported(&dncv1.ExportRecordsRequest{Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT})
	want := []string{
		"+33199001230 acme CHANNEL_UNSPECIFIED 2026-09-01 ||| true",
		"+33199001231 group CHANNEL_UNSPECIFIED 2026-09-01 ||| true",
		"+33199001232 acme CHANNEL_UNSPECIFIED " + testDay.Format(time.DateOnly) + " " + strings.Repeat("é", 128) + "||| true",
		"+33199001233 acme CHANNEL_OTHER 2026-09-05 ||a b| true",
	}
	if fmt.Sprint(records) != fmt.Sprint(want) {
		t.Errorf("got records\n%s\nwant\n%s", strings.Join(records, "\n"), strings.Join(want, "\n"))
	}
	_, err = n.importRecords(recordUpload{header: &dncv1.ImportRecordsHeader{FallbackScope: proto.String("no scope")}})
	wantReason(t, err, codes.InvalidArgument, "SCOPE_INVALID")
}

func TestExportRecordsFilters(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, scope := range []string{"", "acme", "acme/telecom", "acme/bank", "other"} {
		n.optOut(french, scope)
	}
	if _, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: unlisted, ExpiresAt: timestamppb.New(testDay.Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	n.clock.add(2 * time.Hour)
	for _, c := range []struct {
		req  *dncv1.ExportRecordsRequest
		want int
	}{
		{&dncv1.ExportRecordsRequest{}, 6},
		{&dncv1.ExportRecordsRequest{InForceOnly: true}, 5},
		{&dncv1.ExportRecordsRequest{Scope: proto.String("acme/telecom")}, 4}, // at "", acme, acme/telecom, and the expired one
		{&dncv1.ExportRecordsRequest{Scope: proto.String(""), InForceOnly: true}, 5},
		{&dncv1.ExportRecordsRequest{Scope: proto.String("acme"), InForceOnly: true}, 4},
	} {
		if _, records := n.exported(c.req); len(records) != c.want {
			t.Errorf("%v: got %d records, want %d: %v", c.req, len(records), c.want, records)
		}
	}
}

func TestImportRecordsGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	var chunks [][]*dncv1.RecordRow
	for c := range 3 {
		var rows []*dncv1.RecordRow
		for i := range 30 {
			rows = append(rows, &dncv1.RecordRow{Number: fmt.Sprintf("+1415555%04d", 100+c*30+i), ReceivedAt: received(1)})
		}
		chunks = append(chunks, rows)
	}
	got, err := n.importRecords(recordUpload{chunks: chunks[:2], open: true})
	if err != nil {
		t.Fatal(err)
	}
	if n.store.View().Revision() != 0 {
		t.Fatal("rows count before the commit")
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	n.store = nil
	n = startIn(t, dir, store.Options{MinFree: -1})
	id := got.opened.GetImportId()
	got, err = n.importRecords(recordUpload{header: &dncv1.ImportRecordsHeader{ImportId: id}, chunks: chunks})
	if err != nil {
		t.Fatal(err)
	}
	if got.opened.GetLastChunk() != 2 || len(got.acks) != 1 || got.result.GetAccepted() != 90 {
		t.Errorf("got last chunk %d, %d acks, %v", got.opened.GetLastChunk(), len(got.acks), got.result)
	}
	again, err := n.importRecords(recordUpload{header: &dncv1.ImportRecordsHeader{ImportId: id}, chunks: chunks})
	if err != nil {
		t.Fatal(err)
	}
	if !again.opened.GetCommitted() || !proto.Equal(again.result, got.result) {
		t.Errorf("asked again: got %v, want %v", again.result, got.result)
	}
}

func TestImportRecordsErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	for name, c := range map[string]struct {
		upload recordUpload
		code   codes.Code
		reason string
	}{
		"instead":    {recordUpload{header: &dncv1.ImportRecordsHeader{Kind: dncv1.RecordKind_RECORD_KIND_CONSENT, FallbackScope: proto.String("acme")}}, codes.InvalidArgument, "FIELD_INVALID"},
		"no import":  {recordUpload{header: &dncv1.ImportRecordsHeader{ImportId: "../../x"}}, codes.NotFound, "IMPORT_NOT_FOUND"},
		"no ratio":   {recordUpload{header: &dncv1.ImportRecordsHeader{Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(2)}}}, codes.InvalidArgument, "FIELD_INVALID"},
		"no region":  {recordUpload{header: &dncv1.ImportRecordsHeader{Region: "XX"}}, codes.InvalidArgument, "REGION_INVALID"},
		"long by":    {recordUpload{header: &dncv1.ImportRecordsHeader{Context: &dncv1.WriteContext{OnBehalfOf: strings.Repeat("x", 257)}}}, codes.InvalidArgument, "FIELD_INVALID"},
		"shrink":     {recordUpload{header: &dncv1.ImportRecordsHeader{Guards: &dncv1.ImportGuards{MaxShrinkRatio: proto.Float64(1)}}}, codes.InvalidArgument, "FIELD_INVALID"},
		"resume":     {recordUpload{header: &dncv1.ImportRecordsHeader{Resume: true, Context: request("r")}}, codes.InvalidArgument, "FIELD_INVALID"},
		"lift":       {recordUpload{header: &dncv1.ImportRecordsHeader{LiftOptOuts: true}}, codes.InvalidArgument, "FIELD_INVALID"},
		"long id":    {recordUpload{header: &dncv1.ImportRecordsHeader{Context: request(strings.Repeat("x", 129))}}, codes.InvalidArgument, "FIELD_INVALID"},
		"many rows":  {recordUpload{chunks: [][]*dncv1.RecordRow{make([]*dncv1.RecordRow, 10_001)}}, codes.InvalidArgument, "CHUNK_INVALID"},
		"large rows": {recordUpload{chunks: [][]*dncv1.RecordRow{{{Note: strings.Repeat("x", 520<<10)}}}}, codes.InvalidArgument, "CHUNK_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.importRecords(c.upload)
			wantReason(t, err, c.code, c.reason)
		})
	}
	if n.store.View().Revision() != 0 {
		t.Error("something was recorded")
	}
}

// TestImportRecordsRefusesWhatIsOfLists sends what only imports of lists have, and a commit that does not add up.
func TestImportRecordsRefusesWhatIsOfLists(t *testing.T) {
	t.Parallel()
	n := start(t)
	rows := &dncv1.ImportChunk{Seq: 1, Rows: []*dncv1.RecordRow{{Number: french}}}
	set := &dncv1.NumberSet{Numbers: []uint64{33199001234}}
	for name, c := range map[string]struct {
		chunk  *dncv1.ImportChunk
		commit *dncv1.ImportCommit
		code   codes.Code
		reason string
	}{
		"sum":      {rows, &dncv1.ImportCommit{Chunks: 1, Read: 2}, codes.InvalidArgument, "FIELD_INVALID"},
		"add":      {&dncv1.ImportChunk{Seq: 1, Add: set}, &dncv1.ImportCommit{}, codes.InvalidArgument, "CHUNK_INVALID"},
		"remove":   {&dncv1.ImportChunk{Seq: 1, Remove: set}, &dncv1.ImportCommit{}, codes.InvalidArgument, "CHUNK_INVALID"},
		"coverage": {rows, &dncv1.ImportCommit{Chunks: 1, Read: 1, Coverage: []string{"331"}}, codes.InvalidArgument, "FIELD_INVALID"},
		"digest":   {rows, &dncv1.ImportCommit{Chunks: 1, Read: 1, ChunksDigest: make([]byte, 32)}, codes.FailedPrecondition, "CHUNK_OUT_OF_ORDER"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			stream, err := n.record.ImportRecords(ctx)
			if err != nil {
				t.Fatal(err)
			}
			header := &dncv1.ImportRecordsHeader{Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT}
			_ = stream.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: header}})
			_ = stream.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: c.chunk}})
			_ = stream.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Commit{Commit: c.commit}})
			for err == nil {
				_, err = stream.Recv()
			}
			wantReason(t, err, c.code, c.reason)
		})
	}
	if n.store.View().Revision() != 0 {
		t.Error("something was recorded")
	}
}
