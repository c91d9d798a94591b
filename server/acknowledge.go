package server

import (
	"context"
	"errors"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// maxNoteBytes is the limit of a note in a request.
const maxNoteBytes = 8 << 10

// Acknowledge implements dncv1.PropagationServiceServer.
func (s *propagationService) Acknowledge(ctx context.Context, req *dncv1.AcknowledgeRequest) (*dncv1.AcknowledgeResponse, error) {
	w, err := s.acknowledge(ctx, req)
	s.metrics.wrote(writeAck, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	return &dncv1.AcknowledgeResponse{
		Recorded: w.Recorded, Id: eventID(w.ID), Position: positionAt(w.Receipt), Duplicate: w.Duplicate,
	}, nil
}

func (s *propagationService) acknowledge(ctx context.Context, req *dncv1.AcknowledgeRequest) (w store.AckWrite, err error) {
	v := s.store.View()
	sub, err := s.speaker(ctx, v, req.GetSubscriber())
	if err != nil {
		return w, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return w, err
	}
	switch note := req.GetNote(); {
	case req.GetClaim() != nil:
		w, err = s.claimed(ctx, v, sub, req.GetClaim(), by)
	case len(note) == 0:
		return w, invalidField("acknowledgement", "is required: a signed note, or a claim")
	case len(note) > maxNoteBytes:
		return w, invalidField("note", "has at most 8 KiB")
	default:
		if w, err = s.store.AcknowledgeNote(ctx, sub.ID, note, by); err != nil {
			return w, s.notHeld(ctx, v, sub, note, err)
		}
	}
	if err == nil {
		s.presence.see(sub.ID)
	}
	return w, err
}

// speaker finds the subscriber of a name, for which the caller must be allowed to speak.
func (s *propagationService) speaker(ctx context.Context, v *store.View, name string) (*store.Subscriber, error) {
	caller := callerOf(ctx)
	sub, err := findSubscriber(v, caller, name)
	if err != nil || mayAcknowledge(caller, sub) {
		return sub, err
	}
	return nil, denied("the caller is neither the identity of that subscriber nor an admin within whose scopes it is")
}

// mayAcknowledge reports whether a caller may say how far a subscriber got.
func mayAcknowledge(caller *access.Grant, sub *store.Subscriber) bool {
	return speaksFor(caller, sub) || caller.Roles.Has(access.Admin) && holdsFilter(caller, sub.Filter)
}

// join notes that the subscriber has opened a stream, until leave is called. An officer who looks on is not the subscriber.
func (s *propagationService) join(caller *access.Grant, sub *store.Subscriber) (leave func()) {
	if sub == nil || !mayAcknowledge(caller, sub) {
		return func() {}
	}
	return s.presence.join(sub.ID)
}

// claimed records an acknowledgement that nobody signed.
func (s *propagationService) claimed(ctx context.Context, v *store.View, sub *store.Subscriber, m *dncv1.ClaimedAcknowledgement, by store.Request) (w store.AckWrite, err error) {
	c, p := m.GetCursor(), m.GetCursor().GetPosition()
	stage := feed.Stage(m.GetStage())
	switch {
	case !stage.Includes(feed.Received):
		return w, invalidField("stage", "is required: received, durable or applied")
	case p.GetRevision() == 0:
		return w, invalidField("cursor", "needs a position: up to where the subscriber got")
	case c.GetPart() != 0:
		return w, ackInvalid("the cursor is within a change: acknowledge it when all of it has come")
	case len(c.GetHash()) != 0 && len(c.GetHash()) != len(feed.Hash{}):
		return w, invalidField("cursor", "has a hash of another length than 32 bytes")
	case !isOfJournal(v, p):
		return w, journalChanged(v)
	case p.GetRevision() > v.Revision():
		return w, journalForked(v)
	}
	if err := verifyTag(v, p.GetRevision(), p.GetTag()); err != nil {
		return w, err
	}
	claim := store.AckClaim{Stage: stage, Revision: p.GetRevision(), Epoch: c.GetEpoch(), Changes: c.GetChanges()}
	copy(claim.Hash[:], c.GetHash())
	return s.store.AcknowledgeClaim(ctx, sub.ID, claim, by)
}

// notHeld is the error of a note that was refused. One of what this journal does not hold is kept: the server lost data.
func (s *propagationService) notHeld(ctx context.Context, v *store.View, sub *store.Subscriber, note []byte, err error) error {
	var beyond *store.BeyondTipError
	if !errors.As(err, &beyond) {
		return err
	}
	c := beyond.Checkpoint
	if s.presence.keepBeyond(sub, c, note) {
		s.log.ErrorContext(ctx, "a subscriber acknowledged what this journal does not hold: the server lost data, or its secret, or the note is meant for another; "+
			"what the subscriber holds may be the last copy",
			"subscriber", sub.Name, "revision", c.Revision, "of_journal", c.Journal, "journal", v.JournalID(), "at", v.Revision())
	}
	reason := dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED
	if errors.Is(err, store.ErrOtherJournal) {
		reason = dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED
	}
	return refuse(reason, beyond.Error()+": the server has noted that; keep every row, and get a full feed").at(v)
}

func ackInvalid(why string) *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_ACK_INVALID, why)
}
