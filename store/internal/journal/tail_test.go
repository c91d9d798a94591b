package journal

import "testing"

// The checkpoint is the newest position behind which the memtables' worth of bytes was written, to within a step. What
// it no longer needs is forgotten.
func TestCheckpointFollowsWhatIsWritten(t *testing.T) {
	t.Parallel()
	const behindEnd, event, events = 10 << 20, 4096, 4 * (10 << 20) / 4096
	tail := Tail{Bytes: behindEnd}
	for r := uint64(1); r <= events; r++ {
		written := r * event
		got := tail.Advance(Position{Revision: r}, written)
		behind := written - got.Revision*event
		if got.Revision == 0 && written >= behindEnd+2*tailStep || got.Revision > 0 && (behind < behindEnd || behind > behindEnd+2*tailStep) {
			t.Fatalf("after %d bytes the checkpoint is %d bytes behind, want about %d", written, behind, behindEnd)
		}
		if len(tail.trail) > behindEnd/tailStep+2 {
			t.Fatalf("%d points are kept", len(tail.trail))
		}
	}
}
