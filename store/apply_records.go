package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/wire"
)

// maxRecordSetBytes bounds the records of one number; one more is refused with ErrTooManyRecords.
const maxRecordSetBytes = 64 << 10

func (a *applier) optOut(id policy.EventID, c *storev1.OptOut, story storyRef) error {
	set, err := a.records(c.GetNumber())
	if err != nil {
		return err
	}
	if held := heldBy(set.RecordSet, c); c.GetUnique() && !a.replay && held != nil {
		return &heldError{recordID(held)}
	}
	set.Records = append(set.Records, a.record(id, c, story))
	return a.putOptOut(id, c.GetNumber(), set)
}

// storyRef names the story of an event.
type storyRef struct {
	hash  []byte // its own, or that of its pack
	place uint32 // in the pack, from 1
	ofRow bool   // the event is a row
}

// putOptOut is putRecords with one opt-out more.
func (a *applier) putOptOut(id policy.EventID, number uint64, set numberSet) error {
	if err := a.putRecords(id, number, set); err != nil {
		return err
	}
	a.numbers = append(a.numbers, number)
	return nil
}

// record is what the state holds of an opt-out.
func (a *applier) record(id policy.EventID, c *storev1.OptOut, story storyRef) *storev1.Record {
	return &storev1.Record{
		Revision:   id.Revision,
		Index:      id.Index,
		Kind:       uint32(policy.RecordOptOut),
		Scope:      c.GetScope(),
		Channel:    c.GetChannel(),
		ReceivedAt: cmp.Or(c.GetReceivedAt(), a.time),
		RecordedAt: a.time,
		ExpiresAt:  c.GetExpiresAt(),
		StoryHash:  story.hash,
		Story:      story.place,
		Row:        story.ofRow,
	}
}

// heldError says that a unique opt-out is there already, as the event with that id.
type heldError struct{ id policy.EventID }

func (*heldError) Error() string { return "the number holds that opt-out already" }

// heldBy is the record of set, all in force, that already says what c would: an opt-out with its scope and channel, with
// its received_at where c has one, and in force for at least as long. nil: none does.
func heldBy(set *storev1.RecordSet, c *storev1.OptOut) *storev1.Record {
	for _, r := range set.GetRecords() {
		if sameOptOut(r, c) {
			return r
		}
	}
	return nil
}

func sameOptOut(r *storev1.Record, c *storev1.OptOut) bool {
	return policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == c.GetScope() && r.GetChannel() == c.GetChannel() &&
		(c.GetReceivedAt() == 0 || c.GetReceivedAt() == r.GetReceivedAt()) && lastsAsLong(r, c)
}

// lastsAsLong reports whether r ends no earlier than c would: a record that expires does not say what a permanent objection
// says.
func lastsAsLong(r *storev1.Record, c *storev1.OptOut) bool {
	return r.GetExpiresAt() == 0 || (c.GetExpiresAt() != 0 && r.GetExpiresAt() >= c.GetExpiresAt())
}

// withdrawOptOuts ends every opt-out in force at exactly the scope, and says which.
func (a *applier) withdrawOptOuts(id policy.EventID, c *storev1.OptOutWithdrawn) ([]policy.EventID, error) {
	set, err := a.records(c.GetNumber())
	if err != nil {
		return nil, err
	}
	var ended []policy.EventID
	set.keep(func(r *storev1.Record) bool {
		ends := policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == c.GetScope()
		if ends {
			ended = append(ended, recordID(r))
		}
		return !ends
	})
	if len(ended) == 0 {
		return nil, ErrNothingToWithdraw
	}
	return ended, a.putRecords(id, c.GetNumber(), set)
}

// numberSet is the records of a number while they are changed.
type numberSet struct {
	*storev1.RecordSet
	stored int              // records that were stored
	gone   []policy.EventID // rows that were stored and are no longer: their events need a key of history
}

