package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestMalformedChecks: what is no message, or holds text that is not UTF-8, is an error that does not repeat it.
func TestMalformedChecks(t *testing.T) {
	t.Parallel()
	n := start(t)
	const digits = "4165550199"
	text := func(field protowire.Number) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), "+1"+digits+"\xff")
	}
	within := func(field protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), body)
	}
	for name, call := range map[string]struct {
		method string
		body   rawMessage
	}{
		"number":            {dncv1.CheckService_CheckNumber_FullMethodName, text(1)},
		"region":            {dncv1.CheckService_CheckNumber_FullMethodName, text(2)},
		"scope":             {dncv1.CheckService_CheckNumber_FullMethodName, text(3)},
		"journal_id":        {dncv1.CheckService_CheckNumber_FullMethodName, within(4, within(1, text(2)))}, // of read_at.at_least
		"cut":               {dncv1.CheckService_CheckNumber_FullMethodName, text(1)[:8]},
		"no message":        {dncv1.CheckService_CheckNumber_FullMethodName, []byte("\x0f\x0f" + digits)},
		"batch number":      {dncv1.CheckService_CheckNumbers_FullMethodName, text(1)},
		"batch scope":       {dncv1.CheckService_CheckNumbers_FullMethodName, text(4)},
		"batch of half one": {dncv1.CheckService_CheckNumbers_FullMethodName, []byte{0x12, 4, 1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			var answer rawMessage
			err := n.conn.Invoke(testContext(t), call.method, &call.body, &answer, grpc.ForceCodec(rawCodec{}))
			wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
			if len(answer) > 0 || strings.Contains(err.Error(), digits) {
				t.Errorf("got %v and %x, want an error without the number", err, answer)
			}
		})
	}
	n.checkNumber(canadian, "")
	if strings.Contains(n.log.String(), digits) {
		t.Errorf("the log holds the number: %s", n.log)
	}
}
