package client

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Position is a revision of one journal: the state of a store after one write. What a write
// or a read returns has the position that it was made at; AtLeast reads from there on. The
// zero Position is none. Keep it as one value: FormatPosition writes it, ParsePosition reads it.
type Position struct {
	// Revision is 1, 2, 3 ... in its journal.
	Revision uint64 `json:"revision"`
	// JournalID is the journal. Revisions of two journals cannot be compared: a store that
	// was restored from a copy has another one.
	JournalID string `json:"journal_id"`
	// Tag shows the server whether its journal still holds the same history at that revision, as
	// hexadecimal digits. Nothing else is in it. Empty: not compared.
	Tag string `json:"tag"`
}

func fromPosition(p *dncv1.Position) Position {
	return Position{Revision: p.GetRevision(), JournalID: p.GetJournalId(), Tag: hex.EncodeToString(p.GetTag())}
}

// message is the position as the contract has it.
func (p *Position) message() *dncv1.Position {
	return &dncv1.Position{Revision: p.Revision, JournalId: p.JournalID, Tag: p.tagBytes()}
}

// tagBytes is the tag as the contract has it. One that is not hexadecimal is sent as it is: the
// server refuses it.
func (p *Position) tagBytes() []byte {
	if p.Tag == "" {
		return nil
	}
	b, err := hex.DecodeString(p.Tag)
	if err != nil {
		return []byte(p.Tag)
	}
	return b
}

// FormatPosition writes a position as text: REVISION@JOURNALID:TAG, without what it does not have,
// such as 7@d0ca37e4b1f2486d9a05c3e87b6f1234:9f86d081884c7d65 or 7.
func FormatPosition(p Position) string {
	text := strconv.FormatUint(p.Revision, 10)
	if p.JournalID != "" || p.Tag != "" {
		text += "@" + p.JournalID
	}
	if p.Tag != "" {
		text += ":" + p.Tag
	}
	return text
}

// Lengths of the parts of a position in text.
const (
	journalIDDigits = 32
	maxTagDigits    = 128
)

var errPosition = errors.New("a position is REVISION, REVISION@JOURNALID or REVISION@JOURNALID:TAG, as a write or a read returned it")

// ParsePosition reads what FormatPosition wrote.
func ParsePosition(text string) (Position, error) {
	number, rest, hasJournal := strings.Cut(text, "@")
	revision, err := strconv.ParseUint(number, 10, 64)
	if err != nil || strconv.FormatUint(revision, 10) != number {
		return Position{}, errPosition
	}
	p := Position{Revision: revision}
	if !hasJournal {
		return p, nil
	}
	journal, tag, hasTag := strings.Cut(rest, ":")
	p.JournalID, p.Tag = journal, tag
	switch {
	case p.JournalID == "" && hasTag: // of any journal
	case len(p.JournalID) != journalIDDigits, !isHex(p.JournalID):
		return Position{}, errPosition
	}
	if hasTag && (p.Tag == "" || len(p.Tag) > maxTagDigits || len(p.Tag)%2 != 0 || !isHex(p.Tag)) {
		return Position{}, errPosition
	}
	return p, nil
}

// isHex reports whether a text is of lower-case hexadecimal digits alone.
func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }
