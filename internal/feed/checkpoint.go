package feed

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Tag is the short proof that a revision is of one history: see the store's positions.
type Tag [8]byte

// String is 16 hexadecimal digits.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// Checkpoint says how far the feed of one subscriber had come, and with which changes.
type Checkpoint struct {
	Journal    string // id: 32 hexadecimal digits
	Subscriber EventID
	Epoch      uint64 // the revision at which this log of the feed began
	Revision   uint64
	Tag        Tag
	Changes    uint64 // n: how many changes the epoch has up to the revision
	Hash       Hash   // h(n)
	Filter     Hash   // of the filter
	Time       time.Time
}

// Text is the text that is signed.
func (c Checkpoint) Text() string { return string(c.append(nil)) }

func (c Checkpoint) append(b []byte) []byte {
	b = appendID(append(append(append(b, "dncd/"...), c.Journal...), '/'), c.Subscriber)
	b = strconv.AppendUint(append(b, "\nepoch "...), c.Epoch, 10)
	b = strconv.AppendUint(append(b, "\nposition "...), c.Revision, 10)
	b = hex.AppendEncode(append(b, ' '), c.Tag[:])
	b = strconv.AppendUint(append(b, "\nchanges "...), c.Changes, 10)
	b = c.Hash.append(append(b, "\nhash "...))
	b = c.Filter.append(append(b, "\nfilter "...))
	return append(appendTime(append(b, "\ntime "...), c.Time), '\n')
}

// Sign returns the checkpoint as a note that the server's key signed. What ParseCheckpoint would not read is not signed.
func (c Checkpoint) Sign(key note.Signer) ([]byte, error) {
	text := c.Text()
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, err
	}
	return sign(text, key)
}

// ParseCheckpoint reads what Text writes.
func ParseCheckpoint(text string) (Checkpoint, error) {
	f := splitNote(text)
	c := takeCheckpoint(f)
	if err := f.end(); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	if err := again(c.append(nil), text); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

// OpenCheckpoint reads a checkpoint that one of the keys has signed.
func OpenCheckpoint(msg []byte, keys ...PublicKey) (Checkpoint, Signature, error) {
	text, signature, err := openNote(msg, MaxNote, keys)
	if err != nil {
		return Checkpoint{}, signature, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(text)
	return c, signature, err
}

// ReadCheckpoint reads a checkpoint without verifying its signature, and says whose it is said to be.
func ReadCheckpoint(msg []byte) (Checkpoint, Signature, error) {
	text, signature, err := readNote(msg, MaxNote)
	if err != nil {
		return Checkpoint{}, signature, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(text)
	return c, signature, err
}

// takeCheckpoint takes the lines of a checkpoint, and leaves those of an acknowledgement.
func takeCheckpoint(f *fields) Checkpoint {
	var c Checkpoint
	c.Journal, c.Subscriber = takeOrigin(f)
	c.Epoch = value(f, f.after("epoch"), parseUint)
	revision, tag, _ := strings.Cut(f.after("position"), " ")
	c.Revision = value(f, revision, parseUint)
	c.Tag = value(f, tag, parseTag)
	c.Changes = value(f, f.after("changes"), parseUint)
	c.Hash = value(f, f.after("hash"), ParseHash)
	c.Filter = value(f, f.after("filter"), ParseHash)
	c.Time = value(f, f.after("time"), parseTime)
	if c.Epoch == 0 || c.Revision < c.Epoch {
		f.fail(malformed("a position is at or after its epoch, and an epoch is a revision from 1 on"))
	}
	if c.Hash.IsZero() || c.Filter.IsZero() || c.Time.IsZero() {
		f.fail(malformed("a checkpoint has a hash, a filter and a time"))
	}
	return c
}

// takeOrigin takes the first line.
func takeOrigin(f *fields) (journal string, subscriber EventID) {
	parts := strings.Split(f.take(), "/")
	if f.err == nil && (len(parts) != 3 || parts[0] != "dncd") {
		f.fail(malformed("the first line is dncd/JOURNAL/SUBSCRIBER"))
		return "", EventID{}
	}
	if f.err != nil {
		return "", EventID{}
	}
	return value(f, parts[1], parseJournal), value(f, parts[2], ParseEventID)
}

func parseJournal(s string) (string, error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != 16 || hex.EncodeToString(raw) != s {
		return "", malformed("a journal id is 32 hexadecimal digits in lower case")
	}
	return s, nil
}

func parseTag(s string) (Tag, error) {
	var t Tag
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(t) {
		return t, malformed("a tag is 16 hexadecimal digits")
	}
	copy(t[:], raw)
	return t, nil
}

// MismatchError says in what a checkpoint or acknowledgement differs from the one that is expected.
type MismatchError struct{ Field, Got, Want string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("of another %s: got %s, want %s", e.Field, e.Got, e.Want)
}

// Same returns nil if c is the checkpoint that is expected, else a MismatchError with the first line in which they differ.
func (c Checkpoint) Same(want Checkpoint) error {
	for _, d := range []struct{ field, got, want string }{
		{"journal", c.Journal, want.Journal},
		{"subscriber", FormatEventID(c.Subscriber), FormatEventID(want.Subscriber)},
		{"epoch", strconv.FormatUint(c.Epoch, 10), strconv.FormatUint(want.Epoch, 10)},
		{"position", c.position(), want.position()},
		{"number of changes", strconv.FormatUint(c.Changes, 10), strconv.FormatUint(want.Changes, 10)},
		{"hash of changes", c.Hash.String(), want.Hash.String()},
		{"filter", c.Filter.String(), want.Filter.String()},
		{"time", string(appendTime(nil, c.Time)), string(appendTime(nil, want.Time))},
	} {
		if d.got != d.want {
			return &MismatchError{d.field, d.got, d.want}
		}
	}
	return nil
}

func (c Checkpoint) position() string {
	return strconv.FormatUint(c.Revision, 10) + " " + c.Tag.String()
}
