package store

import (
	"crypto/rand"
	"crypto/sha256"

	"google.golang.org/protobuf/encoding/protowire"
)

// Rows of a file that say the same (the desk, who recorded them) share one story. A row with words of its own (evidence,
// note, reason) has a story of its own, with its own salt, so that it can be erased by itself: the pack keeps its hash then.
const (
	packStories = 8        // stories of a pack at most: to read one of them reads all
	packBytes   = 32 << 10 // of the stories before the last one
)

// toldIn is where the story of a row lies.
type toldIn struct {
	tale  *tale  // nil: none was told
	place uint32 // in the pack, from 1; 0: the tale is the story
}

// storyPacker makes the stories of many rows of one revision.
type storyPacker struct {
	tales  []*tale // complete once end was called
	shared map[Story]*tale
	last   Story // that sharedTale was for
	lastIn *tale

	open   *tale // the pack that is being filled
	salts  []byte
	leaves []byte // hashes of its stories, behind the name of what they hash to
	body   []byte // room for one story
	count  int
}

const packName = "dncd stories "

func newStoryPacker() *storyPacker { return &storyPacker{shared: map[Story]*tale{}} }

// add takes the story of the next row. The hash of its tale is known once end was called.
func (p *storyPacker) add(s Story) toldIn {
	switch {
	case s == (Story{}):
		return toldIn{}
	case s.Evidence == "" && s.Note == "" && s.Reason == "":
		return toldIn{tale: p.sharedTale(s)}
	}
	if p.open == nil {
		p.begin()
	}
	p.body = appendStory(p.body[:0], s)
	salt := p.salts[p.count*saltBytes:][:saltBytes]
	p.leaves = appendStoryHash(p.leaves, salt, p.body)
	p.open.entry = appendPacked(p.open.entry, salt, p.body)
	p.count++
	in := toldIn{tale: p.open, place: uint32(p.count)}
	if p.count == packStories || len(p.open.entry) >= packBytes {
		p.end()
	}
	return in
}

func (p *storyPacker) sharedTale(s Story) *tale {
	if s == p.last {
		return p.lastIn
	}
	t := p.shared[s]
	if t == nil {
		t = newTale(s)
		p.shared[s] = t
		p.tales = append(p.tales, t)
	}
	p.last, p.lastIn = s, t
	return t
}

func (p *storyPacker) begin() {
	p.open, p.count = new(tale), 0
	p.tales = append(p.tales, p.open)
	p.leaves = append(p.leaves[:0], packName...)
	if p.salts == nil {
		p.salts = make([]byte, packStories*saltBytes)
	}
	rand.Read(p.salts)
}

// end closes the pack that is open.
func (p *storyPacker) end() {
	if p.open != nil {
		hash := sha256.Sum256(p.leaves)
		p.open.hash, p.open = hash[:], nil
	}
}

// appendPacked appends a storev1.PackedStory to a storev1.StoryEntry.
func appendPacked(entry, salt, body []byte) []byte {
	entry = protowire.AppendTag(entry, 3, protowire.BytesType)
	entry = protowire.AppendVarint(entry, uint64(2*protowire.SizeTag(1)+protowire.SizeBytes(len(salt))+protowire.SizeBytes(len(body))))
	return appendSalted(entry, salt, body)
}

// appendStory appends the deterministic bytes of storyMessage(s).
func appendStory(b []byte, s Story) []byte {
	for i, text := range []string{s.Desk, s.Evidence, s.Note, s.RecordedBy} {
		b = appendText(b, protowire.Number(i+1), text)
	}
	if s.Proven {
		b = appendVarint(b, 5, 1)
	}
	return appendText(appendText(b, 6, s.Reason), 7, s.ChannelText)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendText[T ~string | ~[]byte](b []byte, field protowire.Number, text T) []byte {
	if len(text) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(text)))
	return append(b, text...)
}
