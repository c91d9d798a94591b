package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestHeadersOfACall: a call may bring 16 KiB of metadata and more; one that brings too much learns the limit.
func TestHeadersOfACall(t *testing.T) {
	t.Parallel()
	n := start(t)
	ask := func(bytes int) error {
		ctx := metadata.AppendToOutgoingContext(testContext(t), "baggage", strings.Repeat("x", bytes))
		_, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french})
		return err
	}
	for _, bytes := range []int{9 << 10, 16 << 10, 31 << 10} {
		if err := ask(bytes); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	if err := ask(32 << 10); err == nil || !strings.Contains(err.Error(), "32768") {
		t.Errorf("32 KiB and more: got %v, want an error with the limit", err)
	}
}
