package stories

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

func TestStoryBytes(t *testing.T) {
	t.Parallel()
	for _, s := range []Story{
		{}, {Desk: "d"}, {Evidence: "e", Proven: true}, {Note: "n", RecordedBy: "r", Reason: "w", ChannelText: strings.Repeat("c", 200)},
	} {
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&storev1.Story{
			Desk: s.Desk, Evidence: s.Evidence, Note: s.Note, RecordedBy: s.RecordedBy, Proven: s.Proven, Reason: s.Reason, ChannelText: s.ChannelText,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := Append(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%+v: got %x, want %x", s, got, want)
		}
	}
}
