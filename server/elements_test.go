package server

import (
	"runtime"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// encoded is a message as it is sent.
func encoded(t *testing.T, m proto.Message) mem.BufferSlice {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	half := len(b) / 2 // it comes in several parts
	return mem.BufferSlice{mem.SliceBuffer(b[:half]), mem.SliceBuffer(b[half:])}
}

// empties are messages that take two bytes each.
func empties[T any](count int) []*T {
	all := make([]*T, count)
	for i := range all {
		all[i] = new(T)
	}
	return all
}

// A request of many empty messages is refused before it is decoded, at the first that is too many, in each place that can hold them.
func TestElementsAreCountedBeforeDecoding(t *testing.T) {
	t.Parallel()
	audit := func(n int) proto.Message { return &dncv1.AuditCallsRequest{Calls: empties[dncv1.AuditedCall](n)} }
	rows := func(n int) *dncv1.ImportChunk { return &dncv1.ImportChunk{Rows: empties[dncv1.RecordRow](n)} }
	for name, tt := range map[string]struct {
		make func(n int) proto.Message
		want string
	}{
		"calls": {audit, "BATCH_TOO_LARGE"},
		"rows": {func(n int) proto.Message {
			return &dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: rows(n)}}
		}, "CHUNK_INVALID"},
		"rows for a list": {func(n int) proto.Message {
			return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: rows(n)}}
		}, "CHUNK_INVALID"},
		"files": {func(n int) proto.Message {
			return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{Sources: empties[dncv1.ImportSource](n)}}}
		}, "FIELD_INVALID"},
	} {
		m := tt.make(0).ProtoReflect().New().Interface()
		if err := checkElements(encoded(t, tt.make(maxElements)), m); err != nil {
			t.Errorf("%s: as many as may be: %v", name, err)
		}
		for _, n := range []int{maxElements + 1, maxReceiveBytes/2 - 100} {
			wantFault(t, name, checkElements(encoded(t, tt.make(n)), m), tt.want)
		}
	}
}

func wantFault(t *testing.T, name string, err error, reason string) {
	t.Helper()
	f, ok := err.(*fault) //nolint:errorlint // it is not wrapped
	if !ok || f.reason.String() != "ERROR_REASON_"+reason || f.meta["limit"] != "10000" {
		t.Errorf("%s: got %v, want %s with the limit", name, err, reason)
	}
}

// Refusing takes no more memory than the message.
func TestRefusedElementsTakeNoMemory(t *testing.T) {
	data := encoded(t, &dncv1.AuditCallsRequest{Calls: empties[dncv1.AuditedCall](maxReceiveBytes/2 - 100)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := checkElements(data, new(dncv1.AuditCallsRequest)); err == nil {
		t.Error("it was not refused")
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4*maxReceiveBytes {
		t.Errorf("refusing a message of %d bytes took %d", data.Len(), took)
	}
}

// What does not parse is left to the decoder.
func TestElementsOfGarbage(t *testing.T) {
	t.Parallel()
	garbage := make([]byte, 3*maxElements)
	for i := range garbage {
		garbage[i] = byte(i * 7)
	}
	if err := checkElements(mem.BufferSlice{mem.SliceBuffer(garbage)}, new(dncv1.AuditCallsRequest)); err != nil {
		t.Error(err)
	}
}
