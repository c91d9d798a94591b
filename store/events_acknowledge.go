package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// AckWrite is what an acknowledgement came to.
type AckWrite struct {
	Receipt       // of the event that recorded it, or of the one before, to which it adds nothing
	Recorded bool // by this request, or by the first one with its id
}

// ackInterval is how long an acknowledgement that adds no change is not recorded again.
const ackInterval = time.Hour

// BeyondTipError says that a subscriber signed what this journal does not hold: the server lost data, or the note is meant for
// another one.
type BeyondTipError struct {
	Checkpoint feed.Checkpoint // that was signed
	Why        error           // ErrOtherJournal, or ErrForked
}

func (e *BeyondTipError) Error() string {
	return fmt.Sprintf("the acknowledgement is signed, and of revision %d of journal %s, which this server does not hold: %v",
		e.Checkpoint.Revision, e.Checkpoint.Journal, e.Why)
}

func (e *BeyondTipError) Unwrap() error { return e.Why }

// AcknowledgeNote records how far a subscriber got, which it signed. What adds no change to what it signed before is
// recorded once an hour. Errors: ErrAckInvalid, ErrEpochEnded, ErrOtherJournal, ErrForked, BeyondTipError, ErrSubscriberNotFound,
// ErrHistoryGone, and those of every write.
func (s *Store) AcknowledgeNote(ctx context.Context, subscriber policy.EventID, note []byte, r Request) (AckWrite, error) {
	v := s.View()
	sub := v.Subscribers().ByID(subscriber)
	if sub == nil {
		return AckWrite{}, ErrSubscriberNotFound
	}
	if len(sub.Keys) == 0 {
		return AckWrite{}, fmt.Errorf("%w: the subscriber has no key: register the key that signed it, or claim the position", ErrAckInvalid)
	}
	ack, signature, err := feed.OpenAcknowledgement(note, sub.Verifiers...)
	if err != nil {
		return AckWrite{}, fmt.Errorf("%w: %w", ErrAckInvalid, err)
	}
	if err := v.holdsNote(sub, ack.Checkpoint); err != nil {
		return AckWrite{}, err
	}
	return s.acknowledge(ctx, v, sub, ackStatement{
		stage: ack.Stage, revision: ack.Checkpoint.Revision, note: note, key: sub.keyOf(signature), signed: ack.Signed,
		compare: func(want feed.Checkpoint) error { return ack.Check(want, ack.Stage) },
	}, r)
}

// holdsNote refuses a checkpoint that is not of the subscriber's log as the journal has it.
func (v *View) holdsNote(sub *Subscriber, c feed.Checkpoint) error {
	if c.Subscriber != sub.ID {
		return fmt.Errorf("%w: %w", ErrAckInvalid, &feed.MismatchError{
			Field: "subscriber", Got: feed.FormatEventID(c.Subscriber), Want: feed.FormatEventID(sub.ID),
		})
	}
	var why error
	if c.Journal != v.id {
		why = ErrOtherJournal
	}
	switch err := v.VerifyTag(c.Revision, c.Tag[:]); {
	case errors.Is(err, ErrForked), errors.Is(err, ErrFutureRevision):
		if why == nil {
			why = ErrForked
		}
		return &BeyondTipError{c, why}
	case err != nil:
		return err
	}
	if why == nil && c.Epoch != sub.Epoch {
		return fmt.Errorf("%w: %w", ErrEpochEnded, &feed.MismatchError{
			Field: "epoch", Got: strconv.FormatUint(c.Epoch, 10), Want: strconv.FormatUint(sub.Epoch, 10),
		})
	}
	return why
}

// keyOf is the text of the key that made a signature.
func (s *Subscriber) keyOf(signature feed.Signature) string {
	for _, key := range s.Verifiers {
		if key.Name() == signature.Name && key.Hash() == signature.Hash {
			return key.Text()
		}
	}
	return ""
}

// AckClaim is how far a subscriber says that it got, unsigned. What is zero is not said.
type AckClaim struct {
	Stage    feed.Stage
	Revision uint64
	Epoch    uint64
	Changes  uint64
	Hash     feed.Hash
}

// AcknowledgeClaim is AcknowledgeNote, of what a subscriber without a key claims. Errors: as there, and ErrFutureRevision.
func (s *Store) AcknowledgeClaim(ctx context.Context, subscriber policy.EventID, c AckClaim, r Request) (AckWrite, error) {
	v := s.View()
	sub := v.Subscribers().ByID(subscriber)
	switch {
	case sub == nil:
		return AckWrite{}, ErrSubscriberNotFound
	case len(sub.Keys) > 0:
		return AckWrite{}, fmt.Errorf("%w: the subscriber has a key: a claim does not count, only a note that the key signed", ErrAckInvalid)
	case c.Revision > v.revision:
		return AckWrite{}, ErrFutureRevision
	case c.Revision < sub.Epoch || c.Epoch != 0 && c.Epoch != sub.Epoch:
		return AckWrite{}, ErrEpochEnded
	}
	return s.acknowledge(ctx, v, sub, ackStatement{stage: c.Stage, revision: c.Revision, compare: c.compare}, r)
}

