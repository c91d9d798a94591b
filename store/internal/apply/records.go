package apply

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/wire"
)

// MaxRecordSetBytes bounds the records of one number; one more is refused with ErrTooManyRecords. Opt-outs that a number has under its
// former spellings come to it beyond that: they count already.
const MaxRecordSetBytes = 64 << 10

func (a *Applier) optOut(id policy.EventID, c *storev1.OptOut, story StoryRef) error {
	set, err := a.Records(c.GetNumber())
	if err != nil {
		return err
	}
	if c.GetRespelled() != nil {
		return a.respelled(id, c, set)
	}
	if held := state.HeldBy(set.RecordSet, c); c.GetUnique() && !a.replay && held != nil {
		return &heldError{state.RecordID(held)}
	}
	set.Records = append(set.Records, a.Record(id, c, story))
	return a.PutNew(id, c.GetNumber(), set)
}

// StoryRef names the story of an event.
type StoryRef struct {
	Hash  []byte // its own, or that of its pack
	Place uint32 // in the pack, from 1
	OfRow bool   // the event is a row
}

// PutNew is putRecords with one record more. Errors: ErrTooManyRecords, before anything is written.
func (a *Applier) PutNew(id policy.EventID, number uint64, set NumberSet) error {
	if set.isTooLarge() {
		return fault.ErrTooManyRecords
	}
	return a.putMore(id, number, set)
}

// putMore is PutNew without a bound.
func (a *Applier) putMore(id policy.EventID, number uint64, set NumberSet) error {
	if err := a.putRecords(id, number, set); err != nil {
		return err
	}
	a.Numbers = append(a.Numbers, number)
	return nil
}

// isTooLarge reports whether a set is beyond what one number may hold. One record never is.
func (s *NumberSet) isTooLarge() bool {
	return len(s.Records) > 1 && proto.Size(s.RecordSet) > MaxRecordSetBytes
}

// Record is what the state holds of an opt-out.
func (a *Applier) Record(id policy.EventID, c *storev1.OptOut, story StoryRef) *storev1.Record {
	return &storev1.Record{
		Revision:   id.Revision,
		Index:      id.Index,
		Kind:       uint32(policy.RecordOptOut),
		Scope:      c.GetScope(),
		Channel:    c.GetChannel(),
		ReceivedAt: cmp.Or(c.GetReceivedAt(), a.Time),
		RecordedAt: a.Time,
		ExpiresAt:  c.GetExpiresAt(),
		StoryHash:  story.Hash,
		Story:      story.Place,
		Row:        story.OfRow,
	}
}

// heldError says that a unique record is there already, as the event with that id.
type heldError struct{ id policy.EventID }

func (*heldError) Error() string { return "the number holds that record already" }

// withdrawOptOuts ends every opt-out in force at exactly the scope, and says which.
func (a *Applier) withdrawOptOuts(id policy.EventID, c *storev1.OptOutWithdrawn) ([]policy.EventID, error) {
	set, err := a.Records(c.GetNumber())
	if err != nil {
		return nil, err
	}
	var ended []policy.EventID
	set.keep(func(r *storev1.Record) bool {
		ends := policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == c.GetScope()
		if ends {
			ended = append(ended, state.RecordID(r))
		}
		return !ends
	})
	if len(ended) == 0 {
		return nil, fault.ErrNothingToWithdraw
	}
	return ended, a.putRecords(id, c.GetNumber(), set)
}

// NumberSet is the records of a number while they are changed.
type NumberSet struct {
	*storev1.RecordSet
	Stored int              // records that were stored
	Gone   []policy.EventID // rows that were stored and are no longer: their events need a key of history
}

// keep drops the records that isKept does not want.
func (s *NumberSet) keep(isKept func(*storev1.Record) bool) {
	kept := s.Records[:0]
	for _, r := range s.Records {
		switch {
		case isKept(r):
			kept = append(kept, r)
		case r.GetRow():
			s.Gone = append(s.Gone, state.RecordID(r))
		}
	}
	s.Records = kept
}

