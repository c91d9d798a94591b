package stories

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// entry is a storev1.StoryEntry, as it is stored under the key of a story or of a pack. An empty one marks what is
// known to be gone. It keeps parts of the bytes that it was read from: an export reads a pack for each of its stories.
type entry struct {
	saltedStory
	pack []packedStory
}

type saltedStory struct{ salt, story []byte }

func (s *saltedStory) isEmpty() bool { return len(s.salt) == 0 && len(s.story) == 0 }

// packedStory is a storev1.PackedStory. It is empty, except for its hash, where the story was erased.
type packedStory struct {
	saltedStory
	hash []byte
}

var errNoEntry = errors.New("a story cannot be decoded")

func decodeEntry(b []byte) (*entry, error) {
	e := new(entry)
	fields := [3]*[]byte{&e.salt, &e.story}
	ok := eachBytes(b, fields[:2], func(packed []byte) bool {
		if e.pack == nil {
			e.pack = make([]packedStory, 0, PackStories)
		}
		var p packedStory
		if !eachBytes(packed, []*[]byte{&p.salt, &p.story, &p.hash}, nil) {
			return false
		}
		e.pack = append(e.pack, p)
		return true
	})
	if !ok {
		return nil, errNoEntry
	}
	return e, nil
}

// eachBytes reads a message that has only bytes fields: the first ones into fields, the one after them, which is repeated,
// with f.
func eachBytes(b []byte, fields []*[]byte, f func([]byte) bool) bool {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.BytesType {
			return false
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return false
		}
		b = b[n+m:]
		switch at := int(field) - 1; {
		case at < len(fields):
			*fields[at] = value
		case at > len(fields) || f == nil || !f(value):
			return false
		}
	}
	return true
}

func (e *entry) isGone() bool { return e.isEmpty() && len(e.pack) == 0 }

func (e *entry) matches(hash []byte) bool { return bytes.Equal(e.hash(), hash) }

// hash is the hash of the story, or of the pack; nil where there is none that a journal could name.
func (e *entry) hash() []byte {
	if len(e.pack) == 0 {
		return appendHash(nil, e.salt, e.story)
	}
	leaves := append(make([]byte, 0, len(packName)+PackStories*sha256.Size), packName...)
	for i := range e.pack {
		switch p := &e.pack[i]; {
		case !p.isEmpty():
			leaves = appendHash(leaves, p.salt, p.story)
		case len(p.hash) == sha256.Size:
			leaves = append(leaves, p.hash...)
		default:
			return nil
		}
	}
	hash := sha256.Sum256(leaves)
	return hash[:]
}

// body is the story, or that of a pack which has that place; false when it was erased.
func (e *entry) body(place uint32) ([]byte, bool) {
	switch n := uint32(len(e.pack)); {
	case place == 0:
		return e.story, n == 0
	case place > n, e.pack[place-1].isEmpty():
		return nil, false
	}
	return e.pack[place-1].story, true
}
