package client

import (
	"encoding/base64"

	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Cursor is how far a feed was read, as opaque text of less than 512 bytes. Keep it unchanged, as
// text or in JSON, and give it back to continue from there. Two equal cursors are the same place of the
// same feed. The empty Cursor is none.
type Cursor string

// CursorAt is the cursor of a feed that is nobody's at a position. Only the server makes a
// subscriber's cursors.
func CursorAt(p Position) Cursor {
	return fromCursor(&dncv1.FeedCursor{Position: toPosition(p)})
}

// Position is the revision up to which the feed was read; zero for a Cursor that is none or damaged.
func (c Cursor) Position() Position {
	m, _ := c.message()
	return fromPosition(m.GetPosition())
}

// IsWithin reports whether the cursor is within a large change, after its revision: what was read so far may
// be applied, and blocks too many numbers until the rest is.
func (c Cursor) IsWithin() bool {
	m, _ := c.message()
	return m.GetPart() > 0
}

// fromCursor keeps what the server sent, fields of later versions among it.
func fromCursor(m *dncv1.FeedCursor) Cursor {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return ""
	}
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// message is the cursor as the contract has it; nil for none.
func (c Cursor) message() (*dncv1.FeedCursor, error) {
	if c == "" {
		return nil, nil
	}
	m := new(dncv1.FeedCursor)
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err == nil {
		err = proto.Unmarshal(b, m)
	}
	if err != nil || m.GetPosition() == nil {
		return nil, invalidField("after", "the cursor is not one that was returned: give back what was, unchanged")
	}
	return m, nil
}

func toPosition(p Position) *dncv1.Position {
	return &dncv1.Position{Revision: p.Revision, JournalId: p.JournalID, Tag: p.tagBytes()}
}
