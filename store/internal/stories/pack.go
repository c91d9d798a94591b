package stories

import (
	"crypto/rand"
	"crypto/sha256"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/store/internal/wire"
)

// Rows of a file that say the same (the desk, who recorded them) share one story. A row with words of its own (evidence,
// note, reason) has a story of its own, with its own salt, so that it can be erased separately: the pack keeps its hash then.
const (
	// PackStories is how many stories a pack has at most: to read one of them reads all.
	PackStories = 8
	packBytes   = 32 << 10 // of the stories before the last one
)

// Ref is where the story of a row is.
type Ref struct {
	Sealed *Sealed // nil: none
	Place  uint32  // in the pack, from 1; 0: Sealed is the story
}

// Packer makes the stories of many rows of one revision.
type Packer struct {
	sealed []*Sealed // complete once End was called
	shared map[Story]*Sealed
	last   Story // that share was for
	lastIn *Sealed

	open   *Sealed // the pack that is being filled
	salts  []byte
	leaves []byte // hashes of its stories, behind the name of what they hash to
	body   []byte // room for one story
	count  int
}

const packName = "dncd stories "

// NewPacker packs the stories of one revision.
func NewPacker() *Packer { return &Packer{shared: map[Story]*Sealed{}} }

// Add adds the story of the next row. The hash of its Sealed is known once End was called.
func (p *Packer) Add(s Story) Ref {
	switch {
	case s == (Story{}):
		return Ref{}
	case s.Evidence == "" && s.Note == "" && s.Reason == "":
		return Ref{Sealed: p.share(s)}
	}
	if p.open == nil {
		p.begin()
	}
	p.body = Append(p.body[:0], s)
	salt := p.salts[p.count*saltBytes:][:saltBytes]
	p.leaves = appendHash(p.leaves, salt, p.body)
	p.open.entry = appendPacked(p.open.entry, salt, p.body)
	p.count++
	in := Ref{Sealed: p.open, Place: uint32(p.count)}
	if p.count == PackStories || len(p.open.entry) >= packBytes {
		p.End()
	}
	return in
}

func (p *Packer) share(s Story) *Sealed {
	if s == p.last {
		return p.lastIn
	}
	t := p.shared[s]
	if t == nil {
		t = Seal(s)
		p.shared[s] = t
		p.sealed = append(p.sealed, t)
	}
	p.last, p.lastIn = s, t
	return t
}

func (p *Packer) begin() {
	p.open, p.count = new(Sealed), 0
	p.sealed = append(p.sealed, p.open)
	p.leaves = append(p.leaves[:0], packName...)
	if p.salts == nil {
		p.salts = make([]byte, PackStories*saltBytes)
	}
	rand.Read(p.salts)
}

// Sealed are the stories and packs of all rows, complete once End was called.
func (p *Packer) Sealed() []*Sealed { return p.sealed }

// End completes the pack that is being filled.
func (p *Packer) End() {
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

// Append appends the deterministic bytes of a storev1.Story.
func Append(b []byte, s Story) []byte {
	for i, text := range []string{s.Desk, s.Evidence, s.Note, s.RecordedBy} {
		b = wire.AppendText(b, protowire.Number(i+1), text)
	}
	if s.Proven {
		b = wire.AppendVarint(b, 5, 1)
	}
	return wire.AppendText(wire.AppendText(b, 6, s.Reason), 7, s.ChannelText)
}
