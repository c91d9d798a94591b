package server_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// wantTrailer checks that the trailers of a call that failed hold its reason, as its details do.
func wantTrailer(t *testing.T, name string, err error, trailer metadata.MD, reason string) {
	t.Helper()
	if got := trailer.Get("dncd-reason"); !slices.Equal(got, []string{reason}) || errorInfo(err).GetReason() != reason {
		t.Errorf("%s: got the trailer %v and the details %v, want %s in both", name, got, errorInfo(err), reason)
	}
}

// TestReasonIsInATrailer: every way in which a call can fail has its reason as text, too.
func TestReasonIsInATrailer(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, tt := range []struct {
		method  string
		request any
		reason  string
	}{
		{dncv1.CheckService_CheckNumber_FullMethodName, &dncv1.CheckNumberRequest{Number: "4155550100"}, "NUMBER_NO_COUNTRY"},
		{dncv1.CheckService_CheckNumbers_FullMethodName, &dncv1.CheckNumbersRequest{E164: make([]uint64, 10_001)}, "BATCH_TOO_LARGE"},
		{dncv1.CheckService_CheckNumber_FullMethodName, &dncv1.CheckNumberRequest{Scope: strings.Repeat("x", 2<<20)}, "BATCH_TOO_LARGE"},
		{dncv1.RecordService_WithdrawOptOut_FullMethodName, &dncv1.WithdrawOptOutRequest{Number: french, Reason: "x", Context: &dncv1.WriteContext{RequestId: "r"}}, "NOTHING_TO_WITHDRAW"},
		{dncv1.ListService_GetList_FullMethodName, &dncv1.GetListRequest{Name: "none"}, "LIST_NOT_FOUND"},
		{"/dnc.v1.CheckService/Tomorrow", &dncv1.CheckNumberRequest{}, "UNSUPPORTED"},
		{"/other.Service/Method", &dncv1.CheckNumberRequest{}, "UNSUPPORTED"},
	} {
		var trailer metadata.MD
		err := n.conn.Invoke(testContext(t), tt.method, tt.request, &dncv1.CheckNumberResponse{}, grpc.Trailer(&trailer))
		wantTrailer(t, tt.method, err, trailer, tt.reason)
	}
	for _, tt := range []struct {
		method  string
		request any
		reason  string
	}{
		{dncv1.CheckService_StreamChecks_FullMethodName, &dncv1.StreamChecksRequest{Checks: slices.Repeat([]*dncv1.StreamCheck{{}}, 10_001)}, "BATCH_TOO_LARGE"},
		{dncv1.ListService_Export_FullMethodName, &dncv1.ExportRequest{List: "none"}, "LIST_NOT_FOUND"},
		{dncv1.ListService_Import_FullMethodName, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "none"}}}, "LIST_NOT_FOUND"},
		{dncv1.RecordService_ImportRecords_FullMethodName, &dncv1.ImportRecordsRequest{}, "FIELD_INVALID"},
		{dncv1.RecordService_ExportRecords_FullMethodName, &dncv1.ExportRecordsRequest{Kind: 99}, "FIELD_INVALID"},
	} {
		stream, err := n.conn.NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, tt.method)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(tt.request); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(&dncv1.CheckNumberResponse{})
		wantTrailer(t, tt.method, err, stream.Trailer(), tt.reason)
	}
}

// TestSuccessHasNoReason: the trailer is there only when a call has failed.
func TestSuccessHasNoReason(t *testing.T) {
	t.Parallel()
	var trailer metadata.MD
	if _, err := start(t).check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: french}, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if got := trailer.Get("dncd-reason"); len(got) != 0 {
		t.Errorf("got the trailer %v, want none", got)
	}
}