// keep drops the records that isKept does not want.
func (s *numberSet) keep(isKept func(*storev1.Record) bool) {
	kept := s.Records[:0]
	for _, r := range s.Records {
		switch {
		case isKept(r):
			kept = append(kept, r)
		case r.GetRow():
			s.gone = append(s.gone, recordID(r))
		}
	}
	s.Records = kept
}

// bytes are those of the set. The first record of a number, by far the most, is encoded here.
func (s *numberSet) bytes() ([]byte, error) {
	if s.stored > 0 || len(s.Records) != 1 {
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

// records reads the records of a number, without those that have expired by the time that checks count them by.
func (a *applier) records(number uint64) (numberSet, error) {
	set := numberSet{RecordSet: new(storev1.RecordSet)}
	if a.isNew(number) {
		return set, nil
	}
	if _, err := a.get(keys.Records(number), set.RecordSet); err != nil {
		return set, err
	}
	set.stored = len(set.Records)
	set.keep(a.isInForce)
	return set, nil
}

func (a *applier) isInForce(r *storev1.Record) bool {
	return r.GetExpiresAt() == 0 || a.time-a.ahead < r.GetExpiresAt()
}

// isNew reports whether the filter shows, without a read, that a number holds no records.
func (a *applier) isNew(number uint64) bool {
	return a.filter != nil && !a.changed[number] && !a.filter.Test(number)
}

// putRecords writes the records of a number, and the event to its history: a row is there with its record, until that
// is gone. Errors: ErrTooManyRecords, before anything is written.
func (a *applier) putRecords(id policy.EventID, number uint64, set numberSet) error {
	b, err := set.bytes()
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if len(b) > maxRecordSetBytes {
		return ErrTooManyRecords
	}
	numbers := present(len(set.Records)) - present(set.stored)
	if err := a.count(numbers, len(set.Records)-set.stored); err != nil {
		return err
	}
	if a.changed != nil {
		a.changed[number] = true
	}
	key := keys.Records(number)
	if err := a.set(key, seal.Value(key, b)); err != nil {
		return err
	}
	if n := len(set.Records); n == 0 || !set.Records[n-1].GetRow() || recordID(set.Records[n-1]) != id {
		set.gone = append(set.gone, id)
	}
	for _, id := range set.gone {
		key = keys.History(number, id)
		if err := a.set(key, seal.Value(key, nil)); err != nil {
			return err
		}
	}
	return nil
}

func present(records int) int {
	if records > 0 {
		return 1
	}
	return 0
}

// recordOf is a stored record as a decision reads it.
func recordOf(r *storev1.Record) policy.Record {
	return policy.Record{
		ID:         policy.EventID{Revision: r.GetRevision(), Index: r.GetIndex()},
		Kind:       policy.RecordKind(r.GetKind()),
		Scope:      policy.Scope(r.GetScope()),
		Channel:    policy.Channel(r.GetChannel()),
		ReceivedAt: nanoTime(r.GetReceivedAt()),
		RecordedAt: nanoTime(r.GetRecordedAt()),
		ExpiresAt:  nanoTime(r.GetExpiresAt()),
	}
}

// nanoTime is the instant of Unix nanoseconds; 0 is no instant.
func nanoTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// timeNano is the inverse of nanoTime.
func timeNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// errTime is a time outside the years that Unix nanoseconds can hold.
var errTime = fmt.Errorf("a time must be between the years 1970 and 2262")

func checkTime(t time.Time) error {
	if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2261) {
		return errTime
	}
	return nil
}

// importedRecords notes an import of opt-outs, all of whose rows are recorded.
func (a *applier) importedRecords(id policy.EventID, c *storev1.RecordsImported, story []byte) error {
	return a.put(keys.RecordsImport(id), &storev1.ImportEntry{
		Load:      c.GetLoad(),
		State:     storev1.ImportState_IMPORT_STATE_RECORDED,
		Time:      c.GetStarted(),
		Ended:     id.Revision,
		StoryHash: story,
	})
}
