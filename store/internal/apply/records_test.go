package apply

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// What is encoded by hand reads as what the message is.
func TestBytesOfRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		times := rapid.SampledFrom([]int64{0, 1, 1 << 62})
		optOut := &storev1.OptOut{
			Number: 14155550100, Scope: rapid.SampledFrom([]string{"", "acme", "acme/telecom"}).Draw(r, "scope"),
			Channel: rapid.Uint32Range(0, 3).Draw(r, "channel"), ReceivedAt: times.Draw(r, "received"), ExpiresAt: times.Draw(r, "expires"),
		}
		story := StoryRef{
			Hash:  rapid.SampledFrom([][]byte{nil, make([]byte, 32)}).Draw(r, "hash"),
			Place: rapid.Uint32().Draw(r, "place"), OfRow: rapid.Bool().Draw(r, "row"),
		}
		a := &Applier{Time: 1}
		id := state.EventID(rapid.Uint64().Draw(r, "revision"), rapid.IntRange(0, 1<<20).Draw(r, "index"))
		set := NumberSet{RecordSet: &storev1.RecordSet{Records: []*storev1.Record{a.Record(id, optOut, story)}}}
		got, err := set.bytes()
		want, wrong := proto.Marshal(set.RecordSet)
		if err != nil || wrong != nil || !bytes.Equal(got, want) {
			r.Fatalf("records: got %x, %v; want %x, %v", got, err, want, wrong)
		}
	})
}