// bytes are those of the set. The first record of a number, by far the most, is encoded here.
func (s *NumberSet) bytes() ([]byte, error) {
	if s.Stored > 0 || len(s.Records) != 1 || len(s.ConsentsEnded) > 0 || s.Records[0].GetConsent() != nil {
		return proto.Marshal(s.RecordSet)
	}
	var room [512]byte
	record := appendRecord(room[:0], s.Records[0])
	b := make([]byte, 0, len(record)+1+binary.MaxVarintLen32+seal.Bytes)
	return protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), record), nil
}

// appendRecord appends the bytes of a record that was made here, and not read: no field of a later version is in it.
func appendRecord(b []byte, r *storev1.Record) []byte {
	b = wire.AppendVarint(b, 1, r.GetRevision())
	b = wire.AppendVarint(b, 2, uint64(r.GetIndex()))
	b = wire.AppendVarint(b, 3, uint64(r.GetKind()))
	b = wire.AppendText(b, 4, r.GetScope())
	b = wire.AppendVarint(b, 5, uint64(r.GetChannel()))
	b = wire.AppendVarint(b, 6, uint64(r.GetReceivedAt()))
	b = wire.AppendVarint(b, 7, uint64(r.GetRecordedAt()))
	b = wire.AppendVarint(b, 8, uint64(r.GetExpiresAt()))
	b = wire.AppendText(b, 9, r.GetStoryHash())
	b = wire.AppendVarint(b, 10, uint64(r.GetStory()))
	if r.GetRow() {
		b = wire.AppendVarint(b, 11, 1)
	}
	return b
}

// Records reads the records of a number, without those that have expired by the time that checks count them by. A consent that
// has expired stays for a while: see ConsentsKept.
func (a *Applier) Records(number uint64) (NumberSet, error) {
	set := NumberSet{RecordSet: new(storev1.RecordSet)}
	if a.isNew(number) {
		return set, nil
	}
	if _, err := a.get(keys.Records(number), set.RecordSet); err != nil {
		return set, err
	}
	set.Stored = len(set.Records)
	set.keep(a.isInForce)
	return set, nil
}

// isInForce reports whether a record has not expired at the time of the revision, or is a consent that may count all the same.
func (a *Applier) isInForce(r *storev1.Record) bool {
	end := r.GetExpiresAt()
	if end != 0 && r.GetConsent() != nil {
		end += int64(ConsentsKept)
	}
	return end == 0 || a.Time-a.Ahead < end
}

// isNew reports whether the filter shows, without a read, that a number holds no records.
func (a *Applier) isNew(number uint64) bool {
	return a.filter != nil && !a.changed[number] && !a.filter.Test(number)
}

// putRecords writes the records of a number, and the event to its history: a row is there with its record, until that
// is gone.
func (a *Applier) putRecords(id policy.EventID, number uint64, set NumberSet) error {
	b, err := set.bytes()
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	numbers := present(len(set.Records)) - present(set.Stored)
	if err := a.count(numbers, len(set.Records)-set.Stored); err != nil {
		return err
	}
	if a.changed != nil {
		a.changed[number] = true
	}
	key := keys.Records(number)
	if err := a.Set(key, seal.Value(key, b)); err != nil {
		return err
	}
	if n := len(set.Records); n == 0 || !set.Records[n-1].GetRow() || state.RecordID(set.Records[n-1]) != id {
		set.Gone = append(set.Gone, id)
	}
	for _, id := range set.Gone {
		if err := a.noteHistory(number, id); err != nil {
			return err
		}
	}
	return nil
}

// noteHistory adds an event to the history of a number.
func (a *Applier) noteHistory(number uint64, id policy.EventID) error {
	key := keys.History(number, id)
	return a.Set(key, seal.Value(key, nil))
}

func present(records int) int {
	if records > 0 {
		return 1
	}
	return 0
}

// importedRecords notes an import of opt-outs or consents, all of whose rows are recorded.
func (a *Applier) importedRecords(id policy.EventID, c *storev1.RecordsImported, story []byte) error {
	return a.put(keys.RecordsImport(id), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_RECORDED,
		Time:      c.GetStarted(),
		Ended:     id.Revision,
		StoryHash: story,
	})
}
