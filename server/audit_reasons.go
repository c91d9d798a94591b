package server

import (
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// sharedReasons holds each reason of a message once. Decisions of many views share a reason when it says the same: each view has
// lists of its own, which reasonTable would tell apart.
type sharedReasons struct {
	list  []*dncv1.Reason
	place map[string]uint32 // by its bytes
	bytes int
}

// maxSharedReasons bounds the bytes of the reasons of a message, so that it stays under 4 MiB. Beyond, decisions name no further
// reason.
const maxSharedReasons = 2 << 20

// indexes returns the places of the reasons of a decision.
func (s *sharedReasons) indexes(d *policy.Decision) (at []uint32) {
	for _, r := range reasonsOf(d) {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		i, ok := s.place[string(text)]
		if !ok {
			if err != nil || s.bytes+len(text) > maxSharedReasons {
				continue
			}
			if s.place == nil {
				s.place = make(map[string]uint32)
			}
			i = uint32(len(s.list))
			s.place[string(text)] = i
			s.list = append(s.list, r)
			s.bytes += len(text)
		}
		at = append(at, i)
	}
	return at
}
