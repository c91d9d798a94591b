package server

import (
	"crypto/hmac"
	"encoding/binary"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// cursorLabel begins what the MAC of a cursor is made over.
const cursorLabel = "dncd cursor"

const cursorMACBytes = 16

// cursorMessage is a cursor of a feed of t as the contract has it.
func (s *propagationService) cursorMessage(t *feedTarget, v *store.View, c store.FeedCursor) *dncv1.FeedCursor {
	m := &dncv1.FeedCursor{
		Position: &dncv1.Position{Revision: c.Revision, JournalId: v.JournalID(), Tag: v.TagAt(c.Revision)},
		Part:     c.Part,
	}
	if t.subscriber != nil {
		m.Epoch, m.Changes, m.Hash = t.subscriber.Epoch, c.Changes, c.Hash[:]
		m.Mac = s.cursorMAC(t, m)
	}
	return m
}

// cursorMAC proves that the log of a subscriber has this hash at this place.
func (s *propagationService) cursorMAC(t *feedTarget, m *dncv1.FeedCursor) []byte {
	b := append([]byte(m.GetPosition().GetJournalId()), ' ')
	for _, n := range []uint64{
		t.subscriber.ID.Revision, uint64(t.subscriber.ID.Index), m.GetEpoch(), m.GetPosition().GetRevision(), uint64(m.GetPart()), m.GetChanges(),
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	mac := s.store.MAC(cursorLabel, b, m.GetHash())
	return mac[:cursorMACBytes]
}

// readCursor reads a cursor that a caller kept. Errors: JOURNAL_CHANGED, JOURNAL_FORKED, FILTER_CHANGED, FIELD_INVALID.
func (s *propagationService) readCursor(t *feedTarget, v *store.View, m *dncv1.FeedCursor) (store.FeedCursor, error) {
	p := m.GetPosition()
	c := store.FeedCursor{Revision: p.GetRevision(), Part: m.GetPart(), Changes: m.GetChanges()}
	if err := isHeld(v, p); err != nil {
		return c, err
	}
	if t.subscriber == nil {
		return c, nil
	}
	if m.GetEpoch() != t.subscriber.Epoch {
		return c, filterChanged()
	}
	if len(m.GetHash()) != len(feed.Hash{}) || !hmac.Equal(s.cursorMAC(t, m), m.GetMac()) {
		return c, invalidField("after", "is not a cursor that this server gave for this subscriber: get a full feed")
	}
	c.Hash = feed.Hash(m.GetHash())
	return c, nil
}

// isHeld refuses a position at which the journal of v does not hold what it held when the position was handed out.
func isHeld(v *store.View, p *dncv1.Position) error {
	switch {
	case p == nil || len(p.GetTag()) == 0:
		return invalidField("after", "is not a cursor that a server gave: it has no position with a tag")
	case !isOfJournal(v, p):
		return journalChanged(v)
	case p.GetRevision() > v.Revision():
		return journalForked(v) // this server lost what it had sent
	}
	return verifyTag(v, p.GetRevision(), p.GetTag())
}

func filterChanged() *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_FILTER_CHANGED,
		"the subscriber's filter was changed, or its feed rebased: get a full feed")
}
