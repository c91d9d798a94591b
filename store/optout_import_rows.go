package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/stage"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
	"github.com/dncd/dncd/store/internal/wire"
)

// RowChunk is a part of an import's rows.
type RowChunk struct {
	Seq     uint64         // 1, 2, 3 ...
	Hash    chunkhash.Hash // of all that the caller was given, refused rows too; zero: not known
	Rows    []RecordRow    // that may be recorded
	Refused []uint32       // places of the rows that the caller refused, among all of the chunk's, ascending
	Remarks uint64         // rows about which the caller said something else
}

// place is where the i-th of Rows was in the chunk.
func (c *RowChunk) place(i int) uint32 {
	at := uint32(i)
	for _, refused := range c.Refused {
		if refused > at {
			break
		}
		at++
	}
	return at
}

// rowLog is the log of an import of opt-outs.
type rowLog = stage.Log[RowChunk]

// rowChunks is the codec of chunks of rows. The payload is the sequence, the counts of rows and of refused ones, and a
// storev1.StagedOptOuts that begins with the hash and the remarks.
type rowChunks struct{}

// openRowLog opens a log to read it.
func openRowLog(path string) (*rowLog, error) { return stage.Open(path, newRowChunks()) }

func newRowChunks() stage.Codec[RowChunk] { return rowChunks{} }

// The numbers of the fields that a log counts, in storev1.StagedOptOuts.
const (
	stagedHash    protowire.Number = 4
	stagedRemarks protowire.Number = 5
)

// Key implements stage.Codec.
func (rowChunks) Key(c RowChunk) (seq uint64, hash chunkhash.Hash) { return c.Seq, c.Hash }

// Append implements stage.Codec.
func (rowChunks) Append(b []byte, c RowChunk) ([]byte, stage.Head, error) {
	h := stage.Head{Seq: c.Seq, Hash: c.Hash, Entries: uint64(len(c.Rows)), Rejected: uint64(len(c.Refused)), Remarks: c.Remarks}
	b = slices.Grow(b, 1<<16)
	for _, v := range []uint64{h.Seq, h.Entries, h.Rejected} {
		b = binary.AppendUvarint(b, v)
	}
	if c.Hash != (chunkhash.Hash{}) {
		b = protowire.AppendBytes(protowire.AppendTag(b, stagedHash, protowire.BytesType), c.Hash[:])
	}
	if c.Remarks > 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, stagedRemarks, protowire.VarintType), c.Remarks)
	}
	b, err := proto.MarshalOptions{}.MarshalAppend(appendRows(b, c.Rows), &storev1.StagedOptOuts{
		Refused: c.Refused, Consents: stagedConsents(c.Rows),
	})
	if err != nil {
		return nil, h, fmt.Errorf("stage chunk: %w", err)
	}
	return b, h, nil
}

// appendRows appends the rows to a storev1.StagedOptOuts.
func appendRows(b []byte, rows []RecordRow) []byte {
	var m []byte
	for i := range rows {
		if rows[i].Consent == nil {
			m = appendOptOut(m[:0], &rows[i].OptOut)
			b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), m)
		}
		m = stories.Append(m[:0], rows[i].Story)
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
	}
	return b
}

// stagedConsents are the rows that are consents, as they are staged.
func stagedConsents(rows []RecordRow) []*storev1.ConsentRecorded {
	var out []*storev1.ConsentRecorded
	for i := range rows {
		if rows[i].Consent != nil {
			out = append(out, rows[i].consentMessage())
		}
	}
	return out
}

// appendOptOut appends the bytes of o.message().
func appendOptOut(b []byte, o *OptOut) []byte {
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1, protowire.Fixed64Type), uint64(o.Number))
	b = wire.AppendText(b, 2, o.Scope)
	b = wire.AppendVarint(b, 3, uint64(o.Channel))
	b = wire.AppendVarint(b, 4, uint64(state.Nano(o.ReceivedAt)))
	return wire.AppendVarint(b, 5, uint64(state.Nano(o.ExpiresAt)))
}

// Head implements stage.Codec.
func (rowChunks) Head(payload []byte) (stage.Head, error) {
	var h stage.Head
	b, err := stage.Uvarints(payload, &h.Seq, &h.Entries, &h.Rejected)
	for err == nil && len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		switch {
		case field == stagedHash && kind == protowire.BytesType:
			hash, m := protowire.ConsumeBytes(b[n:])
			if len(hash) != chunkhash.Size {
				return h, ErrStage
			}
			h.Hash, b = chunkhash.Hash(hash), b[n+m:]
		case field == stagedRemarks && kind == protowire.VarintType:
			remarks, m := protowire.ConsumeVarint(b[n:])
			if m < 0 {
				return h, ErrStage
			}
			h.Remarks, b = remarks, b[n+m:]
		default: // the rows
			return h, nil
		}
	}
	return h, err
}

// Decode implements stage.Codec.
func (rowChunks) Decode(payload []byte) (RowChunk, error) {
	var c RowChunk
	var rows, refused uint64
	b, err := stage.Uvarints(payload, &c.Seq, &rows, &refused)
	if err != nil {
		return c, err
	}
	m := new(storev1.StagedOptOuts)
	if proto.Unmarshal(b, m) != nil || uint64(len(m.GetOptOuts())+len(m.GetConsents())) != rows || uint64(len(m.GetStories())) != rows {
		return c, ErrStage
	}
	c.Refused, c.Remarks, c.Rows = m.GetRefused(), uint64(m.GetRemarks()), make([]RecordRow, rows)
	copy(c.Hash[:], m.GetHash())
	for i, o := range m.GetOptOuts() {
		number, _ := phone.Number(o.GetNumber()).Present() // an earlier version may have staged it
		c.Rows[i] = RecordRow{
			OptOut: OptOut{
				Number:     number,
				Scope:      policy.Scope(o.GetScope()),
				Channel:    policy.Channel(o.GetChannel()),
				ReceivedAt: state.Time(o.GetReceivedAt()),
				ExpiresAt:  state.Time(o.GetExpiresAt()),
			},
			Story: stories.Of(m.GetStories()[i]),
		}
	}
	for i, o := range m.GetConsents() { // a chunk holds one kind
		c.Rows[i] = RecordRow{
			OptOut: OptOut{
				Number:     phone.Number(o.GetNumber()),
				Scope:      policy.Scope(o.GetScope()),
				Channel:    policy.Channel(o.GetChannel()),
				ReceivedAt: state.Time(o.GetObtainedAt()),
				ExpiresAt:  state.Time(o.GetExpiresAt()),
			},
			Consent: state.Consent(o.GetConsent()),
			Story:   stories.Of(m.GetStories()[i]),
		}
	}
	return c, nil
}