// compare refuses what is said and not so.
func (c *AckClaim) compare(want feed.Checkpoint) error {
	switch {
	case c.Changes != 0 && c.Changes != want.Changes:
		return &feed.MismatchError{Field: "number of changes", Got: strconv.FormatUint(c.Changes, 10), Want: strconv.FormatUint(want.Changes, 10)}
	case !c.Hash.IsZero() && c.Hash != want.Hash:
		return &feed.MismatchError{Field: "hash of changes", Got: c.Hash.String(), Want: want.Hash.String()}
	}
	return nil
}

// ackStatement is what an acknowledgement says, signed or not.
type ackStatement struct {
	stage    feed.Stage
	revision uint64
	compare  func(want feed.Checkpoint) error // with what the log holds at the revision
	note     []byte                           // empty: a claim
	key      string
	signed   time.Time
}

func (s *Store) acknowledge(ctx context.Context, v *View, sub *Subscriber, said ackStatement, r Request) (AckWrite, error) {
	first, e, err := s.repeated(r)
	switch {
	case err != nil:
		return AckWrite{}, err
	case e != nil && e.GetAcknowledged() == nil:
		return AckWrite{}, ErrRequestReused
	case e != nil:
		return AckWrite{first, true}, nil
	}
	newest := sub.Acknowledged(said.stage)
	if said.isBehind(newest) {
		if near, err := s.isLogNear(v, sub, said.revision); err != nil || !near {
			return v.addsNothingTo(newest), err
		}
	}
	log, err := s.FeedLog(ctx, sub, said.revision)
	if err != nil {
		return AckWrite{}, err
	}
	want, err := v.Checkpoint(sub, log)
	if err != nil {
		return AckWrite{}, err
	}
	if err := said.compare(want); err != nil {
		return AckWrite{}, fmt.Errorf("%w: %w", ErrAckInvalid, err)
	}
	if !said.isNews(newest, log.Changes, v.Now()) {
		return v.addsNothingTo(newest), nil
	}
	receipt, err := s.record(ctx, said.event(sub, log), r)
	return AckWrite{receipt, err == nil}, err
}

// isBehind reports whether nothing that the log holds at the revision could add to the newest acknowledgement.
func (a *ackStatement) isBehind(newest *Acknowledgement) bool {
	return newest != nil && a.revision < newest.Revision && (newest.Signed || len(a.note) == 0)
}

// isNews reports whether it is to be recorded: it adds changes, or a signature, or the newest is old.
func (a *ackStatement) isNews(newest *Acknowledgement, changes uint64, now time.Time) bool {
	isSigned := len(a.note) > 0
	switch {
	case newest == nil || isSigned && !newest.Signed:
		return true
	case a.revision < newest.Revision:
		return false
	case changes > newest.Changes:
		return true
	}
	return isSigned == newest.Signed && now.Sub(newest.Time) >= ackInterval
}

func (a *ackStatement) event(sub *Subscriber, log FeedCursor) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_Acknowledged{Acknowledged: &storev1.Acknowledged{
		Subscriber: state.Ref(sub.ID), Stage: uint32(a.stage), Epoch: sub.Epoch,
		Revision: a.revision, Changes: log.Changes, Hash: log.Hash[:],
		Note: a.note, Key: a.key, SignedAt: state.Nano(a.signed),
	}}}
}

// addsNothingTo is the answer to what was recorded before.
func (v *View) addsNothingTo(newest *Acknowledgement) AckWrite {
	return AckWrite{Receipt: Receipt{
		ID: newest.ID, JournalID: v.id, Tag: string(v.TagAt(newest.ID.Revision)), Time: newest.Time,
	}}
}

// Checkpoint says how far the log of a subscriber is at a place. Errors: ErrDamaged.
func (v *View) Checkpoint(sub *Subscriber, at FeedCursor) (feed.Checkpoint, error) {
	tag, err := v.taggedAt(at.Revision)
	if err != nil {
		return feed.Checkpoint{}, err
	}
	time, err := v.TimeAt(at.Revision)
	return feed.Checkpoint{
		Journal: v.id, Subscriber: sub.ID, Epoch: sub.Epoch, Revision: at.Revision, Tag: feed.Tag(tag.tag),
		Changes: at.Changes, Hash: at.Hash, Filter: sub.FilterHash, Time: time,
	}, err
}
